"""Records what each pod holds of each network, and what becomes free when it goes.

Pure. Keeps a ledger for each segment (`model.Segment`), and by pod uid what was taken from which. A
pod is released once, whatever happened to its NADs meanwhile; an edited network keeps its holders.
`pods.py` decides whether a pod gets anything.

What a pod gets through an IPAMClaim belongs to the claim: it stays when the pod goes, and the next
pod of the claim gets the same; two pods hold it while a VM migrates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from weft import errors, model
from weft.alloc import grants, ledger, nodesubnets, pool
from weft.alloc.ledger import AllocationOwner
from weft.alloc.nodesubnets import NodeSubnets
from weft.alloc.segmentmacs import SegmentMacs
from weft.control.cluster.claimuse import (
    ClaimUse,
    allocate_claimed,
    check_mac,
    claim_label,
    claim_owner,
    reserving,
)
from weft.control.cluster.nadusers import NadUsers
from weft.model import ObjectKey


class Allocations:
    """All allocations. `uid` is a pod's; `label` is its name in messages: "Pod default/web1"."""

    def __init__(self) -> None:
        self._ledgers: dict[model.Segment, ledger.Ledger] = {}
        self._segments: dict[str, set[model.Segment]] = {}  # by network
        # By pod uid and attachment key: where, and who.
        self._held: dict[str, dict[str, tuple[model.Segment, AllocationOwner]]] = {}
        # To carry them over to another ledger.
        self._labels: dict[AllocationOwner, str] = {}
        self._claims: dict[AllocationOwner, ClaimUse] = {}  # by owner
        self._users = NadUsers()
        self._physical: dict[str, SegmentMacs] = {}  # by physical network
        self._changed_networks: set[str] = set()  # for `take_changed_networks`

    def __len__(self) -> int:
        """The number of holders: attachments and claims."""
        return sum(map(len, self._ledgers.values()))

    def take_changed(self) -> set[ObjectKey | None]:
        """Returns the NADs that gained a first pod, or lost one, since the last call."""
        return self._users.take_changed()

    def take_changed_networks(self) -> set[str]:
        """Returns the networks of which anything was given or freed since the last call."""
        if not (changed := self._changed_networks):
            return changed
        self._changed_networks = set()
        return changed

    def users(self, nad: ObjectKey) -> Mapping[str, str]:
        """Returns the pods that hold something through a NAD: uid to label."""
        return self._users.of(nad)

    def within(self, network: str, ranges: Collection[model.Subnet]) -> dict[AllocationOwner, str]:
        """Returns the holders of addresses within some ranges: owner to label."""
        return {
            owner: self._labels.get(owner) or str(owner)
            for segment in sorted(self._segments.get(network, ()))
            for owner, held in self._ledgers[segment].allocations().items()
            if any(address.ip in each for address in held.addresses for each in ranges)
        }

    def outside(self, network: model.Network, ranges: Collection[model.Subnet]) -> list[str]:
        """Returns the labels of those who hold an address of some ranges that are not allocated
        in turn."""
        return [
            self._labels.get(owner) or str(owner)
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
        return [self._ledger(network, self._ledgers[each].node_subnets) for each in segments]

    def is_used(self, network: str) -> bool:
        """Whether anybody holds something of a network."""
        return any(self._ledgers[segment] for segment in self._segments.get(network, ()))

    def is_held(self, segment: model.Segment) -> bool:
        """Whether anybody holds something of a segment."""
        return bool(self._ledgers.get(segment))

    def node_subnets(self, network: str) -> dict[str, Counter[tuple[model.Subnet, ...]]]:
        """Returns by node how many pods have addresses of which subnets of a layer3 network."""
        found = {}
        for segment in self._segments.get(network, ()):
            book = self._ledgers[segment]
            if book.node_subnets is not None and book:
                held = book.allocations().values()
                found[book.node_subnets.node] = Counter(
                    tuple(address.network for address in each.addresses) for each in held
                )
        return found

    def get(self, uid: str, key: str) -> model.Allocation | None:
        """Returns what a pod holds for an attachment key, None for nothing."""
        found = self._held.get(uid, {}).get(key)
        return self._ledgers[found[0]].get(found[1]) if found is not None else None

    def is_claimed(self, uid: str, key: str) -> bool:
        """Whether a pod holds an attachment's allocation through an IPAMClaim."""
        found = self._held.get(uid, {}).get(key)
        return found is not None and found[1] in self._claims

    def keys(self, uid: str) -> frozenset[str]:
        """Returns the keys of the attachments for which a pod holds something."""
        return frozenset(self._held.get(uid, ()))

    def of(self, uid: str) -> dict[str, model.Allocation]:
        """Returns what a pod holds, by attachment key."""
        found = {key: self.get(uid, key) for key in self._held.get(uid, ())}
        return {key: allocation for key, allocation in found.items() if allocation is not None}

    def reserve(
        self,
        network: model.Network,
        uid: str,
        key: str,
        allocation: model.Allocation,
        label: str,
        claim: model.IpamClaim | None = None,
        node_subnets: NodeSubnets | None = None,
    ) -> None:
        """Records what was allocated before; raises Conflict or InvalidInput if that cannot be.

        A claim that no pod uses yields its MAC to the pod.
        """
        book, pod = self._ledger(network, node_subnets), label
        if claim is None:
            owner = AllocationOwner(key, uid)
            book.yield_mac(allocation.mac, owner)
            book.reserve(owner, allocation, label=label)
        else:
            owner = self._enter(network, claim, uid, key)
            known = book.get(owner)
            if known is not None and not known.tunnel_id:
                book.release(owner)  # only its addresses were known; now its MAC and key are, too
            label = claim_label(claim)
            book.yield_mac(allocation.mac, owner)
            try:
                book.reserve(owner, allocation, label=label)
            except errors.WeftError:
                if known is not None and book.get(owner) is None:
                    book.reserve(owner, known, label=label)
                raise
        self._note(_segment(book), uid, key, owner, label)
        self._users.add(key, uid, pod)

    def allocate(
        self,
        network: model.Network,
        uid: str,
        attachment: model.Attachment,
        label: str,
        claim: model.IpamClaim | None = None,
        node_subnets: NodeSubnets | None = None,
    ) -> model.Allocation:
        """Allocates for an attachment, on a layer3 network from its node's subnets.

        Raises Exhausted, Conflict or InvalidInput; then nothing is held.
        """
        book, pod = self._ledger(network, node_subnets), label
        grants.check(label, network.spec, attachment, book.owner_label)
        if claim is None:
            owner = AllocationOwner(attachment.key, uid)
            allocation = book.allocate(owner, attachment, label=label)
        else:
            owner, label = self._enter(network, claim, uid, attachment.key), claim_label(claim)
            in_use = bool(self._claims[owner].users)
            allocation = allocate_claimed(book, attachment, claim, in_use=in_use)
        self._note(_segment(book), uid, attachment.key, owner, label)
        self._users.add(attachment.key, uid, pod)
        return allocation

    def release(self, uid: str, key: str = "") -> list[model.Segment]:
        """Frees a pod's attachment, or all ("" as `key`); returns the segments to try again."""
        held = self._held.get(uid)
        if held is None:
            return []
        freed, let_go = [], [each for each in ((key,) if key else tuple(held)) if each in held]
        for each in let_go:
            segment, owner = held.pop(each)
            claim = self._claims.get(owner)
            if claim is not None:
                claim.users.discard((uid, each))
            if claim is None or self._is_over(owner, claim):
                self._drop_owner(segment, owner)
                freed += self._meeting(segment)
        if not held:
            del self._held[uid]
        self._users.remove(uid, let_go, self._held.get(uid, ()))
        return freed

    # Claims

    def keep(self, network: model.Network, claim: model.IpamClaim, mac: str = "") -> None:
        """Records a claim that exists: its addresses are not given to others, nor `mac`, if free.

        Raises Conflict if others hold them, or pods use the claim on another network.
        """
        owner = claim_owner(claim)
        self._use_of(network, claim).is_there = True
        book = self._ledger(network)
        if book.get(owner) is None and claim.addresses:
            book.keep(owner, claim.addresses, mac, claim_label(claim))
            self._labels[owner] = claim_label(claim)
            self._changed_networks.add(network.name)

    def choose(self, network: model.Network, claim: model.IpamClaim) -> None:
        """Keeps what a claim's reservation asks for; raises as `allocate`.

        The port key is chosen with the first pod.
        """
        assert claim.reservation is not None
        self._use_of(network, claim)
        book, owner = self._ledger(network), claim_owner(claim)
        requested = reserving(claim, claim.reservation)
        chosen = book.allocate(owner, requested, label=claim_label(claim))
        book.release(owner)
        check_mac(claim, network.spec, chosen.addresses)
        self.keep(network, replace(claim, addresses=chosen.addresses), chosen.mac)

    def claimed(self, claim: model.IpamClaim) -> model.Allocation | None:
        """Returns what the claim holds of its network, if it holds anything."""
        owner = claim_owner(claim)
        book = self._ledgers.get(model.Segment(claim.network))
        return book.get(owner) if book and self.network_of(claim) == claim.network else None

    def network_of(self, claim: model.IpamClaim) -> str:
        """Returns the network on which a claim is used, "" for none."""
        use = self._claims.get(claim_owner(claim))
        return use.network if use else ""

    def is_claim_used(self, key: ObjectKey) -> bool:
        """Whether a pod holds something through a claim."""
        use = self._claims.get(AllocationOwner(claim=key))
        return use is not None and bool(use.users)

    def unused_claims(self) -> Counter[str]:
        """Returns by network how many claims keep addresses that no pod uses."""
        return Counter(
            use.network
            for owner, use in self._claims.items()
            if not use.users and self._holds(owner, use)
        )

    def _holds(self, owner: AllocationOwner, use: ClaimUse) -> bool:
        book = self._ledgers.get(model.Segment(use.network))
        return book is not None and book.get(owner) is not None

    def end_claim(self, key: ObjectKey) -> list[model.Segment]:
        """Frees what a deleted claim held, unless a pod still uses it; returns the segments."""
        owner = AllocationOwner(claim=key)
        claim = self._claims.get(owner)
        if claim is None:
            return []
        claim.is_there = False
        if not self._is_over(owner, claim):
            return []
        segment = model.Segment(claim.network)
        self._drop_owner(segment, owner)
        return self._meeting(segment)

    def _meeting(self, segment: model.Segment) -> list[model.Segment]:
        """Returns a segment, and those on which somebody may wait for a MAC that it had."""
        book = self._ledgers.get(segment)
        macs = book.segment if book is not None else None
        others = macs.networks - {segment.network} if macs is not None else ()
        return [segment, *map(model.Segment, sorted(others))]

    def _use_of(self, network: model.Network, claim: model.IpamClaim) -> ClaimUse:
        use = self._claims.setdefault(claim_owner(claim), ClaimUse(network.name))
        use.check_network(network.name, claim)
        return use

    def _enter(
        self, network: model.Network, claim: model.IpamClaim, uid: str, key: str
    ) -> AllocationOwner:
        self._use_of(network, claim).check_interface(uid, key, claim)
        return claim_owner(claim)

    def _is_over(self, owner: AllocationOwner, claim: ClaimUse) -> bool:
        if claim.is_there or claim.users:
            return False
        del self._claims[owner]
        return True

    # Ledgers

    def drop(self, network: str) -> None:
        """Drops the ledgers of a network, unless something of it is held."""
        if not self.is_used(network):
            for segment in self._segments.pop(network, ()):
                book = self._ledgers.pop(segment)
                if book.segment is not None:
                    book.segment.networks.discard(network)

    def drop_node(self, network: str, node: str) -> None:
        """Drops a node's ledger of a layer3 network, unless something of it is held."""
        segment = model.Segment(network, node)
        if not self.is_held(segment) and self._ledgers.pop(segment, None) is not None:
            self._segments[network].discard(segment)

    def _note(
        self, segment: model.Segment, uid: str, key: str, owner: AllocationOwner, label: str
    ) -> None:
        self._held.setdefault(uid, {})[key] = (segment, owner)
        self._changed_networks.add(segment.network)
        self._labels[owner] = label
        claim = self._claims.get(owner)
        if claim is not None:
            claim.users.add((uid, key))

    def _drop_owner(self, segment: model.Segment, owner: AllocationOwner) -> None:
        if segment in self._ledgers:
            self._ledgers[segment].release(owner)
        self._changed_networks.add(segment.network)
        self._labels.pop(owner, None)

    def _ledger(
        self, network: model.Network, node_subnets: NodeSubnets | None = None
    ) -> ledger.Ledger:
        segment = model.Segment(network.name, node_subnets.node if node_subnets else "")
        there = self._ledgers.get(segment)
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
                fresh.reserve(owner, allocation, label=self._labels[owner])
        self._ledgers[segment] = fresh
        self._segments.setdefault(network.name, set()).add(segment)
        return fresh


def _segment(book: ledger.Ledger) -> model.Segment:
    return model.Segment(book.network.name, book.node_subnets.node if book.node_subnets else "")


def _are_same(one: model.Network, other: model.Network) -> bool:
    return one.spec is other.spec or one.spec == other.spec
