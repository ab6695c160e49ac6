"""Makes the Node object that a kubelet keeps.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]
VERSION = "v1.32.0"
PODS = 250
_NOT_READY = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: "
)


def metadata(name: str, architecture: str) -> Object:
    return {
        "name": name,
        "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": architecture,
            "kubevirt.io/schedulable": "true",
        },
    }


def status(
    name: str,
    address: str,
    *,
    cpus: int,
    memory_kib: int,
    now: str,
    system: Mapping[str, str],
    earlier: Mapping[str, Any],
    network: str = "",
) -> Object:
    """The Node's status.

    `earlier` is the status so far; conditions that did not change keep their transition time. If
    `network` says why the network can take no pods, the node is not ready, as with a kubelet.
    """
    resources = {"cpu": str(cpus), "memory": f"{memory_kib}Ki", "pods": str(PODS)}
    conditions: list[Object] = earlier.get("conditions") or []
    before: Object = next((c for c in conditions if c["type"] == "Ready"), {})
    value = "False" if network else "True"
    ready = {
        "type": "Ready",
        "status": value,
        "reason": "KubeletNotReady" if network else "KubeletReady",
        "message": f"{_NOT_READY}{network}" if network else "kubelet is posting ready status",
        "lastHeartbeatTime": now,
        "lastTransitionTime": before["lastTransitionTime"]
        if before.get("status") == value
        else now,
    }
    return {
        "capacity": resources,
        "allocatable": resources,
        "conditions": [ready],
        "addresses": [
            {"type": "InternalIP", "address": address},
            {"type": "Hostname", "address": name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "kubeletVersion": VERSION,
            "kubeProxyVersion": VERSION,
            "containerRuntimeVersion": "weft-lab://1",
            "operatingSystem": "linux",
            **system,
        },
    }
