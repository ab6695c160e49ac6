"""Keeps a ledger for each segment (`model.Segment`), and what they say of whole networks.

Pure. An edited network keeps its holders: its ledger is made anew, with what they hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from weft import model
from weft.alloc import ledger, nodesubnets, pool
from weft.alloc.ledger import AllocationOwner
from weft.alloc.nodesubnets import NodeSubnets
from weft.alloc.segmentmacs import SegmentMacs


class Ledgers:
    """The ledgers of all segments; `labels` are the names of owners in messages."""

    def __init__(self) -> None:
        self._books: dict[model.Segment, ledger.Ledger] = {}
        self._segments: dict[str, set[model.Segment]] = {}  # by network
        self._physical: dict[str, SegmentMacs] = {}  # by physical network
        self.labels: dict[AllocationOwner, str] = {}

    def __len__(self) -> int:
        """The number of owners."""
        return sum(map(len, self._books.values()))

    def get(self, segment: model.Segment) -> ledger.Ledger | None:
        return self._books.get(segment)

    def __getitem__(self, segment: model.Segment) -> ledger.Ledger:
        return self._books[segment]

    def within(self, network: str, ranges: Collection[model.Subnet]) -> dict[AllocationOwner, str]:
        """Returns the holders of addresses within some ranges: owner to label."""
        return {
            owner: self.labels.get(owner) or str(owner)
            for segment in sorted(self._segments.get(network, ()))
            for owner, held in self._books[segment].allocations().items()
            if any(address.ip in each for address in held.addresses for each in ranges)
        }

    def outside(self, network: model.Network, ranges: Collection[model.Subnet]) -> list[str]:
        """Returns the labels of those who hold an address of some ranges that are not allocated
        in turn."""
        return [
            self.labels.get(owner) or str(owner)
            for book in self._current(network)
            for address, owner in book.outside()
            if any(address in each for each in ranges)
        ]

    def usage(self, network: model.Network) -> tuple[pool.Usage, ...]:
        """Returns how full the subnets of each family are, on all nodes together; `subnet` is the
        first of them."""
        books = self._current(network)
        if network.spec.topology is model.Topology.LAYER3:
            used = sum((book.families for book in books), Counter[int]())
            return nodesubnets.usage(network.spec, used)
        return (books[0] if books else ledger.Ledger(network)).usage()

    def _current(self, network: model.Network) -> list[ledger.Ledger]:
        """Returns the ledgers of a network, by its present configuration."""
        segments = sorted(self._segments.get(network.name, ()))
        return [self.of(network, self._books[each].node_subnets) for each in segments]

    def is_used(self, network: str) -> bool:
        """Whether anybody holds something of a network."""
        return any(self._books[segment] for segment in self._segments.get(network, ()))

    def is_held(self, segment: model.Segment) -> bool:
        """Whether anybody holds something of a segment."""
        return bool(self._books.get(segment))

    def node_subnets(self, network: str) -> dict[str, Counter[tuple[model.Subnet, ...]]]:
        """Returns by node how many pods have addresses of which subnets of a layer3 network."""
        found = {}
        for segment in self._segments.get(network, ()):
            book = self._books[segment]
            if book.node_subnets is not None and book:
                held = book.allocations().values()
                found[book.node_subnets.node] = Counter(
                    tuple(address.network for address in each.addresses) for each in held
                )
        return found

    def drop(self, network: str) -> None:
        """Drops the ledgers of a network, unless something of it is held."""
        if not self.is_used(network):
            for segment in self._segments.pop(network, ()):
                book = self._books.pop(segment)
                if book.segment is not None:
                    book.segment.networks.discard(network)

    def drop_node(self, network: str, node: str) -> None:
        """Drops a node's ledger of a layer3 network, unless something of it is held."""
        segment = model.Segment(network, node)
        if not self.is_held(segment) and self._books.pop(segment, None) is not None:
            self._segments[network].discard(segment)

    def of(self, network: model.Network, node_subnets: NodeSubnets | None = None) -> ledger.Ledger:
        segment = model.Segment(network.name, node_subnets.node if node_subnets else "")
        there = self._books.get(segment)
        if (
            there is not None
            and there.node_subnets == node_subnets
            and _are_same(there.network, network)
        ):
            return there
        macs = None
        if network.spec.topology is model.Topology.LOCALNET:
            macs = self._physical.setdefault(network.spec.physical_network, SegmentMacs())
            macs.networks.add(network.name)
        fresh = ledger.Ledger(network, node_subnets, macs)
        if there is not None:
            for owner, allocation in there.allocations().items():
                there.release(owner)
                fresh.reserve(owner, allocation, label=self.labels[owner])
        self._books[segment] = fresh
        self._segments.setdefault(network.name, set()).add(segment)
        return fresh


def _are_same(one: model.Network, other: model.Network) -> bool:
    return one.spec is other.spec or one.spec == other.spec
