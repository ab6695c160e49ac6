"""Draws nodes, the tunnels between them, and what is on their switches: in a lab."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from markupsafe import Markup

from weft.console.page import JobAccess, Page, Question, Reading
from weft.observe import tunnelhealth, underlay
from weft.observe.render import physical, svg, tunnel_picture
from weft.observe.snapshot import Snapshot


def view(_: Reading, asked: Question) -> None:
    """Nothing: nodes alone know it."""


async def look(access: JobAccess, _: Question) -> AsyncGenerator[object, None]:
    """The picture, as SVG."""
    snapshots = await access.nodes.snapshots()
    yield await access.computing.run(_drawn, snapshots)


def _drawn(snapshots: Sequence[Snapshot]) -> Markup:
    below = underlay.build(snapshots)
    many = len(below.nodes) >= tunnelhealth.MANY
    drawing = tunnel_picture.lay_out(below) if many else physical.lay_out(below)
    return Markup(svg.render(drawing))  # which escapes names and texts


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
