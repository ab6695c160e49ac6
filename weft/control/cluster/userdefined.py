"""Decides which NADs are rendered from UserDefinedNetworks, and the status of those.

Pure. An object gets its finalizer before its first NAD, and loses it after the last one: so no NAD
outlives it, whenever the manager ends. A NAD goes when the object is deleted, or does not choose
its namespace any more; pods that use it hold it until they are gone, and new ones are refused. A
NAD of the name that is not rendered from the object is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from weft import names
from weft.api import udnstatus, userdefined
from weft.control.cluster import edits
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.nads import Nad
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodes import Nodes
from weft.control.cluster.objects import Namespace
from weft.control.cluster.outcome import NOTHING, Event, Outcome, Patch, Ref, Replacement, Subject
from weft.control.cluster.udns import Udn, UdnTable
from weft.kube import resources
from weft.kube.resources import Resource
from weft.model import ObjectKey
from weft.reasons import Reason

# Seconds in which changes of a network's NADs are collected into one update of its status.
QUIET = 0.2


class UserDefinedNetworks:
    """All objects of both kinds. `due`: those to decide, and after how many seconds.

    NADs that may have to be made, altered or removed are due with `networks`.
    """

    def __init__(
        self, table: UdnTable, networks: Networks, nodes: Nodes, allocations: Allocations
    ) -> None:
        self._table, self._networks, self._nodes = table, networks, nodes
        self._allocations = allocations
        self._namespaces: dict[str, Namespace] = {}
        self._unstored: dict[ObjectKey, str] = {}  # NADs that the server refuses, and why
        self._named: dict[Ref, frozenset[str]] = {}  # pods that the Event of a deletion named
        self._failed: dict[Ref, tuple[str, ...]] = {}  # allocations that Events told of
        self.due: dict[Resource, dict[ObjectKey, float]] = {
            resources.UDNS: {},
            resources.CUDNS: {},
        }

    # What happened

    def set(self, ref: Ref, new: Udn | None) -> None:
        """Sets an object; None: it is gone."""
        old = self._table.set(ref, new)
        if new is None:
            self._named.pop(ref, None)
            self._failed.pop(ref, None)
        else:
            self.due[ref.resource][ref.key] = 0.0
            if old is not None and old.renders_as(new):
                return  # as after each status that this manager wrote
        keys = sorted({key for each in (old, new) if each for key in self._concerned(each)})
        self._networks.use_renderers(keys)
        for key in keys:
            self._wake(key)

    def set_namespace(self, name: str, new: Namespace | None) -> None:
        """Sets a namespace; None: it is gone."""
        old = self._namespaces.pop(name, None)
        if new is not None:
            self._namespaces[name] = new
        for udn in self._table:
            if udn.is_cluster_wide and _chosen(udn, old) != _chosen(udn, new):
                self._wake(ObjectKey(name, udn.subject.key.name))

    def use_nad(self, key: ObjectKey) -> None:
        """A NAD is new, changed or gone, or what became of it is."""
        if self._networks.nad(key) is not None:
            self._unstored.pop(key, None)
        self._wake(key)

    def use_network(self, network: str) -> None:
        """What nodes have of a network changed."""
        if (named := userdefined.named_by(network)) is not None:
            self._touch(_ref(*named))

    def use_node(self, node: str) -> None:
        """What a node has, or lacks, of networks changed."""
        for network in self._nodes.networks(node):
            self.use_network(network)
        for ref, lacking in self._failed.items():
            if lacking:  # the node that lacks something may be this one, and be gone
                self._touch(ref)

    def skip_nad(self, key: ObjectKey, problem: str) -> None:
        """The server refuses to store a NAD for a reason of its own."""
        self._unstored[key] = problem
        self._wake(key, is_due=False)

    def _wake(self, key: ObjectKey, *, is_due: bool = True) -> None:
        """A NAD may have to be written, and the status of whom it is about."""
        found = self._table.candidates(key)
        nad = self._networks.nad(key)
        if nad is not None and (udn := self._table.renderer(nad)) is not None:
            found.append(udn)
        if is_due and (found or (nad is not None and nad.rendering is not None)):
            self._networks.due[key] = 0.0
        for udn in found:
            self._touch(udn.ref)

    def _touch(self, ref: Ref) -> None:
        if self._table.get(ref) is not None:
            self.due[ref.resource].setdefault(ref.key, QUIET)

    # NADs

    def decide_nad(self, key: ObjectKey) -> Outcome:
        """Returns what to write of a NAD that is, or should be, rendered."""
        nad = self._networks.nad(key)
        if nad is None:
            udn = next((each for each in self._table.candidates(key) if self._has(each, key)), None)
            if udn is None or udn.problem:
                return NOTHING
            about = Subject(resources.NADS, key, "")
            return Outcome(replacements=(Replacement(about, udn.manifest(key)),))
        if nad.rendering is None:
            return NOTHING
        udn = self._table.renderer(nad)
        patch = _let_go(nad) if nad.is_deleting and not self._is_used(nad) else None
        if not nad.is_deleting and udn is not None:
            patch = _repaired(nad, udn, key)
            if not self._has(udn, key):
                patch = Patch(nad.subject, removes=True)
        return Outcome((patch,)) if patch is not None else NOTHING

    def _has(self, udn: Udn, key: ObjectKey) -> bool:
        """Whether a NAD of this key is to be there for an object."""
        chosen = _chosen(udn, self._namespaces.get(key.namespace))
        return chosen and udn.is_protected and not udn.is_deleting

    def _is_used(self, nad: Nad) -> bool:
        return nad.is_held or bool(self._allocations.users(nad.key))

    def _concerned(self, udn: Udn) -> Iterator[ObjectKey]:
        """Yields the NADs that an object has, or is to have."""
        yield from self._table.nads_of(udn.uid)
        own = udn.subject.key
        if not udn.is_cluster_wide:
            yield own
            return
        for name, namespace in self._namespaces.items():
            if _chosen(udn, namespace):
                yield ObjectKey(name, own.name)

    # Objects

    def decide(self, ref: Ref, now: str) -> Outcome:
        """Returns the patch of an object's finalizers or status, and its Events."""
        udn = self._table.get(ref)
        if udn is None:
            return NOTHING
        finalizers = self._finalizers(udn)
        if finalizers is not None:
            return Outcome((Patch(udn.subject, finalizers=finalizers, version=udn.version),))
        conditions = list(self._conditions(udn))
        events = [*self._deletion_waits(udn), *self._allocation_failed(udn)]
        status = udnstatus.render(conditions, udn.status, udn.generation, now)
        if not conditions or status == udn.status:
            return Outcome(events=tuple(events))
        patch = Patch(udn.subject, status=status, version=udn.version)
        return Outcome((patch,), tuple(events))

    def _finalizers(self, udn: Udn) -> tuple[str, ...] | None:
        """Returns the finalizers to write; None if they are right."""
        if udn.is_deleting:
            if not udn.is_protected or self._rendered(udn):
                return None
            return tuple(each for each in udn.finalizers if each != names.UDN_PROTECTION)
        if udn.is_protected or udn.problem:
            return None
        return (*udn.finalizers, names.UDN_PROTECTION)

    def _rendered(self, udn: Udn) -> list[Nad]:
        found = map(self._networks.nad, self._table.nads_of(udn.uid))
        return [each for each in found if each is not None and self._table.renderer(each) is udn]

    def _conditions(self, udn: Udn) -> Iterator[udnstatus.Condition]:
        if udn.problem:
            yield udnstatus.failed([udn.problem], is_cluster_wide=udn.is_cluster_wide)
            return
        keys = sorted({*self._concerned(udn)})
        problems = [each for key in keys if (each := self._problem(udn, key))]
        nads = {key: self._networks.nad(key) for key in keys if self._has(udn, key)}
        there = {key: nad for key, nad in nads.items() if nad is not None}
        leaving = [str(key) for key, nad in there.items() if nad.is_deleting]
        if problems:
            yield udnstatus.failed(problems, is_cluster_wide=udn.is_cluster_wide)
        elif leaving or udn.is_deleting:
            yield udnstatus.deleted(leaving or map(str, keys))
        elif len(there) == len(nads) or (there and udn.is_created):
            namespaces = [key.namespace for key in there]
            yield udnstatus.created(namespaces if udn.is_cluster_wide else None)
        if self._owns(udn) or self._networks.lacking(udn.network):
            yield udnstatus.allocated(self._lacking(udn))

    def _owns(self, udn: Udn) -> bool:
        """Whether the network of its name is there, and is its own."""
        network = self._networks.get(udn.network)
        if network is None or network.owner is None:
            return False
        nad = self._networks.nad(network.owner)
        return nad is not None and self._table.renderer(nad) is udn

    def _problem(self, udn: Udn, key: ObjectKey) -> str:
        """Returns what keeps a NAD of an object from being as it should; "" for nothing."""
        nad = self._networks.nad(key)
        if nad is None:
            return self._unstored.get(key, "") if self._has(udn, key) else ""
        renderer = self._table.renderer(nad)
        if renderer is not udn:
            by = f" (it is rendered from {_named(renderer)})" if renderer is not None else ""
            return (
                f"foreign NetworkAttachmentDefinition {key} has the name{by}: delete it, or choose "
                "another name"
            )
        pods = self._allocations.users(key)
        if pods and not self._has(udn, key):
            return (
                f"NetworkAttachmentDefinition {key} is being deleted, and stays until the pods "
                f"that use it are gone: {edits.named(pods.values(), len(pods))}"
            )
        return self._networks.refusal(udn.network, key)

    def _lacking(self, udn: Udn) -> list[str]:
        lacking = self._networks.lacking(udn.network)
        return [lacking] if lacking else self._nodes.lacking(udn.network)

    # Events

    def _deletion_waits(self, udn: Udn) -> Iterator[Event]:
        """Yields an Event that names pods which hold a deletion up, if all it named are gone."""
        users: Mapping[str, str] = {}
        if udn.is_deleting:
            users = dict(_users(self._allocations, self._table.nads_of(udn.uid)))
        if not users:
            self._named.pop(udn.ref, None)
        elif not self._named.get(udn.ref, frozenset()) & users.keys():
            some = list(users)[: edits.MAX_NAMED]
            self._named[udn.ref] = frozenset(some)
            pods = edits.named((users[uid] for uid in some), len(users))
            message = f"is being deleted, and stays until the pods that use it are gone: {pods}"
            yield Event(udn.subject, Reason.DELETION_WAITS, f"{_named(udn)}: {message}")

    def _allocation_failed(self, udn: Udn) -> Iterator[Event]:
        lacking = tuple(self._lacking(udn))
        before = self._failed.get(udn.ref, ())
        self._failed[udn.ref] = lacking
        for each in lacking:
            if each not in before:
                message = f"{_named(udn)}: {each}"
                yield Event(udn.subject, Reason.NETWORK_ALLOCATION_FAILED, message)


def _users(allocations: Allocations, nads: Iterable[ObjectKey]) -> Iterator[tuple[str, str]]:
    for nad in nads:
        yield from allocations.users(nad).items()


def _named(udn: Udn) -> str:
    return f"{udn.subject.resource.kind} {udn.subject.key}"


def _ref(namespace: str, name: str) -> Ref:
    kind = resources.UDNS if namespace else resources.CUDNS
    return Ref(kind, ObjectKey(namespace, name))


def _chosen(udn: Udn, namespace: Namespace | None) -> bool:
    """Whether a namespace is there and gets a NAD; one that is being deleted takes none."""
    if not udn.is_cluster_wide:
        return True
    if namespace is None or namespace.is_deleting:
        return False
    return udn.chooses(namespace.subject.name, namespace.labels)


def _let_go(nad: Nad) -> Patch | None:
    if names.UDN_PROTECTION not in nad.finalizers:
        return None
    left = tuple(each for each in nad.finalizers if each != names.UDN_PROTECTION)
    return Patch(nad.subject, finalizers=left, version=nad.version)


def _repaired(nad: Nad, udn: Udn, key: ObjectKey) -> Patch | None:
    """Returns the patch that makes a NAD what is rendered; None if it is."""
    assert nad.rendering is not None
    if udn.problem:
        return None
    labels = _changes(nad.rendering.labels, udn.labels)
    notes = _changes(nad.rendering.annotations, udn.annotations)
    config = udn.text(key)
    spec = {"config": config} if nad.config != config else None
    finalizers = None
    if names.UDN_PROTECTION not in nad.finalizers:
        finalizers = (*nad.finalizers, names.UDN_PROTECTION)
    if not (labels or notes or spec or finalizers):
        return None
    return Patch(nad.subject, notes, finalizers, labels=labels, spec=spec, version=nad.version)


def _changes(have: Mapping[str, str], desired: Mapping[str, str]) -> dict[str, str | None]:
    gone: dict[str, str | None] = {key: None for key in have if key not in desired}
    return gone | {key: value for key, value in desired.items() if have.get(key) != value}
