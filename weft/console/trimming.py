"""Cuts objects down to the fields that pages show or judge by, before they are kept.

Most of a pod are its containers' settings, mounts and states; a machine's volumes may hold its
passwords. What is kept stays equal while an object changes in other ways, such as by a node's sign
of life, so that no page is made again. Kinds without a shape here are kept whole, without
managedFields: policies, which are edited, networks and what declares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft import names
from weft.kube import resources
from weft.kube.cache import keep_all
from weft.kube.resources import Resource

# A field's name and what is kept in it; of a list, in each element. None: all of it.
Shape = Mapping[str, "Shape | None"]


def _all(*fields: str) -> Shape:
    return dict.fromkeys(fields)


def _of(meta: Shape | None = None, **fields: Shape | None) -> Shape:
    kept = _all("name", "namespace", "uid", "creationTimestamp")
    metadata = {**kept, "labels": None, "ownerReferences": None, **(meta or {})}
    return {"apiVersion": None, "kind": None, "metadata": metadata, **fields}


_PORTS = {"ports": _all("name", "containerPort", "protocol"), "restartPolicy": None}
_POD_NOTES = _all(
    *(names.NETWORKS, names.CHOSEN_DEFAULT, names.POD_NETWORKS, names.NIC_OPTIONS),
    *(names.INGRESS_BANDWIDTH, names.EGRESS_BANDWIDTH),
)
_DEVICES = _all("interfaces", "autoattachGraphicsDevice", "autoattachSerialConsole")
_MACHINE: Shape = {"domain": {"devices": _DEVICES}, "networks": None}
_CONDITION = _all("type", "status", "reason", "message", "lastTransitionTime")
_ABOUT = _all("kind", "namespace", "name")
_SHAPES: Mapping[Resource, Shape] = {
    resources.PODS: _of(
        {"annotations": _POD_NOTES},
        spec={"nodeName": None, "containers": _PORTS, "initContainers": _PORTS},
        status=_all("phase"),
    ),
    resources.NODES: _of(
        _all("annotations"), status={"conditions": _CONDITION, "nodeInfo": _all("kubeletVersion")}
    ),
    resources.NAMESPACES: _of(),
    resources.REPLICASETS: _of(),
    resources.JOBS: _of(),
    resources.VMS: _of(
        spec={"template": {"spec": _MACHINE}, "runStrategy": None, "running": None},
        status=_all("printableStatus", "conditions"),
    ),
    resources.VMIS: _of(
        spec=_MACHINE, status=_all("phase", "nodeName", "interfaces", "conditions")
    ),
    resources.EVENTS: _of(
        involvedObject=_ABOUT,
        source=_all("component"),
        series=_all("count", "lastObservedTime"),
        **_all("type", "reason", "message", "count", "lastTimestamp", "eventTime"),
        reportingComponent=None,
    ),
    resources.CONFIGMAPS: _of(),  # there are keys in one; only that it exists is shown
}


def trimmed(kind: Resource, obj: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an object, which may be changed in place."""
    shape = _SHAPES.get(kind)
    if shape is None:
        return keep_all(obj)
    kept: dict[str, Any] = _cut(obj, shape)
    return kept


def _cut(value: Any, shape: Shape | None) -> Any:
    if shape is None:
        return value
    if isinstance(value, dict):
        return {name: _cut(value[name], inner) for name, inner in shape.items() if name in value}
    if isinstance(value, list):
        return [_cut(each, shape) for each in value]
    return value
