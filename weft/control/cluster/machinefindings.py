"""Finds what stands in the way of a virtual machine's addresses, for Events and a condition there.

Pure. Its pod would wait: a claim that is not there or not the machine's, an address or MAC that
another one has. What is asked for is compared when the machine or its instance changes, so that its
owner hears of it before it starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from weft import errors, model, names
from weft.api import conditions
from weft.api.machine import Nic
from weft.control.cluster import claimrules
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.machines import Machine, MachineTable, asked_for, claim_key
from weft.control.cluster.networks import Networks
from weft.control.cluster.objects import IpamClaim
from weft.control.cluster.outcome import Event, Marking
from weft.control.cluster.podtable import PodTable
from weft.model import ObjectKey
from weft.reasons import Reason

Finding = tuple[str, Reason]
_LONGEST = 1024  # characters of a condition's message
Desired = Mapping[ObjectKey, tuple[Nic, model.Network]]


class MachineFindings:
    """What was found last at each machine, by key."""

    def __init__(
        self,
        networks: Networks,
        allocations: Allocations,
        pods: PodTable,
        machines: MachineTable,
        claims: Mapping[ObjectKey, IpamClaim],
    ) -> None:
        self._networks, self._allocations, self._pods = networks, allocations, pods
        self._machines, self._claims = machines, claims
        # What was found last: messages, each with its reason.
        self._reported: dict[ObjectKey, Mapping[str, Reason]] = {}

    def forget(self, key: ObjectKey) -> None:
        """Forgets a machine that is gone."""
        self._reported.pop(key, None)

    def events(self, owner: Machine, desired: Desired, unstored: str) -> tuple[Event, ...]:
        """Returns the Events of a machine that its last ones did not report.

        `desired` are the claims that it is to have by default, `unstored` why one cannot be made.
        """
        found = dict(self._all(owner, desired, unstored))
        before = self._reported.get(owner.key, {})
        self._reported[owner.key] = found
        return tuple(
            Event(owner.subject, reason, message)
            for message, reason in found.items()
            if message not in before
        )

    def markings(self, owner: Machine) -> tuple[Marking, ...]:
        """Returns the condition that says what `events` found last, if it does not say so yet.

        It stands at the instance while there is one: KubeVirt gives the machine the conditions of
        its instance, and no others.
        """
        found = self._reported.get(owner.key, {})
        reason = next(iter(found.values())).value if found else ""
        message = _shortened("; ".join(found))
        about = self._machines.instance(owner) or owner
        if about.is_deleting or about.marked == (reason, message):
            return ()
        return (Marking(about.subject, conditions.MACHINE_CONFLICT, reason, message),)

    def _all(self, owner: Machine, desired: Desired, unstored: str) -> Iterator[Finding]:
        refused = Reason.MACHINE_CLAIM_REFUSED
        declared = self._machines.declared(owner)
        for nic in declared.nics:
            network = self._networks.find(nic.nad)
            problem = claimrules.problem(owner, nic, declared.nics)
            if network is not None and network.spec.persistent_ips and problem is not None:
                yield problem.in_full(), refused
        if declared.problem and any(map(self._networks.find, (n.nad for n in declared.nics))):
            yield declared.problem, refused
        if unstored:
            yield unstored, refused
        for claim in desired:
            known = self._claims.get(claim)
            if known is None or known.is_deleting:
                continue
            if (foreign := claimrules.foreign(owner, known)) is not None:
                yield foreign.in_full(), refused
            elif known.condition[0] == "False":
                yield f"IPAMClaim {claim}: {known.condition[2]}", refused
        for nic in declared.nics:
            network = self._networks.find(nic.nad)
            if network is None or not self._networks.may_use(network, owner.key.namespace):
                continue
            if nic.claim and (error := self._named(owner, nic, network)) is not None:
                yield error.in_full(), refused
            for conflict in self._conflicts(owner, nic, network, desired):
                yield conflict.in_full(), Reason.MACHINE_IDENTITY_CONFLICT

    def _named(self, owner: Machine, nic: Nic, network: model.Network) -> errors.WeftError | None:
        """Returns why a claim that a machine names does not serve it."""
        key = claim_key(owner.key, nic)
        known, where = self._claims.get(key), f"IPAMClaim {key}"
        if not network.spec.allow_persistent_ips:
            rule = f"keeps nothing: network {network.name} has no allowPersistentIPs"
            hint = f'set "allowPersistentIPs": true in NAD {nic.nad}'
            field = f"{names.MACHINE_CLAIMS}.{nic.name}"
            return errors.InvalidInput(owner.label, field, nic.claim, rule, hint=hint)
        if known is None:
            hint = f"the pod of {owner.label} goes on when it is created"
            return errors.NotReady("does not exist", where=where, hint=hint)
        if known.claim is None:
            return known.problem
        if known.claim.network != network.name:
            rule = f"is of network {known.claim.network}, but {nic.name} is on {network.name}"
            return errors.Conflict(rule, where=where, hint="name another claim")
        if (error := claimrules.of_another(owner.key.name, known)) is not None:
            return error
        if known.condition[0] == "False":
            return errors.Conflict(known.condition[2], where=where)
        using = self._allocations.claim_users(key)
        users = [each for each in using if not self._is_own(owner, each)]
        if users:
            there = map(self._pods.by_uid, users)
            listed = sorted(str(each.key) for each in there if each is not None)
            return errors.Conflict(
                f"is used by Pod {', '.join(listed) or 'of another owner'}",
                where=where,
                hint=f"{owner.label} waits until that is gone; or name another claim",
            )
        return None

    def _conflicts(
        self, owner: Machine, nic: Nic, network: model.Network, desired: Desired
    ) -> Iterator[errors.Conflict]:
        """Yields what a NIC asks for and another one has, or asked for first."""
        if network.spec.topology is model.Topology.LAYER3:
            return  # addresses there are their nodes', and a MAC need be unique on its node alone
        key = claim_key(owner.key, nic)
        is_kept = nic.claim or key in desired  # its condition says what is wrong with an address
        book = self._allocations.ledgers.get(model.Segment(network.name))
        for text in sorted(asked_for(nic)):
            is_mac = text == nic.mac
            if is_kept and not is_mac:
                continue
            value = text if is_mac else ip_address(text)
            whose = book.owner_of(value) if book is not None else None
            if whose is not None and (whose.claim == key or self._is_own(owner, whose.pod)):
                continue
            label = book.owner_label(value) if book is not None else ""
            rule = f"is held by {label}" if label else self._first(owner, network, text)
            if rule:
                what = "macAddress" if is_mac else names.MACHINE_ADDRESSES
                yield errors.Conflict(
                    f"{what} {errors.as_written(text)}: {rule}",
                    where=f"{owner.label}, network {nic.name}",
                    hint="its pod waits until that is free; ask for another one, or for none",
                    field=what,
                )

    def _first(self, owner: Machine, network: model.Network, text: str) -> str:
        """Returns which older machine asks for a MAC or address of a network, too."""
        for each in self._machines.before(owner, text):
            mine = [nic.nad for nic in each.nics if text in asked_for(nic)]
            found = map(self._networks.find, mine)
            if any(other is not None and other.name == network.name for other in found):
                return f"is asked for by {each.label} too, which is older"
        return ""

    def _is_own(self, owner: Machine, uid: str) -> bool:
        """Whether the pod of a uid is a machine's."""
        pod = self._pods.by_uid(uid)
        return pod is not None and ObjectKey(pod.ref.namespace, pod.machine) == owner.key


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
