"""Counts the attachments that each selector of the policies matches, by NAD.

Pure. Also counts those whose pod has a given named port. A pod's change costs as much as it has
labels and matching selectors. Networks are not known here, only NADs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from weft.model import ObjectKey
from weft.policy.netpolicy import PodSelector, Protocol
from weft.policy.selectorindex import SelectorIndex


class Through(NamedTuple):
    """Attachments through a NAD: all of them, or those whose pod has this named port."""

    nad: ObjectKey
    protocol: Protocol | None = None
    port: str = ""


Held = Mapping[Through, int]


class SelectorCounts:
    """The counts by selector; pods by key."""

    def __init__(self) -> None:
        self._selection = SelectorIndex()
        self._users: Counter[PodSelector] = Counter()
        self._held: dict[ObjectKey, Held] = {}  # pod: its attachments
        self._chosen: dict[ObjectKey, set[PodSelector]] = {}  # pod: where it is counted
        self._counts: dict[PodSelector, Counter[Through]] = {}
        self._changed: dict[PodSelector, bool] = {}

    def take_changed(self) -> dict[PodSelector, bool]:
        """Returns the selectors whose counts changed since the last call.

        True: a count became zero, or was zero before.
        """
        changed, self._changed = self._changed, {}
        return changed

    def count(self, members: PodSelector) -> Held:
        """Returns the number of attachments of the pods that a selector selects."""
        return self._counts.get(members, {})

    def add(self, members: PodSelector) -> None:
        """Counts a selector's pods until `remove` was called as often as `add`."""
        self._users[members] += 1
        if self._users[members] > 1:
            return
        self._selection.add(members)
        counts = self._counts[members] = Counter()
        for pod in self._selection.pods(members):
            self._chosen.setdefault(pod, set()).add(members)
            counts.update(self._held[pod])

    def remove(self, members: PodSelector) -> None:
        """Ends one `add`; with the last, the selector is not counted any more."""
        self._users[members] -= 1
        if self._users[members]:
            return
        del self._users[members], self._counts[members]
        for pod in self._selection.pods(members):
            self._chosen[pod].discard(members)
        self._selection.remove(members)

    def set_pod(
        self, key: ObjectKey, namespace: str, labels: Mapping[str, str], held: Held
    ) -> None:
        """Sets a pod's attachments; empty: it is on no network, or gone."""
        before = self._held.pop(key, {})
        if held:
            self._held[key] = held
        if held or before:
            self._selection.set_pod(key, namespace, labels if held else None)
            self._recount(key, before)

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        for pod in self._selection.set_namespace(name, labels):
            self._recount(pod, self._held[pod])

    def _recount(self, pod: ObjectKey, before: Held) -> None:
        """Moves a pod's counts from the selectors that selected it before to those that do now."""
        held, chosen = self._held.get(pod, {}), set(self._selection.selectors(pod))
        was = self._chosen.pop(pod, set())
        if chosen:
            self._chosen[pod] = chosen
        for members in was | chosen:
            old = before if members in was else {}
            new = held if members in chosen else {}
            if old != new:
                is_edge = self._add(members, old, new)
                self._changed[members] = self._changed.get(members, False) or is_edge

    def _add(self, members: PodSelector, old: Held, new: Held) -> bool:
        counts, edge = self._counts[members], False
        for kind in {*old, *new}:
            count = counts[kind]
            counts[kind] += new.get(kind, 0) - old.get(kind, 0)
            edge = edge or bool(count) != bool(counts[kind])
            if not counts[kind]:
                del counts[kind]
        return edge
