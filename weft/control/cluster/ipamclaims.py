"""Keeps a VM's addresses when its pod goes, and decides the status of their IPAMClaim.

Pure. A claim's addresses are kept while the claim exists; its status gets them when they are first
chosen: for its first pod, or at once if it has a reservation.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from weft import errors, model
from weft.api import ipamclaim
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.networks import Networks
from weft.control.cluster.objects import IpamClaim
from weft.control.cluster.outcome import NOTHING, Outcome, Patch
from weft.control.index import discard
from weft.model import ObjectKey

log = logging.getLogger(__name__)


# Seconds after which a reservation that failed is tried again without a cause.
SAFETY_NET = 30.0


class IpamClaims:
    """All IPAMClaims by key. `due`: the claims to decide, and after how many seconds."""

    def __init__(self, networks: Networks, allocations: Allocations) -> None:
        self._claims: dict[ObjectKey, IpamClaim] = {}
        self._by_network: dict[str, set[ObjectKey]] = {}
        self._networks, self._allocations = networks, allocations
        self._failures: dict[ObjectKey, tuple[str, str]] = {}  # claim: reason, message
        self._waiting: dict[str, set[ObjectKey]] = {}  # by network: claims without what they ask
        self.due: dict[ObjectKey, float] = {}

    def __contains__(self, key: ObjectKey) -> bool:
        return key in self._claims

    # What others ask

    def lookup(
        self, attachment: model.Attachment, network: model.Network, namespace: str
    ) -> model.IpamClaim | None:
        """Returns the claim that an attachment names, in its pod's own namespace.

        None where the network has no persistent addresses. Raises NotReady while the claim does not
        exist, InvalidInput if it is invalid or of another network.
        """
        spec = network.spec
        if not (attachment.ipam_claim and spec.allow_persistent_ips and spec.subnets):
            return None
        key = ObjectKey(namespace, attachment.ipam_claim)
        known = self._claims.get(key)
        if known is None:
            raise errors.NotReady(
                "does not exist",
                where=f"IPAMClaim {key}",
                hint="the pod goes on when it is created",
            )
        if known.claim is None:
            assert known.problem is not None
            raise known.problem
        if known.claim.network != network.name:
            raise errors.InvalidInput(
                f"IPAMClaim {key}",
                "spec.network",
                known.claim.network,
                f"is not the network that the pod asks for, {network.name!r}",
            )
        return known.claim

    def note(self, claim: model.IpamClaim, error: errors.WeftError | None = None) -> None:
        """Notes for the claim's status that a pod got its addresses, or why not (`error`)."""
        key = claim.key
        before = self._failures.pop(key, None)
        if error is not None:
            self._failures[key] = (ipamclaim.reason_of(error), str(error))
        if before != self._failures.get(key) or not claim.addresses:
            self.due[key] = 0.0

    # Objects in

    def set(self, key: ObjectKey, new: IpamClaim | None) -> list[model.Segment]:
        """Sets a claim; None: it is gone. Returns the segments of which something became free."""
        old = self._claims.pop(key, None)
        if old is not None and old.claim is not None:
            discard(self._by_network, old.claim.network, key)
            discard(self._waiting, old.claim.network, key)
        if new is None:
            self._failures.pop(key, None)
            return self._allocations.end_claim(key) if old is not None else []
        self._claims[key] = new
        self.due[key] = 0.0
        if new.claim is None:
            log.warning("a claim cannot be read: %s", new.problem)
            return []
        self._by_network.setdefault(new.claim.network, set()).add(key)
        self._keep(new.claim)
        return []

    def use_network(self, name: str) -> None:
        """Reserves the addresses of a new or changed network's claims."""
        for key in sorted(self._by_network.get(name, ())):
            if (claim := self._claims[key].claim) is not None:
                self._keep(claim)
        self.retry(name)

    def retry(self, network: str) -> None:
        """Something of a network is free now: claims that wait for it try again."""
        self.due |= dict.fromkeys(sorted(self._waiting.get(network, ())), 0.0)

    def retry_all(self) -> None:
        """What running pods hold is known now: all claims that wait try again."""
        for network in sorted(self._waiting):
            self.retry(network)

    def _keep(self, claim: model.IpamClaim) -> None:
        network = self._networks.get(claim.network)
        if network is None or not network.spec.allow_persistent_ips:
            return
        if not self._networks.may_use(network, claim.key.namespace):
            return  # another namespace's network: a claim alone takes nothing of it
        try:
            self._allocations.keep(network, claim)
        except errors.WeftError as error:
            self.note(claim, error)

    # Decisions out

    def decide(self, key: ObjectKey, now: str, *, is_recovering: bool = False) -> Outcome:
        """Returns the patch of a claim's status: its addresses, or why it has none.

        `is_recovering`: a running pod may hold what a reservation asks for, so it waits.
        """
        known = self._claims.get(key)
        if known is None or known.claim is None:
            return NOTHING
        claim, before = known.claim, known.condition
        allocation, again = self._allocations.claimed(claim), 0.0
        asks = claim.reservation is not None or known.misread is not None
        if asks and not claim.addresses and allocation is None:
            again = self._reserve(known, claim, is_recovering=is_recovering)
            allocation = self._allocations.claimed(claim)
        addresses = claim.addresses or (allocation.addresses if allocation else ())
        success = (ipamclaim.SUCCESS, _kept(claim, allocation))
        reason, message = self._failures.get(key, success)
        is_known = before[1:] == (reason, message) or (reason, before[0]) == (
            ipamclaim.SUCCESS,
            "",
        )
        if (is_known and claim.addresses == addresses) or not (addresses or key in self._failures):
            return Outcome(again=again)
        given = replace(claim, addresses=addresses)
        status = ipamclaim.render_status(given, reason=reason, message=message, now=now)
        return Outcome((Patch(known.subject, status=status),), again=again)

    def _reserve(self, known: IpamClaim, claim: model.IpamClaim, *, is_recovering: bool) -> float:
        """Chooses what a claim asks for, or notes why it cannot be had.

        Returns the seconds after which to try again.
        """
        key = claim.key
        self._waiting.setdefault(claim.network, set()).add(key)
        if is_recovering:
            return SAFETY_NET
        self._failures.pop(key, None)
        try:
            if known.misread is not None:
                raise known.misread
            self._allocations.choose(self._open(claim), claim)
        except errors.WeftError as error:
            # The remedy of a conflict is worded for pods.
            message = str(error) if isinstance(error, errors.Conflict) else error.in_full()
            self._failures[key] = (ipamclaim.reason_of(error), message)
            return SAFETY_NET if error.retry else 0.0
        discard(self._waiting, claim.network, key)
        return 0.0

    def _open(self, claim: model.IpamClaim) -> model.Network:
        """Returns the network that a claim may reserve addresses of, or raises."""
        network = self._networks.get(claim.network)
        if network is None:
            raise errors.NotReady(
                "does not exist",
                where=f"network {claim.network}",
                hint="the claim goes on when a NetworkAttachmentDefinition declares it",
            )
        subject = f"network {claim.network}"
        if not network.spec.subnets:
            rule = "are missing: it assigns no addresses"
            raise errors.InvalidInput(subject, "subnets", None, rule)
        if not network.spec.allow_persistent_ips:
            rule = "is off, so IPAMClaims keep nothing"
            hint = 'set "allowPersistentIPs": true'
            raise errors.InvalidInput(subject, "allowPersistentIPs", None, rule, hint=hint)
        if not self._networks.may_use(network, claim.key.namespace):
            rule = f"does not let in namespace {claim.key.namespace}"
            raise errors.NotReady(rule, where=subject, hint=f"its owner is {network.owner}")
        return network


def _kept(claim: model.IpamClaim, allocation: model.Allocation | None) -> str:
    """Returns the message of a claim that has addresses: what differs from its reservation, too."""
    if claim.reservation is None:
        return "addresses are kept"
    mac = claim.reservation.mac or (allocation.mac if allocation is not None else "")
    requested = {getattr(each, "ip", each) for each in claim.reservation.addresses}
    held = claim.addresses or (allocation.addresses if allocation is not None else ())
    if others := requested.difference(each.ip for each in held):
        listed = ", ".join(sorted(map(str, others)))
        return f"addresses are kept; to have {listed} instead, delete the claim and reserve anew"
    return f"addresses are kept, with MAC {mac}" if mac else "addresses are kept"
