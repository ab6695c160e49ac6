"""Decides the IPAMClaims of virtual machines on networks where each NIC has one.

Pure. Such a network has `persistentIPs` "vm". A claim `<machine>.<network>`, by the network's name
in the machine, is made before the pod, belongs to the machine, and is let go when machine, instance
and pods are gone. KubeVirt's IPAM controller makes the same ones: who is first makes it, and nobody
takes over a claim of another owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from weft import errors, model, names
from weft.api import machine
from weft.api.machine import Nic
from weft.api.pod import Pod
from weft.control import index
from weft.control.cluster import claimrules
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.machinefindings import MachineFindings
from weft.control.cluster.machines import LiveMigration, Machine, MachineTable, claim_key
from weft.control.cluster.networks import Networks
from weft.control.cluster.objects import IpamClaim
from weft.control.cluster.outcome import Event, Outcome, Patch, Ref, Replacement, Subject
from weft.control.cluster.podtable import By, PodTable
from weft.kube import resources
from weft.model import ObjectKey


class MachineClaims:
    """The machines and their claims. `due`: machines by key, and after how many seconds."""

    def __init__(self, networks: Networks, allocations: Allocations, pods: PodTable) -> None:
        self._networks, self._allocations = networks, allocations
        self.table = self._machines = MachineTable()
        self._claims: dict[ObjectKey, IpamClaim] = {}
        self._findings = MachineFindings(networks, allocations, pods, self.table, self._claims)
        self._owned: dict[ObjectKey, set[ObjectKey]] = {}  # by machine that owns or owned them
        self._unstored: dict[ObjectKey, str] = {}  # by machine: why a claim cannot be made
        self.due: dict[ObjectKey, float] = {}

    # Objects in

    def set_machine(
        self, ref: Ref, new: Machine | LiveMigration | None
    ) -> set[tuple[By, ObjectKey]]:
        """Sets a machine, instance or live migration; None: it is gone. Returns which pods are to
        look again: those of a machine, or the target of a migration."""
        if ref.resource is resources.VMIMS:
            assert not isinstance(new, Machine)
            return {(By.MIGRATION, each) for each in self._machines.set_migration(ref, new)}
        assert not isinstance(new, LiveMigration)
        before = self._machines.after(ref)
        if not self._machines.set(ref, new):
            return set()
        self.due |= dict.fromkeys(sorted(before | self._machines.after(ref)), 0.0)
        if not any(self._machines.both(ref.key)):
            self._unstored.pop(ref.key, None)
            self._findings.forget(ref.key)
        self.due[ref.key] = 0.0
        return {(By.MACHINE, ref.key)}

    def set_claim(self, key: ObjectKey, new: IpamClaim | None) -> list[ObjectKey]:
        """Sets a claim; None: it is gone. Returns the machines whose pods are to look again."""
        old = self._claims.pop(key, None)
        before = {*claimrules.owners(old)}
        if new is not None:
            self._claims[key] = new
        after = {*claimrules.owners(new)}
        for each in before - after:
            index.discard(self._owned, each, key)
        for each in after - before:
            self._owned.setdefault(each, set()).add(key)
        named = self._machines.naming(key)
        for each in named:
            self._unstored.pop(each, None)
        concerned = sorted(named | before | after)
        self.due |= dict.fromkeys(concerned, 0.0)
        return concerned if claimrules.life(old) != claimrules.life(new) else []

    def use_pod(self, old: Pod | None, new: Pod | None) -> None:
        """A pod is new, changed or gone."""
        if old is None or not (new is None or new.is_completed):
            return
        if old.machine:
            self.due[ObjectKey(old.ref.namespace, old.machine)] = 0.0
        home = ObjectKey(old.ref.namespace, old.machine)
        for claim in sorted(old.claims() | self._owned.get(home, set())):  # or no machine's pod
            self.due |= dict.fromkeys(claimrules.owners(self._claims.get(claim)), 0.0)
            self.due |= dict.fromkeys(sorted(self._machines.naming(claim)), 0.0)

    def use_allocations(self, changed: Iterable[model.Allocation]) -> None:
        """What was given or freed may be what machines ask for, which need not run."""
        for each in changed:
            for value in (each.mac, *(str(address.ip) for address in each.addresses)):
                self.due |= dict.fromkeys(sorted(self._machines.asking(value)), 0.0)

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
        if (problem := claimrules.problem(owner, nic, nics)) is not None:
            raise problem
        claim = claim_key(key, nic)
        known = self._claims.get(claim)
        if known is not None and (foreign := claimrules.foreign(owner, known)) is not None:
            raise foreign
        if known is None or claimrules.is_going(known) or not self._may_stay(known, nic, network):
            raise errors.NotReady(
                "is about to be made" if known is None else "is about to be made anew",
                where=f"IPAMClaim {claim}",
                hint="the pod goes on when it is there",
            )
        return claim.name

    def _may_stay(self, known: IpamClaim, nic: Nic, network: model.Network) -> bool:
        """Whether a pod may use a claim as it is; one that weft did not make is never made anew."""
        if not known.made_for or claimrules.suits(known, nic, network):
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
            *self._transferred(owner),
        ]
        if owner is None or owner.is_deleting:
            return Outcome(tuple(patches))
        made = [
            Replacement(
                Subject(resources.IPAMCLAIMS, claim, ""), claimrules.manifest(owner, claim, *each)
            )
            for claim, each in desired.items()
            if claim not in self._claims
        ]
        found = self._findings.events(owner, desired, self._unstored.get(key, ""))
        markings = self._findings.markings(owner)
        return Outcome(tuple(patches), found, replacements=tuple(made), markings=markings)

    def unstored(self, key: ObjectKey, message: str) -> tuple[Event, ...]:
        """Notes why the API server takes no claim of a machine; returns Events to emit."""
        self._unstored[key] = message
        owner = self._machines.owner(key)
        if owner is None:
            return ()
        return self._findings.events(owner, dict(self._desired(owner)), message)

    def _desired(self, owner: Machine) -> Iterator[tuple[ObjectKey, tuple[Nic, model.Network]]]:
        """Yields the claims that a machine is to have."""
        nics = self._machines.declared(owner).nics
        for nic in nics:
            network = self._networks.find(nic.nad)
            if network is None or nic.claim or not network.spec.persistent_ips:
                continue  # a claim that the machine names is somebody else's to make
            is_let_in = self._networks.may_use(network, owner.key.namespace)
            if is_let_in and claimrules.problem(owner, nic, nics) is None:
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
            if not (known.made_for and known.is_deleting and claimrules.is_protected(known)):
                continue
            is_owned = owner is not None and owner.owner in known.owners
            if is_owned and owner is not None and not owner.is_deleting:
                is_over = claim not in desired or not claimrules.suits(known, *desired[claim])
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
            is_due = claimrules.foreign(owner, known) is None and not claimrules.suits(
                known, nic, network
            )
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
            is_own = known.made_for and claimrules.foreign(owner, known) is None
            if is_own and not known.is_deleting and not self._allocations.is_claim_used(claim):
                yield Patch(known.subject, removes=True)

    def _transferred(self, owner: Machine | None) -> Iterator[Patch]:
        """Yields the patches that pass claims to a machine which names them."""
        nics = self._machines.declared(owner).nics if owner and not owner.is_deleting else ()
        for nic in nics:
            known = self._claims.get(claim_key(owner.key, nic)) if nic.claim and owner else None
            if known is None or owner is None or known.transfer != owner.key.name:
                continue
            others = [each for each in claimrules.owners(known) if each != owner.key]
            if not (others and self._allocations.is_claim_used(known.subject.key)):
                yield claimrules.transferred(owner, known)
