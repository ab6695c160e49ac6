"""What an Event says, and when it is sent."""

from __future__ import annotations

import asyncio

from tests.support import hasty
from tests.unit.kube.moody import FORBIDDEN, Moody
from weft.kube import events, resources
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
    told = events.PendingEvent(events.about(node), "Normal", "R", "m", 1, "t", "t")
    assert told.namespace == "default"


def test_the_same_news_has_the_same_name_and_other_news_another() -> None:
    assert news().name("weft") == news().name("weft")
    assert news().name("weft") != news("other").name("weft")
    assert news().name("weft") != news().name("other")


def test_the_longest_name_of_an_object_leaves_room_for_the_event() -> None:
    def told(name: str) -> str:
        pod = {**POD, "metadata": {"name": name, "namespace": "a"}}
        return events.PendingEvent(events.about(pod), "Normal", "R", "m", 1, "t", "t").name("weft")

    long = "x" * 235 + "." + "y" * 17
    assert len(told(long)) <= 253
    assert ".." not in told(long)
    assert told(long) != told(long[:-1] + "z")


def test_an_event_that_is_refused_is_told_when_it_may_be() -> None:
    async def main() -> None:
        api = Moody()
        api.mood = FORBIDDEN
        recorder = events.Recorder(api, "test")
        task = asyncio.create_task(recorder.run())
        recorder.emit(POD, Reason.ADDRESS_REFUSED, "message")
        await asyncio.sleep(60)
        assert 3 <= api.refused <= 8
        api.mood = ""
        await recorder.flushed()
        (told,) = api.all(resources.EVENTS).values()
        assert (told["message"], told["count"]) == ("message", 1)
        api.mood = FORBIDDEN
        recorder.emit(POD, Reason.ADDRESS_REFUSED, "never")
        await recorder.flushed()  # not for ever
        task.cancel()

    hasty.run(main())
