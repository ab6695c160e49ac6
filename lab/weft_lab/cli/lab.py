"""`weft lab`: bring a lab up, look at it, get into it, take it down."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from weft import errors
from weft.app import settings
from weft.cli import output
from weft_lab import spec, state
from weft_lab.cli import enter, status

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command("exec", context_settings=enter.REST)(enter.execute)
app.command("console")(enter.console)

Name = Annotated[
    str, typer.Option("--name", "-n", help="Name of the lab; several can run at once.")
]

Subnets = Annotated[
    str | None,
    typer.Option(
        metavar="SUBNETS",
        help="Subnets of that network, with the length of a node's part; two for dual stack."
        f"  \\[default: {spec.CLUSTER_SUBNETS}]",
    ),
]

Namespaces = Annotated[
    str | None,
    typer.Option(
        metavar="NAMESPACES",
        help=f"{settings.GLOBAL_NAMESPACES_MEAN}  \\[default: as last time]",
    ),
]

Disks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[FORMAT:]FOLDER",
        help="A folder with disk images that virtual machines may use, all of one FORMAT: raw"
        " (without FORMAT) or qcow2. May be repeated.  \\[default: as last time]",
    ),
]


@app.command("up")
def up_(
    name: Name = spec.DEFAULT_NAME,
    nodes: Annotated[
        int | None, typer.Option(help=f"Number of nodes.  \\[default: {spec.DEFAULT_NODES}]")
    ] = None,
    mtu: Annotated[
        int | None, typer.Option(help="MTU of the network between the nodes.  \\[default: 1500]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of the API server on 127.0.0.1; 0: a free one.  \\[default: as last time]"
        ),
    ] = None,
    datapath: Annotated[
        str | None,
        typer.Option(
            help="OVS datapath: netdev (user space) or system (the kernel's).  \\[default: netdev]"
        ),
    ] = None,
    primary: Annotated[
        str | None,
        typer.Option(
            help="The pods' first network: weft, across nodes and to the outside; or none, a bridge"
            " on each node.  \\[default: weft]"
        ),
    ] = None,
    cluster_subnets: Subnets = None,
    global_namespaces: Namespaces = None,
    disks: Disks = None,
    form: output.Option = output.Output.text,
) -> None:
    """Start the lab, or what is missing of it; --nodes adds nodes or removes the last ones."""
    from weft_lab import up
    from weft_lab.runtime import toolchain

    wishes = spec.Wishes(
        nodes=nodes,
        mtu=mtu,
        datapath=datapath,
        port=port,
        primary=primary,
        cluster_subnets=cluster_subnets,
        global_namespaces=global_namespaces,
        disks=tuple(map(absolute, disks)) if disks else None,
    )
    spec.change(spec.Lab(name=name), wishes, running=False)  # refuse nonsense before downloading
    before = state.Folder.of(name).load()
    with output.progress(form) as report:
        tools = toolchain.ensure(report)
        tell = output.counting(report, "starting the lab")
        found = up.up(name, wishes, tools=tools, tell=tell)
    output.emit(form, found, lambda: _say_up(found, before.nodes if before else 0))


def absolute(folder: str) -> str:
    """A `[FORMAT:]FOLDER` as the lab keeps it, wherever it is started from."""
    form, colon, path = folder.partition(":")
    if not colon or "/" in form:
        return os.path.abspath(folder)
    return f"{form}:{os.path.abspath(path)}"


def _say_up(found: Mapping[str, Any], before: int) -> None:
    name = found["name"]
    option = "" if name == spec.DEFAULT_NAME else f" --name {name}"
    typer.echo(became(found, before))
    typer.echo(f"  export KUBECONFIG={found['kubeconfig']}")
    typer.echo(f"  weft lab status{option}")


def became(found: Mapping[str, Any], before: int) -> str:
    """What `up` did; `before` is how many nodes the lab had."""
    nodes = found["lab"]["nodes"]
    words = f"{nodes} node{'' if nodes == 1 else 's'}"
    if found["started"]:
        return f"Lab {found['name']!r} is up: {words}."
    if nodes != before:
        return f"Lab {found['name']!r} has {words} now, {before} before."
    return f"Lab {found['name']!r} was up already: {words}."


@app.command("reboot")
def reboot_(
    node: Annotated[str, typer.Argument(help="Which node: node1, say.")],
    name: Name = spec.DEFAULT_NAME,
    form: output.Option = output.Output.text,
) -> None:
    """Cut a node's power, which loses its daemons, pods and databases, and start it again."""
    from weft_lab import up

    with output.progress(form) as report:
        tell = output.counting(report, f"rebooting {node}")
        found = up.reboot(name, node, tell=tell)
    output.emit(form, found, lambda: typer.echo(f"{node} of lab {name!r} is up again."))


@app.command("status")
def status_(name: Name = spec.DEFAULT_NAME, form: output.Option = output.Output.text) -> None:
    """Show the lab's nodes and virtual machines; exit status 1 if the lab does not run."""
    from weft_lab import cluster, up

    found = up.status(name)
    if any(service["name"] == "lab/api" for service in found["services"]):
        found["cluster"] = cluster.look(found["kubeconfig"])
    output.emit(form, found, lambda: status.show(found))
    if not found["running"]:
        raise typer.Exit(1)


@app.command("down")
def down_(name: Name = spec.DEFAULT_NAME, form: output.Option = output.Output.text) -> None:
    """Remove the lab: everything that runs, and its objects."""
    from weft_lab import up

    _say_end(form, name, "removed", up.down(name), "was not there")


@app.command("stop")
def stop_(name: Name = spec.DEFAULT_NAME, form: output.Option = output.Output.text) -> None:
    """End everything that runs and keep the lab's objects for the next `up`."""
    from weft_lab import up

    _say_end(form, name, "stopped", up.stop(name), "was not running")


def _say_end(form: output.Output, name: str, verb: str, done: bool, otherwise: str) -> None:
    words = f"is {verb}" if done else otherwise
    output.emit(form, {"name": name, verb: done}, lambda: typer.echo(f"Lab {name!r} {words}."))


@app.command("kubeconfig")
def kubeconfig_(name: Name = spec.DEFAULT_NAME, form: output.Option = output.Output.text) -> None:
    """Print the lab's kubeconfig: weft lab kubeconfig > lab.yaml."""
    path = state.Folder.of(name).kubeconfig
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise errors.Unavailable(
            "this lab has no kubeconfig yet",
            where=f"lab {name!r}",
            hint=f"weft lab up --name {name}",
        ) from None
    data = {"name": name, "path": str(path), "kubeconfig": json.loads(text)}
    output.emit(form, data, lambda: typer.echo(text, nl=False))
