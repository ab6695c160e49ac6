"""Says whether one end reaches another on a network, and if not, who stops it: `weft explain`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from weft import errors
from weft.cli import clusters, labs, matrix
from weft.cli import output as views
from weft.observe.checks import SYSTEM
from weft.observe.explain import agentpods, collect, probeframes, question, sentence
from weft.observe.explain.evidence import Evidence
from weft.observe.explain.sentence import Explanation, Outcome
from weft.observe.explain.step import Verdict
from weft.observe.render.grid_text import Line, Span

COMMAND = "weft explain"
STYLES = {
    Verdict.OK: "good",
    Verdict.NOTE: "muted",
    Verdict.FAULT: "bad",
    Verdict.UNSEEN: "unknown",
}
Patience = Annotated[
    float,
    typer.Option(
        min=0.1,
        max=probeframes.LONGEST_WAIT,
        help="Seconds that a probe waits for its reply, at most 30.",
    ),
]


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="[pod/|vm/][NAMESPACE/]NAME[@INTERFACE], an address, or outside: who asks.",
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="B", help="The same: who is asked.")],
    port: Annotated[
        str, typer.Option("--port", metavar="PROTOCOL/PORT", help="As tcp/443; by default ping.")
    ] = "",
    network: Annotated[
        str, typer.Option("--network", metavar="NAME", help="The network, if they share several.")
    ] = "",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of names without one.")
    ] = "default",
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Use IPv6 where both ends have it.")] = False,
    system: Annotated[
        str,
        typer.Option("--weft-namespace", metavar="NAME", help="Namespace in which weft runs."),
    ] = SYSTEM,
    patience: Patience = matrix.PATIENCE,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="On a cluster, too, send packets: a ping, TCP SYN or datagram in A's name, from "
            "its port in the switch of its node; and ask both at their ports for their addresses.",
        ),
    ] = False,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    form: views.Option = views.Output.text,
) -> None:
    """Say whether A reaches B on a network they share, and if not, who stops it and what to change.

    It follows the way and prints a line for each step. The exit status is 0 only if A reaches B;
    1 if something stops it, 2 if that is not known, or for a mistake in the command.
    """
    try:
        connection = matrix.question(port, COMMAND)
        asked = question.Question(source, target, connection, network, namespace, ipv6)
        cluster = clusters.choose(kubeconfig, context, lab)
        with views.working(form, "following the way"):
            evidence = asyncio.run(_collected(cluster, asked, patience, system, probes=probe))
    except errors.WeftError as error:
        error.exit_status = int(Outcome.UNKNOWN)
        raise
    found = sentence.explain(evidence)
    views.emit(form, data(evidence, found), lambda: views.show(written(found)))
    if found.outcome:
        raise typer.Exit(int(found.outcome))


async def _collected(
    cluster: clusters.Cluster,
    asked: question.Question,
    patience: float,
    system: str,
    *,
    probes: bool,
) -> Evidence:
    async with cluster.client() as api:
        found = await collect.read(api, asked)
        evidence = question.answered(asked, found)
        if cluster.lab is None:
            options = ("--context", cluster.context) if cluster.context else ()
            agents = agentpods.AgentPods(
                *(found.objects.pods, options, cluster.kubeconfig, system), probes=probes
            )
            return await collect.explored(evidence, found, agents, patience, ipv6=asked.ipv6)
        known = labs.needed("a lab", otherwise="set KUBECONFIG")
        if not known.is_running(cluster.lab):
            return evidence
        async with known.explorer(cluster.lab) as explorer:
            return await collect.explored(evidence, found, explorer, patience, ipv6=asked.ipv6)


def written(found: Explanation) -> Iterator[Line]:
    """A line for each step, and the sentence."""
    wide = max((len(step.name) for step in found.steps), default=0)
    for step in found.steps:
        yield (
            Span(f"{step.verdict:<9}", STYLES[step.verdict]),
            Span(f"{step.name:<{wide}}  ", "name"),
            Span(step.seen),
        )
    yield ()
    style = {Outcome.REACHES: "good", Outcome.STOPPED: "bad"}.get(found.outcome, "unknown")
    yield (Span(found.sentence, style),)


def data(evidence: Evidence, found: Explanation) -> dict[str, Any]:
    """The explanation for scripts."""
    connection = evidence.connection
    return {
        "source": evidence.source.name,
        "target": evidence.target.name,
        "network": getattr(evidence.network, "name", None),
        "protocol": connection.protocol or "ICMP",
        "port": connection.port or None,
        "addresses": [str(each) for each in (connection.source, connection.target) if each],
        "outcome": found.outcome.name.lower(),
        "reaches": {Outcome.REACHES: True, Outcome.STOPPED: False}.get(found.outcome),
        "cause": found.cause or None,
        "remedy": found.remedy or None,
        "sentence": found.sentence,
        "steps": [asdict(step) for step in found.steps],
    }
