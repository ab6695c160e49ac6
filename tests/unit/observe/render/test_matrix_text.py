from hypothesis import given
from hypothesis import strategies as st

from tests.support.reach import matrix, member
from weft.observe.reach import Matrix, ProbeResult
from weft.observe.render import matrix_text
from weft.policy import netpolicy


def text(found: Matrix, width: int = 100) -> list[str]:
    return ["".join(span.text for span in line) for line in matrix_text.lines(found, width)]


def styled(found: Matrix, style: str) -> list[str]:
    lines = matrix_text.lines(found, 100)
    return [span.text.strip() for line in lines for span in line if span.style == style]


TWO = [member("a", "10.9.0.1"), member("b", "10.9.0.2")]


def test_one_grid_tells_what_differs_and_why() -> None:
    found = matrix(TWO, lambda source, _: source == "default/a", lambda *_: ProbeResult.SILENT)
    assert [line.rstrip() for line in text(found)] == [
        "blue: ping, from rows to columns",
        "",
        "    a  b",
        "a      x",
        "b   ·",
        "",
        "· does not connect   x should connect, does not",
        "",
        "a > b",
        "  was not answered, though no policy isolates either end",
    ]
    assert matrix_text.summary(found) == "0 of 2 pairs connect, 1 not as expected"


def test_a_connection_that_should_not_be_has_a_sign_of_its_own() -> None:
    found = matrix(TWO, lambda *_: False, lambda *_: ProbeResult.ANSWERED)
    assert styled(found, "bad") == ["!", "!", "!", "a > b", "b > a"]
    assert "! connects, should not" in text(found)


def test_nothing_measured_shows_what_is_expected() -> None:
    found = matrix(TWO, lambda source, _: source == "default/a")
    assert [line.rstrip() for line in text(found)[2:5]] == ["    a  b", "a      ●", "b   ·"]
    assert matrix_text.summary(found) == "1 of 2 pairs may connect; nothing was measured"


def test_what_was_not_measured_is_reported() -> None:
    found = matrix(
        TWO, seen=lambda source, _: ProbeResult[("UNKNOWN", "ARRIVED")[source[-1] == "a"]]
    )
    assert styled(found, "unknown") == ["?", "?"]
    told = "1 of 1 measured pairs connect, as expected, 1 could not be measured"
    assert matrix_text.summary(found) == told
    found = matrix(TWO, seen=lambda *_: ProbeResult.UNKNOWN)
    assert matrix_text.summary(found) == "none of 2 pairs could be measured"


def test_long_names_stand_at_the_rows_and_numbers_above_the_columns() -> None:
    names = [member("payments-api"), member("b")]
    told = text(matrix(names, seen=lambda *_: ProbeResult.ANSWERED))
    assert [line.rstrip() for line in told[2:5]] == [
        "                1 2",
        "1 payments-api    ●",
        "2 b             ●",
    ]


def test_columns_of_two_digits_stand_upright_so_that_25_members_fit_into_60_characters() -> None:
    told = text(matrix([member(f"payments-api-{number:02}") for number in range(25)]), 60)
    assert told[2].split() == ["1"] * 10 + ["2"] * 6
    assert told[3].split() == [str(number % 10) for number in range(1, 26)]
    assert max(map(len, told)) <= 60
    assert told[4].split() == ["1", *"●" * 24]
    listed = " ".join(told[2 + 2 + 25 + 1 :]).split()
    assert [listed[listed.index(str(number)) + 1] for number in (1, 14, 25)] == [
        "payments-api-00",
        "payments-api-13",
        "payments-api-24",
    ]


def test_a_network_with_nobody_to_reach() -> None:
    assert text(matrix([]))[0] == "blue: ping, from rows to columns"
    assert matrix_text.summary(matrix([member("a")])) == "1 member: there is nobody to reach"


def test_many_differences_are_not_all_reported() -> None:
    many = [member(f"p{number}") for number in range(8)]
    told = text(matrix(many, lambda *_: False, lambda *_: ProbeResult.ANSWERED))
    assert sum(" > " in line for line in told) == matrix_text.MAX_DIFFERENCES
    assert told[-1] == f"and {8 * 7 - matrix_text.MAX_DIFFERENCES} more; -o json lists all"


@given(
    st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,50}", fullmatch=True), min_size=2, max_size=30),
    st.integers(40, 160),
)
def test_a_grid_keeps_to_the_width_and_shows_every_pair_once(names: list[str], width: int) -> None:
    members = [member(name) for name in dict.fromkeys(names)]
    found = matrix(members, seen=lambda *_: ProbeResult.ANSWERED)
    lines = list(matrix_text.lines(found, width))
    assert max(sum(len(span.text) for span in line) for line in lines) <= width
    signs = [span for line in lines[2:-1] for span in line if span.style == "good"]
    assert len(signs) == len(found.results)


def test_the_question_in_one_word() -> None:
    assert matrix_text.probe_name(netpolicy.Connection(None)) == "ping"
    assert (
        matrix_text.probe_name(netpolicy.Connection(netpolicy.Protocol.SCTP, 5000)) == "sctp/5000"
    )
