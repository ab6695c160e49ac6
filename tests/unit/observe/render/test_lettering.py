from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from weft.observe.render import lettering

STYLES = st.sampled_from(sorted(lettering.STYLES))


@given(st.text(), STYLES, st.floats(20, 500))
def test_what_fits_fits(words: str, style: str, room: float) -> None:
    shown = lettering.fit(words, style, room)
    assert lettering.width(shown, style) <= room
    if lettering.width(words, style) <= room:
        assert shown == words


def test_both_ends_of_a_name_are_kept() -> None:
    shown = lettering.fit("deployment-of-somebody-7d9f8b6c5-abcde", "name", 200)
    assert shown.startswith("deployment-of")
    assert shown.endswith("cde")


@given(st.text())
def test_nothing_moves_the_cursor(words: str) -> None:
    shown = lettering.printable(words)
    assert len(shown) == len(words)
    assert all(each.isprintable() or unicodedata.category(each) == "Zs" for each in shown)
    assert not set(shown) & set("\x1b\n\r\t\x00\u2028")
