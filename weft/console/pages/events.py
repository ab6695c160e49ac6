"""Lists Events, the latest first, about all objects or one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from weft.console import eventlist, paging
from weft.console.eventlist import Event
from weft.console.page import Page, Question, Read, Reading
from weft.console.paging import ListPage
from weft.kube import resources


@dataclass(frozen=True, slots=True)
class Events:
    """`about`, `kind` and `warnings` are the filter, as it was asked for."""

    part: ListPage[Event]
    about: str
    kind: str
    warnings: bool
    kinds: tuple[str, ...]


def view(reading: Reading, asked: Question) -> Events:
    """The Events that the query chooses: about (a part of a name), kind, type=Warning."""
    about, kind = asked.query.get("about", "").strip(), asked.query.get("kind", "")
    warnings = asked.query.get("type") == "Warning"
    everything = eventlist.latest(reading.of(resources.EVENTS))
    found = list(_chosen(everything, about, kind, warnings=warnings))
    kinds = sorted({one.kind for one in everything} | ({kind} if kind else set()))
    return Events(
        part=paging.part(found, asked),
        about=about,
        kind=kind,
        warnings=warnings,
        kinds=tuple(filter(None, kinds)),
    )


def _chosen(listed: list[Event], about: str, kind: str, *, warnings: bool) -> Iterator[Event]:
    for one in listed:
        if kind and one.kind != kind:
            continue
        if warnings and not one.is_warning:
            continue
        if about.lower() in f"{one.namespace}/{one.name}".lower():
            yield one


PAGE = Page(
    name="events",
    path="/events",
    title="Events",
    reads=(Read(resources.EVENTS),),
    view=view,
)
