"""What an Event says, and when it is sent."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import hasty
from tests.unit.kube.moody import FORBIDDEN, Moody
from weft.kube import errors, events, resources
from weft.reasons import Reason

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "a", "uid": "u1", "resourceVersion": "7"},
}


def news(message: str = "no address is free") -> events.PendingEvent:
    return events.PendingEvent(events.about(POD), "Warning", "Reason", message, 1, "t1", "t2")


def test_an_event_names_its_object_and_lies_beside_it() -> None:
    name = news().name("weft")
    event = events.render(name, news(), "weft")
    assert name.startswith("web.")
    assert event["metadata"] == {"name": name, "namespace": "a"}
    assert event["involvedObject"]["uid"] == "u1"
    assert event["reportingComponent"] == "weft"


def test_an_object_of_the_whole_cluster_has_its_events_in_default() -> None:
    node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1"}}
    reported = events.PendingEvent(events.about(node), "Normal", "R", "m", 1, "t", "t")
    assert reported.namespace == "default"


def test_the_same_news_has_the_same_name_and_other_news_another() -> None:
    assert news().name("weft") == news().name("weft")
    assert news().name("weft") != news("other").name("weft")
    assert news().name("weft") != news().name("other")


def test_the_longest_name_of_an_object_leaves_room_for_the_event() -> None:
    def reported(name: str) -> str:
        pod = {**POD, "metadata": {"name": name, "namespace": "a"}}
        return events.PendingEvent(events.about(pod), "Normal", "R", "m", 1, "t", "t").name("weft")

    long = "x" * 235 + "." + "y" * 17
    assert len(reported(long)) <= 253
    assert ".." not in reported(long)
    assert reported(long) != reported(long[:-1] + "z")


DENIED = errors.from_status(
    {
        "reason": "Forbidden",
        "message": 'events is forbidden: User "system:serviceaccount:weft-system:weft-node" cannot '
        'create resource "events" in API group "" in the namespace "a"',
    },
    403,
)


def test_events_that_the_account_may_not_write_wait_until_it_may(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        api = Moody()
        api.mood = DENIED
        recorder = events.Recorder(api, "test")
        task = asyncio.create_task(recorder.run())
        for number in range(100):
            recorder.emit(POD, Reason.ADDRESS_REFUSED, f"message {number}")
        await asyncio.sleep(3600)
        assert 60 <= api.refused <= 90, "one asks for all of them"
        assert 'cannot create resource "events"' in recorder.trouble
        assert len(caplog.records) == 1
        api.mood = ""
        await recorder.flushed()
        assert recorder.trouble == ""
        assert len(api.all(resources.EVENTS)) == 100
        task.cancel()

    hasty.run(main())


def test_an_event_that_one_namespace_refuses_is_dropped_in_the_end() -> None:
    async def main() -> None:
        api = Moody()
        recorder = events.Recorder(api, "test")
        task = asyncio.create_task(recorder.run())
        api.mood = FORBIDDEN  # as by a quota, or where a namespace ends
        recorder.emit(POD, Reason.ADDRESS_REFUSED, "never")
        await asyncio.sleep(60)
        assert 3 <= api.refused <= 8
        assert recorder.trouble == ""
        await recorder.flushed()
        task.cancel()

    hasty.run(main())
