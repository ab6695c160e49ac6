"""Functions that templates of several pages call: names of kinds, counts, paths of objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from markupsafe import Markup, escape

from weft.console.page import Page, Reading
from weft.kube.resources import Resource

_SPACED = {
    "network-attachment-definitions": "NetworkAttachmentDefinitions",
    "multi-networkpolicies": "MultiNetworkPolicies",
}


def kinds(kind: Resource) -> str:
    """A kind in the plural, as people write it."""
    if kind.plural in _SPACED:
        return _SPACED[kind.plural]
    ending = kind.plural.removeprefix(kind.kind.lower())
    return kind.kind + ending if kind.plural.startswith(kind.kind.lower()) else kind.plural


def counted(number: int, one: str, many: str = "") -> str:
    """Such as "1 node" or "3 nodes"."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def segments(kind: str, namespace: str, name: str) -> tuple[str, ...]:
    """The path of the page about an object, for `link`; empty if no page is about its kind."""
    match kind:
        case "Network":
            return "networks", name
        case "VirtualMachine" | "VirtualMachineInstance":
            return "machines", namespace, name
        case "Node":
            return ("nodes",)
    return ()


def listed(words: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    return " and ".join(each for each in (", ".join(words[:-1]), *words[-1:]) if each)


def stale(page: Page, reading: Reading) -> Iterator[tuple[str, str]]:
    """Why what a page shows may be out of date, each reason once, after the kinds that it is of."""
    by_reason: dict[str, list[str]] = {}
    for read in page.reads:
        if not read.is_aside and read.kind in reading.stale and reading.knows(read.kind):
            by_reason.setdefault(reading.stale[read.kind], []).append(kinds(read.kind))
    return ((listed(each), reason) for reason, each in by_reason.items())


class GridField(Protocol):
    """A field of a matrix, as `pages.matrix` makes it."""

    @property
    def sign(self) -> str: ...
    @property
    def style(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def reason(self) -> str: ...


def cells(row: Iterable[GridField]) -> Markup:
    """A row's cells. A matrix has thousands, and few that differ: those are written once."""
    written: dict[int, str] = {}  # by the field's id: alike ones are one object
    found = []
    for field in row:
        text = written.get(id(field))
        if text is None:
            text = written[id(field)] = _cell(field)
        found.append(text)
    return Markup("\n".join(found))


def _cell(field: GridField) -> str:
    tip = ""
    if field.text:
        text, reason = escape(field.text), escape(field.reason)
        tip = f' title="{text}: {reason}" aria-label="{text}"'
    return f'<td class="cell {escape(field.style)}"{tip}>{escape(field.sign)}</td>'


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "kinds": kinds,
    "cells": cells,
    "counted": counted,
    "segments": segments,
    "stale": stale,
}
