"""Events in the order of when they were last seen, whoever wrote them."""

from __future__ import annotations

from tests.support import objects as made
from weft.console import eventlist
from weft.kube import resources


def test_the_latest_comes_first_by_whichever_time_it_has() -> None:
    old = {**made.named(resources.EVENTS, "a"), "lastTimestamp": "2026-01-01T00:00:00Z"}
    new = {**made.named(resources.EVENTS, "b"), "eventTime": "2026-01-02T00:00:00Z"}
    series = {"count": 7, "lastObservedTime": "2026-01-03T00:00:00Z"}
    newest = {**made.named(resources.EVENTS, "c"), "series": series, "type": "Warning"}
    about = {"kind": "Pod", "namespace": "shop", "name": "web"}
    new["involvedObject"] = about
    found = eventlist.latest([old, newest, new])
    assert [one.last[8:10] for one in found] == ["03", "02", "01"]
    assert (found[0].count, found[0].is_warning) == (7, True)
    assert found[1].about == ("Pod", "shop", "web")


def test_an_event_without_anything_is_shown_too() -> None:
    assert eventlist.latest([made.named(resources.EVENTS, "a")])[0].last == ""
