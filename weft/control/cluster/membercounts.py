"""Counts the attachments of pods by NAD and node, kept as pods come and go. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from weft.api.pod import Pod
from weft.control import index
from weft.model import ObjectKey


class MemberCounts:
    """The attachments that have an allocation, of pods that have a node and have not ended."""

    def __init__(self) -> None:
        self._counts: dict[ObjectKey, Counter[str]] = {}  # by NAD: by node
        self._nads: dict[str, set[ObjectKey]] = {}  # by node

    def set_pod(self, old: Pod | None, new: Pod | None) -> Iterable[ObjectKey]:
        """Counts a pod that is new, changed, or gone (None); returns the NADs whose counts
        changed."""
        before, after = _attachments(old), _attachments(new)
        if before == after:
            return ()
        for nad, node in before:
            self._add(nad, node, -1)
        for nad, node in after:
            self._add(nad, node, 1)
        return dict.fromkeys(nad for nad, _ in (*before, *after))

    def count(self, nads: Iterable[ObjectKey]) -> Counter[str]:
        """Returns the attachments through some NADs, by node."""
        found: Counter[str] = Counter()
        for nad in nads:
            found.update(self._counts.get(nad, {}))
        return found

    def nads_on(self, node: str) -> frozenset[ObjectKey]:
        """Returns the NADs through which pods of a node are attached."""
        return frozenset(self._nads.get(node, ()))

    def _add(self, nad: ObjectKey, node: str, number: int) -> None:
        counts = self._counts.setdefault(nad, Counter())
        counts[node] += number
        if counts[node]:
            self._nads.setdefault(node, set()).add(nad)
            return
        del counts[node]
        index.discard(self._nads, node, nad)
        if not counts:
            del self._counts[nad]


def _attachments(pod: Pod | None) -> list[tuple[ObjectKey, str]]:
    if pod is None or not pod.node or pod.is_completed:
        return []
    return [(nad, pod.node) for nad in pod.allocated]
