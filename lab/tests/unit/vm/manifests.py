"""Manifests for tests: one valid VirtualMachine and ways to bend it."""

from __future__ import annotations

import copy
from typing import Any

import yaml

TEXT = """
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: web1, namespace: demo, uid: vm-uid, generation: 1}
spec:
  runStrategy: Always
  template:
    metadata:
      labels: {app: web}
    spec:
      terminationGracePeriodSeconds: 0
      nodeSelector: {kubernetes.io/hostname: node2}
      domain:
        devices:
          disks:
          - {name: root, disk: {bus: virtio}}
          - {name: seed, disk: {bus: virtio}}
          interfaces:
          - {name: default, masquerade: {}, ports: [{port: 80}]}
          - {name: overlay, bridge: {}, macAddress: '02-00-00-AA-00-01'}
        resources: {requests: {memory: 1024M}}
      networks:
      - {name: default, pod: {}}
      - {name: overlay, multus: {networkName: ovn-k-1}}
      volumes:
      - {name: root, containerDisk: {image: 'quay.io/x/fedora:1'}}
      - {name: seed, cloudInitNoCloud: {userData: '#cloud-config'}}
"""


def machine() -> dict[str, Any]:
    return copy.deepcopy(yaml.safe_load(TEXT))


def instance(**status: Any) -> dict[str, Any]:
    """The VirtualMachineInstance of it."""
    template = machine()["spec"]["template"]
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": "web1", "namespace": "demo", "uid": "vmi-uid", **template["metadata"]},
        "spec": template["spec"],
        "status": status,
    }


def bent(obj: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `obj` with the field at a dotted path set, or removed for None."""
    changed = copy.deepcopy(obj)
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place: Any = changed
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed
