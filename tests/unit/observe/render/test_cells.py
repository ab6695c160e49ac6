from hypothesis import given
from hypothesis import strategies as st

from tests.support.reach import matrix, member
from weft.observe.reach import Matrix, Seen
from weft.observe.render import cells
from weft.policy import netpolicy


def text(found: Matrix, width: int = 100) -> list[str]:
    return ["".join(span.words for span in line) for line in cells.written(found, width)]


def styled(found: Matrix, style: str) -> list[str]:
    lines = cells.written(found, 100)
    return [span.words.strip() for line in lines for span in line if span.style == style]


TWO = [member("a", "10.9.0.1"), member("b", "10.9.0.2")]


def test_expected_stands_beside_measured() -> None:
    found = matrix(TWO, lambda source, _: source == "default/a", lambda *_: Seen.SILENT)
    assert [line.rstrip() for line in text(found)] == [
        "blue: ping, from rows to columns",
        "",
        "expected      measured",
        "    a  b          a  b",
        "a      ●      a     !·",
        "b   ·         b   ·",
        "",
        "● connects   · does not   ! not as expected",
        "",
        "a > b  was not answered, though no policy isolates either",
    ]
    assert cells.counted(found) == "0 of 2 pairs connect, 1 not as expected"


def test_nothing_measured_shows_what_is_expected_alone() -> None:
    found = matrix(TWO)
    assert "measured" not in "".join(text(found))
    assert cells.counted(found) == "2 of 2 pairs may connect; nothing was measured"


def test_what_was_not_measured_is_told() -> None:
    found = matrix(TWO, seen=lambda source, _: Seen[("UNKNOWN", "HEARD")[source[-1] == "a"]])
    assert styled(found, "unknown") == ["?", "?"]
    told = "1 of 1 measured pairs connect, as expected, 1 could not be measured"
    assert cells.counted(found) == told
    found = matrix(TWO, seen=lambda *_: Seen.UNKNOWN)
    assert cells.counted(found) == "none of 2 pairs could be measured"


def test_long_names_stand_at_the_rows_and_numbers_for_them() -> None:
    names = [member("payments-api"), member("b")]
    told = text(matrix(names, seen=lambda *_: Seen.ANSWERED))
    assert [line.rstrip() for line in told[2:6]] == [
        "expected                   measured",
        "                 1  2          1  2",
        "1 payments-api      ●      1      ●",
        "2 b              ●         2   ●",
    ]


def test_a_network_with_nobody_to_reach() -> None:
    assert text(matrix([]))[0] == "blue: ping, from rows to columns"
    assert cells.counted(matrix([member("a")])) == "1 member: there is nobody to reach"


def test_many_differences_are_not_all_told() -> None:
    many = [member(f"p{number}") for number in range(8)]
    told = text(matrix(many, lambda *_: False, lambda *_: Seen.ANSWERED))
    assert sum(" > " in line for line in told) == cells.SHOWN
    assert told[-1] == f"and {8 * 7 - cells.SHOWN} more; -o json tells all"


@given(
    st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,50}", fullmatch=True), min_size=2, unique=True),
    st.integers(20, 160),
)
def test_grids_keep_to_the_width_and_show_every_pair_once_each(names: list[str], width: int):
    found = matrix([member(name) for name in names], seen=lambda *_: Seen.ANSWERED)
    lines = list(cells.written(found, width))
    grids = lines[2 : len(lines) - 1]
    widest = max(sum(len(span.words) for span in line) for line in grids)
    margin = len(str(len(names))) + 1 + min(max(map(len, names)), max(width // 2, cells.LONGEST))
    assert widest <= max(width, margin + 1 + max(cells.LONGEST + 1, 3))
    signs = [span for line in grids for span in line if span.style == "reaches"]
    assert len(signs) == 2 * len(found.cells)


def test_the_question_in_one_word() -> None:
    assert cells.asked(netpolicy.Connection(None)) == "ping"
    assert cells.asked(netpolicy.Connection(netpolicy.Protocol.SCTP, 5000)) == "sctp/5000"
