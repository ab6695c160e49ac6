"""Parses Nodes and Namespaces into what a zone reads of them, and pairs pods with allocations.

Pure. Each is parsed once, where it comes in, and frozen. Pods are parsed by `api/pod.py`, NADs by
`nads.py`.
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

# Annotation to what it says of a node.
_FIELDS = {
    names.NODE_CHASSIS_ID: "chassis",
    names.NODE_ENCAP_IPS: "encap_ips",
    names.NODE_ID: "id",
    names.NODE_TRANSIT: "transit",
    names.NODE_SUBNETS: "subnets",
    names.NODE_GATEWAY: "gateway",
}
_ANNOTATIONS = (*_FIELDS, names.VERSION)


@dataclass(frozen=True, slots=True)
class AllocatedPod:
    """A pod that holds `allocations`, by attachment key: scheduled, proved, and not completed."""

    pod: Pod
    allocations: Mapping[str, model.Allocation]

    def is_alike(self, other: AllocatedPod) -> bool:
        """Whether two states of a pod are equal to a zone."""
        return _seen(self.pod) == _seen(other.pod) and self.allocations == other.allocations


def _seen(pod: Pod) -> tuple[object, ...]:
    return pod.ref, pod.node, pod.is_running, pod.created, pod.labels, pod.named


def allocated(pod: Pod, decided: Mapping[str, model.Allocation]) -> AllocatedPod | None:
    """None for a pod that holds no ports: without allocations, unscheduled, or completed.

    `decided`: its allocations; that of the default network counts only where weft serves it.
    """
    if not pod.node or pod.host_network or pod.is_completed:
        return None
    if not pod.primary and names.DEFAULT_NETWORK in decided:
        decided = {key: decided[key] for key in decided if key != names.DEFAULT_NETWORK}
    return AllocatedPod(pod, decided) if decided else None


@dataclass(frozen=True, slots=True)
class Node:
    """One Node at one `version` (resourceVersion), which makes no two differ.

    `info` is without the fields that cannot be understood, which `broken` names; `problems` say
    why. `condition` is weft's own in its status.
    """

    info: model.NodeInfo
    uid: str = ""
    version: str = field(default="", compare=False)
    annotations: Mapping[str, str] = field(default_factory=dict)
    condition: Mapping[str, Any] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.info.name

    def standing(self, before: model.NodeInfo | None) -> model.NodeInfo:
        """What the node says; what of it cannot be understood is as it was `before`, if it was.

        One mistake takes neither the node's tunnels nor its other networks away.
        """
        kept: dict[str, Any] = {each: getattr(before, each) for each in self.broken if before}
        return replace(self.info, **kept) if kept else self.info


def node(obj: Object) -> Node:
    """Parses the annotations that say where a node is, and weft's own condition."""
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
    own: Mapping[str, Any] = next(
        (one for one in conditions if one.get("type") == names.OVN_CONDITION), {}
    )
    broken = tuple(_FIELDS[key] for key in _FIELDS if key in kept and key not in readable)
    version = meta.get("resourceVersion", "")
    return Node(info, meta.get("uid", ""), version, kept, own, broken, tuple(problems))


@dataclass(frozen=True, slots=True)
class Namespace:
    """A Namespace's labels and its ACL logging, at one `version`, which makes no two differ."""

    labels: Mapping[str, str] = field(default_factory=dict)
    logging: netpolicy.Logging = field(default_factory=netpolicy.Logging)
    uid: str = field(default="", compare=False)
    version: str = field(default="", compare=False)


def namespace(obj: Object) -> Namespace:
    """A Namespace as policies and the rules of access ask about it; logs nothing if it is wrong."""
    meta = obj["metadata"]
    return Namespace(
        meta.get("labels") or {},
        policy.logging(obj),
        meta.get("uid", ""),
        meta.get("resourceVersion", ""),
    )
