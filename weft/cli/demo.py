"""`weft demo`: three virtual machines on one overlay network, checked from inside the guests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from weft.cli import output
from weft.kube import client as kube
from weft.lab import spec, up
from weft.lab.demos import machines, stage, three_vms
from weft.lab.runtime import toolchain

PIPE_WIDTH = 100  # characters a line, where no terminal says how many fit


def command(
    name: Annotated[
        str, typer.Option("--name", "-n", help="The lab to show it in.")
    ] = spec.DEFAULT_NAME,
    form: output.Option = output.Output.text,
) -> None:
    """Bring up a lab of three nodes, boot the demo's machines and check what they can do.

    Exit status 0 only if every check holds. The lab stays.
    """
    with output.progress(form) as report:
        tools = toolchain.ensure(report)

        def tell(event: Mapping[str, object]) -> None:
            ready, total = event.get("ready"), event.get("total")
            if isinstance(ready, int) and isinstance(total, int):
                report("starting the lab", ready / total)

        lab = up.up(name, spec.Wishes(nodes=3), tools=tools, tell=tell)
        vms, verdicts = asyncio.run(_show(lab, report))
    holds = all(verdict.holds for verdict in verdicts)
    data = {
        "machines": [asdict(vm) for vm in vms.values()],
        "checks": [asdict(verdict) for verdict in verdicts],
        "holds": holds,
        "kubeconfig": lab["kubeconfig"],
    }
    output.emit(form, data, lambda: _say(vms, verdicts, lab))
    if not holds:
        raise typer.Exit(1)


async def _show(
    lab: Mapping[str, Any], report: output.Report
) -> tuple[dict[str, machines.Machine], list[three_vms.Verdict]]:
    async with kube.Client.from_kubeconfig(lab["kubeconfig"]) as api:
        vms = await stage.prepare(api, three_vms.NAME, report)

        async def run(machine: machines.Machine, *argv: str) -> Any:
            return await machines.run(lab["pid"], machine, *argv)

        known = spec.parse(lab["lab"])
        members = known.members if known.is_primary else ()
        gateways = {node.name: str(node.gateways[0].ip) for node in members}
        verdicts = []
        async for verdict in three_vms.check(vms, run, gateways):
            verdicts.append(verdict)
            report(f"checking: {verdict.claim}"[:32], 1.0)
        return vms, verdicts


def _say(
    vms: Mapping[str, machines.Machine],
    verdicts: list[three_vms.Verdict],
    lab: Mapping[str, Any],
) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    console.print(_machines(vms))
    console.print(_checks(verdicts))
    failed = sum(not verdict.holds for verdict in verdicts)
    console.print(
        f"[bold red]{failed} of {len(verdicts)} checks failed."
        if failed
        else f"[bold green]All {len(verdicts)} checks hold."
    )
    option = "" if lab["name"] == spec.DEFAULT_NAME else f" --name {lab['name']}"
    for line in (
        "\nThe lab is yours; try:",
        f"  export KUBECONFIG={lab['kubeconfig']}; kubectl get vm,nad,pods -A",
        f"  .venv/bin/weft lab console nico-demo-vm/web1{option}     (Ctrl-] leaves)",
        f"  .venv/bin/weft lab exec{option} node1 -- ovn-nbctl show",
        f"and when you are done: make down{option and f', or weft lab down{option}'}",
    ):
        typer.echo(line)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in ("check", "seen"))
    return table


def _machines(vms: Mapping[str, machines.Machine]) -> Table:
    table = _table("machines", "name", "node", "NIC", "MAC", "addresses", "model", "binding")
    for vm in vms.values():
        for place, nic in enumerate(vm.nics):
            who = (vm.key, vm.node) if place == 0 else ("", "")
            routable = [text for text in nic.addresses if not text.startswith("fe80:")]
            name = nic.device or nic.network
            table.add_row(*who, name, nic.mac, "\n".join(routable), nic.model, nic.binding)
    return table


def _checks(verdicts: list[three_vms.Verdict]) -> Table:
    table = _table("\nchecks, from inside the guests", "", "check", "who", "seen")
    for verdict in verdicts:
        mark = Text("ok", style="green") if verdict.holds else Text("NO", style="bold red")
        table.add_row(mark, verdict.claim, verdict.where, verdict.seen)
    return table
