"""Draws the contents of the databases of a lab or of this node: `weft topology`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from weft import errors
from weft.app import settings
from weft.cli import clusters, labs
from weft.cli import output as views
from weft.observe import (
    choice,
    details,
    objects,
    overview,
    reading,
    snapshot,
    topology,
    tunnelhealth,
    underlay,
)
from weft.observe.graph import Graph
from weft.observe.render import (
    logical,
    mermaid,
    overview_picture,
    overview_text,
    physical,
    physical_text,
    svg,
    tree,
    tunnel_picture,
)
from weft.observe.render.grid_text import Line, Span
from weft.observe.underlay import Underlay

COMMAND = "weft topology"
FORMS = (views.TEXT, *views.DATA, views.SVG, views.MERMAID)


class View(StrEnum):
    """What is drawn: networks with their members, OVN's switches and routers, or the nodes."""

    OVERVIEW = "overview"
    LOGICAL = "logical"
    PHYSICAL = "physical"


@dataclass(frozen=True, slots=True)
class Selection:
    view: View
    networks: tuple[str, ...]
    namespaces: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether every member is listed: if networks or namespaces are chosen."""
        return bool(self.networks or self.namespaces)


def command(
    networks: views.Networks = None,
    namespaces: views.Namespaces = None,
    switches: Annotated[
        bool, typer.Option("--logical", help="OVN's switches and routers, zone by zone.")
    ] = False,
    underneath: Annotated[
        bool, typer.Option("--physical", help="Nodes, underlay and tunnels.")
    ] = False,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    name: clusters.Name = "",
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="text|json|svg|mermaid|FILE",
            help="Format, or a file whose suffix names the format.",
        ),
    ] = views.TEXT,
    form: Annotated[str, typer.Option("--format", hidden=True)] = "",
    nb: Annotated[str, typer.Option(metavar="ADDRESS", help=settings.NB.help)] = "",
    sb: Annotated[str, typer.Option(metavar="ADDRESS", help="Its Southbound database.")] = "",
    ovs: Annotated[str, typer.Option(metavar="ADDRESS", help=settings.OVS.help)] = "",
) -> None:
    """Draw networks and their members; or OVN's switches and routers, or nodes and tunnels.

    In a lab, the databases of all zones are read. On a node, only those of its own zone are read;
    of other zones, only what it knows is drawn.
    """
    if switches and underneath:
        rule = "cannot be combined with --physical: choose one picture"
        raise errors.InvalidInput(COMMAND, "--logical", None, rule)
    target = views.target(COMMAND, output, FORMS, form)
    view = View.LOGICAL if switches else View.PHYSICAL if underneath else View.OVERVIEW
    selection = Selection(view, tuple(networks or ()), tuple(namespaces or ()))
    at = (nb, sb, ovs)
    if any(at) and (lab or name):
        rule = "cannot be combined with --nb, --sb or --ovs"
        raise errors.InvalidInput(COMMAND, "--lab" if lab else "--name", lab or name, rule)
    cluster = _cluster(any(at), kubeconfig, context, lab or name)
    quiet = views.Output.json if target.form in views.DATA else views.Output.text
    with views.working(quiet, "reading the databases"):
        snapshots = _snapshots(cluster, at)
    if view is View.PHYSICAL:
        _show_physical(underlay.build(snapshots), selection, target)
    else:
        graph = _known(topology.build(snapshots), cluster)
        _check(graph, selection)
        _show_logical(choice.of(graph, selection.networks, selection.namespaces), selection, target)


def _cluster(here: bool, kubeconfig: str, context: str, lab: str) -> clusters.Cluster | None:
    """The chosen cluster; None to read this node's own databases."""
    try:
        chosen = clusters.choose(kubeconfig, context, lab)
    except errors.Unavailable:
        if kubeconfig or lab:
            raise
        return None
    if kubeconfig or context or lab:
        return chosen
    known = labs.installed()
    running = known is not None and chosen.lab is not None and known.is_running(chosen.lab)
    if here or (not running and Path(settings.NB.default.partition(":")[2]).exists()):
        return None if chosen.lab is not None else chosen
    return chosen


def _snapshots(
    cluster: clusters.Cluster | None, at: tuple[str, str, str]
) -> tuple[snapshot.Snapshot, ...]:
    """All zones of a lab, or this node's."""
    if cluster is not None and cluster.lab is not None and not any(at):
        with labs.needed("a lab").databases(cluster.lab) as zones:
            return asyncio.run(reading.read(zones))
    usual = settings.NB.default, settings.SB.default, settings.OVS.default
    if not any(at) and not Path(usual[0].partition(":")[2]).exists():
        hint = "run it on a node, name a lab with --lab, or addresses with --nb, --sb and --ovs"
        what = "there are no OVN databases on this machine to draw"
        raise errors.Unavailable(what, where=usual[0], hint=hint)
    chosen = [given or default for given, default in zip(at, usual, strict=True)]
    return asyncio.run(reading.read([reading.Addresses("", *chosen)]))


def _known(graph: Graph, cluster: clusters.Cluster | None) -> Graph:
    """The graph with details from Kubernetes, or unchanged if the API cannot be read."""
    if cluster is None:
        return graph

    async def read() -> Graph:
        async with cluster.client() as api:
            return details.detailed(graph, await objects.read(api))

    try:
        return asyncio.run(read())
    except errors.WeftError as error:
        typer.echo(
            f"Warning: free addresses and guests' addresses are not shown: {error}", err=True
        )
        return graph


def _check(graph: Graph, selection: Selection) -> None:
    """Raise InvalidInput for chosen networks and namespaces that do not exist."""
    choice.check(graph, selection.networks, COMMAND)
    owners = (port.owner for one in graph.switches for port in one.ports if port.owner)
    there = sorted({owner.namespace for owner in owners})
    for namespace in selection.namespaces:
        if namespace not in there:
            listed = ", ".join(there) or "none"
            rule = f"has no pods on a network here; namespaces that do: {listed}"
            hint = "a lab is chosen by --lab NAME" if _is_lab(namespace) else ""
            raise errors.InvalidInput(COMMAND, "--namespace", namespace, rule, hint=hint)


def _is_lab(name: str) -> bool:
    known = labs.installed()
    try:
        return known is not None and known.kubeconfig(name).exists()
    except errors.WeftError:  # no lab can have this name
        return False


def _show_logical(graph: Graph, selection: Selection, target: views.Target) -> None:
    """The networks with their members, or OVN's switches and routers."""
    folded = overview.fold(graph) if selection.view is View.OVERVIEW else None
    if target.form in views.DATA:
        views.deliver(views.document(asdict(graph), target.form), target)
    elif target.form == views.SVG:
        drawing = (
            overview_picture.lay_out(folded, whole=selection.whole)
            if folded
            else logical.lay_out(graph)
        )
        views.deliver(svg.render(drawing), target)
    elif target.form == views.MERMAID:
        views.deliver(mermaid.overview(folded) if folded else mermaid.logical(graph), target)
    elif folded:
        views.write(overview_text.lines(folded, views.width(), whole=selection.whole), target)
    else:
        views.write(_spans(tree.logical(graph, views.width())), target)


def _show_physical(below: Underlay, selection: Selection, target: views.Target) -> None:
    below = choice.below(below, selection.networks, selection.namespaces)
    if target.form in views.DATA:
        views.deliver(views.document(asdict(below), target.form), target)
    elif target.form == views.SVG:
        many = len(below.nodes) >= tunnelhealth.MANY
        drawing = tunnel_picture.lay_out(below) if many else physical.lay_out(below)
        views.deliver(svg.render(drawing), target)
    elif target.form == views.MERMAID:
        views.deliver(mermaid.physical(below), target)
    else:
        views.write(physical_text.lines(below, views.width()), target)


def _spans(text: str) -> Iterable[Line]:
    return [(Span(line),) for line in text.splitlines()]
