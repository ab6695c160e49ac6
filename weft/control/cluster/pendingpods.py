"""Records which pods wait for something of a segment to become free, and which retry then.

Pure. A freed address wakes the first of the pods that found the segment exhausted, and all pods
that asked for an address or MAC that was taken.
"""

from __future__ import annotations

from weft.model import ObjectKey, Segment


class PendingPods:
    """Pods by key."""

    def __init__(self) -> None:
        self._exhausted: dict[Segment, dict[ObjectKey, None]] = {}
        self._conflicting: dict[Segment, dict[ObjectKey, None]] = {}
        self._places: dict[ObjectKey, tuple[bool, Segment]] = {}
        self._turns: dict[ObjectKey, Segment] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, pod: ObjectKey, segment: Segment, *, exhausted: bool) -> None:
        """Has a pod wait for a segment; a pod waits for one thing, that which it lacked last."""
        if self._places.get(pod) != (exhausted, segment):
            self.forget(pod)
        self._table(exhausted).setdefault(segment, {})[pod] = None
        self._places[pod] = (exhausted, segment)

    def forget(self, pod: ObjectKey) -> None:
        place = self._places.pop(pod, None)
        if place is not None:
            exhausted, segment = place
            table = self._table(exhausted)
            del table[segment][pod]
            if not table[segment]:
                del table[segment]

    def freed(self, segment: Segment) -> list[ObjectKey]:
        """Returns the pods to retry after something of `segment` was released."""
        woken = list(self._conflicting.get(segment, ()))
        for pod in woken:
            self.forget(pod)
        return woken + self._next(segment)

    def end_turn(self, pod: ObjectKey) -> list[ObjectKey]:
        """Returns the pod to retry after a woken one got what it needs, or is gone."""
        segment = self._turns.pop(pod, None)
        if segment is None or self._places.get(pod) == (True, segment):
            return []
        return self._next(segment)

    def _next(self, segment: Segment) -> list[ObjectKey]:
        for pod in self._exhausted.get(segment, ()):
            self.forget(pod)
            self._turns[pod] = segment
            return [pod]
        return []

    def _table(self, exhausted: bool) -> dict[Segment, dict[ObjectKey, None]]:
        return self._exhausted if exhausted else self._conflicting
