"""Decides which pod holds an address or MAC that several pods claim.

Only one pod holds it; the port of any other has no rows, groups or set entries. A running pod comes
before others, then the oldest, so that a restart changes nothing. On layer3 networks, where ports
have no tunnel key, a MAC need be unique only on its node. No port holds a platform address.

With n claimants, a change of one costs O(log n): only that pod, the former holder and the new one
change.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from weft import errors, model
from weft.alloc import platform

Claim = tuple[model.Segment | str, object]  # a segment or network, and an address or MAC in it
Rank = tuple[str, ...]  # the pod's precedence, its key, the attachment's key: the least holds


class Holders:
    """The claims on addresses and MACs, and their holders. A pod's ports are by port key."""

    def __init__(self) -> None:
        self._claimed: dict[str, dict[str, model.Port]] = {}  # pod key -> port key -> port
        self._precedence: dict[str, Rank] = {}  # of each pod that claims something
        self._first: dict[Claim, Rank] = {}
        self._waiting: dict[Claim, _Waiting] = {}  # behind the first, where there are any
        # Pod key -> attachment -> the platform's objection, "" where another pod holds it.
        self._refused: dict[str, dict[str, str]] = {}
        self._changed: set[str] = set()

    def claim(
        self, pod: str, ports: dict[str, model.Port], precedence: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """Sets the ports that a pod claims; returns its key and those of pods affected by it.

        The claimant of the least `precedence` holds an address or MAC.
        """
        before: dict[Claim, Rank | None] = {}
        for port in self._claimed.pop(pod, {}).values():
            rank = self._rank(port)
            for claim in _claims(port):
                before.setdefault(claim, self._first.get(claim))
                self._leave(claim, rank)
        self._precedence.pop(pod, None)
        if ports:
            self._claimed[pod], self._precedence[pod] = ports, precedence
        for port in ports.values():
            rank = self._rank(port)
            for claim in _claims(port):
                before.setdefault(claim, self._first.get(claim))
                self._join(claim, rank)
        moved = [(old, self._first.get(claim)) for claim, old in before.items()]
        others = {_pod(each) for old, new in moved if old != new for each in (old, new) if each}
        return pod, *sorted(others - {pod})

    def held(
        self, pod: str, network_of: Callable[[model.Port], model.Network | None]
    ) -> dict[str, model.Port]:
        """Returns the ports that a pod holds: its claims without those that are refused."""
        claimed, refused = self._claimed.get(pod, {}), {}
        for port in claimed.values():
            network = network_of(port)
            objection = platform.objection(network, port.allocation) if network else ""
            if objection or self._lost(port) is not None:
                refused[port.key] = objection
        if refused or pod in self._refused:
            self._changed.add(pod)
        if not refused:
            self._refused.pop(pod, None)
            return claimed
        self._refused[pod] = refused
        return {key: port for key, port in claimed.items() if port.key not in refused}

    def refused(self, pod: str) -> dict[str, errors.Conflict]:
        """Returns by attachment why a claim is refused; the error names the holder."""
        refused = self._refused.get(pod, {})
        ports = [port for port in self._claimed.get(pod, {}).values() if port.key in refused]
        reasons = {port.key: self._reason(port, refused[port.key]) for port in ports}
        return {key: reason for key, reason in reasons.items() if reason is not None}

    def take_changed(self) -> set[str]:
        """Returns the pods checked since the last call that lack a port, or lacked one before."""
        changed, self._changed = self._changed, set()
        return changed

    def _reason(self, port: model.Port, objection: str) -> errors.Conflict | None:
        said = objection
        if not said and (claim := self._lost(port)) is not None:
            said = f"{claim[1]} is held by Pod {_pod(self._first[claim])}"
        if not said:
            return None
        where = f"Pod {port.pod.key}, attachment {port.key} to network {port.network}"
        hint = "delete the pod; one that is made anew gets what is free"
        return errors.Conflict(said, where=where, hint=hint)

    def _lost(self, port: model.Port) -> Claim | None:
        """Returns the first of a port's claims that another port holds."""
        rank = self._rank(port)
        return next((claim for claim in _claims(port) if self._first[claim] != rank), None)

    def _join(self, claim: Claim, rank: Rank) -> None:
        first = self._first.get(claim)
        if first is None:
            self._first[claim] = rank
            return
        self._first[claim], later = (rank, first) if rank < first else (first, rank)
        self._waiting.setdefault(claim, _Waiting()).add(later)

    def _leave(self, claim: Claim, rank: Rank) -> None:
        waiting = self._waiting.get(claim)
        if self._first[claim] != rank:
            assert waiting is not None, "who is not the first waits"
            waiting.remove(rank)
        elif waiting is not None:
            self._first[claim] = waiting.pop()
        else:
            del self._first[claim]
        if waiting is not None and not waiting:
            del self._waiting[claim]

    def _rank(self, port: model.Port) -> Rank:
        return *self._precedence[port.pod.key], port.pod.key, port.key


class _Waiting:
    """A heap of ranks. A removed rank stays in it until popped or until most are removed."""

    __slots__ = ("_heap", "_ranks")

    def __init__(self) -> None:
        self._heap: list[Rank] = []
        self._ranks: set[Rank] = set()

    def __len__(self) -> int:
        return len(self._ranks)

    def add(self, rank: Rank) -> None:
        self._ranks.add(rank)
        heapq.heappush(self._heap, rank)

    def remove(self, rank: Rank) -> None:
        self._ranks.remove(rank)
        if len(self._heap) > 2 * len(self._ranks):
            self._heap = list(self._ranks)
            heapq.heapify(self._heap)

    def pop(self) -> Rank:
        """Removes and returns the least rank; there must be one."""
        while (rank := heapq.heappop(self._heap)) not in self._ranks:
            pass
        self._ranks.remove(rank)
        return rank


def _pod(rank: Rank) -> str:
    return rank[-2]


def _claims(port: model.Port) -> tuple[Claim, ...]:
    """Returns each claim of a port once, the MAC first."""
    allocation = port.allocation
    segment = model.Segment(port.network, "" if allocation.tunnel_id else port.node)
    addresses = ((port.network, address.ip) for address in allocation.addresses)
    return tuple(dict.fromkeys(((segment, allocation.mac), *addresses)))
