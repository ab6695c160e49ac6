"""The command `weft demo`: machines and pods on overlay networks, checked from inside.

`weft demo` has three machines that reach each other; `weft demo policies` has six, and a
policy that admits packets of three; `weft demo tenants` has pods of a tenant with a token of his
own; `weft demo localnet` has machines in a VLAN, with a database outside of the cluster;
`weft demo migrate` has a machine that moves between nodes under load.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from weft import errors
from weft.cli import columns, console, matrix, output
from weft.host import files
from weft.kube import client as kube
from weft_lab import spec, state, target, up
from weft_lab.cli import labconsole
from weft_lab.cli.names import LabCommand, export, interruptible, option
from weft_lab.demos import (
    localnet,
    machines,
    manifests,
    migrate,
    policies,
    setup,
    tenants,
    three_vms,
)
from weft_lab.demos.verdict import Verdict
from weft_lab.runtime import toolchain

LOGIN = "user cloud, password weft"  # of the three machines


class Which(StrEnum):
    three_vms = three_vms.NAME
    policies = policies.NAME
    tenants = tenants.NAME
    localnet = localnet.NAME
    migrate = migrate.NAME


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a demo; `say` prints it, `data` is the same for scripts."""

    vms: Mapping[str, machines.Machine]
    holds: bool
    data: dict[str, Any]
    say: Callable[[Console], None]


COMMAND_CLASS = LabCommand


def command(
    which: Annotated[Which, typer.Argument(help="Which demo to run.")] = Which.three_vms,
    name: Annotated[str, typer.Option("--name", help="Name of its lab.")] = spec.DEFAULT_NAME,
    open_console: Annotated[
        bool,
        typer.Option(
            "--console",
            help="Serve its console in the end, until you press Ctrl-C, and not in the background.",
        ),
    ] = False,
    form: output.Option = output.Output.text,
) -> None:
    """Start a lab of three nodes, with machines or pods in it, and check their network.

    three-vms: three machines reach each other. policies: six, and a policy that admits three.
    tenants: networks of administrators, and a tenant with a token of his own.
    localnet: machines in a VLAN of the nodes' physical network, and a database there.
    migrate: a machine moves between nodes under load, and its peers count what they lose.

    The exit status is 0 if every check holds. The lab keeps running, and its console with it: the
    last line is the address to open.
    """
    with interruptible(name), output.progress(form) as report:
        tools = toolchain.ensure(report)
        progress = output.counting(report, "starting the lab")
        vlans = _vlans(name) if which is Which.localnet else None
        options = spec.Options(nodes=3, vlans=vlans)
        lab = up.up(name, options, tools=tools, progress=progress)
        shown = asyncio.run(SHOWS[which](lab, report))
        address, why = ("", "") if open_console else _console(lab["name"])
    data = {"machines": [asdict(vm) for vm in shown.vms.values()], **shown.data}
    data |= {"holds": shown.holds, "kubeconfig": lab["kubeconfig"], "console": address}

    def say() -> None:
        screen = Console(width=output.width())
        if shown.vms:
            _say_machines(screen, shown.vms)
        shown.say(screen)
        _say_hints(lab, which)
        for line in _way_to_console(lab, address, why) if not open_console else ():
            typer.echo(line)

    output.emit(form, data, say)
    if open_console:
        console.command(lab=lab["name"])
    if not shown.holds:
        raise typer.Exit(1)


def _console(name: str) -> tuple[str, str]:
    """The address of the lab's console, or why there is none: the demo's outcome is another."""
    try:
        return labconsole.start(name), ""
    except (errors.WeftError, OSError) as error:
        return "", str(error)


def _way_to_console(lab: Mapping[str, Any], address: str, why: str) -> tuple[str, ...]:
    if not address:
        chosen = option(lab["name"], word="--lab")
        return (
            f"\nIts console is not there: {why}. {output.program()} console{chosen} serves one.",
        )
    again = f"{output.program()} lab status{option(lab['name'])}"
    return (f"\nIn your browser, while the lab runs (for one more browser: {again}):", address)


def _vlans(name: str) -> tuple[int, ...]:
    """The VLAN of the demo, and those that the lab has."""
    stored = state.Folder.of(name).load()
    return (localnet.VLAN.number, *(stored.vlans if stored else ()))


def _in_guests(lab: Mapping[str, Any]) -> Callable[..., Awaitable[Any]]:
    return functools.partial(machines.run, lab["pid"])


async def _collected(checks: AsyncIterator[Verdict], report: output.Report) -> list[Verdict]:
    verdicts = []
    async for verdict in checks:
        verdicts.append(verdict)
        report(f"checking: {verdict.claim}"[:32], 1.0)
    return verdicts


async def _three_vms(lab: Mapping[str, Any], report: output.Report) -> Outcome:
    async with kube.Client.from_kubeconfig(lab["kubeconfig"]) as api:
        vms = await setup.prepare(api, manifests.read(three_vms.NAME), report)

        known = spec.parse(lab["lab"])
        members = known.members if known.is_primary else ()
        gateways = {node.name: str(node.gateways[0].ip) for node in members}
        verdicts = await _collected(three_vms.check(vms, _in_guests(lab), gateways), report)
    return Outcome(
        vms,
        all(verdict.holds for verdict in verdicts),
        {"checks": [asdict(verdict) for verdict in verdicts]},
        lambda console: _say_checks(console, "from inside the guests", verdicts),
    )


async def _policies(lab: Mapping[str, Any], report: output.Report) -> Outcome:
    async with kube.Client.from_kubeconfig(lab["kubeconfig"]) as api:
        with up.running(lab["name"]) as peer:
            vms, scenes = await policies.play(api, peer, report)
    return Outcome(
        vms,
        all(scene.holds for scene in scenes),
        {"scenes": [_scene(scene) for scene in scenes]},
        lambda console: _say_scenes(console, scenes),
    )


async def _localnet(lab: Mapping[str, Any], report: output.Report) -> Outcome:
    async with kube.Client.from_kubeconfig(lab["kubeconfig"]) as api:
        vms = await setup.prepare(api, manifests.read(localnet.NAME), report)
        with up.running(lab["name"]) as peer:
            host = target.find(peer, localnet.VLAN.host)

        async def outside(*argv: str) -> str:
            return str((await asyncio.to_thread(target.captured, host, argv))["stdout"])

        verdicts = await _collected(localnet.check(vms, _in_guests(lab), outside), report)
    return Outcome(
        vms,
        all(verdict.holds for verdict in verdicts),
        {"checks": [asdict(verdict) for verdict in verdicts]},
        lambda console: _say_checks(
            console, f"from inside the guests, and on the host {localnet.VLAN.host}", verdicts
        ),
    )


async def _migrate(lab: Mapping[str, Any], report: output.Report) -> Outcome:
    async with kube.Client.from_kubeconfig(lab["kubeconfig"]) as api:
        vms = await setup.prepare(api, manifests.read(migrate.NAME), report)
        await setup.pods_ready(api, migrate.STATIONS)
        with up.running(lab["name"]) as peer:

            async def in_pod(pod: str, *argv: str) -> str:
                place = target.find(peer, f"default/{pod}")
                return str((await asyncio.to_thread(target.captured, place, argv))["stdout"])

            moves = migrate.play(api, vms, _in_guests(lab), in_pod)
            verdicts = await _collected(moves, report)
    return Outcome(
        vms,
        all(verdict.holds for verdict in verdicts),
        {"checks": [asdict(verdict) for verdict in verdicts]},
        lambda console: _say_checks(console, "from pods on three nodes and the guest", verdicts),
    )


async def _tenants(lab: Mapping[str, Any], report: output.Report) -> Outcome:
    objects, config = tenants.objects(), _of_tenant(lab)
    async with kube.Client.from_kubeconfig(lab["kubeconfig"]) as api:
        await manifests.apply(api, objects.admin)
        made = await tenants.kubeconfig(api, _of_admin(lab))
        files.replace(config, json.dumps(made, indent=1).encode())
        async with kube.Client.from_kubeconfig(str(config)) as tenant:
            with up.running(lab["name"]) as peer:

                async def run(pod: str, *argv: str) -> int:
                    place = target.find(peer, pod)
                    done = await asyncio.to_thread(target.captured, place, argv)
                    return int(done["exit"])

                verdicts = await _collected(tenants.check(api, tenant, run, objects), report)
    return Outcome(
        {},
        all(verdict.holds for verdict in verdicts),
        {"checks": [asdict(verdict) for verdict in verdicts], "tenantKubeconfig": str(config)},
        lambda console: _say_checks(console, "from inside the pods, and with his token", verdicts),
    )


def _of_admin(lab: Mapping[str, Any]) -> Any:
    return json.loads(Path(lab["kubeconfig"]).read_bytes())


def _of_tenant(lab: Mapping[str, Any]) -> Path:
    """Where the tenant's kubeconfig is."""
    return Path(lab["kubeconfig"]).with_name("tenant.kubeconfig")


SHOWS: Mapping[
    Which, Callable[[Mapping[str, Any], output.Report], Coroutine[Any, Any, Outcome]]
] = {
    Which.three_vms: _three_vms,
    Which.policies: _policies,
    Which.tenants: _tenants,
    Which.localnet: _localnet,
    Which.migrate: _migrate,
}


def _say_scenes(console: Console, scenes: list[policies.Scene]) -> None:
    for scene, when in zip(
        scenes, ("without a policy", f"with the policy {policies.POLICY}"), strict=True
    ):
        console.print(Text(f"\n{when}: {scene.claim}\n", "bold"))
        output.show(matrix.written(scene.matrix))
        if not scene.agrees:
            console.print(Text("The policies do not say what is claimed.", "bold red"))
    failed = sum(not scene.holds for scene in scenes)
    console.print(
        Text("\nNot as claimed.", "bold red")
        if failed
        else Text("\nBoth as claimed, pair by pair.", "bold green")
    )


def _scene(scene: policies.Scene) -> dict[str, Any]:
    data = {"claim": scene.claim, "holds": scene.holds, "evaluatorAgrees": scene.agrees}
    return {**data, "matrix": matrix.data(scene.matrix)}


def _say_hints(lab: Mapping[str, Any], which: Which) -> None:
    weft, named = output.program(), option(lab["name"])
    chosen = option(lab["name"], word="--lab")
    hints = {
        Which.three_vms: (
            f"  {weft} lab console nico-demo-vm/web1{named}     # {LOGIN}; Ctrl-] leaves",
            f"  {weft} lab exec{named} node1 -- ovn-nbctl show",
        ),
        Which.policies: (
            f"  {weft} matrix {policies.NETWORK}{chosen} -o reach.svg",
            f"  {weft} matrix {policies.NETWORK}{chosen} --port tcp/80",
            f"  kubectl describe multi-policy {policies.POLICY.name}",
        ),
        Which.tenants: (
            f"  kubectl --kubeconfig {_of_tenant(lab)} auth whoami",
            f"  kubectl --kubeconfig {_of_tenant(lab)} get nad -n networks   # refused",
            f"  {weft} topology{chosen}",
        ),
        Which.localnet: (
            f"  {weft} lab exec{named} {localnet.VLAN.host} -- busybox ip addr",
            f"  {weft} lab console till{named}     # {LOGIN}; Ctrl-] leaves",
            f"  {weft} networks{chosen}",
        ),
        Which.migrate: (
            f"  {weft} vm migrate wagon{chosen} --budget 300ms",
            "  kubectl drain node1     # and: kubectl uncordon node1",
            "  kubectl get vmim -o yaml",
        ),
    }
    for line in (
        "\nThe lab is yours; try:",
        f"  {export(lab['kubeconfig'])}; kubectl get vm,nad,pods -A",
        *hints[which],
        "and when you are done:",
        f"  {weft} lab down{named}",
    ):
        typer.echo(line)


def _say_machines(console: Console, vms: Mapping[str, machines.Machine]) -> None:
    rows = [["name", "node", "NIC", "MAC", "addresses", "model", "binding"]]
    for vm in vms.values():
        who = [vm.key, vm.node]
        for nic in vm.nics:
            routable = [text for text in nic.addresses if not text.startswith("fe80:")]
            name = nic.device or nic.network
            rows.append([*who, name, nic.mac, ", ".join(routable), nic.model, nic.binding])
            who = [""] * len(who)
    console.print(Text("machines", "bold"))
    for line in columns.aligned(rows):
        console.print(Text(line), soft_wrap=True)


def _say_checks(console: Console, how: str, verdicts: list[Verdict]) -> None:
    console.print(Text(f"\nchecks, {how}", "bold"))
    rows = [["", "check", "who", "seen"]]
    rows += [[_mark(one), one.claim, one.where, one.seen] for one in verdicts]
    for verdict, line in zip([None, *verdicts], columns.aligned(rows), strict=True):
        text = Text(line)
        if verdict is not None:
            text.stylize("green" if verdict.holds else "bold red", 0, len(_mark(verdict)))
        console.print(text, soft_wrap=True)
    failed = sum(not verdict.holds for verdict in verdicts)
    console.print(
        f"[bold red]{failed} of {len(verdicts)} checks failed."
        if failed
        else f"[bold green]All {len(verdicts)} checks hold."
    )


def _mark(verdict: Verdict) -> str:
    return "ok" if verdict.holds else "NO"
