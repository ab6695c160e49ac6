"""Objects of a cluster, as a user or another controller writes them: one builder for each kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from weft import names
from weft.kube import resources
from weft.kube.resources import Resource

IDLE = "sleep 1000"
DUAL = "10.100.0.0/24,fd01::/64"
DEFAULT_NETWORK = "v1.multus-cni.io/default-network"
Object = dict[str, Any]


def named(
    res: Resource,
    name: str,
    namespace: str = "default",
    annotations: Mapping[str, str] | None = None,
    **meta: Any,
) -> Object:
    """An object without a spec; `namespace` is left out where the kind has none."""
    where = {"namespace": namespace} if res.namespaced else {}
    notes = {"annotations": dict(annotations)} if annotations else {}
    metadata = {"name": name, **where, **notes, **meta}
    return {"apiVersion": res.api_version, "kind": res.kind, "metadata": metadata}


def nad(
    name: str, /, subnets: str | None = DUAL, *, namespace: str = "default", **config: Any
) -> Object:
    """A field of the configuration that is None is left out."""
    base = {
        "cniVersion": "1.1.0",
        "name": name,
        "type": names.CNI_TYPE,
        "topology": "layer2",
        "subnets": subnets,
        "netAttachDefName": f"{namespace}/{name}",
    }
    merged = {key: value for key, value in {**base, **config}.items() if value is not None}
    return raw_nad(name, json.dumps(merged), namespace)


def raw_nad(name: str, config: str, namespace: str = "default") -> Object:
    return {**named(resources.NADS, name, namespace), "spec": {"config": config}}


def pod(
    name: str,
    networks: object = "",
    *,
    namespace: str = "default",
    node: str = "",
    labels: Mapping[str, str] | None = None,
    default_network: str = "",
    script: str = IDLE,
    command: Any = None,
    **spec: Any,
) -> Object:
    """A pod of one container. `networks` is the annotation's text, or what it is to hold."""
    text = networks if isinstance(networks, str) else json.dumps(networks)
    annotations = {names.NETWORKS: text, DEFAULT_NETWORK: default_network}
    made = named(
        resources.PODS,
        name,
        namespace,
        {key: value for key, value in annotations.items() if value},
        **({"labels": dict(labels)} if labels else {}),
    )
    container = {"name": "c", "image": "busybox", "command": command or ["sh", "-c", script]}
    placed = {"nodeName": node} if node else {}
    return {**made, "spec": {"containers": [container], **placed, **spec}}


def node(name: str, annotations: Mapping[str, str] | None = None, **meta: Any) -> Object:
    return {**named(resources.NODES, name, annotations=annotations, **meta), "spec": {}}


def namespace(name: str, **labels: str) -> Object:
    made = named(resources.NAMESPACES, name)
    if labels:
        made["metadata"]["labels"] = labels
    return made


def policy(
    name: str = "guard",
    networks: str = "blue",
    *,
    namespace: str = "default",
    mode: str = "",
    app: str = "",
    **spec: Any,
) -> Object:
    """Of the pods labelled `app`, or of all."""
    annotations = {names.POLICY_FOR: networks, **({names.POLICY_MODE: mode} if mode else {})}
    made = named(resources.MULTINETWORKPOLICIES, name, namespace, annotations)
    pods = {"podSelector": {"matchLabels": {"app": app}} if app else {}}
    return {**made, "spec": {**pods, **spec}}


def nic(name: str, network: str = "", **interface: Any) -> tuple[Object, Object]:
    """An interface of a machine and its network: the NAD `network`, or the pod's own. The interface
    is bridged unless it says another binding."""
    binding: Object = {} if "masquerade" in interface else {"bridge": {}}
    of = {"multus": {"networkName": network}} if network else {"pod": {}}
    return {"name": name, **binding, **interface}, {"name": name, **of}


def vmi(
    name: str,
    *nics: tuple[Object, Object],
    node: str = "",
    disks: Mapping[str, Object] | None = None,
    devices: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    """A VirtualMachineInstance. `disks`: the volumes that are disks, by name."""
    shown: Object = {"interfaces": [one for one, _ in nics]} if nics else {}
    if disks:
        shown["disks"] = [{"name": each, "disk": {}} for each in disks]
        spec["volumes"] = [{"name": each, **source} for each, source in disks.items()]
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    if nics:
        spec["networks"] = [network for _, network in nics]
    domain = {"devices": {**shown, **(devices or {})}, **spec.pop("domain", {})}
    made = named(resources.VMIS, name)
    return {**made, "spec": {"terminationGracePeriodSeconds": 0, "domain": domain, **spec}}


def machine(
    name: str,
    networks: Mapping[str, str],
    *,
    macs: Mapping[str, str] | None = None,
    addresses: str = "",
    namespace: str = "default",
    kind: Resource = resources.VMS,
    **meta: Any,
) -> Object:
    """A VirtualMachine, or an instance; `networks`: the NAD of each by its name in the machine."""
    spec: Object = {
        "domain": {
            "devices": {
                "interfaces": [
                    {"name": each, "bridge": {}, **_mac_of(macs, each)} for each in networks
                ]
            }
        },
        "networks": [
            {"name": each, "multus": {"networkName": nad}} for each, nad in networks.items()
        ],
    }
    notes = {"network.kubevirt.io/addresses": addresses} if addresses else {}
    if kind is resources.VMIS:
        return {**named(kind, name, namespace, notes, **meta), "spec": spec}
    template = {"metadata": {"annotations": notes}, "spec": spec}
    return {**named(kind, name, namespace, **meta), "spec": {"template": template}}


def _mac_of(macs: Mapping[str, str] | None, network: str) -> Object:
    return {"macAddress": macs[network]} if macs and network in macs else {}
