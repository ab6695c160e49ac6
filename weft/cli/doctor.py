"""Checks a machine before the first run, and a cluster after it: `weft doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from weft import errors
from weft.cli import clusters, labs, output
from weft.observe import checks, survey
from weft.observe.checks import Finding, Verdict
from weft.observe.render.grid_text import Line, Span

STYLES = {Verdict.OK: "good", Verdict.WARN: "warn", Verdict.FAIL: "bad"}


class What(StrEnum):
    machine = "machine"
    cluster = "cluster"


def command(
    what: Annotated[What | None, typer.Argument(help="What to check; both by default.")] = None,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    form: output.Option = output.Output.text,
) -> None:
    """Check whether this machine can run a lab, and whether weft works in the cluster.

    Each line is ok, warn or fail, with a remedy; the exit status is 1 if anything fails. Without a
    cluster, only the machine is checked, unless you name a cluster.
    """
    found: dict[What, Sequence[Finding]] = {}
    if what is not What.cluster:
        with output.working(form, "checking this machine"):
            found[What.machine] = _machine(needed=what is What.machine)
    if what is not What.machine:
        is_chosen = what is What.cluster or bool(kubeconfig or context or lab)
        with output.working(form, "checking the cluster"):
            found[What.cluster] = _cluster(kubeconfig, context, lab, is_chosen=is_chosen)
    data = {str(part): [asdict(one) for one in findings] for part, findings in found.items()}
    output.emit(form, data, lambda: output.show(_lines(found.items())))
    if any(one.verdict is Verdict.FAIL for findings in found.values() for one in findings):
        raise typer.Exit(1)


def _machine(*, needed: bool) -> Sequence[Finding]:
    known = labs.needed("a lab") if needed else labs.installed()
    return known.machine_findings() if known is not None else ()


def _cluster(kubeconfig: str, context: str, lab: str, *, is_chosen: bool) -> Sequence[Finding]:
    try:
        cluster = clusters.choose(kubeconfig, context, lab)
        return checks.judge(asyncio.run(_survey(cluster)))
    except errors.WeftError as error:
        if not is_chosen and not clusters.exists():
            return ()
        return (Finding(Verdict.FAIL, "API server", survey.unreachable(error), error.hint),)


async def _survey(cluster: clusters.Cluster) -> checks.Survey:
    async with cluster.client() as api:
        return await survey.read(api, datetime.now(UTC))


def _lines(found: Iterable[tuple[What, Sequence[Finding]]]) -> Iterable[Line]:
    for number, (part, findings) in enumerate(found):
        yield from [()] if number else []
        yield (Span(part.value, "title"),)
        if not findings:
            nothing = {
                What.machine: f"not checked: {labs.PACKAGE} is not installed",
                What.cluster: "not checked: there is no cluster yet",
            }
            yield (Span(f"      {nothing[part]}", "muted"),)
        for one in findings:
            yield (
                Span(f"{one.verdict:<4}", STYLES[one.verdict]),
                Span(f"  {one.what}: {one.seen}"),
            )
            if one.remedy:
                yield (Span(f"      {one.remedy}"),)
