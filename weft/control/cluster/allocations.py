"""Records what each pod holds of each network, and what becomes free when it goes.

Pure. Keeps by pod uid what was taken from which segment's ledger (`ledgers.py`). A pod is released
once, whatever happened to its NADs meanwhile. `pods.py` decides whether a pod gets anything.

What a pod gets through an IPAMClaim belongs to the claim: it stays when the pod goes, and the next
pod of the claim gets the same. Two pods share one allocation while a VM migrates (`migrations.py`
says which), with a claim or without: it is free when both are gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from weft import errors, model
from weft.alloc import grants, ledger
from weft.alloc.ledger import AllocationOwner
from weft.alloc.nodesubnets import NodeSubnets
from weft.control.cluster.claimuse import (
    ClaimUse,
    allocate_claimed,
    check_mac,
    claim_label,
    claim_owner,
    reserving,
)
from weft.control.cluster.ledgers import Ledgers
from weft.control.cluster.nadusers import NadUsers
from weft.model import ObjectKey


class Holding(NamedTuple):
    """What a pod holds for an attachment: by pod uid and key of the attachment."""

    uid: str
    key: str


class Allocations:
    """All allocations. `uid` is a pod's; `label` is its name in messages: "Pod default/web1"."""

    def __init__(self) -> None:
        self.ledgers = Ledgers()
        # By pod uid and attachment key: where, and who.
        self._held: dict[str, dict[str, tuple[model.Segment, AllocationOwner]]] = {}
        self._labels = self.ledgers.labels
        # Claims, and allocations without a claim that two pods share: by owner.
        self._claims: dict[AllocationOwner, ClaimUse] = {}
        self._users = NadUsers()
        self._changed_networks: set[str] = set()  # for `take_changed_networks`
        self._changed_allocations: list[model.Allocation] = []

    def __len__(self) -> int:
        """The number of holders: attachments and claims."""
        return len(self.ledgers)

    def take_changed(self) -> set[ObjectKey | None]:
        """Returns the NADs that gained a first pod, or lost one, since the last call."""
        return self._users.take_changed()

    def take_changed_networks(self) -> set[str]:
        """Returns the networks of which anything was given or freed since the last call."""
        if not (changed := self._changed_networks):
            return changed
        self._changed_networks = set()
        return changed

    def take_changed_allocations(self) -> list[model.Allocation]:
        """Returns what was given, kept or freed since the last call."""
        if not (changed := self._changed_allocations):
            return changed
        self._changed_allocations = []
        return changed

    def users(self, nad: ObjectKey) -> Mapping[str, str]:
        """Returns the pods that hold something through a NAD: uid to label."""
        return self._users.of(nad)

    def get(self, uid: str, key: str) -> model.Allocation | None:
        """Returns what a pod holds for an attachment key, None for nothing."""
        found = self._held.get(uid, {}).get(key)
        return self.ledgers[found[0]].get(found[1]) if found is not None else None

    def is_claimed(self, uid: str, key: str) -> bool:
        """Whether a pod holds an attachment's allocation through an IPAMClaim."""
        found = self._held.get(uid, {}).get(key)
        return found is not None and found[1].claim is not None

    def network(self, uid: str, key: str) -> str:
        """Returns the network of which a pod holds something for an attachment, "" for none."""
        found = self._held.get(uid, {}).get(key)
        return found[0].network if found is not None else ""

    def sharers(self, uid: str, key: str) -> set[str]:
        """Returns the other pods, by uid, that hold the same allocation."""
        return {each.uid for each in self.sharing(uid, key)}

    def sharing(self, uid: str, key: str) -> list[Holding]:
        """Returns where other pods hold what a pod holds for an attachment, in order."""
        found = self._held.get(uid, {}).get(key)
        use = self._claims.get(found[1]) if found is not None else None
        users = sorted(use.users) if use is not None else ()
        return [Holding(*each) for each in users if each[0] != uid]

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
        book, pod = self.ledgers.of(network, node_subnets), label
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
        book, pod = self.ledgers.of(network, node_subnets), label
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

    def share(
        self,
        uid: str,
        attachment: model.Attachment,
        label: str,
        holder: Holding,
        *,
        is_signed: bool = False,
    ) -> model.Allocation:
        """Records that a pod has what another one holds, and returns it.

        Raises InvalidInput or Conflict, also for a third pod; then nothing changes. What is signed
        is recorded as it was decided: both pods run with it, whatever is permitted now.
        """
        segment, owner = self._held[holder.uid][holder.key]
        book, other = self.ledgers[segment], self._labels[owner]
        use = self._claims.get(owner) or ClaimUse(segment.network)
        if not is_signed:
            self._check_share(uid, attachment, label, holder, book)
            use.check_interface(uid, attachment.key, other)
        self._claims[owner] = use
        use.users.add(holder)
        self._note(segment, uid, attachment.key, owner, other)
        self._users.add(attachment.key, uid, label)
        allocation = book.get(owner)
        assert allocation is not None, "it is held"
        return allocation

    def _check_share(
        self,
        uid: str,
        attachment: model.Attachment,
        label: str,
        holder: Holding,
        book: ledger.Ledger,
    ) -> None:
        """Raises for a third pod, and for what the network does not permit on a NIC."""
        other = self._labels[self._held[holder.uid][holder.key][1]]
        sharers = self.sharers(*holder) - {uid}
        if sharers:
            raise errors.Conflict(
                f"is shared by two pods already: {other}, and {len(sharers)} more",
                where=f"{label}, allocation of attachment {holder.key}",
                hint="it goes on when one of them is gone",
            )
        grants.check(
            label,
            book.network.spec,
            attachment,
            lambda mac: "" if (held := book.owner_label(mac)) == other else held,
        )

    def release(self, uid: str, key: str = "") -> list[model.Segment]:
        """Frees a pod's attachment, or all ("" as `key`); returns the segments to try again."""
        held = self._held.get(uid)
        if held is None:
            return []
        freed, let_go = [], [each for each in ((key,) if key else tuple(held)) if each in held]
        for each in let_go:
            segment, owner = held.pop(each)
            use = self._claims.get(owner)
            if use is not None:
                use.users.discard((uid, each))
            if use is None or self._is_over(owner, use):
                self._drop_owner(segment, owner)
                freed += self._meeting(segment)
            elif owner.claim is None:
                self._leave_to(segment, owner, use)
        if not held:
            del self._held[uid]
        self._users.remove(uid, let_go, self._held.get(uid, ()))
        return freed

    def _leave_to(self, segment: model.Segment, owner: AllocationOwner, use: ClaimUse) -> None:
        """Makes a pod that is left the owner of what pods shared; fails with no number of them."""
        heirs = {AllocationOwner(key, uid): (uid, key) for uid, key in sorted(use.users)}
        heir, book = owner if owner in heirs else next(iter(heirs)), self.ledgers[segment]
        if heir != owner and (allocation := book.release(owner)) is not None:
            label = self._users.label(heir.attachment, heir.pod)
            book.reserve(heir, allocation, label=label)  # it was released just now
            self._labels.pop(owner, None)
            self._labels[heir] = label
            for uid, key in heirs.values():
                self._held[uid][key] = segment, heir
            self._touch(segment, heir)
        del self._claims[owner]
        if len(heirs) > 1:
            self._claims[heir] = use

    # Claims

    def keep(self, network: model.Network, claim: model.IpamClaim, mac: str = "") -> None:
        """Records a claim that exists: its addresses are not given to others, nor `mac`, if free.

        Raises Conflict if others hold them, or pods use the claim on another network.
        """
        owner = claim_owner(claim)
        self._use_of(network, claim).is_there = True
        book = self.ledgers.of(network)
        if book.get(owner) is None and (claim.addresses or (mac and not network.spec.subnets)):
            book.keep(owner, claim.addresses, mac, claim_label(claim))
            self._labels[owner] = claim_label(claim)
            self._touch(_segment(book), owner)

    def choose(self, network: model.Network, claim: model.IpamClaim) -> None:
        """Keeps what a claim's reservation asks for; raises as `allocate`.

        The port key is chosen with the first pod.
        """
        assert claim.reservation is not None
        self._use_of(network, claim)
        book, owner = self.ledgers.of(network), claim_owner(claim)
        requested = reserving(claim, claim.reservation)
        chosen = book.allocate(owner, requested, label=claim_label(claim))
        book.release(owner)
        check_mac(claim, network.spec, chosen.addresses)
        self.keep(network, replace(claim, addresses=chosen.addresses), chosen.mac)

    def claimed(self, claim: model.IpamClaim) -> model.Allocation | None:
        """Returns what the claim holds of its network, if it holds anything."""
        owner = claim_owner(claim)
        book = self.ledgers.get(model.Segment(claim.network))
        return book.get(owner) if book and self.network_of(claim) == claim.network else None

    def network_of(self, claim: model.IpamClaim) -> str:
        """Returns the network on which a claim is used, "" for none."""
        use = self._claims.get(claim_owner(claim))
        return use.network if use else ""

    def is_claim_used(self, key: ObjectKey) -> bool:
        """Whether a pod holds something through a claim."""
        use = self._claims.get(AllocationOwner(claim=key))
        return use is not None and bool(use.users)

    def claim_holders(self, key: ObjectKey) -> list[Holding]:
        """Returns where pods hold something through a claim, in order."""
        use = self._claims.get(AllocationOwner(claim=key))
        return [Holding(*each) for each in sorted(use.users)] if use is not None else []

    def claim_users(self, key: ObjectKey) -> set[str]:
        """Returns the pods, by uid, that hold something through a claim."""
        return {each.uid for each in self.claim_holders(key)}

    def unused_claims(self) -> Counter[str]:
        """Returns by network how many claims keep addresses that no pod uses."""
        return Counter(
            use.network
            for owner, use in self._claims.items()
            if not use.users and self._holds(owner, use)
        )

    def _holds(self, owner: AllocationOwner, use: ClaimUse) -> bool:
        book = self.ledgers.get(model.Segment(use.network))
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
        book = self.ledgers.get(segment)
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
        self._use_of(network, claim).check_interface(uid, key, claim_label(claim))
        return claim_owner(claim)

    def _is_over(self, owner: AllocationOwner, claim: ClaimUse) -> bool:
        if claim.is_there or claim.users:
            return False
        del self._claims[owner]
        return True

    def _note(
        self, segment: model.Segment, uid: str, key: str, owner: AllocationOwner, label: str
    ) -> None:
        self._held.setdefault(uid, {})[key] = (segment, owner)
        self._touch(segment, owner)
        self._labels[owner] = label
        claim = self._claims.get(owner)
        if claim is not None:
            claim.users.add((uid, key))

    def _drop_owner(self, segment: model.Segment, owner: AllocationOwner) -> None:
        self._touch(segment, owner)
        if (book := self.ledgers.get(segment)) is not None:
            book.release(owner)
        self._labels.pop(owner, None)

    def _touch(self, segment: model.Segment, owner: AllocationOwner) -> None:
        """Notes for others what an owner has got, or is about to lose."""
        self._changed_networks.add(segment.network)
        book = self.ledgers.get(segment)
        if book is not None and (held := book.get(owner)) is not None:
            self._changed_allocations.append(held)


def _segment(book: ledger.Ledger) -> model.Segment:
    return model.Segment(book.network.name, book.node_subnets.node if book.node_subnets else "")
