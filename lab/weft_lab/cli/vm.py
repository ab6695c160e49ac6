"""`weft vm`: start, stop, restart and list virtual machines, on the lab or on any cluster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from weft import errors
from weft.cli import columns, output
from weft.kube import resources
from weft.kube.client import Client, NotFound
from weft_lab import spec, state
from weft_lab.vm import power

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

Machine = Annotated[str, typer.Argument(help="The virtual machine: NAME or NAMESPACE/NAME.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Its namespace, if not said.")]
Lab = Annotated[str, typer.Option("--lab", "--name", help="Which lab, unless $KUBECONFIG is set.")]


@app.command("start")
def start_(
    vm: Machine,
    namespace: Namespace = "default",
    lab: Lab = spec.DEFAULT_NAME,
    form: output.Option = output.Output.text,
) -> None:
    """Start a virtual machine that does not run."""
    _order(vm, namespace, lab, form, power.Wish.START)


@app.command("stop")
def stop_(
    vm: Machine,
    namespace: Namespace = "default",
    lab: Lab = spec.DEFAULT_NAME,
    form: output.Option = output.Output.text,
) -> None:
    """Shut a virtual machine down and leave it so."""
    _order(vm, namespace, lab, form, power.Wish.STOP)


@app.command("restart")
def restart_(
    vm: Machine,
    namespace: Namespace = "default",
    lab: Lab = spec.DEFAULT_NAME,
    form: output.Option = output.Output.text,
) -> None:
    """Shut a virtual machine down and start it again."""
    _order(vm, namespace, lab, form, power.Wish.RESTART)


@app.command("list")
def list_(
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Only of this namespace.")
    ] = "",
    lab: Lab = spec.DEFAULT_NAME,
    form: output.Option = output.Output.text,
) -> None:
    """Show the virtual machines, where they run and which addresses they have."""
    found = asyncio.run(_list(lab, namespace))
    output.emit(form, found, lambda: _say(found))


def _order(vm: str, namespace: str, lab: str, form: output.Output, wish: power.Wish) -> None:
    space, name = named(vm, namespace)
    asyncio.run(_change(lab, space, name, wish))
    said = {"namespace": space, "name": name, "asked": str(wish)}
    output.emit(form, said, lambda: typer.echo(f"{space}/{name}: asked to {wish}"))


def named(vm: str, namespace: str) -> tuple[str, str]:
    """Namespace and name of what was written as NAME or NAMESPACE/NAME."""
    space, slash, name = vm.rpartition("/")
    if not name or "/" in space or (slash and not space):
        raise errors.InvalidInput("command line", "VM", vm, "must be NAME or NAMESPACE/NAME")
    return space or namespace, name


def _client(lab: str) -> Client:
    chosen = os.environ.get("KUBECONFIG")
    path = Path(chosen) if chosen else state.Folder.of(lab).kubeconfig
    if not path.exists():
        raise errors.Unavailable(
            "there is no such kubeconfig", where=str(path), hint="weft lab up, or set KUBECONFIG"
        )
    return Client.from_kubeconfig(str(path))


async def _change(lab: str, namespace: str, name: str, wish: power.Wish) -> None:
    async with _client(lab) as api:
        try:
            vm = await api.get(resources.VMS, name, namespace)
        except NotFound as error:
            error.hint = error.hint or "weft vm list"
            raise
        try:
            vmi: dict[str, Any] | None = await api.get(resources.VMIS, name, namespace)
        except NotFound:
            vmi = None
        change = power.change(vm, vmi, wish)
        await api.patch(resources.VMS, name, namespace, change.body, subresource=change.subresource)


async def _list(lab: str, namespace: str) -> list[dict[str, Any]]:
    async with _client(lab) as api:
        vms = await api.list(resources.VMS, namespace)
        vmis = {resources.key(vmi): vmi for vmi in await api.list(resources.VMIS, namespace)}
    return [_row(vm, vmis.get(resources.key(vm)) or {}) for vm in vms]


def _row(vm: Mapping[str, Any], vmi: Mapping[str, Any]) -> dict[str, Any]:
    running = vmi.get("status") or {}
    return {
        "namespace": vm["metadata"]["namespace"],
        "name": vm["metadata"]["name"],
        "status": (vm.get("status") or {}).get("printableStatus", ""),
        "node": running.get("nodeName", ""),
        "interfaces": running.get("interfaces") or [],
    }


def _say(rows: list[dict[str, Any]]) -> None:
    if not rows:
        typer.echo("No virtual machines found.", err=True)
        return
    table = [["name", "status", "node", "NIC", "MAC", "addresses"]]
    for row in rows:
        first = [f"{row['namespace']}/{row['name']}", row["status"], row["node"]]
        for nic in row["interfaces"] or [{}]:
            name = nic.get("interfaceName") or nic.get("name", "")
            addresses = [ip for ip in nic.get("ipAddresses") or () if not ip.startswith("fe80:")]
            table.append([*first, name, nic.get("mac", ""), ", ".join(addresses)])
            first = [""] * len(first)
    typer.echo("\n".join(columns.aligned(table)))
