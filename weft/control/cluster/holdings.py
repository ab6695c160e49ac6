"""What does each pod hold of each network, and what becomes free when it goes?

Pure: keeps one ledger a network, of a layer3 network one for each node's share, and by pod uid
what was taken from which (a `names.scope`). A pod is released once, whatever happened to its NADs
meanwhile; a network's changed definition carries its holders over. Whether a pod is to get
anything is not decided here.

Which pods hold something through a definition is known by its key, whatever network that declares.

What a pod gets through an IPAMClaim belongs to the claim: it stays when the pod goes, and the
next pod of that claim gets the same, two at once while a VM moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from weft import errors, model, names
from weft.alloc import ledger, macs
from weft.alloc.shares import Share


@dataclass(slots=True)
class Claim:
    """What is known of an IPAMClaim: whether it is there, and which attachments use it."""

    network: str
    is_there: bool = False
    users: set[tuple[str, str]] = field(default_factory=set)  # pod uid, attachment key


class Holdings:
    """`uid` is a pod's, `label` what messages call a holder: "Pod default/web1"."""

    def __init__(self) -> None:
        self._ledgers: dict[str, ledger.Ledger] = {}  # by scope
        self._scopes: dict[str, set[str]] = {}  # by network
        self._held: dict[str, dict[str, tuple[str, str]]] = {}  # uid: key: scope, owner
        self._labels: dict[str, str] = {}  # by owner, to carry them over to another ledger
        self._claims: dict[str, Claim] = {}  # by owner
        self._users: dict[str, dict[str, str]] = {}  # by definition: pod uid: label
        self._listener: Callable[[str], None] = lambda definition: None

    def __len__(self) -> int:
        """Holders of something: attachments and claims."""
        return sum(map(len, self._ledgers.values()))

    def listen(self, function: Callable[[str], None]) -> None:
        """`function(definition)` is called when other pods than before hold something of it."""
        self._listener = function

    def users(self, definition: str) -> Mapping[str, str]:
        """The pods that hold something through a definition: uid to label."""
        return self._users.get(definition, {})

    def within(self, network: str, ranges: Collection[model.Subnet]) -> dict[str, str]:
        """The holders of addresses within some ranges: owner to label."""
        return {
            owner: self._labels.get(owner, owner)
            for scope in sorted(self._scopes.get(network, ()))
            for owner, held in self._ledgers[scope].holdings().items()
            if any(address.ip in each for address in held.addresses for each in ranges)
        }

    def is_used(self, network: str) -> bool:
        return any(self._ledgers[scope] for scope in self._scopes.get(network, ()))

    def is_held(self, scope: str) -> bool:
        """Whether anybody holds something of a `names.scope`."""
        return bool(self._ledgers.get(scope))

    def parts(self, network: str) -> dict[str, Counter[tuple[model.Subnet, ...]]]:
        """By node: of which parts of a layer3 network its pods have addresses, and how many."""
        found = {}
        for scope in self._scopes.get(network, ()):
            book = self._ledgers[scope]
            if book.share is not None and book:
                held = book.holdings().values()
                found[book.share.node] = Counter(
                    tuple(address.network for address in each.addresses) for each in held
                )
        return found

    def get(self, uid: str, key: str) -> model.Allocation | None:
        scope, owner = self._held.get(uid, {}).get(key, ("", ""))
        return self._ledgers[scope].get(owner) if scope else None

    def keys(self, uid: str) -> frozenset[str]:
        """The attachments for which a pod holds something."""
        return frozenset(self._held.get(uid, ()))

    def of(self, uid: str) -> dict[str, model.Allocation]:
        """What a pod holds, by attachment."""
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
        share: Share | None = None,
    ) -> None:
        """Notes what was given before; Conflict or InvalidInput if that cannot be true."""
        book, pod = self._ledger(network, share), label
        if claim is None:
            owner = _owner(key, uid)
            book.reserve(owner, allocation, label=label)
        else:
            owner = self._enter(network, claim, uid, key)
            known = book.get(owner)
            if known is not None and not known.tunnel_id:
                book.release(owner)  # so far its addresses were kept; now all is known
            label = _claim_label(claim)
            try:
                book.reserve(owner, allocation, label=label)
            except errors.WeftError:
                if known is not None and book.get(owner) is None:
                    book.reserve(owner, known, label=label)
                raise
        self._note(_scope(book), uid, key, owner, label)
        self._use(uid, key, pod)

    def allocate(
        self,
        network: model.Network,
        uid: str,
        attachment: model.Attachment,
        label: str,
        claim: model.IpamClaim | None = None,
        share: Share | None = None,
    ) -> model.Allocation:
        """What the pod gets, on a layer3 network from its node's `share`."""
        book, pod = self._ledger(network, share), label
        if claim is None:
            owner = _owner(attachment.key, uid)
            allocation = book.allocate(owner, attachment, label=label)
        else:
            owner, label = self._enter(network, claim, uid, attachment.key), _claim_label(claim)
            allocation = self._claimed(book, owner, attachment, claim)
        self._note(_scope(book), uid, attachment.key, owner, label)
        self._use(uid, attachment.key, pod)
        return allocation

    def release(self, uid: str, key: str = "") -> list[str]:
        """Frees what a pod holds, of one attachment or of all: the scopes, one for each."""
        held = self._held.get(uid)
        if held is None:
            return []
        freed, let_go = [], [key] if key else list(held)
        for each in let_go:
            scope, owner = held.pop(each, ("", ""))
            claim = self._claims.get(owner)
            if claim is not None:
                claim.users.discard((uid, each))
            if scope and (claim is None or self._is_over(owner, claim)):
                self._drop_owner(scope, owner)
                freed.append(scope)
        if not held:
            del self._held[uid]
        self._disuse(uid, let_go)
        return freed

    # Users of definitions

    def _use(self, uid: str, key: str, label: str) -> None:
        definition = names.definition_of(key)
        users = self._users.setdefault(definition, {})
        if uid not in users:
            users[uid] = label
            self._listener(definition)

    def _disuse(self, uid: str, keys: list[str]) -> None:
        kept = set(map(names.definition_of, self._held.get(uid, ())))
        for definition in set(map(names.definition_of, keys)) - kept:
            users = self._users.get(definition, {})
            if users.pop(uid, None) is not None:
                if not users:
                    del self._users[definition]
                self._listener(definition)

    # Claims

    def keep(self, network: model.Network, claim: model.IpamClaim) -> None:
        """The claim is there: what it says it holds is not given to others."""
        owner = _claim_owner(claim)
        self._claims.setdefault(owner, Claim(network.name)).is_there = True
        book = self._ledger(network)
        if book.get(owner) is None and claim.addresses:
            mac = next(iter(macs.candidates(claim.addresses, owner)))
            book.reserve(owner, model.Allocation(mac, claim.addresses), label=_claim_label(claim))
            self._labels[owner] = _claim_label(claim)

    def claimed(self, claim: model.IpamClaim) -> model.Allocation | None:
        """What the claim holds, if it holds anything."""
        owner = _claim_owner(claim)
        there = self._claims.get(owner)
        book = self._ledgers.get(there.network) if there else None
        return book.get(owner) if book else None

    def end_claim(self, namespace: str, name: str) -> list[str]:
        """The claim is gone: what it held is free, unless a pod still runs with it."""
        owner = f"{_CLAIM}/{namespace}:{name}"
        claim = self._claims.get(owner)
        if claim is None:
            return []
        claim.is_there = False
        if not self._is_over(owner, claim):
            return []
        self._drop_owner(claim.network, owner)
        return [claim.network]

    def _enter(self, network: model.Network, claim: model.IpamClaim, uid: str, key: str) -> str:
        owner = _claim_owner(claim)
        users = self._claims.setdefault(owner, Claim(network.name)).users
        if any(pod == uid and other != key for pod, other in users):
            rule = "is used by another interface of the same pod already"
            raise errors.InvalidInput(
                _claim_label(claim),
                "name",
                claim.name,
                rule,
                hint="make a claim for each interface",
            )
        return owner

    def _claimed(
        self,
        book: ledger.Ledger,
        owner: str,
        attachment: model.Attachment,
        claim: model.IpamClaim,
    ) -> model.Allocation:
        known, label = book.get(owner), _claim_label(claim)
        in_use = bool(self._claims[owner].users)
        if known is not None and (
            in_use or (known.tunnel_id and attachment.mac in ("", known.mac))
        ):
            return known
        if known is not None:
            book.release(owner)  # only its addresses were kept, or the VM has another MAC now
        addresses = known.addresses if known is not None else claim.addresses
        try:
            return book.allocate(owner, replace(attachment, addresses=addresses), label=label)
        except errors.WeftError:
            if known is not None:
                book.reserve(owner, known, label=label)
            raise

    def _is_over(self, owner: str, claim: Claim) -> bool:
        if claim.is_there or claim.users:
            return False
        del self._claims[owner]
        return True

    # Ledgers

    def drop(self, network: str) -> None:
        """The network is no more; nobody may hold anything of it."""
        if not self.is_used(network):
            for scope in self._scopes.pop(network, ()):
                del self._ledgers[scope]

    def drop_part(self, network: str, node: str) -> None:
        """The node has no part of the network any more; what is held of it stays."""
        scope = names.scope(network, node)
        if not self.is_held(scope) and self._ledgers.pop(scope, None) is not None:
            self._scopes[network].discard(scope)

    def _note(self, scope: str, uid: str, key: str, owner: str, label: str) -> None:
        self._held.setdefault(uid, {})[key] = (scope, owner)
        self._labels[owner] = label
        claim = self._claims.get(owner)
        if claim is not None:
            claim.users.add((uid, key))

    def _drop_owner(self, scope: str, owner: str) -> None:
        if scope in self._ledgers:
            self._ledgers[scope].release(owner)
        self._labels.pop(owner, None)

    def _ledger(self, network: model.Network, share: Share | None = None) -> ledger.Ledger:
        scope = names.scope(network.name, share.node if share else "")
        there = self._ledgers.get(scope)
        if there is not None and there.share == share and _are_same(there.network, network):
            return there
        fresh = ledger.Ledger(network, share)
        if there is not None:
            for owner, allocation in there.holdings().items():
                fresh.reserve(owner, allocation, label=self._labels[owner])
        self._ledgers[scope] = fresh
        self._scopes.setdefault(network.name, set()).add(scope)
        return fresh


def _scope(book: ledger.Ledger) -> str:
    return names.scope(book.network.name, book.share.node if book.share else "")


def _are_same(one: model.Network, other: model.Network) -> bool:
    return one.spec is other.spec or one.spec == other.spec


_CLAIM = "IPAMClaim"


def _owner(key: str, uid: str) -> str:
    return f"{key}/{uid}"


def _claim_owner(claim: model.IpamClaim) -> str:
    return f"{_CLAIM}/{claim.namespace}:{claim.name}"


def _claim_label(claim: model.IpamClaim) -> str:
    return f"{_CLAIM} {claim.namespace}/{claim.name}"
