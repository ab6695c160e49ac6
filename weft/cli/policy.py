"""Makes policies of what was seen: `weft policy suggest`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from weft import errors
from weft.cli import clusters, durations
from weft.cli import flows as flowscommand
from weft.cli import output as views
from weft.decode import budget
from weft.observe import objects
from weft.observe.checks import SYSTEM
from weft.observe.flows import collect
from weft.observe.flows.record import FlowRecord
from weft.observe.members import Objects
from weft.observe.suggest import advice, flowsfile
from weft.observe.suggest.advice import Advice, Question
from weft.policy.netpolicy import Direction

COMMAND = advice.COMMAND
MOST = 10_000  # flows of one look

app = typer.Typer(no_args_is_help=True)


class Directions(StrEnum):
    both = "both"
    ingress = "ingress"
    egress = "egress"


Whom = Annotated[
    str,
    typer.Option(
        "--for",
        metavar="POD|vm/NAME|LABELS",
        help="Guard only this one's workload, or the pods with labels, as app=web.",
    ),
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--from-flows",
        metavar="FILE",
        help="What weft flows -o json printed; - is standard input. May be repeated.",
    ),
]
Everything = Annotated[
    bool,
    typer.Option(
        "--everything", help="Admit all traffic where what was seen has no ports, as ping."
    ),
]


@app.callback()
def _policy() -> None:
    """Make policies of what was seen."""


@app.command("suggest")
def suggest(
    network: Annotated[str, typer.Option("--network", metavar="NAME", help="The network.")],
    whom: Whom = "",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Guard only pods of this namespace.")
    ] = "",
    files: Files = None,
    watch: Annotated[
        str,
        typer.Option(
            "--watch",
            metavar="TIME",
            help="Without files: look for so long, as 60s.",
        ),
    ] = "0s",
    system: Annotated[
        str,
        typer.Option("--weft-namespace", metavar="NAME", help="Namespace in which weft runs."),
    ] = SYSTEM,
    directions: Annotated[
        Directions, typer.Option("--direction", help="What the policies isolate.")
    ] = Directions.both,
    everything: Everything = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Write policies that report and drop nothing.")
    ] = False,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    form: views.Option = views.Output.text,
) -> None:
    """Write the MultiNetworkPolicies that admit the flows that were seen, and nothing else.

    YAML is on standard output, what it leaves open on standard error. Nothing is applied: pipe it
    into weft plan -f -, then into kubectl apply -f -.
    """
    both = tuple(Direction)
    question = Question(
        network,
        whom,
        namespace or "default",
        (namespace,) if namespace else (),
        both if directions is Directions.both else (Direction(directions.title()),),
        everything,
        audit,
    )
    seconds = durations.seconds(COMMAND, "--watch", watch)
    flows = [each for file in files or () for each in _flows(file)]
    cluster = clusters.choose(kubeconfig, context, lab)
    with views.working(form, "looking at the cluster"):
        found = asyncio.run(_seen(cluster, question, None if files else seconds, system))
    _show(advice.advise(question, flowsfile.merged((*flows, *found.flows)), found.objects), form)


@dataclass(frozen=True, slots=True)
class _Seen:
    objects: Objects
    flows: Sequence[FlowRecord] = ()


async def _seen(
    cluster: clusters.Cluster, question: Question, seconds: float | None, system: str
) -> _Seen:
    """The objects, and the flows of some seconds; None: no flows."""
    async with cluster.client() as api:
        if seconds is None:
            return _Seen(await objects.read(api))
        end = time.monotonic() + seconds
        flows: Sequence[FlowRecord] = ()
        while True:
            found = await objects.read(api)
            network = advice.network_of(question, found)
            asked = collect.Question((network,), limit=MOST)
            way = flowscommand.way(cluster, found, system)
            report = await collect.report(way, found, asked, time.time())
            flows = flowsfile.merged((*flows, *report.flows))
            left = end - time.monotonic()
            if left <= 0:
                for each in report.notices:
                    typer.echo(f"Not seen: {each}", err=True)
                return _Seen(found, flows)
            await asyncio.sleep(min(flowscommand.EVERY, left))


def _flows(file: str) -> Sequence[FlowRecord]:
    most = budget.FILE.size
    try:
        text = sys.stdin.read(most + 1) if file == "-" else _text(file, most)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not text"
        raise errors.WeftError(f"cannot be read: {why}", where=file) from None
    if len(text) > most:
        what = f"has more than {most >> 20} MiB"
        raise errors.WeftError(what, where=file, hint="give it in parts")
    return flowsfile.parse(text, file)


def _text(file: str, most: int) -> str:
    with Path(file).open(encoding="utf-8") as opened:
        return opened.read(most + 1)


def _show(found: Advice, form: views.Output) -> None:
    if form is views.Output.text:
        typer.echo(found.text, nl=False)
        for each in advice.notices(found):
            typer.echo(each, err=True)
        typer.echo("See what they would do: pipe this into weft plan -f -", err=True)
    else:
        views.emit(form, data(found), lambda: None)


def data(found: Advice) -> dict[str, Any]:
    """The advice for scripts."""
    besides = found.scope.besides
    return {
        "policies": list(found.manifests),
        "admitted": len(found.admitted),
        "unsayable": len(found.unsayable),
        "left_out": dict(found.left_out),
        "undirected": found.undirected,
        "audit": found.audit,
        "isolated_unseen": list(found.scope.unseen),
        "besides": None
        if besides is None
        else [
            {
                "source": each.source,
                "target": each.target,
                "protocol": each.protocol,
                "port": each.port,
            }
            for each in besides
        ],
        "notices": list(advice.notices(found)),
    }
