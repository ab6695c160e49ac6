"""The commands `weft lab exec` and `weft lab console`: enter a node, a pod or a guest of a lab."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from weft import errors
from weft.cli import clusters, output
from weft_lab.cli import vmconsole
from weft_lab.cli.names import Chosen, chosen

# Everything after the target belongs to the command that is run.
REST = {"allow_interspersed_args": False, "ignore_unknown_options": True}


def execute(
    target: Annotated[
        str,
        typer.Argument(
            help="Where to run it: a node such as node1; a pod, as NAMESPACE/POD; outside or"
            " vlan20, hosts that are no nodes; or lab, with the bridges and the API server that"
            " nodes share."
        ),
    ],
    command: Annotated[
        list[str] | None, typer.Argument(help="What to run, after --. By default a shell.")
    ] = None,
    name: Chosen = "",
    form: output.Option = output.Output.text,
) -> None:
    """Run a command in a node or a pod.

    The lab's programs, such as ovn-nbctl, are on its PATH.
    """
    from weft_lab import target as targets
    from weft_lab import up

    argv = list(command or [])
    if argv and argv[0] == "--":
        del argv[0]
    elif argv and argv[0].startswith("-"):
        rule = "stands after TARGET, where the command to run begins"
        hint = "put options before TARGET: weft lab exec --name LAB node1 -- COMMAND"
        raise errors.InvalidInput("weft lab exec", argv[0], None, rule, hint=hint)
    with up.running(chosen(name)) as peer:
        place = targets.find(peer, target)
        if not argv:  # a pod has its own programs, and no other shell than this
            argv = ["sh"] if place.root else [os.environ.get("SHELL", "/bin/sh")]
        if form is not output.Output.text:
            found = targets.captured(place, argv)
            output.emit(form, found, lambda: None)
            raise typer.Exit(int(found["exit"]))
        raise typer.Exit(targets.run(place, argv))


def console(
    vm: Annotated[str, typer.Argument(help="The virtual machine: NAME or NAMESPACE/NAME.")],
    name: Chosen = "",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Its namespace, if VM names none.")
    ] = "default",
    quiet: vmconsole.Quiet = 2.0,
    form: output.Option = output.Output.text,
) -> None:
    """Connect to a virtual machine's serial console.

    Whoever was connected before is not any more. In a terminal, Ctrl-] leaves, and the last output
    of the console is shown first.
    """
    from weft_lab import target as targets
    from weft_lab import terminal, up

    space, _, machine = vm.rpartition("/")
    space, name = space or namespace, chosen(name)
    with up.running(name) as peer:
        found: dict[str, Any] = targets.serial(peer, space, machine)
        past = terminal.past(Path(found["log"])) if sys.stdin.isatty() else b""
    if form is not output.Output.text:
        output.emit(form, found, lambda: None)
        return
    vmconsole.talk(clusters.choose("", "", name, ""), space, machine, quiet=quiet, past=past)
