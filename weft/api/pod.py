"""Parses a pod into what weft needs of it: its request, node and allocations.

A pod is parsed once, when the API server sends it; values that repeat from pod to pod are
stored once.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar

import orjson

from weft import errors, model, names
from weft.api import (
    addressrequests,
    bandwidth,
    connections,
    machine,
    objects,
    podnetworks,
    podports,
    selection,
)
from weft.api.podsignature import SignedAnnotations
from weft.model import ObjectKey
from weft.policy.netpolicy import NamedPorts, Protocol

T = TypeVar("T")

# Limits on what is kept of a pod: attachments, with that of the default network, and characters
# of a NAD's key and of a device's name.
_MAX_ENTRIES = selection.MAX_ATTACHMENTS + 1
_LONGEST_ENTRY = 512
_LONGEST_UID = 253  # characters of the uid of a pod's owner
_MOST_LABELS = 32  # that pods of one template share in memory
_LONGEST_SHARED = 4096  # characters of a selection that equal pods share in memory
# The annotations that a pod's request is read from.
_OF_REQUESTS = (names.NETWORKS, names.CHOSEN_DEFAULT, names.NIC_OPTIONS, *bandwidth.ANNOTATIONS)
_OF_MACHINES = names.MACHINE_ADDRESSES, names.MACHINE_CLAIMS
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VIRTUAL_MACHINES = "kubevirt.io", "VirtualMachineInstance"


@dataclass(frozen=True, slots=True)
class Request:
    """The attachments that a pod requests; none and an `error` if the request is invalid."""

    attachments: tuple[model.Attachment, ...] = ()
    error: errors.InvalidInput | None = field(default=None, compare=False)
    message: str = ""  # that of `error`


NO_REQUEST = Request()
_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Pod:
    """One incarnation of a pod, at one `version` (resourceVersion).

    `is_on_networks`: it requests networks, or did when it got allocations. `primary`: weft serves
    the default network, and the pod is on it. `proof` are the annotations with its allocations and
    their signature; `allocated` the NAD of each attachment in them. `machine`: the virtual machine
    that the pod runs, `machine_uid` its instance's; `migration`: uid of the live migration that
    the pod is the target of. `hostname`: what its spec calls the guest, "" for nothing. `labels`
    and `named` ports, which policies select by, are kept only for pods on networks. A pod that
    `has_interfaces` keeps them for its life; its network-status decides that, and a forged one
    gains the pod nothing. If no kubelet has given the pod an address, its network-status is a copy
    of another pod's and does not count. `interfaces` are their keys and names, from
    network-status. `other_requests` are annotations that request addresses from other plugins.
    `carried` is the digest of a migrating machine's connections on the pod, "" without any.
    """

    ref: model.PodRef
    version: str
    created: str = ""
    node: str = ""
    is_deleting: bool = False
    is_completed: bool = False
    is_running: bool = False
    has_interfaces: bool = False
    host_network: bool = False
    primary: bool = False
    is_on_networks: bool = False
    request: Request = NO_REQUEST
    proof: SignedAnnotations = ("", "")
    allocated: tuple[ObjectKey, ...] = ()
    machine: str = ""
    machine_uid: str = ""
    migration: str = ""
    hostname: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    named: NamedPorts = field(default_factory=dict)
    interfaces: tuple[tuple[str, str], ...] = ()
    other_requests: tuple[tuple[str, str], ...] = ()
    carried: str = ""

    @property
    def key(self) -> ObjectKey:
        return self.ref.key

    @property
    def uses_networks(self) -> bool:
        """Whether weft serves the pod, or may have to."""
        return self.primary or self.is_on_networks

    @property
    def uid(self) -> str:
        return self.ref.uid

    @property
    def label(self) -> str:
        """The pod's name in messages."""
        return f"Pod {self.ref.key}"

    @property
    def identity(self) -> str:
        """The owner of the pod's NICs: its virtual machine, or any pod of its name."""
        kind, name = ("Machine", self.machine) if self.machine else ("Pod", self.ref.name)
        return f"{kind}/{self.ref.namespace}/{name}"

    def age(self) -> tuple[str, ...]:
        """A sort key: the oldest pod first, in the same order on every run."""
        return self.created, self.ref.namespace, self.ref.name

    def attachments(self) -> tuple[model.Attachment, ...]:
        """The attachments that the pod requests; InvalidInput names the pod and the field."""
        if self.request.error is not None:
            raise self.request.error
        return self.request.attachments

    def with_identity(self, attachment: model.Attachment) -> model.Attachment:
        """The attachment with the identity of its owner."""
        return replace(attachment, identity=f"{attachment.key}/{self.identity}")

    def needs_allocations(self, *, holds: bool = False) -> bool:
        """Whether the pod needs allocations: it requests some, has a node, and has not ended.

        `holds`: it has some already, whether it still requests them or not.
        """
        is_over = self.is_completed or self.is_deleting
        return (
            (holds or self.uses_networks) and bool(self.node) and not (self.host_network or is_over)
        )

    def has_same_request(self, other: Pod) -> bool:
        """Whether two states of a pod have the same request; labels do not count."""
        return _request_fields(self) == _request_fields(other)

    def is_same_to_policies(self, other: Pod) -> bool:
        """Whether two states of a pod are equal to policies."""
        return _policed(self) == _policed(other)

    # Values of indexes

    def nads(self) -> set[ObjectKey]:
        """The NADs that the pod names; empty if its request is invalid."""
        return {each.nad for each in self.request.attachments if each.nad}

    def uses_foreign_nads(self) -> bool:
        """Whether the pod names NADs in other namespaces, whose owners may admit it."""
        return any(nad.namespace != self.ref.namespace for nad in self.nads())

    def claims(self) -> set[ObjectKey]:
        """The IPAMClaims that the pod may refer to, in its NADs' namespaces and in its own."""
        named = [each for each in self.request.attachments if each.ipam_claim]
        if not named:
            return set()
        homes = {ObjectKey(each.nad.namespace, each.ipam_claim) for each in named if each.nad}
        return homes | {ObjectKey(self.ref.namespace, each.ipam_claim) for each in named}


def _request_fields(pod: Pod) -> tuple[object, ...]:
    return (
        *(pod.ref, pod.node, pod.is_deleting, pod.is_completed, pod.host_network),
        *(pod.primary, pod.uses_networks, pod.request, pod.proof, pod.other_requests),
        *(pod.machine, pod.machine_uid, pod.migration),
    )


def _policed(pod: Pod) -> tuple[object, ...]:
    return pod.labels, pod.named, pod.node, pod.is_completed, pod.proof[0]


def unrequested(
    requested: Iterable[model.Attachment], allocated: Iterable[str]
) -> Iterable[model.Attachment]:
    """Attachments that have an allocation but are no longer requested; a pod keeps them."""
    known = {attachment.key for attachment in requested}
    for key in sorted(set(allocated) - known):
        yield model.Attachment(nad=podnetworks.nad_of(key), key=key, interface="")


def read(pod: Mapping[str, Any], *, primary: bool = False) -> Pod:
    """Parse `pod`; `primary`: weft serves the default network, so every pod counts."""
    meta, spec = pod["metadata"], pod.get("spec") or {}
    status = pod.get("status") or {}
    phase = status.get("phase")
    annotations = meta.get("annotations") or {}
    is_on_networks = _is_on_networks(annotations)
    is_host = bool(spec.get("hostNetwork"))
    is_reported = names.NETWORK_STATUS in annotations and bool(status.get("podIP"))
    key = ObjectKey(sys.intern(meta.get("namespace") or "default"), meta["name"])
    serves = primary and not is_host
    counts = serves or is_on_networks
    runs = machine_of(meta) if is_on_networks else ("", "")
    labels = meta.get("labels") or {}
    return Pod(
        ref=model.PodRef(key, meta.get("uid", "")),
        version=meta.get("resourceVersion", ""),
        created=sys.intern(meta.get("creationTimestamp") or ""),
        node=sys.intern(spec.get("nodeName") or ""),
        is_deleting=bool(meta.get("deletionTimestamp")),
        is_completed=phase in ("Succeeded", "Failed"),
        is_running=phase == "Running",
        has_interfaces=phase == "Running" or is_reported,
        host_network=is_host,
        primary=serves,
        is_on_networks=is_on_networks,
        request=_request(pod, annotations, primary=serves) if counts else NO_REQUEST,
        # Also where its last NIC was unplugged: then it is signed that there is none.
        proof=_proof(annotations)
        if counts or names.POD_NETWORKS_SIGNATURE in annotations
        else ("", ""),
        allocated=_allocated(annotations) if counts else (),
        machine=runs[0],
        machine_uid=runs[1],
        migration=str(labels.get(names.MIGRATION_UID) or "") if runs[0] else "",
        hostname=stored_hostname(spec.get("hostname")) if is_on_networks else "",
        labels=stored_labels(labels) if is_on_networks else _NOTHING,
        named=_named(pod) if is_on_networks else _NOTHING,
        interfaces=_interfaces(annotations)
        if is_on_networks and (phase == "Running" or is_reported)
        else (),
        other_requests=_other_requests(annotations) if counts else (),
        carried=connections.digest(str(annotations.get(names.CONNECTIONS) or "")),
    )


def _is_on_networks(annotations: Mapping[str, Any]) -> bool:
    """Whether the pod requests networks, or did when it got an allocation."""
    if names.NETWORKS in annotations or names.CHOSEN_DEFAULT in annotations:
        return True
    decided = annotations.get(names.POD_NETWORKS)
    if not isinstance(decided, str):
        return False
    try:
        return set(orjson.loads(decided)) - {names.DEFAULT_NETWORK} != set()
    except (ValueError, TypeError):
        return True  # whatever broke it may have broken the cluster manager's annotation too


def _request(pod: Mapping[str, Any], annotations: Mapping[str, Any], *, primary: bool) -> Request:
    texts = tuple(map(annotations.get, _OF_REQUESTS))
    try:
        if any(map(annotations.get, _OF_MACHINES)) or (
            sum(map(len, filter(None, texts))) > _LONGEST_SHARED
        ):
            return Request(_requested(pod, primary=primary))  # no template's: shared by nobody
        return _parsed(pod["metadata"]["namespace"], texts, primary)
    except (errors.InvalidInput, TypeError):
        pass
    try:
        return Request(_requested(pod, primary=primary))
    except errors.InvalidInput as error:  # its message names this pod, so it is not shared
        return Request((), error, error.in_full())


def _requested(pod: Mapping[str, Any], *, primary: bool) -> tuple[model.Attachment, ...]:
    """The attachments, with what the annotations of a machine ask for its pod."""
    asked = selection.parse(pod, primary=primary)
    addresses, claims = (objects.annotation(selection.KIND, pod, key) for key in _OF_MACHINES)
    if not ((addresses or claims) and machine_of(pod["metadata"])[0]):
        return asked
    subject = objects.subject(selection.KIND, pod)
    return machine.with_requested(subject, addresses, claims, asked)


@lru_cache(maxsize=1024)
def _parsed(namespace: str, texts: tuple[object, ...], primary: bool) -> Request:
    """The attachments of a selection; pods of one template share one result."""
    annotations = dict(zip(_OF_REQUESTS, texts, strict=True))
    meta = {"namespace": namespace, "name": "", "annotations": annotations}
    return Request(selection.parse({"metadata": meta}, primary=primary))


def _proof(annotations: Mapping[str, Any]) -> SignedAnnotations:
    text = annotations.get(names.POD_NETWORKS)
    signature = annotations.get(names.POD_NETWORKS_SIGNATURE)
    return str(text or ""), str(signature or "")


def _allocated(annotations: Mapping[str, Any]) -> tuple[ObjectKey, ...]:
    """The NAD of each attachment in the pod's annotation of allocations."""
    text = annotations.get(names.POD_NETWORKS)
    if not text:
        return ()
    try:
        given = orjson.loads(text)
    except (ValueError, TypeError):
        return ()
    keys = given if isinstance(given, dict) else ()
    return _shared(tuple(nad for key in keys if (nad := podnetworks.nad_of(key))))


def machine_of(meta: Mapping[str, Any]) -> tuple[str, str]:
    """The virtual machine that the pod runs, and the uid of KubeVirt's instance of it, which has
    the same name in every run; "" for none.

    An owner reference is its writer's word, of which the API server checks nothing: it counts only
    with a name that an instance can have.
    """
    for owner in meta.get("ownerReferences") or ():
        group = str(owner.get("apiVersion", "")).partition("/")[0]
        if (group, owner.get("kind")) == _VIRTUAL_MACHINES and owner.get("controller"):
            name, uid = str(owner["name"]), str(owner.get("uid", ""))
            if machine.OBJECT_NAME.fullmatch(name) and len(uid) <= _LONGEST_UID:
                return name, uid
    return "", ""


def stored_hostname(name: object) -> str:
    """A host name, if it is a DNS label, as the API server has it; else ""."""
    return sys.intern(name) if isinstance(name, str) and _LABEL.fullmatch(name) else ""


def _interfaces(annotations: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(key of the attachment, interface) for each entry of network-status, in order."""
    try:
        listed = orjson.loads(annotations.get(names.NETWORK_STATUS) or "[]")
        entries = [(str(each["name"]), str(each["interface"])) for each in listed]
    except (ValueError, TypeError, KeyError):
        return ()
    if len(entries) > _MAX_ENTRIES or any(
        len(name) + len(each) > _LONGEST_ENTRY for name, each in entries
    ):
        return ()  # longer than any plugin writes, and the result stays in memory
    seen: Counter[str] = Counter()
    found = []
    for name, interface in entries:
        found.append((f"{name}/{seen[name]}" if seen[name] else name, interface))
        seen[name] += 1
    return _shared(tuple(found))


def _other_requests(annotations: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = [name for name in annotations if addressrequests.is_request(name)]
    return tuple((name, str(annotations[name])) for name in sorted(found)) if found else ()


def stored_labels(labels: Mapping[str, str] | None) -> Mapping[str, str]:
    """A pod's labels; pods of one template share one result."""
    if not labels:
        return _NOTHING
    if len(labels) > _MOST_LABELS:  # no template's: shared by nobody
        return {_interned(key): _interned(value) for key, value in labels.items()}
    return _stored_labels(tuple(labels.items()))


@lru_cache(maxsize=1024)
def _stored_labels(labels: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return {_interned(key): _interned(value) for key, value in labels}


def _named(pod: object) -> NamedPorts:
    return stored_ports(podports.named_ports(pod))


def stored_ports(found: NamedPorts) -> NamedPorts:
    """The numbers of named ports; pods of one template share one result."""
    if not found:
        return _NOTHING
    return _stored_ports(tuple(found.items())) if len(found) <= _MAX_ENTRIES else found


@lru_cache(maxsize=1024)
def _stored_ports(found: tuple[tuple[tuple[Protocol, str], int], ...]) -> NamedPorts:
    return dict(found)


def _shared(found: tuple[T, ...]) -> tuple[T, ...]:
    """The stored one of equal tuples; long ones are unlikely to repeat."""
    return _stored(found) if 0 < len(found) <= _MAX_ENTRIES else found


@lru_cache(maxsize=1024)
def _stored(found: tuple[T, ...]) -> tuple[T, ...]:
    return found


def _interned(value: Any) -> Any:
    return sys.intern(value) if isinstance(value, str) and len(value) < 256 else value
