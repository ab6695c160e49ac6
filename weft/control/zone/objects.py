"""Parses Nodes and Namespaces for a zone, and pairs pods with their allocations.

Pure. Each object is parsed once, where it comes in, and frozen. `api/pod.py` parses pods, `nads.py`
NADs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from weft import errors, model, names
from weft.api import nodeinfo, policy
from weft.api.pod import Pod
from weft.policy import netpolicy

Object = Mapping[str, Any]

# Annotation -> field of model.NodeInfo.
_FIELDS = {
    names.NODE_CHASSIS_ID: "chassis",
    names.NODE_ENCAP_IPS: "encap_ips",
    names.NODE_ID: "id",
    names.NODE_TRANSIT: "transit",
    names.NODE_SUBNETS: "subnets",
    names.NODE_GATEWAY: "gateway",
}
_ANNOTATIONS = (*_FIELDS, names.VERSION, names.NODE_BRIDGE_MAPPINGS)


@dataclass(frozen=True, slots=True)
class AllocatedPod:
    """A scheduled pod that is not completed, with its signed `allocations` by attachment key."""

    pod: Pod
    allocations: Mapping[str, model.Allocation]

    def is_alike(self, other: AllocatedPod) -> bool:
        """Whether two states of a pod are the same for a zone."""
        return _seen(self.pod) == _seen(other.pod) and self.allocations == other.allocations


def _seen(pod: Pod) -> tuple[object, ...]:
    called = pod.machine, pod.hostname
    return pod.ref, pod.node, pod.is_running, pod.created, pod.labels, pod.named, called


def allocated(pod: Pod, decided: Mapping[str, model.Allocation]) -> AllocatedPod | None:
    """Returns the pod with its allocations; None without any, or unscheduled, or completed.

    `decided` are its allocations; that of the default network counts only where weft serves it.
    """
    if not pod.node or pod.host_network or pod.is_completed:
        return None
    if not pod.primary and names.DEFAULT_NETWORK in decided:
        decided = {key: decided[key] for key in decided if key != names.DEFAULT_NETWORK}
    return AllocatedPod(pod, decided) if decided else None


@dataclass(frozen=True, slots=True)
class Node:
    """A parsed Node; `version` (resourceVersion) does not count in `==`.

    `info` lacks the fields that could not be parsed: `broken` names them, `problems` say why.
    `condition` and `tunnels` are weft's own in the Node's status: OVNKnownFaults and TunnelsUp.
    `labels` are those for physical networks alone.
    """

    info: model.NodeInfo
    uid: str = ""
    version: str = field(default="", compare=False)
    annotations: Mapping[str, str] = field(default_factory=dict)
    condition: Mapping[str, Any] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    tunnels: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.info.name

    def standing(self, before: model.NodeInfo | None) -> model.NodeInfo:
        """Returns `info` with its broken fields as they were `before`.

        So a mistake in one annotation harms neither the node's tunnels nor its other networks.
        """
        kept: dict[str, Any] = {each: getattr(before, each) for each in self.broken if before}
        return replace(self.info, **kept) if kept else self.info


def node(obj: Object) -> Node:
    """Parses weft's annotations of a Node, and weft's own condition."""
    meta = obj["metadata"]
    annotations = meta.get("annotations") or {}
    kept = {key: annotations[key] for key in _ANNOTATIONS if key in annotations}
    readable = {key: kept[key] for key in _FIELDS if key in kept}
    problems: list[str] = []
    info: model.NodeInfo | None = None
    while info is None:
        try:
            info = nodeinfo.parse({"metadata": {"name": meta["name"], "annotations": readable}})
        except errors.InvalidInput as error:
            problems.append(str(error))
            found = [each for each in readable if error.field.startswith(each)]
            for each in found or list(readable):
                del readable[each]
    conditions = (obj.get("status") or {}).get("conditions") or ()
    own: dict[str, Mapping[str, Any]] = {one.get("type", ""): one for one in conditions}
    faults, tunnels = (own.get(each, {}) for each in names.CONDITIONS)
    broken = tuple(_FIELDS[key] for key in _FIELDS if key in kept and key not in readable)
    version = meta.get("resourceVersion", "")
    uid = meta.get("uid", "")
    every = meta.get("labels") or {}
    labels = {key: every[key] for key in every if key.startswith(names.PHYSICAL_NETWORK_LABEL)}
    return Node(info, uid, version, kept, faults, broken, tuple(problems), tunnels, labels)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A Namespace's labels and ACL logging; `uid` and `version` do not count in `==`."""

    labels: Mapping[str, str] = field(default_factory=dict)
    logging: netpolicy.Logging = field(default_factory=netpolicy.Logging)
    uid: str = field(default="", compare=False)
    version: str = field(default="", compare=False)


def namespace(obj: Object) -> Namespace:
    """Parses a Namespace; an invalid logging annotation counts as none."""
    meta = obj["metadata"]
    return Namespace(
        meta.get("labels") or {},
        policy.logging(obj),
        meta.get("uid", ""),
        meta.get("resourceVersion", ""),
    )
