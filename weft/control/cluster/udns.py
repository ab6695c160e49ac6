"""Parses UserDefinedNetworks and ClusterUserDefinedNetworks, and lists them by their NADs.

Pure. A NAD is rendered from an object that is known and that it names as its controller, by uid: a
reference to one that is gone, or was made again under its name, counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from weft import errors, names
from weft.api import udnstatus, userdefined
from weft.api.fields import Fields
from weft.control import index
from weft.control.cluster import nads
from weft.control.cluster.nads import Nad, Rendering, Rules
from weft.control.cluster.objects import ObservedObject
from weft.control.cluster.outcome import Ref, Subject
from weft.kube import resources
from weft.kube.resources import Resource
from weft.labels import Selector
from weft.model import ObjectKey

_NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Udn(ObservedObject):
    """A UserDefinedNetwork, or a ClusterUserDefinedNetwork, which has a `selector` of namespaces.

    `config` is the NetConf of its NADs, `problem` what is wrong with the object: nothing is made or
    altered then. `labels` and `annotations` are those that its NADs carry.
    """

    generation: int
    created: str
    finalizers: tuple[str, ...]
    is_deleting: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    config: userdefined.Config
    problem: str = ""
    selector: Selector | None = None
    status: Mapping[str, Any] | None = None

    @property
    def ref(self) -> Ref:
        return Ref(self.subject.resource, self.subject.key)

    @property
    def network(self) -> str:
        return userdefined.network_name(*self.subject.key)

    @property
    def is_cluster_wide(self) -> bool:
        return self.subject.resource is resources.CUDNS

    @property
    def is_protected(self) -> bool:
        """Whether it has the finalizer: without it, its NADs could outlive it."""
        return names.UDN_PROTECTION in self.finalizers

    @property
    def is_created(self) -> bool:
        """Whether its status says that its NADs are there."""
        return udnstatus.is_created(self.status)

    def chooses(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether a namespace gets a NAD of it."""
        if not self.is_cluster_wide:
            return namespace == self.subject.key.namespace
        selector = self.selector
        return selector is not None and selector.matches({**labels, _NAME_LABEL: namespace})

    def renders_as(self, other: Udn) -> bool:
        """Whether two versions of an object differ in nothing but their status."""
        version, status = other.version, other.status
        alike = replace(self, version=version, generation=other.generation, status=status)
        return alike == other

    def rendering(self) -> Rendering:
        """What its NADs carry beside their configuration."""
        key = self.subject.key
        return Rendering(
            self.subject.resource.kind, key.name, self.uid, self.labels, self.annotations
        )

    def text(self, nad: ObjectKey) -> str:
        """The configuration of one of its NADs."""
        return userdefined.text(self.config, nad)

    def manifest(self, nad: ObjectKey) -> dict[str, Any]:
        """One of its NADs."""
        resource, key, uid = self.subject
        about = {"apiVersion": resource.api_version, "kind": resource.kind}
        notes = {"annotations": dict(self.annotations)} if self.annotations else {}
        return userdefined.manifest(
            {**about, "name": key.name, "uid": uid},
            {"labels": dict(self.labels), **notes},
            self.text(nad),
            nad,
        )


def read(obj: Mapping[str, Any], resource: Resource, rules: Rules) -> Udn:
    """Parses an object of either kind; what is wrong with it, or its NetConf, is its `problem`."""
    meta = obj["metadata"]
    key = resources.key(obj)
    found: list[errors.InvalidInput] = []
    spec = Fields(f"{resource.kind} {key}", "spec", obj.get("spec") or {}, found)
    is_cluster_wide, selector = resource is resources.CUDNS, None
    if is_cluster_wide:
        selector = userdefined.selector(spec)
        network = spec.nested("network")
    else:
        network = spec
    config: userdefined.Config = {}
    if network is None:
        spec.refuse("network", None, "is missing; it must describe the network")
    else:
        config = userdefined.configuration(network, userdefined.network_name(*key))
    if is_cluster_wide and config:
        # The NADs of a network let each other in.
        config["namespaceSelector"] = spec.value("namespaceSelector") or {}
    problem = userdefined.problem(found) or _judged(config, key, rules)
    return Udn(
        Subject(resource, key, meta.get("uid", "")),
        meta.get("resourceVersion", ""),
        meta.get("generation", 0),
        meta.get("creationTimestamp", ""),
        tuple(meta.get("finalizers") or ()),
        "deletionTimestamp" in meta,
        userdefined.carried_labels(meta.get("labels")),
        userdefined.carried_annotations(meta.get("annotations")),
        config,
        problem,
        selector,
        obj.get("status"),
    )


def _judged(config: userdefined.Config, key: ObjectKey, rules: Rules) -> str:
    """Returns what is wrong with the NADs that would be rendered."""
    nad = ObjectKey(key.namespace or "default", key.name)
    made = {"metadata": nad._asdict(), "spec": {"config": userdefined.text(config, nad)}}
    return nads.read(made, rules).problem


@dataclass(slots=True)
class UdnTable:
    """All objects of both kinds, and which NADs name which of them as their controller."""

    _udns: dict[Ref, Udn] = field(default_factory=dict)
    _refs: dict[str, Ref] = field(default_factory=dict)  # by uid
    _nads: dict[str, set[ObjectKey]] = field(default_factory=dict)  # by uid
    _controllers: dict[ObjectKey, str] = field(default_factory=dict)  # by NAD: uid

    def get(self, ref: Ref) -> Udn | None:
        return self._udns.get(ref)

    def __iter__(self) -> Iterator[Udn]:
        return iter(self._udns.values())

    def set(self, ref: Ref, new: Udn | None) -> Udn | None:
        """Sets an object, None: it is gone; returns what it was."""
        old = self._udns.pop(ref, None)
        if old is not None:
            self._refs.pop(old.uid, None)
        if new is not None:
            self._udns[ref] = new
            self._refs[new.uid] = ref
        return old

    def set_nad(self, key: ObjectKey, new: Nad | None) -> None:
        """Sets which object a NAD names as its controller; None: the NAD is gone."""
        before = self._controllers.pop(key, None)
        if before is not None:
            index.discard(self._nads, before, key)
        if new is not None and new.rendering is not None:
            uid = new.rendering.uid
            self._controllers[key] = uid
            self._nads.setdefault(uid, set()).add(key)

    def nads_of(self, uid: str) -> list[ObjectKey]:
        """Returns the NADs that name an object as their controller."""
        return sorted(self._nads.get(uid, ()))

    def renderer(self, nad: Nad) -> Udn | None:
        """Returns the object that a NAD is rendered from, None for a NAD that is not."""
        if nad.rendering is None:
            return None
        ref = self._refs.get(nad.rendering.uid)
        udn = self._udns[ref] if ref is not None else None
        if udn is None or udn.subject.key.name != nad.key.name:
            return None
        return udn if udn.is_cluster_wide or udn.subject.key == nad.key else None

    def network_of(self, nad: Nad) -> str:
        """Returns the network that a NAD is rendered for, "" for a NAD that is not."""
        udn = self.renderer(nad)
        return udn.network if udn is not None else ""

    def candidates(self, nad: ObjectKey) -> list[Udn]:
        """Returns the objects that may render a NAD of this key, the oldest first."""
        refs = Ref(resources.UDNS, nad), Ref(resources.CUDNS, ObjectKey("", nad.name))
        found = [self._udns[ref] for ref in refs if ref in self._udns]
        return sorted(found, key=lambda each: (each.created, each.subject.resource.kind))
