"""Parses and renders PodEndpoints: what the agents of other nodes need of a pod (ADR 0100).

The cluster manager writes one for each pod on networks. Its name is the pod's, and the pod owns it.
It has the signed allocations as the pod has them, so that an agent can verify them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weft import model
from weft.api import objects, pod
from weft.api.pod import Pod
from weft.api.podsignature import SignedAnnotations
from weft.model import ObjectKey
from weft.policy.netpolicy import NamedPorts, Protocol

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PodEndpoint:
    """A parsed PodEndpoint; its own `uid` and `version` (resourceVersion) do not count in `==`.

    `pod` has what of the pod is in the object, and no more.
    """

    pod: Pod
    uid: str = field(default="", compare=False)
    version: str = field(default="", compare=False)


def of(whole: Pod, proof: SignedAnnotations) -> PodEndpoint:
    """The endpoint that a pod with these signed allocations should have."""
    return PodEndpoint(
        Pod(
            ref=whole.ref,
            version="",
            created=whole.created,
            node=whole.node,
            is_running=whole.is_running,
            is_on_networks=True,
            proof=proof,
            machine=whole.machine,
            hostname=whole.hostname,
            labels=whole.labels,
            named=whole.named,
        )
    )


def read(obj: Object) -> PodEndpoint:
    """Parses a PodEndpoint; a field that is missing counts as empty."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    namespace, name = objects.key(obj)
    key = ObjectKey(sys.intern(namespace), name)
    signed = spec.get("allocations") or {}
    found = Pod(
        ref=model.PodRef(key, str(spec.get("podUID", ""))),
        version="",
        created=sys.intern(str(spec.get("podCreated", ""))),
        node=sys.intern(str(spec.get("node", ""))),
        is_running=bool(spec.get("running")),
        is_on_networks=True,
        proof=(str(signed.get("text", "")), str(signed.get("signature", ""))),
        machine=str(spec.get("machine", "")),
        hostname=pod.stored_hostname(spec.get("hostname")),
        labels=pod.stored_labels(spec.get("labels")),
        named=_ports(spec.get("ports") or ()),
    )
    return PodEndpoint(found, meta.get("uid", ""), meta.get("resourceVersion", ""))


def render(endpoint: PodEndpoint) -> dict[str, Any]:
    """The object without its kind; `version` is that which it replaces, if there is one."""
    of, text = endpoint.pod, endpoint.pod.proof
    owner = {"apiVersion": "v1", "kind": "Pod", "name": of.ref.name, "uid": of.uid}
    meta: dict[str, Any] = {
        "namespace": of.ref.namespace,
        "name": of.ref.name,
        "ownerReferences": [owner],
    }
    if endpoint.version:
        meta |= {"uid": endpoint.uid, "resourceVersion": endpoint.version}
    spec: dict[str, Any] = {
        "podUID": of.uid,
        "podCreated": of.created,
        "node": of.node,
        "running": of.is_running,
        "allocations": {"text": text[0], "signature": text[1]},
    }
    if of.machine:
        spec["machine"] = of.machine
    if of.hostname:
        spec["hostname"] = of.hostname
    if of.labels:
        spec["labels"] = dict(of.labels)
    if of.named:
        spec["ports"] = [
            {"protocol": str(protocol), "name": name, "port": port}
            for (protocol, name), port in of.named.items()
        ]
    return {"metadata": meta, "spec": spec}


def _ports(entries: Any) -> NamedPorts:
    found: dict[tuple[Protocol, str], int] = {}
    for each in entries:
        if each.get("protocol") in tuple(Protocol):
            found[Protocol(each["protocol"]), str(each.get("name", ""))] = int(each["port"])
    return pod.stored_ports(found)
