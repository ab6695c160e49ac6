"""`weft lab`: bring a lab up, look at it, get into it, take it down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from weft import errors
from weft.cli import lab_enter, output
from weft.lab import spec, state

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command("exec", context_settings=lab_enter.REST)(lab_enter.execute)
app.command("console")(lab_enter.console)

Name = Annotated[str, typer.Option("--name", "-n", help="Which lab; several run side by side.")]


@app.command("up")
def up_(
    name: Name = spec.DEFAULT_NAME,
    nodes: Annotated[
        int | None, typer.Option(help=f"How many nodes.  [default: {spec.DEFAULT_NODES}]")
    ] = None,
    mtu: Annotated[
        int | None, typer.Option(help="MTU of the network between the nodes.  [default: 1500]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port of the API on 127.0.0.1; 0: a free one.  [default: as last time]"),
    ] = None,
    datapath: Annotated[
        str | None,
        typer.Option(help="OVS datapath: netdev, or system with the kernel's.  [default: netdev]"),
    ] = None,
    form: output.Option = output.Output.text,
) -> None:
    """Bring the lab up, or complete it; a running lab with fewer nodes grows."""
    from weft.lab import up
    from weft.lab.runtime import toolchain

    wishes = spec.Wishes(nodes=nodes, mtu=mtu, datapath=datapath, port=port)
    spec.change(spec.Lab(name=name), wishes, running=False)  # refuse nonsense before downloading
    with output.progress(form) as report:
        tools = toolchain.ensure(report)

        def tell(event: Mapping[str, object]) -> None:
            ready, total = event.get("ready"), event.get("total")
            if isinstance(ready, int) and isinstance(total, int):
                report("starting the lab", ready / total)

        found = up.up(name, wishes, tools=tools, tell=tell)
    output.emit(form, found, lambda: _say_up(found))


def _say_up(found: Mapping[str, Any]) -> None:
    name = found["name"]
    option = "" if name == spec.DEFAULT_NAME else f" --name {name}"
    verb = "is up" if found["started"] else "was up already"
    typer.echo(f"Lab {name!r} {verb}: {found['lab']['nodes']} nodes.")
    typer.echo(f"  export KUBECONFIG={found['kubeconfig']}")
    typer.echo(f"  weft lab status{option}")


@app.command("status")
def status_(name: Name = spec.DEFAULT_NAME, form: output.Option = output.Output.text) -> None:
    """Show what runs in the lab; exit status 1 if it does not run."""
    from weft.lab import up

    found = up.status(name)
    output.emit(form, found, lambda: _say_status(found))
    if not found["running"]:
        raise typer.Exit(1)


def _say_status(found: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not found["running"]:
        fate = "stopped; its objects are kept" if found["exists"] else "not there"
        typer.echo(f"Lab {found['name']!r} is {fate}.")
        return
    table = Table(title=f"lab {found['name']}", title_justify="left")
    for column in ("node", "up", "not up", "restarts"):
        table.add_column(column)
    nodes: dict[str, list[dict[str, Any]]] = {}
    for service in found["services"]:
        nodes.setdefault(service["node"] or "lab", []).append(service)
    for node, services in nodes.items():
        short = {id(one): one["name"].rpartition("/")[2] for one in services}
        ok = [one for one in services if one["state"] in ("running", "done")]
        bad = [one for one in services if one not in ok]
        table.add_row(
            node,
            " ".join(short[id(one)] for one in ok if one["state"] == "running"),
            " ".join(f"{short[id(one)]} ({one['state']})" for one in bad),
            str(sum(one["restarts"] for one in services)),
        )
    Console().print(table)
    typer.echo(f"KUBECONFIG={found['kubeconfig']}   logs: {found['folder']}/logs")


@app.command("down")
def down_(name: Name = spec.DEFAULT_NAME, form: output.Option = output.Output.text) -> None:
    """Remove the lab: everything that runs, and its objects."""
    from weft.lab import up

    removed = up.down(name)
    words = "is removed" if removed else "was not there"
    output.emit(
        form, {"name": name, "removed": removed}, lambda: typer.echo(f"Lab {name!r} {words}.")
    )


@app.command("stop")
def stop_(name: Name = spec.DEFAULT_NAME, form: output.Option = output.Output.text) -> None:
    """End everything that runs and keep the lab's objects for the next `up`."""
    from weft.lab import up

    stopped = up.stop(name)
    words = "is stopped" if stopped else "was not running"
    output.emit(
        form, {"name": name, "stopped": stopped}, lambda: typer.echo(f"Lab {name!r} {words}.")
    )


@app.command("kubeconfig")
def kubeconfig_(name: Name = spec.DEFAULT_NAME, form: output.Option = output.Output.text) -> None:
    """Print the lab's kubeconfig: weft lab kubeconfig > lab.yaml."""
    path = state.Folder.of(name).kubeconfig
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise errors.Unavailable(
            "this lab has no kubeconfig yet", where=f"lab {name!r}", hint="weft lab up"
        ) from None
    data = {"name": name, "path": str(path), "kubeconfig": json.loads(text)}
    output.emit(form, data, lambda: typer.echo(text, nl=False))
