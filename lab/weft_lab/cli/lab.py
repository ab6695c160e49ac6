"""The command `weft lab`: starts, shows, enters, stops and removes labs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from weft import errors
from weft.app import settings
from weft.cli import columns, output
from weft_lab import spec, state
from weft_lab.cli import nsenter, status
from weft_lab.cli.names import Chosen, LabCommand, Name, chosen, export, interruptible, option

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command("exec", cls=LabCommand, context_settings=nsenter.REST)(nsenter.execute)
app.command("console", cls=LabCommand)(nsenter.console)

Subnets = Annotated[
    str | None,
    typer.Option(
        metavar="SUBNETS",
        help="Subnets of the network that --primary weft makes, with the prefix length of a node's"
        " subnet; two for dual stack."
        f"  [default: {spec.CLUSTER_SUBNETS}]",
    ),
]

Namespaces = Annotated[
    str | None,
    typer.Option(
        metavar="NAMESPACES",
        help=f"{settings.GLOBAL_NAMESPACES_MEAN}  [default: as last time]",
    ),
]

Disks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[FORMAT:]FOLDER",
        help="A folder with disk images that virtual machines may use, all of one FORMAT: raw"
        " (without FORMAT) or qcow2. May be repeated.  [default: as last time]",
    ),
]

Webhook = Annotated[
    bool | None,
    typer.Option(
        "--webhook/--no-webhook",
        help="Have the cluster manager judge NetworkAttachmentDefinitions and MultiNetworkPolicies"
        " at admission, as on a cluster; without it Events say what is wrong. "
        " [default: as last time]",
    ),
]

Vlans = Annotated[
    list[int] | None,
    typer.Option(
        "--vlan",
        metavar="VLAN",
        help="A VLAN of the physical network that has a host outside of the cluster, with a DHCP"
        " server and a database. May be repeated; 0: none.  [default: as last time]",
    ),
]


@app.command("up", cls=LabCommand)
def up_(
    name: Name = spec.DEFAULT_NAME,
    nodes: Annotated[
        int | None, typer.Option(help=f"Number of nodes.  [default: {spec.DEFAULT_NODES}]")
    ] = None,
    mtu: Annotated[
        int | None, typer.Option(help="MTU of the network between the nodes.  [default: 1500]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of the API server on 127.0.0.1; 0: a free one.  [default: as last time]"
        ),
    ] = None,
    datapath: Annotated[
        str | None,
        typer.Option(
            help="OVS datapath: netdev (user space) or system (the kernel's).  [default: netdev]"
        ),
    ] = None,
    primary: Annotated[
        str | None,
        typer.Option(
            help="Network of the pods' eth0. weft: it spans the nodes and reaches the outside."
            " none: a bridge on each node.  [default: weft]"
        ),
    ] = None,
    cluster_subnets: Subnets = None,
    global_namespaces: Namespaces = None,
    disks: Disks = None,
    webhook: Webhook = None,
    vlans: Vlans = None,
    form: output.Option = output.Output.text,
) -> None:
    """Start a lab, or the parts of it that do not run.

    With --nodes, add nodes to a lab or remove its last ones; with --vlan, change its VLANs.
    """
    from weft_lab import up
    from weft_lab.runtime import toolchain

    options = spec.Options(
        nodes=nodes,
        mtu=mtu,
        datapath=datapath,
        port=port,
        primary=primary,
        cluster_subnets=cluster_subnets,
        global_namespaces=global_namespaces,
        disks=tuple(map(absolute, disks)) if disks else None,
        webhook=webhook,
        vlans=tuple(vlans) if vlans else None,
    )
    spec.change(spec.Lab(name=name), options, running=False)  # refuse nonsense before downloading
    before = state.Folder.of(name).load()
    with interruptible(name), output.progress(form) as report:
        tools = toolchain.ensure(report)
        progress = output.counting(report, "starting the lab")
        found = up.up(name, options, tools=tools, progress=progress)
    output.emit(form, found, lambda: _say_up(found, before.nodes if before else 0))


def absolute(folder: str) -> str:
    """The same `[FORMAT:]FOLDER` with an absolute path, as the lab's settings keep it."""
    form, colon, path = folder.partition(":")
    if not colon or "/" in form:
        return os.path.abspath(folder)
    return f"{form}:{os.path.abspath(path)}"


def _say_up(found: Mapping[str, Any], before: int) -> None:
    typer.echo(became(found, before))
    for vlan in map(spec.Vlan, found["lab"]["vlans"]):
        typer.echo(f"  host {vlan.host}: {', '.join(str(each.ip) for each in vlan.addresses)}")
    typer.echo(f"  {export(found['kubeconfig'])}")
    typer.echo(f"  {output.program()} lab status{option(found['name'])}")


def became(found: Mapping[str, Any], before: int) -> str:
    """A sentence on what `up` did; `before` is the number of nodes that the lab had."""
    nodes = found["lab"]["nodes"]
    words = f"{nodes} node{'' if nodes == 1 else 's'}"
    if found["started"]:
        return f"Lab {found['name']!r} is up: {words}."
    if nodes != before:
        return f"Lab {found['name']!r} has {words} now, {before} before."
    return f"Lab {found['name']!r} was up already: {words}."


@app.command("reboot", cls=LabCommand)
def reboot_(
    node: Annotated[str, typer.Argument(help="Name of the node, such as node1.")],
    name: Chosen = "",
    form: output.Option = output.Output.text,
) -> None:
    """Cut a node's power and start it again.

    The node loses its processes, pods and databases, and gets them again.
    """
    from weft_lab import up

    name = chosen(name)
    with interruptible(name), output.progress(form) as report:
        progress = output.counting(report, f"rebooting {node}")
        found = up.reboot(name, node, progress=progress)
    output.emit(form, found, lambda: typer.echo(f"{node} of lab {name!r} is up again."))


@app.command("status", cls=LabCommand)
def status_(name: Chosen = "", form: output.Option = output.Output.text) -> None:
    """Show a lab's nodes and virtual machines.

    The exit status is 1 if the lab does not run.
    """
    from weft_lab import cluster, up

    found = up.status(chosen(name))
    if any(service["name"] == "lab/api" for service in found["services"]):
        found["cluster"] = cluster.summary(found["kubeconfig"])
    output.emit(form, found, lambda: status.show(found))
    if not found["running"]:
        raise typer.Exit(1)


@app.command("list", cls=LabCommand)
def list_(form: output.Option = output.Output.text) -> None:
    """List your labs.

    Show which of them run, how many nodes they have, and their kubeconfigs.
    """
    found = [_listed(folder) for folder in state.folders()]
    output.emit(form, found, lambda: _say_labs(found))


def _listed(folder: state.Folder) -> dict[str, Any]:
    try:
        lab = folder.load()
    except errors.WeftError:
        lab = None  # its record is broken: `weft lab down` removes it
    peer = folder.connect()
    if peer is not None:
        peer.close()
    return {
        "name": folder.path.name,
        "state": "running" if peer is not None else "stopped" if lab else "broken",
        "nodes": lab.nodes if lab else 0,
        "kubeconfig": str(folder.kubeconfig),
    }


def _say_labs(found: Sequence[Mapping[str, Any]]) -> None:
    if not found:
        typer.echo(f"There is no lab. {output.program()} lab up starts one.")
        return
    rows = [["lab", "state", "nodes", "kubeconfig"]]
    rows += [[str(one[key]) for key in ("name", "state", "nodes", "kubeconfig")] for one in found]
    typer.echo("\n".join(columns.aligned(rows)))


@app.command("down", cls=LabCommand)
def down_(name: Name = spec.DEFAULT_NAME, form: output.Option = output.Output.text) -> None:
    """Remove a lab: its processes and its objects."""
    from weft_lab import up

    with interruptible(name), output.working(form, "removing the lab"):
        done = up.down(name)
    _say_end(form, name, "removed", done, "was not there")


@app.command("stop", cls=LabCommand)
def stop_(name: Name = spec.DEFAULT_NAME, form: output.Option = output.Output.text) -> None:
    """End a lab's processes and keep its objects.

    `weft lab up` starts the lab again with the same objects.
    """
    from weft_lab import up

    with interruptible(name), output.working(form, "stopping the lab"):
        done = up.stop(name)
    _say_end(form, name, "stopped", done, "was not running")


def _say_end(form: output.Output, name: str, verb: str, done: bool, otherwise: str) -> None:
    words = f"is {verb}" if done else otherwise
    output.emit(form, {"name": name, verb: done}, lambda: typer.echo(f"Lab {name!r} {words}."))


@app.command("kubeconfig", cls=LabCommand)
def kubeconfig_(name: Chosen = "", form: output.Option = output.Output.text) -> None:
    """Print a lab's kubeconfig.

    To keep it in a file: weft lab kubeconfig > lab.yaml
    """
    name = chosen(name)
    path = state.Folder.of(name).kubeconfig
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise errors.Unavailable(
            "this lab has no kubeconfig yet",
            where=f"lab {name!r}",
            hint=f"weft lab up{option(name)}",
        ) from None
    data = {"name": name, "path": str(path), "kubeconfig": json.loads(text)}
    output.emit(form, data, lambda: typer.echo(text, nl=False))
