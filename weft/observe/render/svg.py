"""Writes a drawing as SVG: one self-contained file, for light and dark themes.

Colours are CSS classes of one style sheet.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from html import escape

from weft.observe.remembered import Memo
from weft.observe.render import colours, lettering
from weft.observe.render.drawing import Box, Dot, Drawing, Path, Shape, Stroke, Text, Tone

SANS = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace"

LIGHT = {
    "paper": "#ffffff",
    "frame": "#f7f8fa",
    "card": "#ffffff",
    "badge": "#e9ecf1",
    "edge": "#d8dce3",
    "line": "#8a93a1",
    "soft": "#5b6573",
    "ink": "#1c2330",
    "good": "#1f7a4d",
    "warn": "#a35a12",
    "bad": "#b3261e",
    "good tint": "#e6f4ec",
    "warn tint": "#fbeedd",
    "bad tint": "#fce8e6",
}
DARK = {
    "paper": "#14171c",
    "frame": "#1a1e25",
    "card": "#22272f",
    "badge": "#333a45",
    "edge": "#333a45",
    "line": "#77818f",
    "soft": "#a0a9b6",
    "ink": "#e8ebf0",
    "good": "#6fcf97",
    "warn": "#e3a765",
    "bad": "#f28b82",
    "good tint": "#163023",
    "warn tint": "#362716",
    "bad tint": "#3b1d1b",
}


_REMEMBERED = 8192  # texts and numbers, most of which a picture has again and again


def render(drawing: Drawing, memo: Memo | None = None) -> str:
    """The SVG document; `memo`: that of drawings of the same."""
    memo = Memo() if memo is None else memo
    width, height = _n(drawing.width), _n(drawing.height)
    # What is within an image is nothing to a screen reader: links are.
    role = "group" if drawing.has_links else "img"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="{role}" aria-labelledby="title summary">',
        f'<title id="title">{_safe(drawing.title)}</title>',
        f'<desc id="summary">{_safe(drawing.summary)}</desc>',
        f"<style>{_sheet(_hues(drawing))}</style>",
        f'<rect class="paper" x="0.5" y="0.5" width="{_n(drawing.width - 1)}" '
        f'height="{_n(drawing.height - 1)}" rx="12"/>',
        *(line for frame in drawing.frames for line in _box(frame)),
        *(_path(path) for path in drawing.paths),
        *(
            memo.of(("box", number), box, functools.partial(_whole, box))
            for number, box in enumerate(drawing.boxes)
        ),
        *(_dot(dot) for dot in drawing.dots),
        *(_text(text) for text in drawing.texts),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _hues(drawing: Drawing) -> list[int]:
    """The numbers of the networks' colours that appear."""
    parts: tuple[Box | Path | Dot | Text, ...] = (*drawing.frames, *drawing.boxes)
    parts += (*drawing.paths, *drawing.dots, *drawing.written())
    return sorted({part.hue for part in parts if part.hue is not None})


def _sheet(hues: Sequence[int]) -> str:
    """The style sheet: colours for light and dark ground, and fonts."""
    known = [(number, colours.colour(number)) for number in hues]
    rules = [
        f"text{{font-family:{SANS};fill:inherit}}",
        f".mono{{font-family:{MONO}}}",
        *(
            f".{name}{{font-size:{style.size:g}px{';font-weight:600' if style.bold else ''}}}"
            for name, style in lettering.STYLES.items()
        ),
        "path{fill:none;stroke-width:1.6;stroke-linejoin:round}",
        "rect{stroke-width:1.2}",
        ".gap{stroke-dasharray:2 5}.tunnel{stroke-dasharray:6 4}.broken{stroke-dasharray:1 6}",
        ".faint>rect:not(.tag){stroke-dasharray:4 4}.badge{letter-spacing:.4px}",
        *_colours(LIGHT, [(number, one.line, one.tint) for number, one in known]),
        "@media (prefers-color-scheme:dark){",
        *_colours(DARK, [(number, one.dark_line, one.dark_tint) for number, one in known]),
        "}",
    ]
    return "".join(rules)


def _colours(ground: dict[str, str], hues: Iterable[tuple[int, str, str]]) -> Iterator[str]:
    line, edge = ground["line"], ground["edge"]
    yield f".paper{{fill:{ground['paper']};stroke:{edge}}}"
    yield f".zone>rect{{fill:{ground['frame']};stroke:{edge}}}"
    yield f".pod>rect,.bridge>rect{{fill:{ground['card']};stroke:{line}}}"
    yield f".square>rect{{fill:{ground['frame']};stroke:{edge}}}"
    yield f".physical>rect{{fill:{ground['badge']};stroke:{line}}}"
    yield f".ink{{fill:{ground['ink']}}}.soft{{fill:{ground['soft']}}}"
    yield f"g>rect.tag{{fill:{ground['badge']};stroke:none}}"
    yield f"path{{stroke:{line}}}circle{{fill:{line};stroke:{ground['paper']}}}"
    for tone in Tone:
        shade = ground[tone]
        yield f"path.{tone}{{stroke:{shade}}}circle.{tone},text.{tone}{{fill:{shade}}}"
        yield f".box.{tone}>rect{{stroke:{shade};fill:{ground[f'{tone} tint']}}}"
    for number, stroke, tint in hues:
        yield f".box.h{number}>rect{{fill:{tint};stroke:{stroke}}}"
        yield f"path.h{number},.h{number} path{{stroke:{stroke}}}circle.h{number}{{fill:{stroke}}}"
        yield f"text.h{number}{{fill:{stroke}}}"


def _colour(one: Box | Path | Dot | Text) -> str:
    """The CSS class of its colour, after a blank; empty if it is neutral."""
    if one.tone is not None:
        return f" {one.tone}"
    return "" if one.hue is None else f" h{one.hue}"


def _box(box: Box) -> Iterator[str]:
    faint = " faint" if box.faint else ""
    if box.href:
        yield f'<a href="{escape(box.href)}">'
    id = f' id="{_safe(box.id)}"' if box.id else ""
    yield f'<g{id} class="box {box.shape}{_colour(box)}{faint}">'
    if box.title:
        yield f"<title>{_lines(box.title)}</title>"
    radius = {Shape.ZONE: 10, Shape.ROUTER: 17, Shape.BAND: 6, Shape.PHYSICAL: 6}.get(box.shape, 6)
    yield (
        f'<rect x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" '
        f'height="{_n(box.height)}" rx="{radius}"/>'
    )
    if box.badge:
        yield from _badge(box)
    elif box.shape in (Shape.SWITCH, Shape.ROUTER):
        yield _sign(box)
    for text in box.texts:
        yield _text(text)
    yield "</g></a>" if box.href else "</g>"


def _whole(box: Box) -> str:
    return "\n".join(_box(box))


def _badge(box: Box) -> Iterator[str]:
    width = lettering.width(box.badge, "badge") + 12
    x, y = box.right - width - 8, box.y + 9
    yield f'<rect class="tag" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="15" rx="4"/>'
    yield (
        f'<text class="badge soft" x="{_n(x + width / 2)}" y="{_n(y + 11)}" '
        f'text-anchor="middle">{_safe(box.badge)}</text>'
    )


def _sign(box: Box) -> str:
    """The path of a symbol: arrows across for a switch, to all sides for a router."""
    x, y = box.right - 24, box.y + 17
    if box.shape is Shape.SWITCH:
        arrows = "M-8-3H7M4-6L7-3L4 0M8 4H-7M-4 1L-7 4L-4 7"
    else:
        arrows = "M-8 0H8M5-3L8 0L5 3M-5-3L-8 0L-5 3M0-8V8M-3-5L0-8L3-5M-3 5L0 8L3 5"
    return f'<path transform="translate({_n(x)} {_n(y)})" d="{arrows}"/>'


def _path(path: Path) -> str:
    points = "L".join(f"{_n(x)} {_n(y)}" for x, y in path.points)
    stroke = "" if path.stroke is Stroke.LINE else f" {path.stroke}"
    classes = f"{_colour(path)}{stroke}".strip()
    title = f"<title>{_lines(path.title)}</title>" if path.title else ""
    return f'<path class="{classes}" d="M{points}">{title}</path>'


def _dot(dot: Dot) -> str:
    radius = "4" if dot.large else "2.6"
    return (
        f'<circle class="{_colour(dot).strip()}" cx="{_n(dot.x)}" cy="{_n(dot.y)}" r="{radius}"/>'
    )


def _text(text: Text) -> str:
    soft = text.style in ("muted", "caption") or text.style == "mono"
    colour = _colour(text) or (" soft" if soft else " ink")
    anchor = ' text-anchor="end"' if text.end else ""
    if text.turn:
        anchor += f' transform="rotate({text.turn} {_n(text.x)} {_n(text.y)})"'
    title = f"<title>{_lines(text.full)}</title>" if text.full else ""
    written = (
        f'<text class="{text.style}{colour}" x="{_n(text.x)}" y="{_n(text.y)}"{anchor}>'
        f"{title}{_safe(text.content)}</text>"
    )
    return f'<a href="{escape(text.href)}">{written}</a>' if text.href else written


@lru_cache(maxsize=_REMEMBERED)
def _safe(text: str) -> str:
    return escape(lettering.printable(text))


def _lines(text: str) -> str:
    return "\n".join(_safe(line) for line in text.split("\n"))


@lru_cache(maxsize=_REMEMBERED)
def _n(number: float) -> str:
    return f"{number:.1f}".rstrip("0").rstrip(".")
