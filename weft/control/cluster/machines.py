"""Parses VirtualMachines, their instances and live migrations (KubeVirt), and lists them by name.

Pure. An instance has its machine's name, and the machine as its controller; one without a machine
stands for itself.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from weft import errors, names
from weft.api import conditions, machine, objects, selection
from weft.api.fields import Fields
from weft.api.machine import Nic
from weft.control import index
from weft.control.cluster.objects import ObservedObject, Owner
from weft.control.cluster.objects import owners as owners_of
from weft.control.cluster.outcome import Ref, Subject
from weft.kube import resources
from weft.model import ObjectKey

Object = Mapping[str, Any]
GROUP = resources.VMS.group
_MOST_ASKING = 100  # machines that hear of one value: anybody can make many that ask for it
_LONGEST_NAME = 253


class MigrationState(NamedTuple):
    """What an instance's status says of its last live migration, by uid: the pod that it leaves,
    and whether the machine runs in the new one, or never will."""

    uid: str = ""
    source: str = ""
    is_ready: bool = False
    is_failed: bool = False


STILL = MigrationState()
UNMARKED = "", ""


@dataclass(frozen=True, slots=True)
class LiveMigration(ObservedObject):
    """A VirtualMachineInstanceMigration of the machine of a name; `source`: the pod that it leaves,
    "" while that is not decided."""

    machine: str
    source: str = ""
    is_over: bool = False

    def is_alike(self, other: LiveMigration) -> bool:
        """Whether all but the version is the same."""
        return replace(self, version=other.version) == other


@dataclass(frozen=True, slots=True)
class Machine(ObservedObject):
    """A VirtualMachine as its template declares it, or an instance; `machine`: uid of its machine.

    `problem`: what is wrong with it, for an Event; its other NICs are followed. An instance runs on
    `node`; `moving`: its last live migration. `marked`: reason and message of weft's condition.
    """

    nics: tuple[Nic, ...] = ()
    is_deleting: bool = False
    machine: str = ""
    problem: str = ""
    node: str = ""
    moving: MigrationState = STILL
    created: str = ""
    marked: tuple[str, str] = UNMARKED

    @property
    def ref(self) -> Ref:
        return Ref(self.subject.resource, self.subject.key)

    @property
    def key(self) -> ObjectKey:
        return self.subject.key

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"{self.subject.resource.kind} {self.subject.key}"

    @property
    def owner(self) -> Owner:
        """What an object of it names as its owner."""
        return Owner(GROUP, self.subject.resource.kind, self.key.name, self.uid)

    def says(self) -> tuple[object, ...]:
        """All but its version, and what weft itself says of it."""
        status = self.node, self.moving
        return self.subject, self.nics, self.is_deleting, self.machine, self.problem, *status


def read(obj: Object, resource: resources.Resource) -> Machine | LiveMigration:
    """Parses an object of one of the three kinds."""
    return _live_migration(obj) if resource is resources.VMIMS else _machine(obj, resource)


def _live_migration(obj: Object) -> LiveMigration:
    meta, status = obj["metadata"], obj.get("status") or {}
    return LiveMigration(
        Subject(resources.VMIMS, resources.key(obj), meta.get("uid", "")),
        meta.get("resourceVersion", ""),
        _text(obj.get("spec"), "vmiName"),
        _text(status.get("migrationState"), "sourcePod"),
        status.get("phase") in ("Succeeded", "Failed"),
    )


def _text(of: object, name: str) -> str:
    value = of.get(name) if isinstance(of, Mapping) else None
    return value if isinstance(value, str) and len(value) <= _LONGEST_NAME else ""


def _moving(status: object) -> MigrationState:
    """What an instance's status says of its live migration."""
    state = status.get("migrationState") if isinstance(status, Mapping) else None
    if not isinstance(state, Mapping):
        return STILL
    is_ready = bool(state.get("targetNodeDomainReadyTimestamp")) or state.get("completed") is True
    is_failed = state.get("failed") is True
    named = _text(state, "migrationUid"), _text(state, "sourcePod")
    return MigrationState(*named, is_ready and not is_failed, is_failed)


def _machine(obj: Object, resource: resources.Resource) -> Machine:
    meta, found = obj["metadata"], list[errors.InvalidInput]()
    key, subject = resources.key(obj), objects.subject(resource.kind, obj)
    raw, path, annotated = obj.get("spec") or {}, "spec", obj
    if resource is resources.VMS:
        template = raw.get("template") or {}
        raw, path = template.get("spec") or {}, "spec.template.spec"
        annotated = {"metadata": {**(template.get("metadata") or {}), **key._asdict()}}
    nics: tuple[Nic, ...] = ()
    try:
        texts = [
            objects.annotation(resource.kind, annotated, each)
            for each in (names.MACHINE_ADDRESSES, names.MACHINE_CLAIMS)
        ]
        asked = machine.requested(subject, texts[0], found)
        claims = machine.named_claims(subject, texts[1], found)
        nics = machine.nics(Fields(subject, path, raw, found), key.namespace, asked, claims)
    except errors.InvalidInput as error:
        found.append(error)
    owner = next((each.uid for each in owners_of(obj) if _is_machine(each)), "")
    status = obj.get("status") if resource is resources.VMIS else None
    return Machine(
        Subject(resource, key, meta.get("uid", "")),
        meta.get("resourceVersion", ""),
        nics,
        "deletionTimestamp" in meta,
        owner if resource is resources.VMIS else "",
        found[0].in_full() if found else "",
        _text(status, "nodeName"),
        _moving(status),
        str(meta.get("creationTimestamp") or ""),
        _marked(obj.get("status")),
    )


def _marked(status: object) -> tuple[str, str]:
    listed = status.get("conditions") if isinstance(status, Mapping) else None
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, Mapping) and each.get("type") == conditions.MACHINE_CONFLICT:
            return str(each.get("reason") or ""), str(each.get("message") or "")
    return UNMARKED


def claim_key(name: ObjectKey, nic: Nic) -> ObjectKey:
    """Returns the claim of a NIC of a machine."""
    return ObjectKey(name.namespace, machine.claim_name(name.name, nic))


def asked_for(nic: Nic) -> set[str]:
    """Returns the MAC and the addresses that a NIC asks for, as text."""
    asked = {str(selection.without_prefix(each)) for each in nic.addresses}
    return asked | {nic.mac} if nic.mac else asked


def _values(of: Machine) -> set[str]:
    return set().union(*map(asked_for, of.nics))


class _Asking(NamedTuple):
    """A machine or instance among those that ask for a value, in the order of their age."""

    created: str
    key: ObjectKey
    kind: str
    ref: Ref


def _asks(of: Machine, ref: Ref) -> _Asking:
    return _Asking(of.created, ref.key, ref.resource.kind, ref)


def _is_machine(owner: Owner) -> bool:
    return owner[:2] == (GROUP, resources.VMS.kind)


class MachineTable:
    """VirtualMachines and instances, both by their common name, and their live migrations."""

    def __init__(self) -> None:
        self._machines: dict[Ref, Machine] = {}
        self._migrations: dict[Ref, LiveMigration] = {}
        self._by_uid: dict[str, LiveMigration] = {}
        self._of_nad: dict[ObjectKey, set[Ref]] = {}
        self._of_claim: dict[ObjectKey, set[Ref]] = {}  # by the claims that their NICs would have
        # By MACs and addresses that their NICs ask for, the oldest first.
        self._asking: dict[str, list[_Asking]] = {}

    def within(self, namespace: str) -> set[ObjectKey]:
        """Returns the machines of a namespace."""
        return {ref.key for ref in self._machines if ref.key.namespace == namespace}

    def on(self, nad: ObjectKey) -> set[ObjectKey]:
        """Returns the machines with a NIC on a NAD."""
        return {ref.key for ref in self._of_nad.get(nad, ())}

    def naming(self, claim: ObjectKey) -> set[ObjectKey]:
        """Returns the machines with a NIC that would have this claim."""
        return {ref.key for ref in self._of_claim.get(claim, ())}

    def asking(self, value: str) -> set[ObjectKey]:
        """Returns the machines that ask for a MAC or an address, the oldest of very many."""
        return {each.key for each in self._asking.get(value, ())[:_MOST_ASKING]}

    def before(self, owner: Machine, value: str) -> Iterator[Machine]:
        """Yields the older machines and instances that ask for a MAC or an address, too, that
        before the owner first."""
        listed = self._asking.get(value, [])
        end = bisect.bisect_right(listed, (owner.created, owner.key), key=lambda each: each[:2])
        for place in range(end - 1, -1, -1):
            if (found := self._machines[listed[place].ref]).key != owner.key:
                yield found

    def after(self, ref: Ref) -> set[ObjectKey]:
        """Returns the younger machines that hear of this one, if they ask for the same: of those on
        a NAD only the first, which the next ones hear of. So many that ask for one MAC cost no
        more than few."""
        found, known = set[ObjectKey](), self._machines.get(ref)
        for nic in known.nics if known is not None else ():
            for value in asked_for(nic):
                found |= self._after(ref, value, nic.nad)
        return found

    def _after(self, ref: Ref, value: str, nad: ObjectKey) -> set[ObjectKey]:
        listed, found = self._asking[value], set[ObjectKey]()
        start = bisect.bisect_right(listed, _asks(self._machines[ref], ref))
        for place in range(start, len(listed)):
            other = self._machines[listed[place].ref]
            if other.key != ref.key:
                found.add(other.key)
                if any(each.nad == nad and value in asked_for(each) for each in other.nics):
                    break
        return found

    def both(self, key: ObjectKey) -> Iterator[Machine]:
        """Yields the machine of a name, then the instance, of those that there are."""
        for resource in (resources.VMS, resources.VMIS):
            if (found := self._machines.get(Ref(resource, key))) is not None:
                yield found

    def owner(self, key: ObjectKey) -> Machine | None:
        """Returns the machine of a name, or an instance that has none; None if neither is there."""
        return next((each for each in self.both(key) if not each.machine), None)

    def running(self, key: ObjectKey) -> Machine | None:
        """Returns the instance of a name."""
        return self._machines.get(Ref(resources.VMIS, key))

    def migration(self, uid: str, machine: ObjectKey) -> LiveMigration | None:
        """Returns the live migration with a uid, if it is this machine's."""
        found = self._by_uid.get(uid)
        if found is None or (found.subject.key.namespace, found.machine) != machine:
            return None
        return found

    def set_migration(self, ref: Ref, new: LiveMigration | None) -> set[ObjectKey]:
        """Sets a live migration; None: it is gone. Returns namespace and uid of what changed."""
        old = self._migrations.pop(ref, None)
        if old is not None:
            self._by_uid.pop(old.uid, None)
        if new is not None:
            self._migrations[ref] = self._by_uid[new.uid] = new
        if old is not None and new is not None and old.is_alike(new):
            return set()
        there = (each for each in (old, new) if each is not None)
        return {ObjectKey(ref.key.namespace, each.uid) for each in there}

    def instance(self, owner: Machine) -> Machine | None:
        """Returns the instance that an owner has, or is."""
        found = self._machines.get(Ref(resources.VMIS, owner.key))
        is_own = found is not None and (found.machine == owner.uid or found is owner)
        return found if is_own else None

    def declared(self, owner: Machine) -> Machine:
        """Returns the object whose NICs count: the instance, unless it is being deleted."""
        instance = self.instance(owner)
        return owner if instance is None or instance.is_deleting else instance

    def set(self, ref: Ref, new: Machine | None) -> bool:
        """Sets one; None: it is gone. Returns whether anything changed but its version."""
        old = self._machines.pop(ref, None)
        for nic in old.nics if old is not None else ():
            index.discard(self._of_nad, nic.nad, ref)
            index.discard(self._of_claim, claim_key(ref.key, nic), ref)
        if old is not None:
            for value in _values(old):
                listed = self._asking[value]
                del listed[bisect.bisect_left(listed, _asks(old, ref))]
                if not listed:
                    del self._asking[value]
        for nic in new.nics if new is not None else ():
            self._of_nad.setdefault(nic.nad, set()).add(ref)
            self._of_claim.setdefault(claim_key(ref.key, nic), set()).add(ref)
        if new is not None:
            self._machines[ref] = new
            for value in _values(new):
                bisect.insort(self._asking.setdefault(value, []), _asks(new, ref))
        return (old and old.says()) != (new and new.says())
