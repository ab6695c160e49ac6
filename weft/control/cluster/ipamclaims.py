"""Keeps a VM's addresses when its pod goes, and decides the status of their IPAMClaim.

Pure. A claim's addresses are kept while the claim exists; its status gets them when they are first
chosen.
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


class IpamClaims:
    """All IPAMClaims by key. `due`: the claims to decide, and after how many seconds."""

    def __init__(self, networks: Networks, allocations: Allocations) -> None:
        self._claims: dict[ObjectKey, IpamClaim] = {}
        self._by_network: dict[str, set[ObjectKey]] = {}
        self._networks, self._allocations = networks, allocations
        self._failures: dict[ObjectKey, tuple[str, str]] = {}  # claim: reason, message
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

    def decide(self, key: ObjectKey, now: str) -> Outcome:
        """Returns the patch of a claim's status: its addresses, or why it has none."""
        known = self._claims.get(key)
        if known is None or known.claim is None:
            return NOTHING
        claim, before = known.claim, known.condition
        allocation = self._allocations.claimed(claim)
        addresses = claim.addresses or (allocation.addresses if allocation else ())
        success = (ipamclaim.SUCCESS, "addresses are kept")
        reason, message = self._failures.get(key, success)
        is_known = before[1:] == (reason, message) or (reason, before[0]) == (
            ipamclaim.SUCCESS,
            "",
        )
        if (is_known and claim.addresses == addresses) or not (addresses or key in self._failures):
            return NOTHING
        given = replace(claim, addresses=addresses)
        status = ipamclaim.render_status(given, reason=reason, message=message, now=now)
        return Outcome((Patch(known.subject, status=status),))
