"""Decides which port gets an address or MAC of a network that several pods claim.

Never two: a port that comes second is none, for rows, groups and sets alike. Who runs has it, else
who came first, so that a restart changes nothing. Where ports have no key of their own in the
network (layer3), a MAC is a node's affair. No port has what is the platform's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from weft import errors, model
from weft.alloc import platform

Claim = tuple[model.Segment | str, object]  # a segment or network, and an address or MAC in it


class Holders:
    """`precedence` of a pod's key: the least has what several claim. `refused`, by keys of pod and
    attachment: why a port is none."""

    def __init__(self, precedence: Callable[[str], tuple[str, ...]]) -> None:
        self._precedence = precedence
        self._claimed: dict[str, dict[str, model.Port]] = {}  # pod key -> port key -> port
        self._claimants: dict[Claim, tuple[model.Port, ...]] = {}
        self.refused: dict[str, dict[str, errors.Conflict]] = {}

    def claim(self, pod: str, ports: dict[str, model.Port]) -> tuple[str, ...]:
        """What a pod was given, by port key; this pod and others that have or lack some by it."""
        touched: set[Claim] = set()
        for port in self._claimed.pop(pod, {}).values():
            for claim in _claims(port):
                touched.add(claim)
                left = tuple(each for each in self._claimants[claim] if each is not port)
                if left:
                    self._claimants[claim] = left
                else:
                    del self._claimants[claim]
        if ports:
            self._claimed[pod] = ports
        for port in ports.values():
            for claim in _claims(port):
                touched.add(claim)
                self._claimants[claim] = (*self._claimants.get(claim, ()), port)
        others = {each.pod.key for claim in touched for each in self._claimants.get(claim, ())}
        return pod, *sorted(others - {pod})

    def held(
        self, pod: str, network_of: Callable[[model.Port], model.Network | None]
    ) -> dict[str, model.Port]:
        """The ports that a pod has, by port key: all that it claims but what it is refused."""
        claimed, refused = self._claimed.get(pod, {}), {}
        for port in claimed.values():
            if (error := self._refusal(port, network_of(port))) is not None:
                refused[port.key] = error
        if not refused:
            self.refused.pop(pod, None)
            return claimed
        self.refused[pod] = refused
        return {key: port for key, port in claimed.items() if port.key not in refused}

    def _refusal(self, port: model.Port, network: model.Network | None) -> errors.Conflict | None:
        where = f"Pod {port.pod.key}, attachment {port.key} to network {port.network}"
        hint = "delete the pod; one that is made anew gets what is free"
        if network and (own := platform.objection(network, port.allocation)):
            return errors.Conflict(own, where=where, hint=hint)
        for claim in _claims(port):
            claimants = self._claimants[claim]
            first = min(claimants, key=self._rank) if len(claimants) > 1 else port
            if first is not port:
                said = f"{claim[1]} is held by Pod {first.pod.key}"
                return errors.Conflict(said, where=where, hint=hint)
        return None

    def _rank(self, port: model.Port) -> tuple[str, ...]:
        return *self._precedence(port.pod.key), port.pod.key, port.key


def _claims(port: model.Port) -> Iterator[Claim]:
    allocation = port.allocation
    yield model.Segment(port.network, "" if allocation.tunnel_id else port.node), allocation.mac
    for address in allocation.addresses:
        yield port.network, address.ip
