"""Who waits for something of a network to become free, and who is to try again when it does?

Pure bookkeeping, in the order of arrival: one freed address wakes one of those that found the
network exhausted, and all that found the very thing they asked for taken.
"""

from __future__ import annotations


class Waiting:
    """Pods by key; a network by name, or a node's share of one (`names.scope`)."""

    def __init__(self) -> None:
        self._exhausted: dict[str, dict[str, None]] = {}
        self._conflicting: dict[str, dict[str, None]] = {}
        self._places: dict[str, tuple[bool, str]] = {}
        self._turns: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, pod: str, network: str, *, exhausted: bool) -> None:
        """`pod` waits in one place at a time: for what it found missing last."""
        if self._places.get(pod) != (exhausted, network):
            self.forget(pod)
        self._table(exhausted).setdefault(network, {})[pod] = None
        self._places[pod] = (exhausted, network)

    def forget(self, pod: str) -> None:
        place = self._places.pop(pod, None)
        if place is not None:
            exhausted, network = place
            table = self._table(exhausted)
            del table[network][pod]
            if not table[network]:
                del table[network]

    def freed(self, network: str) -> list[str]:
        """Something of `network` was released: who is to try again."""
        woken = list(self._conflicting.get(network, ()))
        for pod in woken:
            self.forget(pod)
        return woken + self._next(network)

    def end_turn(self, pod: str) -> list[str]:
        """A pod that was woken has tried, or is gone: who tries next, if it left something."""
        network = self._turns.pop(pod, None)
        if network is None or self._places.get(pod) == (True, network):
            return []
        return self._next(network)

    def _next(self, network: str) -> list[str]:
        for pod in self._exhausted.get(network, ()):
            self.forget(pod)
            self._turns[pod] = network
            return [pod]
        return []

    def _table(self, exhausted: bool) -> dict[str, dict[str, None]]:
        return self._exhausted if exhausted else self._conflicting
