"""Finds the workload that a pod belongs to: by its controller, or else by its name.

Pure. OVN's databases have only a pod's name; Kubernetes objects have its ownerReferences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Controllers end a pod's name with characters of this set (apimachinery's `rand.String`).
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_DEPLOYMENT = re.compile(rf"(.+)-[{_SAFE}]{{6,10}}-[{_SAFE}]{{5}}")
_GENERATED = re.compile(rf"(.+)-[{_SAFE}]{{5}}")
_ORDINAL = re.compile(r"(.+?)-?(?:0|[1-9][0-9]{0,4})")

# A controller's label on the pods of a Deployment: the end of their ReplicaSet's name.
_HASH = "pod-template-hash"
# These make one pod each, so their names, or what controls them, decide which pods are alike.
_SINGLE = ("VirtualMachine", "VirtualMachineInstance")
_LONGEST_CHAIN = 8

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """What makes pods that are alike; `kind` is empty if it was judged by the name alone."""

    namespace: str
    name: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def of(namespace: str, pod: str, machine: str = "") -> Workload:
    """The workload of a pod, or of the virtual machine in it, by its name.

    A pod whose name was not generated is a workload of its own, together with pods whose names
    differ from its own only in a number at the end.
    """
    for pattern in () if machine else (_DEPLOYMENT, _GENERATED):
        if found := pattern.fullmatch(pod):
            return Workload(namespace, found[1])
    called = machine or pod
    numbered = _ORDINAL.fullmatch(called)
    return Workload(namespace, numbered[1] if numbered else called)


def controlled(pods: Iterable[Object], controllers: Iterable[Object]) -> dict[str, Workload]:
    """The workloads of the pods that a controller made, by "<namespace>/<pod>".

    `controllers` are objects between a pod and its workload: ReplicaSets, Jobs, virtual machines.
    """
    by_uid = index(controllers)
    found = {}
    for pod in pods:
        made = controlling(pod, above(pod, by_uid))
        if made is not None:
            meta = pod["metadata"]
            found[f"{meta['namespace']}/{meta['name']}"] = made
    return found


def index(controllers: Iterable[Object]) -> Mapping[object, Object]:
    """The controllers by uid, for `controlling`."""
    return {(obj.get("metadata") or {}).get("uid"): obj for obj in controllers}


def above(pod: Object, by_uid: Mapping[object, Object]) -> tuple[Object, ...]:
    """The controllers of a pod that are known, from its own upwards."""
    found: list[Object] = []
    reference = _controller(pod)
    while reference is not None and len(found) < _LONGEST_CHAIN:
        known = by_uid.get(reference.get("uid"))
        if known is None:
            break
        found.append(known)
        reference = _controller(known)
    return tuple(found)


def controlling(pod: Object, known: Sequence[Object]) -> Workload | None:
    """The workload of a pod that a controller made; None if none did, or it makes one pod only.

    `known`: the controllers `above` it.
    """
    top = _top(pod, known)
    if top is None:
        return None
    return Workload(pod["metadata"]["namespace"], str(top["name"]), str(top["kind"]))


def _top(pod: Object, known: Sequence[Object]) -> Object | None:
    """The ownerReference of the topmost controller; None if it makes only one pod."""
    listed = (_controller(each) for each in (pod, *known[: _LONGEST_CHAIN - 1]))
    reference = None
    for each in listed:
        reference = each or reference
    if reference is None or reference.get("kind") in _SINGLE:
        return None
    end = f"-{(pod['metadata'].get('labels') or {}).get(_HASH, '')}"
    if reference["kind"] == "ReplicaSet" and end != "-" and reference["name"].endswith(end):
        return {"kind": "Deployment", "name": reference["name"].removesuffix(end)}
    return reference


def _controller(obj: Object) -> Object | None:
    listed: Iterable[Object] = (obj.get("metadata") or {}).get("ownerReferences") or ()
    for one in listed:
        if one.get("controller"):
            return one
    return None
