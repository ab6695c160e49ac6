"""Says what an edit of networks and policies would do before it is applied: `weft plan`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from weft import errors
from weft.app import manageroptions, settings
from weft.cli import check, clusters
from weft.cli import output as views
from weft.cli.options import option
from weft.observe.reachchanges import PairChange
from weft.observe.render.grid_text import Line, Span
from weft.plan import effects, manifests, reading, worlds
from weft.plan.effects import Effect, Plan
from weft.plan.worlds import Object, World

COMMAND = "weft plan"
MAX_SHOWN = 20  # pairs, and pods, of one list
_SUFFIXES = (".yaml", ".yml", ".json")
_STYLES = {"refused": "bad", "deleted": "bad", "created": "good", "changed": "warn"}


def command(
    files: Annotated[
        list[str],
        typer.Option("--filename", "-f", metavar="FILE", help="YAML or JSON; - is standard input."),
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="DIR|FILE",
            help="Files that stand for the cluster: nothing else is read. May be repeated.",
        ),
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="What kubectl delete -f would do, not apply.")
    ] = False,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of objects that name none.")
    ] = "default",
    underlay_mtu: Annotated[int, option(settings.UNDERLAY_MTU)] = settings.UNDERLAY_MTU.default,
    reserved_subnets: Annotated[
        str, option(settings.RESERVED_SUBNETS)
    ] = settings.RESERVED_SUBNETS.default,
    global_namespaces: Annotated[
        str, option(settings.GLOBAL_NAMESPACES)
    ] = settings.GLOBAL_NAMESPACES.default,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    form: views.Option = views.Output.text,
) -> None:
    """Say what an edit of NADs, UserDefinedNetworks and policies would do; nothing is changed.

    Fields that change, pods that keep the old, pairs that gain and lose reach, conflicts, nodes
    without a bridge mapping, free addresses. The exit status is 1 if anything is lost, 2 if it
    cannot be said.
    """
    options = settings.ClusterManager(
        underlay_mtu=underlay_mtu,
        reserved_subnets=reserved_subnets,
        global_namespaces=global_namespaces,
    )
    try:
        rules = manageroptions.rules(options)
        given = reading.planned(_read(files, namespace), COMMAND, "--filename")
        if against:
            world = worlds.of_documents(_read(_files(against), namespace), rules)
        else:
            cluster = clusters.choose(kubeconfig, context, lab)
            with views.working(form, "reading the cluster"):
                world = asyncio.run(_world(cluster, given, namespace))
        found = effects.plan(world, given, rules, delete=delete)
    except errors.WeftError as error:
        error.exit_status = 2
        raise
    views.emit(form, data(found), lambda: views.show(written(found)))
    if found.loses:
        raise typer.Exit(1)
    if found.unjudged:
        raise typer.Exit(2)


def _read(files: Sequence[str], namespace: str) -> list[Object]:
    """The objects in files; `namespace` is that of objects that name none."""
    found = []
    for file in files:
        for document in check.documents(file):
            for _, obj in manifests.single(file, document.value):
                found.append(reading.named(file, obj, namespace))
    return found


def _files(paths: Sequence[str]) -> list[str]:
    """Files, and all YAML and JSON files below folders."""
    found = []
    for path in map(Path, paths):
        inside = sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES)
        found += [str(each) for each in inside] if path.is_dir() else [str(path)]
    return found


async def _world(cluster: clusters.Cluster, given: Sequence[Object], namespace: str) -> World:
    named = [str(each["metadata"].get("namespace") or "") for each in given]
    own = tuple(dict.fromkeys(each for each in named if each)) or (namespace,)
    async with cluster.client() as api:
        return await reading.world(api, given, own)


def written(found: Plan) -> Iterator[Line]:
    """The plan as text."""
    for effect in found.effects:
        yield from _effect(effect)
    for title, pairs, style in (
        ("These lose reach", found.lost, "bad"),
        ("These gain reach", found.gained, "good"),
    ):
        if pairs:
            yield (Span(f"{title}:", "title"),)
            yield from _pairs(pairs, style)
    for each in found.unmapped:
        yield (Span(each, "bad"),)
    yield from ((Span(each, "muted"),) for each in found.closed)
    for count in found.addresses:
        if count.before != count.after:
            before = "none" if count.before is None else str(count.before)
            after = "none" if count.after is None else str(count.after)
            style = "bad" if count.runs_out else ""
            yield (Span(f"network {count.network}: free addresses {before} -> {after}", style),)
    if found.unjudged:
        yield (Span("Not judged:", "title"),)
        yield from ((Span(f"  {each}", "warn"),) for each in found.unjudged)
    yield ()
    yield (_summary(found),)


def _effect(effect: Effect) -> Iterator[Line]:
    yield (Span(effect.action, _STYLES.get(effect.action, "muted")), Span(f" {effect.subject}"))
    yield from ((Span(f"  {each}"),) for each in effect.fields)
    if effect.waits:
        yield (Span(f"  waits: {effect.waits}", "warn"),)
    elif effect.keeps:
        shown = _some(effect.keeps)
        yield (Span(f"  until they start again, these keep what they have: {shown}", "warn"),)
    yield from ((Span(f"  {each}", "bad"),) for each in effect.problems)
    yield from ((Span(f"  {each}", "muted"),) for each in effect.notices)


def _pairs(pairs: Sequence[PairChange], style: str) -> Iterator[Line]:
    grouped: dict[tuple[str, str, str, str], list[str]] = {}
    for each in pairs:
        key = each.source, each.target, each.network, each.reason
        grouped.setdefault(key, []).append(each.connection)
    for (source, there, network, reason), listed in list(grouped.items())[:MAX_SHOWN]:
        what = f"  {source} > {there} on {network}: {', '.join(listed)}"
        yield (Span(what, style), Span(f"  ({reason})", "muted"))
    if len(grouped) > MAX_SHOWN:
        yield (Span(f"  and {len(grouped) - MAX_SHOWN} more: -o json lists all", "muted"),)


def _some(listed: Sequence[str]) -> str:
    more = len(listed) - MAX_SHOWN
    return ", ".join(listed[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _summary(found: Plan) -> Span:
    parts = []
    for pairs, word in ((found.lost, "lose"), (found.gained, "gain")):
        number = len({(each.network, each.source, each.target) for each in pairs})
        if number:
            parts.append(f"pairs that {word} reach: {number}")
    refused = sum(1 for each in found.effects if each.problems)
    if refused:
        parts.append(f"objects that conflict or are refused: {refused}")
    if any(each.runs_out for each in found.addresses):
        parts.append("addresses run out")
    if found.unmapped:
        parts.append("nodes lack a bridge mapping")
    waiting = sum(1 for each in found.effects if each.waits)
    if waiting:
        parts.append(f"edits that wait for pods: {waiting}")
    if found.unjudged:
        parts.append("not all could be judged")
    text = "; ".join(parts) or "nothing is lost"
    return Span(text[0].upper() + text[1:] + ".", "bad" if found.loses else "title")


def data(found: Plan) -> dict[str, Any]:
    """The plan for scripts."""
    return {
        "loses": found.loses,
        "effects": [asdict(each) for each in found.effects],
        "lost": [asdict(each) for each in found.lost],
        "gained": [asdict(each) for each in found.gained],
        "unmapped": list(found.unmapped),
        "closed": list(found.closed),
        "unjudged": list(found.unjudged),
        "addresses": [{**asdict(each), "runs_out": each.runs_out} for each in found.addresses],
    }
