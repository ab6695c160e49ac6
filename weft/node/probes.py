"""Judges from probes and their answers which nodes this node reaches over the underlay.

Pure. Every peer is probed once in a round. A peer that misses MISSES rounds in a row is down, and
up again when it answers twice in a row, so that a link which flaps is not told of at each flap.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

MISSES = 3
ANSWERS = 2
PEERS_A_SECOND = 100  # probes; more peers take longer rounds
_FORMAT = struct.Struct("!8sB7x16s")
_MAGIC = b"weftprb1"
_ASK, _ANSWER = 1, 2
SIZE = _FORMAT.size
_NONCE = 16


class State(StrEnum):
    """How a peer is reached. UNANSWERED: it has not answered since this agent began."""

    UNANSWERED = "unanswered"
    UP = "up"
    DOWN = "down"


@dataclass(slots=True)
class _Peer:
    address: str
    state: State = State.UNANSWERED
    nonce: bytes = b""  # of the probe on its way
    sent: float = 0.0
    misses: int = 0
    answers: int = 0
    round_trip: float = 0.0


class Probes:
    """The peers by name; `chance` makes the nonces, which nobody can guess."""

    def __init__(self, chance: Callable[[int], bytes]) -> None:
        self._chance = chance
        self._peers: dict[str, _Peer] = {}
        self._by_address: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def set_peer(self, name: str, address: str) -> None:
        """Sets the tunnel address of a node; "": it has none, or is gone."""
        before = self._peers.get(name)
        if before is not None and before.address == address:
            return
        if before is not None:
            del self._peers[name]
            self._by_address.pop(before.address, None)
        if address:
            self._peers[name] = _Peer(address)
            self._by_address[address] = name

    def round(self, now: float) -> Iterator[tuple[str, bytes]]:
        """Begins a round: counts those who have not answered, and yields address and probe of each
        peer."""
        for peer in self._peers.values():
            if peer.nonce:
                peer.answers = 0
                peer.misses += 1
                if peer.misses >= MISSES and peer.state is State.UP:
                    peer.state = State.DOWN
            peer.nonce, peer.sent = self._chance(_NONCE), now
            yield peer.address, _FORMAT.pack(_MAGIC, _ASK, peer.nonce)

    def receive(self, address: str, data: bytes, now: float) -> bytes:
        """Takes in a packet from an address; returns what to answer, empty for nothing.

        Only peers are answered, and an answer is no longer than the probe.
        """
        peer = self._peers.get(self._by_address.get(address, ""))
        if peer is None or len(data) != SIZE:
            return b""
        magic, kind, nonce = _FORMAT.unpack(data)
        if magic != _MAGIC:
            return b""
        if kind == _ASK:
            return _FORMAT.pack(_MAGIC, _ANSWER, nonce)
        if kind == _ANSWER and peer.nonce and nonce == peer.nonce:
            peer.nonce = b""
            peer.misses, peer.answers = 0, peer.answers + 1
            peer.round_trip = now - peer.sent
            if peer.state is State.UNANSWERED or peer.answers >= ANSWERS:
                peer.state = State.UP
        return b""

    @property
    def interval(self) -> float:
        """Seconds between two rounds."""
        return max(1.0, len(self._peers) / PEERS_A_SECOND)

    def states(self) -> Mapping[str, State]:
        """Returns the state of each peer."""
        return {name: peer.state for name, peer in sorted(self._peers.items())}

    def addresses(self, state: State) -> frozenset[str]:
        """Returns the tunnel addresses of the peers in a state."""
        return frozenset(peer.address for peer in self._peers.values() if peer.state is state)

    def round_trips(self) -> Mapping[str, float]:
        """Returns the seconds from probe to answer, of the peers that are up."""
        return {
            name: peer.round_trip
            for name, peer in self._peers.items()
            if peer.state is State.UP and peer.round_trip
        }
