"""Keeps a VM's addresses when its pod goes, and decides the status of their IPAMClaim.

Pure. A claim's addresses are kept while the claim exists; its status gets them when they are first
chosen: for its first pod, or at once if it has a reservation.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from weft import errors, model
from weft.api import ipamclaim
from weft.api.pod import Pod
from weft.control.cluster import claimrules
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.machineclaims import MachineClaims
from weft.control.cluster.networks import Networks
from weft.control.cluster.objects import IpamClaim
from weft.control.cluster.outcome import NOTHING, Outcome, Patch
from weft.control.index import discard
from weft.model import ObjectKey

log = logging.getLogger(__name__)


MOVED = "spec.network is another one now: a pod gets new addresses there"

# Seconds after which a reservation that failed is tried again without a cause.
SAFETY_NET = 30.0


class IpamClaims:
    """All IPAMClaims by key. `due`: the claims to decide, and after how many seconds."""

    def __init__(
        self, networks: Networks, allocations: Allocations, machines: MachineClaims
    ) -> None:
        self._claims: dict[ObjectKey, IpamClaim] = {}
        self._by_network: dict[str, set[ObjectKey]] = {}
        self._networks, self._allocations, self._machines = networks, allocations, machines
        self.machines = machines.table
        self._failures: dict[ObjectKey, tuple[str, str]] = {}  # claim: reason, message
        self._waiting: dict[str, set[ObjectKey]] = {}  # by network: claims without what they ask
        # Claims of which pods still use addresses of an earlier network, and that network.
        self._elsewhere: dict[ObjectKey, str] = {}
        # What a status still says of an earlier network.
        self._outdated: dict[ObjectKey, tuple[model.Interface, ...]] = {}
        self.due: dict[ObjectKey, float] = {}

    def __contains__(self, key: ObjectKey) -> bool:
        return key in self._claims

    # What others ask

    def lookup(
        self, pod: Pod, attachment: model.Attachment, network: model.Network
    ) -> model.IpamClaim | None:
        """Returns the claim that an attachment names, or that a machine's NIC has by default, in
        its pod's own namespace.

        None where the network has no persistent addresses. Raises NotReady while the claim does not
        exist, InvalidInput if it is invalid or of another network.
        """
        if not network.spec.allow_persistent_ips:
            return None
        name = attachment.ipam_claim or self._machines.claim_of(pod, attachment, network)
        if not name:
            return None
        key = ObjectKey(pod.ref.namespace, name)
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
        if pod.machine and (error := claimrules.of_another(pod.machine, known)) is not None:
            raise error
        return known.claim

    def note(self, claim: model.IpamClaim, error: errors.WeftError | None = None) -> None:
        """Notes for the claim's status that a pod got its addresses, or why not (`error`)."""
        key = claim.key
        before = self._failures.pop(key, None)
        if error is not None:
            self._failures[key] = (ipamclaim.reason_of(error), str(error))
        if before != self._failures.get(key) or (error is None and not claim.addresses):
            self.due[key] = 0.0

    # Objects in

    def set(self, key: ObjectKey, new: IpamClaim | None) -> list[model.Segment]:
        """Sets a claim; None: it is gone. Returns the segments of which something became free."""
        old = self._claims.pop(key, None)
        before = old.claim if old is not None else None
        if before is not None:
            discard(self._by_network, before.network, key)
            discard(self._waiting, before.network, key)
        if key in self._elsewhere:
            discard(self._waiting, self._elsewhere.pop(key), key)
        outdated = self._outdated.pop(key, ())
        if new is None:
            self._failures.pop(key, None)
            return self._allocations.end_claim(key) if old is not None else []
        self.due[key] = 0.0
        if new.claim is None:
            self._claims[key] = new
            log.warning("a claim cannot be read: %s", new.problem)
            return []
        freed, claim, stored = list[model.Segment](), new.claim, new.claim.addresses
        known_on = {self._allocations.network_of(claim), before.network if before else ""}
        has_moved = not known_on <= {"", claim.network}
        if has_moved:
            freed = self._allocations.end_claim(key)
            self._failures.pop(key, None)
        held = self._allocations.claimed(claim)
        is_held = held is not None and held.addresses == stored
        is_known = before is not None and before.addresses == stored and not has_moved
        is_outdated = has_moved or stored == outdated or (new.is_outdated and not is_known)
        if stored and is_outdated and not is_held:
            # Of another network, where nobody checked them.
            self._outdated[key] = stored
            self._failures[key] = (ipamclaim.FAILED, MOVED)
            claim = replace(claim, addresses=())
            new = replace(new, claim=claim)
        self._claims[key] = new
        self._by_network.setdefault(claim.network, set()).add(key)
        self._keep(claim)
        return freed

    def use_network(self, name: str) -> None:
        """Reserves the addresses of a new or changed network's claims."""
        for key in sorted(self._by_network.get(name, ())):
            if key in self._failures:
                self.due[key] = 0.0  # another configuration may allow what it asks for
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
        key, mac = claim.key, ""
        if claim.reservation is not None or not network.spec.subnets:
            # Its annotation may say otherwise by now.
            mac = ipamclaim.kept_mac(self._claims[key].condition[2])
        try:
            self._allocations.keep(network, claim, mac)
        except errors.WeftError as error:
            used_on = self._allocations.network_of(claim)
            if used_on != claim.network:
                self._elsewhere[key] = used_on
                self._waiting.setdefault(used_on, set()).add(key)
            self.note(claim, error)
            return
        if key in self._elsewhere:
            discard(self._waiting, self._elsewhere.pop(key), key)
            self._failures.pop(key, None)
            if not claim.addresses:
                self._failures[key] = (ipamclaim.FAILED, MOVED)

    # Decisions out

    def decide(self, key: ObjectKey, now: str, *, is_recovering: bool = False) -> Outcome:
        """Returns the patch of a claim's status: its addresses, or why it has none.

        `is_recovering`: a running pod may hold what a reservation asks for, so it waits.
        """
        known = self._claims.get(key)
        if known is None or known.claim is None:
            return NOTHING
        claim, before = known.claim, known.condition
        if key in self._elsewhere and self._allocations.network_of(claim) != self._elsewhere[key]:
            self._keep(claim)
        allocation, again = self._allocations.claimed(claim), 0.0
        asks = claim.reservation is not None or known.misread is not None
        if asks and not claim.addresses and allocation is None:
            again = self._reserve(known, claim, is_recovering=is_recovering)
            allocation = self._allocations.claimed(claim)
        addresses = claim.addresses or (allocation.addresses if allocation else ())
        mac = allocation.mac if allocation is not None else ipamclaim.kept_mac(before[2])
        success = (ipamclaim.SUCCESS, _kept(claim, addresses, mac))
        reason, message = self._failures.get(key, success)
        is_known = before[1:] == (reason, message) or (reason, before[0]) == (
            ipamclaim.SUCCESS,
            "",
        )
        keeps_mac = bool(mac) and not addresses
        if key in self._outdated or known.is_outdated or (keeps_mac and not before[0]):
            is_known = False
        is_empty = not (addresses or keeps_mac or key in self._failures)
        if (is_known and claim.addresses == addresses) or is_empty:
            return Outcome(again=again)
        given = replace(claim, addresses=addresses)
        generation = known.generation
        status = ipamclaim.render_status(
            given, reason=reason, message=message, now=now, generation=generation
        )
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
            if error.retry:
                return SAFETY_NET
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
        asked = claim.reservation
        if not network.spec.subnets and not (asked and (asked.mac or asked.addresses)):
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


def _kept(claim: model.IpamClaim, held: tuple[model.Interface, ...], mac: str) -> str:
    """Returns the message of a claim that has addresses: what differs from its reservation, too."""
    if mac and not held:
        return ipamclaim.KEPT_MAC.format(mac)
    if claim.reservation is None:
        return "addresses are kept"
    kept = f"addresses are kept, with MAC {mac}" if mac else "addresses are kept"
    requested = {getattr(each, "ip", each) for each in claim.reservation.addresses}
    others = sorted(map(str, requested.difference(each.ip for each in held)))
    if mac and claim.reservation.mac not in ("", mac):
        others.append(claim.reservation.mac)
    if others:
        return f"{kept}; to have {', '.join(others)} instead, delete the claim and reserve anew"
    return kept
