"""Decides which of several pods with the same address or MAC has it.

Only one pod has it; the port of any other has no rows, groups or set entries. The pod that it was
given last comes first: an address is given only when it is free, so that an earlier signature is
one put back (ADR 0130). Then a running pod comes before others, then the oldest, so that a restart
changes nothing. On layer3 networks, where ports
have no tunnel key, a MAC need be unique only on its node. No port has a platform address.

With n duplicates, a change of one costs O(log n): only that pod, the former owner and the new one
change.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import NamedTuple

from weft import errors, model
from weft.alloc import platform
from weft.model import ObjectKey

AddressKey = tuple[model.Segment | str, object]  # a segment or network, and an address or MAC in it


class Rank(NamedTuple):
    """The place of an attachment among those with the same address or MAC; the least has it."""

    given: int  # negative
    precedence: tuple[str, ...]
    pod: ObjectKey
    attachment: str


class Duplicates:
    """The addresses and MACs of all ports, and who has each. A pod's ports are by port key."""

    def __init__(self) -> None:
        self._requested: dict[ObjectKey, dict[str, model.Port]] = {}  # pod key -> port key -> port
        self._precedence: dict[ObjectKey, tuple[str, ...]] = {}  # of each pod with a port
        self._first: dict[AddressKey, Rank] = {}
        self._waiting: dict[AddressKey, _Waiting] = {}  # behind the first, where there are any
        # Pod key -> attachment -> the platform's objection, "" where another pod has the address.
        self._refused: dict[ObjectKey, dict[str, str]] = {}
        self._changed: set[ObjectKey] = set()

    def set_ports(
        self, pod: ObjectKey, ports: dict[str, model.Port], precedence: tuple[str, ...] = ()
    ) -> tuple[ObjectKey, ...]:
        """Sets the ports that a pod requests; returns its key and those of pods affected by it.

        Of several, the pod of the least `precedence` has an address or MAC.
        """
        before: dict[AddressKey, Rank | None] = {}
        for port in self._requested.pop(pod, {}).values():
            rank = self._rank(port)
            for address in _keys(port):
                before.setdefault(address, self._first.get(address))
                self._leave(address, rank)
        self._precedence.pop(pod, None)
        if ports:
            self._requested[pod], self._precedence[pod] = ports, precedence
        for port in ports.values():
            rank = self._rank(port)
            for address in _keys(port):
                before.setdefault(address, self._first.get(address))
                self._join(address, rank)
        moved = [(old, self._first.get(address)) for address, old in before.items()]
        others = {each.pod for old, new in moved if old != new for each in (old, new) if each}
        return pod, *sorted(others - {pod})

    def accepted(
        self, pod: ObjectKey, network_of: Callable[[model.Port], model.Network | None]
    ) -> dict[str, model.Port]:
        """Returns the ports of a pod without those that are refused."""
        requested, refused = self._requested.get(pod, {}), {}
        for port in requested.values():
            network = network_of(port)
            objection = platform.objection(network, port.allocation) if network else ""
            if objection or self._duplicate(port) is not None:
                refused[port.key] = objection
        if refused or pod in self._refused:
            self._changed.add(pod)
        if not refused:
            self._refused.pop(pod, None)
            return requested
        self._refused[pod] = refused
        return {key: port for key, port in requested.items() if port.key not in refused}

    def refused(self, pod: ObjectKey) -> dict[str, errors.Conflict]:
        """Returns by attachment why a port is refused; the error names the other pod."""
        refused = self._refused.get(pod, {})
        ports = [port for port in self._requested.get(pod, {}).values() if port.key in refused]
        reasons = {port.key: self._reason(port, refused[port.key]) for port in ports}
        return {key: reason for key, reason in reasons.items() if reason is not None}

    def take_changed(self) -> set[ObjectKey]:
        """Returns the pods checked since the last call that lack a port, or lacked one before."""
        changed, self._changed = self._changed, set()
        return changed

    def _reason(self, port: model.Port, objection: str) -> errors.Conflict | None:
        rule = objection
        if not rule and (address := self._duplicate(port)) is not None:
            rule = f"{address[1]} is held by Pod {self._first[address].pod}"
        if not rule:
            return None
        where = f"Pod {port.pod.key}, attachment {port.key} to network {port.network}"
        hint = "delete the pod; one that is made anew gets what is free"
        return errors.Conflict(rule, where=where, hint=hint)

    def _duplicate(self, port: model.Port) -> AddressKey | None:
        """Returns the first address or MAC of a port that another port has."""
        rank = self._rank(port)
        return next((address for address in _keys(port) if self._first[address] != rank), None)

    def _join(self, address: AddressKey, rank: Rank) -> None:
        first = self._first.get(address)
        if first is None:
            self._first[address] = rank
            return
        self._first[address], later = (rank, first) if rank < first else (first, rank)
        self._waiting.setdefault(address, _Waiting()).add(later)

    def _leave(self, address: AddressKey, rank: Rank) -> None:
        waiting = self._waiting.get(address)
        if self._first[address] != rank:
            assert waiting is not None, "who is not the first waits"
            waiting.remove(rank)
        elif waiting is not None:
            self._first[address] = waiting.pop()
        else:
            del self._first[address]
        if waiting is not None and not waiting:
            del self._waiting[address]

    def _rank(self, port: model.Port) -> Rank:
        given, precedence = port.allocation.given, self._precedence[port.pod.key]
        return Rank(-given, precedence, port.pod.key, port.key)


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


def _keys(port: model.Port) -> tuple[AddressKey, ...]:
    """Returns each address of a port once, the MAC first."""
    allocation = port.allocation
    segment = model.Segment(port.network, "" if allocation.tunnel_id else port.node)
    addresses = ((port.network, each.ip) for each in allocation.addresses)
    return tuple(dict.fromkeys(((segment, allocation.mac), *addresses)))
