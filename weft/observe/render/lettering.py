"""Measures text, cuts it to a width, and removes characters that may not be shown.

Fonts differ between readers, so widths are estimates on the wide side.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """A style of text: size in pixels, weight, and whether it is monospaced."""

    size: float
    bold: bool = False
    mono: bool = False


STYLES: Mapping[str, Style] = {
    "title": Style(17, bold=True),
    "heading": Style(14, bold=True),
    "name": Style(13, bold=True),
    "plain": Style(12),
    "muted": Style(11.5),
    "caption": Style(11.5),
    "mono": Style(11.5, mono=True),
    "badge": Style(9.5, bold=True),
}

_MONO = 0.62
_NARROW = frozenset("iljtfrI.,:;'|!()[]{}/\\ `-")
_BROAD = frozenset("mwMWQO@%&→…")


class _Widths(dict[str, float]):
    """The width of each character in a style, judged once."""

    def __init__(self, how: Style) -> None:
        super().__init__()
        self._how = how

    def __missing__(self, character: str) -> float:
        if len(self) >= _MOST_WIDTHS:  # anybody chooses the characters
            self.clear()
        self[character] = found = self._how.size * _em(character, self._how)
        return found


_MOST_WIDTHS = 4096
_WIDTHS = {name: _Widths(style) for name, style in STYLES.items()}


def width(text: str, style: str) -> float:
    """The width of a text in this style: pixels that it takes at most."""
    return sum(map(_WIDTHS[style].__getitem__, text))


def _em(character: str, how: Style) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if how.mono:
        return _MONO
    if character in _NARROW:
        em = 0.38
    elif character in _BROAD:
        em = 0.98
    elif character.isupper():
        em = 0.74
    elif character.isascii():
        em = 0.62
    else:
        em = 0.95
    return em * (1.07 if how.bold else 1.0)


def fit(text: str, style: str, room: float) -> str:
    """The text, or its beginning and end around an ellipsis, in at most `room` pixels."""
    if width(text, style) <= room:
        return text
    for kept in range(len(text) - 1, 0, -1):
        # Names differ at their ends more often than in the middle.
        tail = kept // 3
        cut = text[: kept - tail] + "…" + (text[-tail:] if tail else "")
        if width(cut, style) <= room:
            return cut
    return "…" if text else ""


def counted(number: int, what: str) -> str:
    """A number with a noun in singular or plural."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """The text, with U+FFFD for characters that move a cursor, end a line or break XML."""
    if text.isprintable():  # which none of them is
        return text
    return "".join(
        character if unicodedata.category(character) not in _UNSEEN else "�" for character in text
    )


# Control, format, surrogate, private, unassigned; line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
