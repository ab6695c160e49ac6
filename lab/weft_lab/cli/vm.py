"""The command `weft vm`: starts, stops, moves and lists virtual machines of any cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from weft.cli import clusters, columns, output
from weft.cli.clusters import Cluster
from weft.kube import resources
from weft.kube.client import Conflict, NotFound
from weft_lab.cli import vmconsole, vmmigrate, vmscreen
from weft_lab.cli.machines import Machine, Namespace, named


class Action(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    SOFT_REBOOT = "soft-reboot"
    RESET = "reset"


OF_GUESTS = (Action.PAUSE, Action.UNPAUSE, Action.SOFT_REBOOT, Action.RESET)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command("console")(vmconsole.console)
app.command("screenshot")(vmscreen.screenshot)
app.command("migrate")(vmmigrate.migrate)
app.command("migrate-cancel")(vmmigrate.cancel)


@app.command("start")
def start_(
    vm: Machine,
    namespace: Namespace = "default",
    paused: Annotated[
        bool, typer.Option("--paused", help="Its guest waits for `weft vm unpause`.")
    ] = False,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    name: clusters.Name = "",
    form: output.Option = output.Output.text,
) -> None:
    """Start a virtual machine that does not run."""
    cluster = clusters.choose(kubeconfig, context, lab, name)
    _order(vm, namespace, cluster, form, Action.START, {"paused": True} if paused else None)


def _verb(action: Action) -> Callable[..., None]:
    """The command of an action that takes nothing but the machine."""

    def command(
        vm: Machine,
        namespace: Namespace = "default",
        kubeconfig: clusters.Kubeconfig = "",
        context: clusters.Context = "",
        lab: clusters.Lab = "",
        name: clusters.Name = "",
        form: output.Option = output.Output.text,
    ) -> None:
        cluster = clusters.choose(kubeconfig, context, lab, name)
        _order(vm, namespace, cluster, form, action)

    return command


for _action, _help in (
    (Action.STOP, "Shut a virtual machine down."),
    (Action.RESTART, "Shut a virtual machine down and start it again."),
    (Action.PAUSE, "Have the guest of a virtual machine stand still, with all its memory."),
    (Action.UNPAUSE, "Have a guest that was paused go on."),
    (Action.SOFT_REBOOT, "Have a guest shut down and start again, by its agent."),
    (Action.RESET, "Start a guest again without asking it, as its reset button does."),
):
    app.command(str(_action), help=_help)(_verb(_action))


@app.command("list")
def list_(
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Only virtual machines of this namespace.")
    ] = "",
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    name: clusters.Name = "",
    form: output.Option = output.Output.text,
) -> None:
    """List virtual machines.

    Show the node that each runs on, its NICs and their addresses.
    """
    found = asyncio.run(_list(clusters.choose(kubeconfig, context, lab, name), namespace))
    output.emit(form, found, lambda: _say(found))


def _order(
    vm: str,
    namespace: str,
    cluster: Cluster,
    form: output.Output,
    action: Action,
    options: Mapping[str, Any] | None = None,
) -> None:
    space, name = named(vm, namespace)
    asyncio.run(_change(cluster, space, name, action, options))
    answer = {"namespace": space, "name": name, "requested": str(action)}
    output.emit(form, answer, lambda: typer.echo(f"{space}/{name}: {action} is requested"))


async def _change(
    cluster: Cluster,
    namespace: str,
    name: str,
    action: Action,
    options: Mapping[str, Any] | None,
) -> None:
    is_guests = action in OF_GUESTS
    res = resources.VMI_CONSOLES if is_guests else resources.VM_ACTIONS
    async with cluster.client() as api:
        where = f"{res.kind} {namespace}/{name}"
        try:
            verb = action.replace("-", "")
            await api.act(res.path(namespace, name, verb), where, options)
        except NotFound as error:
            error.hint = error.hint or "weft vm list"
            raise
        except Conflict as error:
            error.hint = error.hint or "kubectl get vm shows run strategies and what runs"
            raise


async def _list(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    async with cluster.client() as api:
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
