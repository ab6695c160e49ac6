"""Rows of words as columns."""

from hypothesis import given
from hypothesis import strategies as st

from weft.cli import columns

WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


def test_columns_are_as_wide_as_their_widest_word() -> None:
    rows = [("name", "node", ""), ("default/client", "node1", "x"), ("a", "", "")]
    assert columns.aligned(rows) == [
        "name            node",
        "default/client  node1  x",
        "a",
    ]


def test_nothing_has_no_lines() -> None:
    assert columns.aligned([]) == []


@given(st.lists(st.tuples(WORD, WORD, WORD), min_size=1, max_size=6))
def test_every_word_can_be_split_out_again(rows: list[tuple[str, str, str]]) -> None:
    assert [tuple(line.split()) for line in columns.aligned(rows)] == rows
