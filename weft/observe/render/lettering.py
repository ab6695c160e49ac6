"""Measures text, cuts it to a width, and removes characters that may not be shown.

Nobody knows which fonts a reader has, so widths are estimated on the wide side: what fits here
fits everywhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """A way to write: size in pixels, weight, and whether every character is as wide."""

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


def width(words: str, style: str) -> float:
    """Pixels that the words take at most."""
    how = STYLES[style]
    return how.size * sum(_em(character, how) for character in words)


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


def fit(words: str, style: str, room: float) -> str:
    """The words, or as much of their beginning and end as there is room for."""
    if width(words, style) <= room:
        return words
    for kept in range(len(words) - 1, 0, -1):
        # Names differ at their ends more often than in the middle.
        tail = kept // 3
        cut = words[: kept - tail] + "…" + (words[-tail:] if tail else "")
        if width(cut, style) <= room:
            return cut
    return "…" if words else ""


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def printable(words: str) -> str:
    """Without characters that move a cursor, end a line or are not allowed in XML."""
    return "".join(
        character if unicodedata.category(character) not in _UNSEEN else "�" for character in words
    )


# Control, format, surrogate, private, unassigned; line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
