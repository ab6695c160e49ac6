"""Decides the IPAMClaims of virtual machines on networks where each NIC has one.

Pure. Such a network has `persistentIPs` "vm". A claim `<machine>.<network>`, by the network's name
in the machine, is made before the pod, belongs to the machine, and is let go when machine, instance
and pods are gone. KubeVirt's IPAM controller makes the same ones: who is first makes it, and nobody
takes over a claim of another owner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

import orjson

from weft import errors, model, names
from weft.api import machine, selection
from weft.api.machine import Nic
from weft.api.pod import Pod
from weft.control import index
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.machines import GROUP, LiveMigration, Machine, MachineTable, claim_key
from weft.control.cluster.networks import Networks
from weft.control.cluster.objects import IpamClaim
from weft.control.cluster.outcome import Event, Outcome, Patch, Ref, Replacement, Subject
from weft.kube import resources
from weft.model import ObjectKey
from weft.reasons import Reason

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME, _LONGEST_LABEL = 253, 63
_KINDS = (resources.VMS.kind, resources.VMIS.kind)


class MachineClaims:
    """The machines and their claims. `due`: machines by key, and after how many seconds."""

    def __init__(self, networks: Networks, allocations: Allocations) -> None:
        self._networks, self._allocations = networks, allocations
        self.table = self._machines = MachineTable()
        self._claims: dict[ObjectKey, IpamClaim] = {}
        self._owned: dict[ObjectKey, set[ObjectKey]] = {}  # by machine that owns or owned them
        self._unstored: dict[ObjectKey, str] = {}  # by machine: why a claim cannot be made
        self._reported: dict[ObjectKey, frozenset[str]] = {}  # by machine: messages of its Events
        self.due: dict[ObjectKey, float] = {}

    # Objects in

    def set_machine(self, ref: Ref, new: Machine | LiveMigration | None) -> set[ObjectKey]:
        """Sets a machine, instance or live migration; None: it is gone. Returns the machines whose
        pods are to look again."""
        if ref.resource is resources.VMIMS:
            assert not isinstance(new, Machine)
            return self._machines.set_migration(ref, new)
        assert not isinstance(new, LiveMigration)
        if not self._machines.set(ref, new):
            return set()
        if not any(self._machines.both(ref.key)):
            self._unstored.pop(ref.key, None)
            self._reported.pop(ref.key, None)
        self.due[ref.key] = 0.0
        return {ref.key}

    def set_claim(self, key: ObjectKey, new: IpamClaim | None) -> list[ObjectKey]:
        """Sets a claim; None: it is gone. Returns the machines whose pods are to look again."""
        old = self._claims.pop(key, None)
        before = {*_owners(old)}
        if new is not None:
            self._claims[key] = new
        after = {*_owners(new)}
        for each in before - after:
            index.discard(self._owned, each, key)
        for each in after - before:
            self._owned.setdefault(each, set()).add(key)
        named = self._machines.naming(key)
        for each in named:
            self._unstored.pop(each, None)
        concerned = sorted(named | before | after)
        self.due |= dict.fromkeys(concerned, 0.0)
        return concerned if _life(old) != _life(new) else []

    def use_pod(self, old: Pod | None, new: Pod | None) -> None:
        """A pod is new, changed or gone."""
        if old is None or not (new is None or new.is_completed):
            return
        if old.machine:
            self.due[ObjectKey(old.ref.namespace, old.machine)] = 0.0
        for claim in sorted(old.claims()):  # it may be no machine's pod
            self.due |= dict.fromkeys(_owners(self._claims.get(claim)), 0.0)

    def use_nads(self, nads: Iterable[ObjectKey]) -> None:
        """NADs may stand for other networks."""
        found = sorted({*chain.from_iterable(map(self._machines.on, nads))})
        self.due |= dict.fromkeys(found, 0.0)

    def use_namespace(self, name: str) -> None:
        """A namespace may use other networks than before."""
        self.due |= dict.fromkeys(sorted(self._machines.within(name)), 0.0)

    # What others ask

    def claim_of(self, pod: Pod, attachment: model.Attachment, network: model.Network) -> str:
        """Returns the name of the claim that a machine's NIC has by default, "" for none.

        Raises NotReady while it is not there, InvalidInput if there can be none.
        """
        if not (pod.machine and network.spec.persistent_ips):
            return ""
        key = ObjectKey(pod.ref.namespace, pod.machine)
        if pod.has_interfaces and (used := self._used(key, attachment.interface, network.name)):
            return used.name  # whatever became of its machine
        owner = self._machines.owner(key)
        nics = self._machines.declared(owner).nics if owner is not None else ()
        found = (each for each in nics if attachment.interface in machine.pod_interfaces(each))
        nic = next((each for each in found if each.nad == attachment.nad), None)
        if owner is None or nic is None:
            what = f"interface {attachment.interface}" if owner is not None else "such machine"
            raise errors.NotReady(
                f"there is no {what} yet, so that its IPAMClaim is not known",
                where=f"virtual machine {key}",
                hint="the pod goes on when the machine has it",
            )
        if (problem := _problem(owner, nic, nics)) is not None:
            raise problem
        claim = claim_key(key, nic)
        known = self._claims.get(claim)
        if known is not None and (foreign := _foreign(owner, known)) is not None:
            raise foreign
        if known is None or _is_going(known) or not self._may_stay(known, nic, network):
            raise errors.NotReady(
                "is about to be made" if known is None else "is about to be made anew",
                where=f"IPAMClaim {claim}",
                hint="the pod goes on when it is there",
            )
        return claim.name

    def _may_stay(self, known: IpamClaim, nic: Nic, network: model.Network) -> bool:
        """Whether a pod may use a claim as it is; one that weft did not make is never made anew."""
        if not known.made_for or _suits(known, nic, network):
            return True
        is_there = known.claim is not None and known.claim.network == network.name
        return is_there and self._allocations.is_claim_used(known.subject.key)  # it runs with that

    def _used(self, key: ObjectKey, interface: str, network: str) -> ObjectKey | None:
        """Returns the claim of a running pod's interface."""
        for each in sorted(self._owned.get(key, ())):
            claim = self._claims[each].claim
            if claim is not None and (claim.interface, claim.network) == (interface, network):
                return each
        return None

    # Decisions out

    def decide(self, key: ObjectKey) -> Outcome:
        """Returns what to write to the claims of a machine, and its Events."""
        owner = self._machines.owner(key)
        desired = dict(self._desired(owner)) if owner is not None else {}
        patches = [
            *self._let_go(key, owner, desired),
            *self._outdated(owner, desired),
            *self._without_nic(key, owner),
        ]
        if owner is None or owner.is_deleting:
            return Outcome(tuple(patches))
        made = [
            Replacement(Subject(resources.IPAMCLAIMS, claim, ""), _manifest(owner, claim, *each))
            for claim, each in desired.items()
            if claim not in self._claims
        ]
        return Outcome(tuple(patches), self._events(owner, desired), replacements=tuple(made))

    def unstored(self, key: ObjectKey, message: str) -> tuple[Event, ...]:
        """Notes why the API server takes no claim of a machine; returns Events to emit."""
        self._unstored[key] = message
        owner = self._machines.owner(key)
        return self._events(owner, dict(self._desired(owner))) if owner is not None else ()

    def _desired(self, owner: Machine) -> Iterator[tuple[ObjectKey, tuple[Nic, model.Network]]]:
        """Yields the claims that a machine is to have."""
        nics = self._machines.declared(owner).nics
        for nic in nics:
            network = self._networks.find(nic.nad)
            if network is None or not network.spec.persistent_ips:
                continue
            is_let_in = self._networks.may_use(network, owner.key.namespace)
            if is_let_in and _problem(owner, nic, nics) is None:
                yield claim_key(owner.key, nic), (nic, network)

    def _let_go(
        self,
        key: ObjectKey,
        owner: Machine | None,
        desired: dict[ObjectKey, tuple[Nic, model.Network]],
    ) -> Iterator[Patch]:
        """Yields the patches that let claims of weft's go which are deleted and nobody needs."""
        for claim in sorted(self._owned.get(key, ())):
            known = self._claims[claim]
            if not (known.made_for and known.is_deleting and _is_protected(known)):
                continue
            is_owned = owner is not None and owner.owner in known.owners
            if is_owned and owner is not None and not owner.is_deleting:
                is_over = claim not in desired or not _suits(known, *desired[claim])
            else:
                is_over = not self._has_instance(key, known)
            if is_over and not self._allocations.is_claim_used(claim):
                left = tuple(each for each in known.finalizers if each != names.CLAIM_PROTECTION)
                yield Patch(known.subject, finalizers=left, version=known.version)

    def _has_instance(self, key: ObjectKey, claim: IpamClaim) -> bool:
        """Whether an instance is there of a claim's owner."""
        uids = {each.uid for each in claim.owners}
        return any(
            each.subject.resource is resources.VMIS
            and not uids.isdisjoint((each.machine, each.uid))
            for each in self._machines.both(key)
        )

    def _outdated(
        self, owner: Machine | None, desired: dict[ObjectKey, tuple[Nic, model.Network]]
    ) -> Iterator[Patch]:
        """Yields the deletions of claims to make anew: of another network, or other addresses."""
        for claim, (nic, network) in desired.items() if owner and not owner.is_deleting else ():
            known = self._claims.get(claim)
            if known is None or known.is_deleting or not known.made_for or owner is None:
                continue
            is_due = _foreign(owner, known) is None and not _suits(known, nic, network)
            if is_due and not self._allocations.is_claim_used(claim):
                yield Patch(known.subject, removes=True)

    def _without_nic(self, key: ObjectKey, owner: Machine | None) -> Iterator[Patch]:
        """Yields the deletions of claims whose NICs are in neither machine nor instance."""
        there = list(self._machines.both(key))
        if owner is None or owner.is_deleting or any(each.problem for each in there):
            return  # a NIC that cannot be read may be the one
        nics = {claim_key(key, nic) for each in there for nic in each.nics}
        for claim in sorted(self._owned.get(key, set()) - nics):
            known = self._claims[claim]
            is_own = known.made_for and _foreign(owner, known) is None
            if is_own and not known.is_deleting and not self._allocations.is_claim_used(claim):
                yield Patch(known.subject, removes=True)

    def _events(
        self, owner: Machine, desired: dict[ObjectKey, tuple[Nic, model.Network]]
    ) -> tuple[Event, ...]:
        """Returns the Events of a machine that its last ones did not tell."""
        found = dict(self._findings(owner, desired))
        before = self._reported.get(owner.key, frozenset())
        self._reported[owner.key] = frozenset(found)
        return tuple(
            Event(owner.subject, reason, message)
            for message, reason in found.items()
            if message not in before
        )

    def _findings(
        self, owner: Machine, desired: dict[ObjectKey, tuple[Nic, model.Network]]
    ) -> Iterator[tuple[str, Reason]]:
        declared = self._machines.declared(owner)
        for nic in declared.nics:
            network = self._networks.find(nic.nad)
            problem = _problem(owner, nic, declared.nics)
            if network is not None and network.spec.persistent_ips and problem is not None:
                yield problem.in_full(), Reason.MACHINE_CLAIM_REFUSED
        if declared.problem and any(map(self._networks.find, (n.nad for n in declared.nics))):
            yield declared.problem, Reason.MACHINE_CLAIM_REFUSED
        if owner.key in self._unstored:
            yield self._unstored[owner.key], Reason.MACHINE_CLAIM_REFUSED
        for claim in desired:
            known = self._claims.get(claim)
            if known is None or known.is_deleting:
                continue
            if (foreign := _foreign(owner, known)) is not None:
                yield foreign.in_full(), Reason.MACHINE_CLAIM_REFUSED
            elif known.condition[0] == "False":
                message = f"IPAMClaim {claim}: {known.condition[2]}"
                yield message, Reason.MACHINE_CLAIM_REFUSED


def _is_instance(found: Machine) -> bool:
    return found.subject.resource is resources.VMIS


def _is_protected(claim: IpamClaim) -> bool:
    """Whether a deletion of it waits, and it can be used until then."""
    return names.CLAIM_PROTECTION in claim.finalizers


def _is_going(claim: IpamClaim) -> bool:
    return claim.is_deleting and not _is_protected(claim)


def _owners(claim: IpamClaim | None) -> Iterator[ObjectKey]:
    """Yields the machines that own a claim, or that weft made it for, by name."""
    if claim is not None and claim.made_for:  # whose owners may have been taken off
        yield ObjectKey(claim.subject.key.namespace, claim.made_for)
    for each in claim.owners if claim is not None else ():
        if each.group == GROUP and each.kind in _KINDS:
            assert claim is not None
            yield ObjectKey(claim.subject.key.namespace, each.name)


def _life(claim: IpamClaim | None) -> object:
    """What a claim is to the pods of its machine."""
    return claim and (claim.uid, claim.owners, claim.is_deleting, claim.claim)


def _problem(owner: Machine, nic: Nic, nics: Iterable[Nic]) -> errors.InvalidInput | None:
    """Returns why a NIC can have no claim of its own."""
    name, rule, hint = machine.claim_name(owner.key.name, nic), "", ""
    if len(name) > _LONGEST_NAME:
        rule = f"has {len(name)} characters; at most {_LONGEST_NAME} are allowed"
    elif not _NAME.fullmatch(name):
        rule = "is no name of an object: small letters, digits, '-' and '.'"
    elif sum(machine.claim_name(owner.key.name, each) == name for each in nics) > 1:
        rule = "would be that of two networks, whose names differ in capitals alone"
    else:
        return None
    hint = "rename the network in the machine's spec.networks"
    field = f"IPAMClaim of network {nic.name[:_LONGEST_LABEL]}"
    return errors.InvalidInput(owner.label, field, name, rule, hint=hint)


def _foreign(owner: Machine, claim: IpamClaim) -> errors.Conflict | None:
    """Returns why a claim is not this machine's."""
    if claim.owners == (owner.owner,):
        return None
    others = [f"{kind} {name} ({uid})" for _, kind, name, uid in claim.owners]
    whose = f"is owned by {', '.join(others)}" if others else "has no owner"
    return errors.Conflict(
        f"{whose}, not by {owner.label} ({owner.uid}) alone: weft does not take it over",
        where=f"IPAMClaim {claim.subject.key}",
        hint="delete the claim, which frees its addresses, or rename the machine's network",
        field="owner",
    )


def _suits(claim: IpamClaim, nic: Nic, network: model.Network) -> bool:
    """Whether a claim is of the NIC's network, and keeps the addresses that the NIC asks for."""
    held = claim.claim
    if held is None or held.network != network.name:
        return held is None  # its error is told where it is used
    requested = {*map(selection.without_prefix, nic.addresses)}
    if held.addresses:
        return requested <= {each.ip for each in held.addresses}
    asked = held.reservation.addresses if held.reservation is not None else ()
    return not asked or requested == {*map(selection.without_prefix, asked)}


def _manifest(
    owner: Machine, claim: ObjectKey, nic: Nic, network: model.Network
) -> dict[str, object]:
    asked = {"ips": [str(each) for each in nic.addresses], "mac": nic.mac}
    asked = {name: value for name, value in asked.items() if value}
    # With a MAC alone it would take an address for a machine that may never run.
    notes = {names.IP_RESERVATION: orjson.dumps(asked).decode()} if nic.addresses else {}
    _, kind, name, uid = owner.owner
    about = {"apiVersion": owner.subject.resource.api_version, "kind": kind}
    return {
        "metadata": {
            **claim._asdict(),
            "annotations": {names.CLAIM_MADE_FOR: owner.key.name, **notes},
            "labels": {names.CLAIM_VM: name[:_LONGEST_LABEL].rstrip("-.")},
            "finalizers": [names.CLAIM_PROTECTION],
            "ownerReferences": [{**about, "name": name, "uid": uid, "controller": True}],
        },
        "spec": {"network": network.name, "interface": machine.pod_interfaces(nic)[0]},
    }
