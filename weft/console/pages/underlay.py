"""Draws nodes, the tunnels between them, and what is on their switches: in a lab."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import quote, urlencode

from markupsafe import Markup

from weft.console.page import JobAccess, Page, Question, Reading
from weft.observe import tunnelhealth, underlay
from weft.observe.graph import PortPod
from weft.observe.render import physical, svg, tunnel_picture
from weft.observe.render.physical import Links
from weft.observe.snapshot import Snapshot

_EVERY = 3.0  # seconds between two looks at the nodes' databases


def view(_: Reading, asked: Question) -> None:
    """Nothing: nodes alone know it."""


async def look(access: JobAccess, _: Question) -> AsyncGenerator[object, None]:
    """The picture, as SVG: at once, and whenever it has changed."""
    shown = None
    while True:
        snapshots = await access.nodes.snapshots()
        drawn = await access.computing.run(_drawn, snapshots)
        if drawn != shown:
            yield drawn
            shown = drawn
        await asyncio.sleep(_EVERY)


def _drawn(snapshots: Sequence[Snapshot]) -> Markup:
    below = underlay.build(snapshots)
    many = len(below.nodes) >= tunnelhealth.MANY
    links = Links(_node, _owner)
    drawing = tunnel_picture.lay_out(below, links.node) if many else physical.lay_out(below, links)
    return Markup(svg.render(drawing))  # which escapes names and texts


def _node(name: str) -> str:
    """The node's place on the page of all nodes."""
    return f"/nodes#node-{quote(name, safe='')}"


def _owner(of: PortPod) -> str:
    """The page of a machine; the Events of a pod, which has no page."""
    if of.machine:
        return f"/machines/{quote(of.namespace, safe='')}/{quote(of.machine, safe='')}"
    return f"/events?{urlencode({'namespace': of.namespace, 'about': of.pod})}"


PAGE = Page(
    name="underlay",
    path="/topology/physical",
    heading="Physical topology",
    under="topology",
    reads=(),
    view=view,
    jobs={"look": look},
    scripts=("static/zoom.js",),
    inline_styles=True,
)
