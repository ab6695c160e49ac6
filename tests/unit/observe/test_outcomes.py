"""A matrix becomes one grid: what differs is never hidden, however many pairs a cell stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.reach import matrix, member
from weft.observe import outcomes
from weft.observe.outcomes import Outcome
from weft.observe.reach import Matrix, ProbeResult

MEMBERS = [
    *(member(f"web-7d9f8b6c5-{end}", f"10.0.0.{n}") for n, end in enumerate(("bcdfg", "hjklm"))),
    *(member(f"db-{number}", f"10.0.1.{number}") for number in range(3)),
]


@pytest.mark.parametrize(
    ("expected", "seen", "outcome"),
    [
        (True, None, Outcome.CONNECTS),
        (False, None, Outcome.SILENT),
        (True, ProbeResult.ARRIVED, Outcome.CONNECTS),
        (False, ProbeResult.SILENT, Outcome.SILENT),
        (True, ProbeResult.SILENT, Outcome.BLOCKED),
        (False, ProbeResult.ANSWERED, Outcome.OPEN),
        (False, ProbeResult.UNKNOWN, Outcome.UNKNOWN),
    ],
)
def test_the_outcome_of_a_pair(expected: bool, seen: ProbeResult | None, outcome: Outcome) -> None:
    made = matrix(MEMBERS[:2], lambda *_: expected, (lambda *_: seen) if seen else None)
    assert outcomes.outcome(made.results[0]) is outcome


def test_few_members_have_a_row_each() -> None:
    grid = outcomes.grid(matrix(MEMBERS))
    assert not grid.grouped
    assert [row.label for row in grid.rows][2:] == ["db-0", "db-1", "db-2"]


def test_many_members_are_grouped_by_workload() -> None:
    grid = outcomes.grid(matrix(MEMBERS), most=4)
    assert [row.label for row in grid.rows] == ["web ×2", "db ×3"]
    assert {at: len(place.pairs) for at, place in grid.places.items()} == {
        (0, 0): 2,
        (0, 1): 6,
        (1, 0): 6,
        (1, 1): 6,
    }


def test_some_of_a_cells_pairs_connect() -> None:
    made = matrix(MEMBERS, lambda source, _: source.endswith("bcdfg"))
    assert outcomes.grid(made, most=4).places[0, 1].outcome is Outcome.PARTLY


def test_one_pair_that_differs_among_many_is_seen_with_its_reason() -> None:
    def seen(source: str, target: str) -> ProbeResult:
        return (
            ProbeResult.SILENT if (source[-1], target[-1]) == ("g", "2") else ProbeResult.ANSWERED
        )

    grid = outcomes.grid(matrix(MEMBERS, seen=seen), most=4)
    assert grid.places[0, 1].outcome is Outcome.BLOCKED
    (found,) = outcomes.differences(grid)
    assert (found.source, found.target, found.pairs) == ("web ×2", "db ×3", 1)
    assert found.reason == "was not answered, though no policy isolates either end"


def test_what_connects_and_should_not_comes_first() -> None:
    made = matrix(
        MEMBERS,
        lambda source, _: "web" in source,
        lambda source, _: ProbeResult.SILENT if "web" in source else ProbeResult.ANSWERED,
    )
    told = [one.source for one in outcomes.differences(outcomes.grid(made, most=4))]
    assert told == ["db ×3", "db ×3", "web ×2", "web ×2"]


@st.composite
def measured(draw: st.DrawFn) -> Matrix:
    chance = draw(st.randoms(use_true_random=False))
    return matrix(
        MEMBERS, lambda *_: chance.random() < 0.5, lambda *_: chance.choice(list(ProbeResult))
    )


@given(measured(), st.sampled_from([0, 100]))
def test_every_difference_is_in_the_grid_and_among_the_reasons(made: Matrix, most: int) -> None:
    grid = outcomes.grid(made, most=most)
    assert sum(len(place.pairs) for place in grid.places.values()) == len(made.results)
    for place in grid.places.values():
        assert place.outcome.differs == any(result.differs for result in place.pairs)
    assert sum(one.pairs for one in outcomes.differences(grid)) == len(made.differing)
