"""The commands of the lab, as `weft` finds them by this package's entry point."""

# name: (module, what it does). The module has `app`, a group, or `command`, a function.
COMMANDS = {
    "demo": ("weft_lab.cli.demo", "Show three virtual machines on one overlay network."),
    "lab": ("weft_lab.cli.lab", "Run a cluster with OVN and virtual machines locally."),
    "vm": ("weft_lab.cli.vm", "Start, stop, move and list virtual machines."),
}
