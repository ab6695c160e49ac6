"""Defines the parts of a drawing: boxes, paths, dots and texts at their places.

Layouts such as `logical` and `physical` make a drawing; `svg` writes it. `hue` is the number
of a network's colour (`colours`), `tone` shows health; without both it is neutral.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

Point = tuple[float, float]


class Shape(StrEnum):
    """What a box represents."""

    ZONE = "zone"
    BAND = "band"
    PHYSICAL = "physical"
    SWITCH = "switch"
    ROUTER = "router"
    POD = "pod"
    BRIDGE = "bridge"
    SQUARE = "square"


class Stroke(StrEnum):
    """A kind of line: `GAP` passes zones without the switch, `BROKEN` is a tunnel that is down."""

    LINE = "line"
    GAP = "gap"
    TUNNEL = "tunnel"
    BROKEN = "broken"


class Tone(StrEnum):
    """The health of what is drawn, in colours that no network has."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Text:
    """A text. `x`, `y`: where its baseline begins, or ends if `end`. `full`: the whole text if
    `content` is cut. `href` is where a click on it leads, "" for nowhere.

    `turn`: degrees by which it is turned around that place, clockwise.
    """

    x: float
    y: float
    content: str
    style: str
    end: bool = False
    hue: int | None = None
    full: str = ""
    turn: int = 0
    tone: Tone | None = None
    href: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with texts. `title` is its tooltip; `faint`: known from other zones, or down.
    `href` is where a click on it leads, "" for nowhere; `id` is what a link to it names."""

    x: float
    y: float
    width: float
    height: float
    shape: Shape
    texts: tuple[Text, ...] = ()
    title: str = ""
    hue: int | None = None
    badge: str = ""
    faint: bool = False
    tone: Tone | None = None
    href: str = ""
    id: str = ""

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Path:
    """A line through points, with a tooltip."""

    points: tuple[Point, ...]
    stroke: Stroke = Stroke.LINE
    hue: int | None = None
    title: str = ""
    tone: Tone | None = None


@dataclass(frozen=True, slots=True)
class Dot:
    """A dot where a path meets a box or another path."""

    x: float
    y: float
    hue: int | None = None
    large: bool = False
    tone: Tone | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture. Frames lie at the bottom, then paths, boxes, and dots and loose texts.

    A path that goes under a band without a dot is not connected to it.
    """

    width: float
    height: float
    title: str
    summary: str
    frames: tuple[Box, ...] = ()
    paths: tuple[Path, ...] = ()
    boxes: tuple[Box, ...] = ()
    dots: tuple[Dot, ...] = ()
    texts: tuple[Text, ...] = ()

    @property
    def has_links(self) -> bool:
        """Whether a click on any part of it leads somewhere."""
        parts: Iterable[Box | Text] = (*self.frames, *self.boxes, *self.written())
        return any(part.href for part in parts)

    def written(self) -> Iterator[Text]:
        """Every text of the drawing, on boxes or loose."""
        yield from self.texts
        for box in (*self.frames, *self.boxes):
            yield from box.texts
