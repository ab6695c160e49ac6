"""Draws networks with who is on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from markupsafe import Markup

from weft.console.page import Page, Question, Read, Reading
from weft.console.pages import matrix
from weft.kube import resources
from weft.observe import declaredgraph, networkobjects, overview
from weft.observe.overview import Group
from weft.observe.render import overview_picture, svg
from weft.observe.render.overview_picture import Links

MOST = 2000  # members that are drawn
MOST_CARDS = 100  # of workloads; more are folded, each network's into one


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG; `hidden`: how many members there are if they are too many to draw."""

    svg: Markup
    hidden: int = 0


def view(reading: Reading, asked: Question) -> Picture:
    """The picture of all networks that the viewer may see; it depends on the objects alone."""
    objects = replace(matrix.gathered(reading), states=reading.of(resources.NETWORKS))
    graph = declaredgraph.build(objects, reading.of(resources.NODES))
    folded = overview.fold(graph, reading.memo)
    if folded.size > MOST:
        reading.memo.clear()  # of so many it would take much, for no picture
        return Picture(Markup(""), folded.size)
    names = {networkobjects.name_of(each): str(each["metadata"]["name"]) for each in objects.states}
    links = Links(
        network=lambda name: _path("networks", names.get(name, "")),
        group=_group,
        more=lambda name: _unfolded(name, asked.namespace),
    )
    unfolded = asked.query.get("network", "")
    drawing = overview_picture.lay_out(
        *(folded,), links=links, most=MOST_CARDS, unfolded=unfolded, memo=reading.memo
    )
    # Names and texts are escaped where they become SVG.
    return Picture(Markup(svg.render(drawing, reading.memo)))


def _path(*segments: str) -> str:
    """The path of another page; "" without a name."""
    return "/" + "/".join(quote(each, safe="") for each in segments) if segments[-1] else ""


def _unfolded(network: str, namespace: str) -> str:
    """This page with all workloads of a network, at their place."""
    query = {"namespace": namespace, "network": network} if namespace else {"network": network}
    return f"/topology?{urlencode(query)}#network-{quote(network, safe='')}"


def _group(group: Group) -> str:
    """The page of a machine, or the list of those that are alike; "" for pods."""
    if not all(each.is_machine for each in group.members):
        return ""
    owner = group.members[0].port.owner
    if len(group.members) == 1 and owner is not None:
        return _path("machines", owner.namespace, owner.machine)
    query = {"namespace": group.workload.namespace, "about": group.workload.name}
    return f"/machines?{urlencode(query)}"


PAGE = Page(
    name="topology",
    path="/topology",
    title="Topology",
    reads=(*matrix.READS, Read(resources.NODES)),
    view=view,
    scripts=("static/zoom.js",),
    inline_styles=True,
    is_timeless=True,
)
