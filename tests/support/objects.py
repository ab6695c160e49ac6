"""A definition and a pod, as a user writes them."""

from __future__ import annotations

import json
from typing import Any

from weft.kube import resources

IDLE = "sleep 1000"
Object = dict[str, Any]


def nad(name: str, /, **config: Any) -> Object:
    base = {
        "cniVersion": "1.1.0",
        "name": name,
        "type": "ovn-k8s-cni-overlay",
        "topology": "layer2",
        "subnets": "10.100.0.0/24,fd01::/64",
        "mtu": 1300,
        "netAttachDefName": f"default/{name}",
    }
    return {
        "kind": "NetworkAttachmentDefinition",
        "apiVersion": resources.NADS.api_version,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"config": json.dumps({**base, **config})},
    }


def pod(
    name: str, *, networks: str = "", script: str = IDLE, command: Any = None, **spec: Any
) -> Object:
    annotations = {"k8s.v1.cni.cncf.io/networks": networks} if networks else {}
    container = {"name": "c", "image": "busybox", "command": command or ["sh", "-c", script]}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {"containers": [container], **spec},
    }
