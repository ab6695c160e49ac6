"""Decides which port gets an address or MAC of a network that several pods claim.

Never two: a port that comes second is none, for rows, groups and sets alike. Who runs has it, else
who came first, so that a restart changes nothing. Where ports have no key of their own in the
network (layer3), a MAC is a node's affair. No port has what is the platform's.

Of n pods that claim the same, one that comes, changes or goes costs O(log n): it moves that pod,
the one that had it and the one that has it then. The others are none before and after.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from weft import errors, model
from weft.alloc import platform

Claim = tuple[model.Segment | str, object]  # a segment or network, and an address or MAC in it
Rank = tuple[str, ...]  # the pod's precedence, its key, the attachment's: the least has the claim


class Holders:
    """Who claims what, and who has it. Ports of a pod are given by port key."""

    def __init__(self) -> None:
        self._claimed: dict[str, dict[str, model.Port]] = {}  # pod key -> port key -> port
        self._precedence: dict[str, Rank] = {}  # of each pod that claims something
        self._first: dict[Claim, Rank] = {}
        self._waiting: dict[Claim, _Waiting] = {}  # behind the first, where there are any
        # Pod key -> attachment -> the platform's objection, "" where another pod has it.
        self._refused: dict[str, dict[str, str]] = {}
        self._changed: set[str] = set()

    def claim(
        self, pod: str, ports: dict[str, model.Port], precedence: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """What a pod was given; this pod and others that have or lack some by it.

        Of pods that claim one address or MAC, that of the least precedence has it.
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
        """The ports that a pod has: all that it claims but what it is refused."""
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
        """By attachment, why a port of a pod is none; names who has it now."""
        refused = self._refused.get(pod, {})
        ports = [port for port in self._claimed.get(pod, {}).values() if port.key in refused]
        reasons = {port.key: self._reason(port, refused[port.key]) for port in ports}
        return {key: reason for key, reason in reasons.items() if reason is not None}

    def take_changed(self) -> set[str]:
        """Pods looked at since the last call that lack a port, or lacked one before."""
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
        """The first of a port's claims that another port has."""
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
    """Ranks in a heap. One that left stays in there until it is met or they are the most."""

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
        """The least; there is one."""
        while (rank := heapq.heappop(self._heap)) not in self._ranks:
            pass
        self._ranks.remove(rank)
        return rank


def _pod(rank: Rank) -> str:
    return rank[-2]


def _claims(port: model.Port) -> tuple[Claim, ...]:
    """Each once, the MAC first."""
    allocation = port.allocation
    segment = model.Segment(port.network, "" if allocation.tunnel_id else port.node)
    addresses = ((port.network, address.ip) for address in allocation.addresses)
    return tuple(dict.fromkeys(((segment, allocation.mac), *addresses)))
