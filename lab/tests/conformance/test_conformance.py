"""Every request of the table goes to both servers; what differs is listed with a reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from lab.tests.conformance import cases, known
from lab.tests.conformance.exchange import Case, Difference, compare
from lab.tests.conformance.servers import Api

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def differences(pair: tuple[Api, Api]) -> Callable[[Case], list[Difference]]:
    """What differs in a case, which is asked once."""
    return cache(lambda case: list(compare(case, *pair)))


@pytest.mark.parametrize("case", cases.ALL, ids=lambda case: case.name)
def test_both_servers_answer_alike(
    differences: Callable[[Case], list[Difference]], case: Case
) -> None:
    rest = known.unlisted(differences(case), known.DIFFERENCES)
    assert not rest, "\n".join(["the servers differ:", *map(str, rest)])


def test_each_listed_difference_is_there(differences: Callable[[Case], list[Difference]]) -> None:
    found = [one for case in cases.ALL for one in differences(case)]
    gone = known.gone(found, known.DIFFERENCES)
    assert not gone, "\n".join(["listed, but not there any more:", *map(str, gone)])
