"""Lists who talks with whom now, allowed and denied: `weft flows`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

import typer

from weft import errors
from weft.cli import clusters, columns, labs
from weft.cli import output as views
from weft.observe import members, networkobjects, objects
from weft.observe.checks import SYSTEM
from weft.observe.explain import agentpods
from weft.observe.flows import chosen, collect, subjects
from weft.observe.flows.collect import Question, Way
from weft.observe.flows.record import FlowRecord, Report, data, document
from weft.observe.members import Objects

COMMAND = "weft flows"
EVERY = 2.0  # seconds
OBJECTS_EVERY = 10.0  # seconds between two lists of pods and policies
REMEMBERED = 10_000  # flows that --follow does not print again
HEADS = ("NETWORK", "SOURCE", "DESTINATION", "PROTO/PORT", "VERDICT", "POLICY")
UNDIRECTED = (
    "IP: no policy guards these ends, so the switch looks at neither ports nor who asked whom."
)


def command(
    networks: views.Networks = None,
    pod: Annotated[
        str, typer.Option("--pod", metavar="[NAMESPACE/]NAME", help="Only flows of this pod.")
    ] = "",
    machine: Annotated[
        str,
        typer.Option("--vm", metavar="[NAMESPACE/]NAME", help="Only flows of this machine."),
    ] = "",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of a name without one.")
    ] = "default",
    dropped: Annotated[bool, typer.Option("--dropped", help="Only flows that are denied.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on, and print each new flow once.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=1.0, help="Seconds between two looks of --follow.")
    ] = EVERY,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Flows that are listed at most.")
    ] = chosen.LIMIT,
    system: Annotated[
        str,
        typer.Option("--weft-namespace", metavar="NAME", help="Namespace in which weft runs."),
    ] = SYSTEM,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    form: views.Option = views.Output.text,
) -> None:
    """List who talks with whom now, what is allowed and what is denied, and by which policy.

    It looks at each node that has pods of these networks, in the tracker of connections, the flows
    of the switch, and OVN's log. Nothing is recorded while nobody looks. --follow looks again and
    again, for a switch tells nobody of new connections; where a look takes long, less often.
    """
    cluster = clusters.choose(kubeconfig, context, lab)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            _main(
                cluster,
                (tuple(networks or ()), subjects.named(pod, machine, namespace)),
                Question(only_denied=dropped, limit=limit),
                every if follow else 0.0,
                system,
                form,
            )
        )


async def _main(
    cluster: clusters.Cluster,
    about: tuple[tuple[str, ...], subjects.Subject | None],
    question: Question,
    every: float,
    system: str,
    form: views.Output,
) -> None:
    networks, subject = about
    async with cluster.client() as api:
        found, partial = Objects(), collect.WHOLE
        read_at = float("-inf")

        async def look() -> Report:
            nonlocal found, partial, read_at
            if time.monotonic() - read_at >= OBJECTS_EVERY:
                own = [subject.namespace] if subject else []
                found, partial = await objects.read_allowed(api, own)
                read_at = time.monotonic()
            networkobjects.check(networks, members.networks(found).values(), COMMAND)
            asked = subjects.question(question, networks, subject, found)
            run = way(cluster, found, system)
            return await collect.report(run, found, asked, time.time(), partial)

        if not every:
            with views.working(form, "looking at nodes"):
                report = await look()
            views.emit(form, document(report), lambda: _show(report))
            return
        shown = Shown()
        while True:
            began = time.monotonic()
            _print_news(shown, await look(), form)
            await asyncio.sleep(pause(every, time.monotonic() - began))


def pause(every: float, took: float) -> float:
    """Seconds until the next look: as long as a look takes, nodes have peace after it."""
    return max(every - took, took)


def way(cluster: clusters.Cluster, found: Objects, system: str) -> Way:
    """How modules are run on nodes: in a lab directly, on a cluster in the agents' pods."""
    if cluster.lab is None:
        options = ("--context", cluster.context) if cluster.context else ()
        return agentpods.AgentPods(found.pods, options, cluster.kubeconfig, system).run
    known, name = labs.needed("a lab", otherwise="set KUBECONFIG"), cluster.lab
    if not known.is_running(name):
        raise errors.Unavailable("does not run", where=f"lab {name}", hint="weft lab up")

    async def in_lab(node: str, module: str, data: bytes) -> bytes:
        with known.command(name, node, module) as command:
            return await agentpods.output(node, command.argv, data, command.env)

    return in_lab


# Text


class Shown:
    """The flows that --follow has printed, as long as they are seen: who comes back is news."""

    def __init__(self) -> None:
        self._known: dict[object, None] = {}
        self._notices: set[str] = set()

    def news(self, flows: Iterable[FlowRecord]) -> list[FlowRecord]:
        """Those that were not there at the last look."""
        listed = list(flows)
        fresh = [each for each in listed if each.key not in self._known]
        self._known = dict.fromkeys([each.key for each in listed][:REMEMBERED])
        return fresh

    def notices(self, found: Iterable[str]) -> list[str]:
        """Those that were not there at the last look."""
        listed = list(found)
        fresh = [each for each in listed if each not in self._notices]
        self._notices = set(listed)
        return fresh


def _print_news(shown: Shown, report: Report, form: views.Output) -> None:
    """One line for each new flow; JSON is one object a line."""
    for notice in shown.notices(_notices(report)):
        typer.echo(notice, err=True)
    for each in shown.news(report.flows):
        if form is views.Output.text:
            typer.echo("  ".join((_clock(report.at), *row(each))))
        else:
            typer.echo(json.dumps(data(each)))


def _show(report: Report) -> None:
    rows = [(_age(each, report.at), *row(each)) for each in report.flows]
    if rows:
        for line in columns.aligned([("AGE", *HEADS), *rows]):
            typer.echo(line)
    else:
        typer.echo("No flow is seen.")
    if any(not each.is_directed for each in report.flows):
        typer.echo(f"\n{UNDIRECTED}")
    for each in _notices(report):
        typer.echo(each, err=True)


def _notices(report: Report) -> Sequence[str]:
    more = [f"And {report.left_off} more: choose with --network, --pod, --vm or --dropped."]
    return [*(f"Not seen: {each}" for each in report.notices), *(more if report.left_off else ())]


def row(each: FlowRecord) -> tuple[str, ...]:
    """A record's cells, as HEADS names them."""
    policies = ", ".join(map(str, each.policies)) or "-"
    why = f"{policies} ({each.reason})" if each.reason else policies
    return (each.network, *_ends(each), each.service, str(each.verdict), why)


def _ends(each: FlowRecord) -> tuple[str, str]:
    return str(each.source), str(each.target)


def _age(each: FlowRecord, now: str) -> str:
    """How long ago it was seen last, in the way of kubectl."""
    if not each.last_seen:
        return "-"
    seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(each.last_seen)).total_seconds()
    whole = max(int(seconds), 0)
    return f"{whole}s" if whole < 120 else f"{whole // 60}m"


def _clock(at: str) -> str:
    return at[11:19]
