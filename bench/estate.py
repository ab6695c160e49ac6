"""Makes the objects of a cluster of a size: nodes, networks, pods, policies, machines, Events.

Pods and machines are as long as those of clusters are: with what their owner writes, and a status
with conditions. Nothing runs them; a cluster manager decides their addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench import burst
from weft import names
from weft.kube import resources
from weft.kube.client import Client
from weft.kube.resources import Resource

NODES, SPACES = 10, 10
COPIES = 25  # pods of a Deployment
PATIENCE = 600.0  # seconds until all is decided
SINCE = "2026-01-01T00:00:00Z"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How many there are; each machine's pod counts as one of the pods."""

    pods: int
    networks: int = 20
    policies: int = 50
    machines: int = 50
    events: int = 1000

    @property
    def plain(self) -> int:
        """Pods that run no machine."""
        return self.pods - self.machines


def space(number: int) -> str:
    return f"s{number % SPACES}"


def network(number: int) -> str:
    return f"net{number}"


def where(number: int) -> str:
    """A pod's node, whatever network it is on."""
    return f"node{number // 7 % NODES + 1}"


def made(kind: Resource, name: str, number: int = 0, **meta: Any) -> Object:
    inside = {"namespace": space(number)} if kind.namespaced else {}
    metadata = {"name": name, **inside, **meta}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def conditions(*types: str) -> list[Object]:
    return [{"type": each, "status": "True", "lastTransitionTime": SINCE} for each in types]


def owner(replica_set: str) -> list[Object]:
    named = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set}
    return [{**named, "uid": replica_set, "controller": True}]


def node(number: int) -> Object:
    name = f"node{number + 1}"
    notes = {names.NODE_CHASSIS_ID: name, names.NODE_ENCAP_IPS: f'["192.0.2.{number + 1}"]'}
    return {**made(resources.NODES, name, annotations=notes), "spec": {}}


def spec(number: int) -> Object:
    """What an ordinary Deployment says of a pod."""
    texts = [{"name": f"SETTING_{each}", "value": f"value-{each}" * 3} for each in range(12)]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    container = {
        "name": "app",
        "image": "registry.example.org/team/app@sha256:" + "0123456789abcdef" * 4,
        "args": [f"--option-{each}=some-value" for each in range(8)],
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": texts,
        "livenessProbe": probe,
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "volumeMounts": [{"name": f"v{each}", "mountPath": f"/var/{each}"} for each in range(4)],
    }
    volumes = [{"name": f"v{each}", "configMap": {"name": f"c{each}"}} for each in range(4)]
    containers = [container, {**container, "name": "sidecar"}]
    return {"containers": containers, "volumes": volumes, "nodeName": where(number)}


def pod(number: int, size: Size) -> Object:
    """One of a Deployment; every tenth is on two networks."""
    group = number // COPIES
    joined = [f"default/{network(number % size.networks)}"]
    if not number % 10:
        joined.append(f"default/{network((number + 1) % size.networks)}")
    of = f"app{group}-bcdfgh"
    labels = {"app": f"app{group}", "role": f"r{number % 10}", "pod-template-hash": "bcdfgh"}
    meta = {
        "labels": labels,
        "annotations": {names.NETWORKS: ", ".join(joined)},
        "ownerReferences": owner(of),
    }
    return {**made(resources.PODS, f"{of}-{number:05d}", group, **meta), "spec": spec(number)}


def running(number: int) -> Object:
    """A pod's status."""
    address = f"10.200.{number // 250 % 250}.{number % 250 + 1}"
    state = {"running": {"startedAt": SINCE}}
    statuses = [
        {"name": each, "ready": True, "restartCount": 0, "state": state, "image": "i" * 64}
        for each in ("app", "sidecar")
    ]
    held = conditions("Initialized", "Ready", "ContainersReady", "PodScheduled")
    addresses = {"podIP": address, "podIPs": [{"ip": address}]}
    return {"phase": "Running", "conditions": held, "containerStatuses": statuses, **addresses}


def launcher(number: int, size: Size) -> Object:
    """The pod that runs a machine."""
    labels = {names.VM_NAME: f"vm{number}", "kubevirt.io": "virt-launcher", "app": f"vm{number}"}
    notes = {names.NETWORKS: f"default/{network(number % size.networks)}"}
    meta = {"labels": labels, "annotations": notes}
    named = made(resources.PODS, f"virt-launcher-vm{number}-bcdfg", number, **meta)
    return {**named, "spec": spec(number)}


def machine_spec(number: int, size: Size) -> Object:
    nic = {"name": "blue", "bridge": {}}
    disks = [{"name": each, "disk": {"bus": "virtio"}} for each in ("root", "cloudinit")]
    devices = {"interfaces": [nic], "disks": disks}
    joined = {"multus": {"networkName": f"default/{network(number % size.networks)}"}}
    return {
        "domain": {"devices": devices, "resources": {"requests": {"memory": "1Gi"}}},
        "networks": [{"name": "blue", **joined}],
        "volumes": [{"name": each, "emptyDisk": {"capacity": "1Gi"}} for each in ("root",)],
    }


def machine(number: int, size: Size) -> Object:
    whole = {"runStrategy": "Always", "template": {"spec": machine_spec(number, size)}}
    return {**made(resources.VMS, f"vm{number}", number), "spec": whole}


def instance(number: int, size: Size) -> Object:
    return {**made(resources.VMIS, f"vm{number}", number), "spec": machine_spec(number, size)}


def instance_status(number: int) -> Object:
    report = {"name": "blue", "mac": "", "interfaceName": "eth0", "ipAddress": ""}
    held = conditions("Ready", "LiveMigratable", "AgentConnected")
    return {
        "phase": "Running",
        "nodeName": where(number),
        "interfaces": [report],
        "conditions": held,
    }


def policy(number: int, size: Size) -> Object:
    """Lets one role of all namespaces reach one app."""
    notes = {names.POLICY_FOR: f"default/{network(number % size.networks)}"}
    peer = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": f"r{number % 10}"}}}
    rules = [{"from": [peer], "ports": [{"protocol": "TCP", "port": 80}]}]
    chosen = {"podSelector": {"matchLabels": {"app": f"app{number}"}}, "ingress": rules}
    named = made(resources.MULTINETWORKPOLICIES, f"p{number}", number, annotations=notes)
    return {**named, "spec": chosen}


def event(number: int) -> Object:
    name = f"app{number // COPIES}-bcdfgh-{number:05d}"
    return {
        **made(resources.EVENTS, f"event-{number}", number),
        "involvedObject": {"kind": "Pod", "namespace": space(number), "name": name},
        "type": "Warning" if number % 4 == 0 else "Normal",
        "reason": "Pulled",
        "message": f"Successfully pulled image {number} in 1.234s (1.234s including waiting)",
        "source": {"component": "kubelet"},
        "lastTimestamp": f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:00Z",
    }


async def settle(api: Client, size: Size) -> None:
    """Create all of it, and return when a cluster manager has decided each pod's addresses."""
    await burst.each(lambda n: api.create(resources.NODES, node(n)), NODES)
    namespaces = [made(resources.NAMESPACES, space(each)) for each in range(SPACES)]
    await burst.each(lambda n: api.create(resources.NAMESPACES, namespaces[n]), SPACES)
    await burst.each(lambda n: api.create(resources.NADS, nad(n)), size.networks)
    version = (await api.list(resources.PODS)).resource_version
    deciding = asyncio.create_task(_decided(api, size, version))

    async def run(number: int) -> None:
        is_plain = number < size.plain
        whole = pod(number, size) if is_plain else launcher(number - size.plain, size)
        await api.create(resources.PODS, whole)
        await _status(api, resources.PODS, whole["metadata"], {"status": running(number)})

    async def boot(number: int) -> None:
        await api.create(resources.VMS, machine(number, size))
        alive = instance(number, size)
        await api.create(resources.VMIS, alive)
        await _status(api, resources.VMIS, alive["metadata"], {"status": instance_status(number)})
        shown = {"printableStatus": "Running", "ready": True, "conditions": conditions("Ready")}
        await _status(api, resources.VMS, alive["metadata"], {"status": shown})

    await burst.each(boot, size.machines)
    await burst.each(run, size.pods)
    kind = resources.MULTINETWORKPOLICIES
    await burst.each(lambda n: api.create(kind, policy(n, size)), size.policies)
    await burst.each(lambda n: api.create(resources.EVENTS, event(n)), size.events)
    async with asyncio.timeout(PATIENCE):
        await deciding


def nad(number: int) -> Object:
    config = burst.nad(network(number))
    config["spec"]["config"] = config["spec"]["config"].replace("10.100.", f"10.{100 + number}.")
    return config


async def _status(api: Client, kind: Resource, meta: Mapping[str, Any], status: Object) -> None:
    await api.patch(kind, meta["name"], meta["namespace"], status, subresource="status")


async def _decided(api: Client, size: Size, version: str) -> None:
    seen: set[str] = set()
    async for _, obj in api.watch(resources.PODS, version):
        if names.POD_NETWORKS in (obj["metadata"].get("annotations") or {}):
            seen.add(obj["metadata"]["uid"])
            if len(seen) == size.pods:
                return
