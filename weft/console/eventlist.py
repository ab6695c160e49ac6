"""Reads Events for pages: the latest first, with what they are about. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from weft.console.page import Object


@dataclass(frozen=True, slots=True)
class Event:
    """An Event. `last`: when it was seen last (RFC 3339); `count`: how often."""

    last: str
    is_warning: bool
    kind: str
    namespace: str
    name: str
    reason: str
    message: str
    source: str
    count: int

    @property
    def about(self) -> tuple[str, str, str]:
        """Kind, namespace and name of the object."""
        return self.kind, self.namespace, self.name


def latest(events: Iterable[Object]) -> list[Event]:
    """All Events, the latest first. Everybody who may create Events chooses their texts."""
    return sorted((_events(each) for each in events), key=lambda one: one.last, reverse=True)


def _events(event: Object) -> Event:
    about, series = event.get("involvedObject") or {}, event.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    counts = (each for each in (series.get("count"), event.get("count")) if isinstance(each, int))
    source = (event.get("source") or {}).get("component") or event.get("reportingComponent")
    return Event(
        last=next((str(each) for each in times if each), ""),
        is_warning=event.get("type") == "Warning",
        kind=str(about.get("kind") or ""),
        namespace=str(about.get("namespace") or ""),
        name=str(about.get("name") or ""),
        reason=str(event.get("reason") or ""),
        message=str(event.get("message") or ""),
        source=str(source or ""),
        count=next(counts, 1),
    )
