"""A page's view is made once for the same objects, and anew for others."""

from __future__ import annotations

from tests.support import consoled
from weft.console import views
from weft.console.page import Page, Question, Reading


def page(made: list[str], *, is_timeless: bool) -> Page:
    def view(read: Reading, asked: Question) -> int:
        made.append(asked.namespace)
        return len(made)

    return Page(name="own", path="/own", reads=(), view=view, is_timeless=is_timeless)


def test_the_same_question_of_the_same_objects_is_answered_once() -> None:
    made: list[str] = []
    own, known = page(made, is_timeless=True), views.Views()
    one, other = Reading(versions=(1, 2)), Reading(versions=(1, 3))
    asked, shop = consoled.asked(), consoled.asked(namespace="shop")
    assert [known.of(own, one, asked), known.of(own, one, asked)] == [1, 1]
    assert known.of(own, other, asked) == 2
    assert known.of(own, other, shop) == 3
    assert known.of(own, other, consoled.asked({"network": "blue"})) == 4
    assert known.of(own, other, asked) == 2, "it is still remembered"
    for number in range(views.MOST):
        known.of(own, other, consoled.asked({"network": str(number)}))
    before = len(made)
    known.of(own, other, asked)
    assert len(made) == before + 1, "so many are remembered and no more"


def test_the_parts_of_the_views_that_were_used_last_are_remembered() -> None:
    calls: list[str] = []

    def view(read: Reading, asked: Question) -> int:
        def make() -> int:
            calls.append("made")
            return len(calls)

        return read.memo.of("part", asked.query, make)

    own, known = Page(name="own", path="/own", reads=(), view=view, is_timeless=True), views.Views()
    asked = [consoled.asked({"network": each}) for each in "abc"]
    for version, number in enumerate((0, 1, 0, 1)):
        known.of(own, Reading(versions=(version,)), asked[number])
    assert len(calls) == 2, "a part of the same is made once, whatever the page's version"
    known.of(own, Reading(versions=(9,)), asked[2])
    known.of(own, Reading(versions=(10,)), asked[1])
    assert len(calls) == 3
    known.of(own, Reading(versions=(11,)), asked[0])
    assert len(calls) == 4, "that of the view before these two is forgotten"


def test_a_page_that_shows_the_time_is_always_made() -> None:
    made: list[str] = []
    own, known = page(made, is_timeless=False), views.Views()
    for _ in range(2):
        known.of(own, Reading(versions=(1,)), consoled.asked())
    assert len(made) == 2
