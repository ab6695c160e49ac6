"""KubeVirt's part of virtual machines, on a cluster without KubeVirt: its kinds and what it writes.

The kinds have the schema of KubeVirt's release, as the lab serves it; an instance has no
subresource for its status, as on KubeVirt. Pods, labels, annotations and owners are those of its
controllers. In the place of a guest the pod itself has the NIC: it answers while it has addresses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.access import Access, Object
from tests.cluster.room import Room
from tests.support import objects
from weft import names
from weft_lab.vm import launcherpod, machine

SCHEMAS = Path(__file__).resolve().parents[2] / "lab/weft_lab/crds"
KINDS = ("virtualmachines", "virtualmachineinstances", "virtualmachineinstancemigrations")
CRDS = tuple(f"crd/{kind}.kubevirt.io" for kind in KINDS)
TARGET_NODE = "kubevirt.io/migrationTargetNodeName"
INTERFACE = machine.pod_interface("lan")
# A launcher ends in order when its guest has gone, and may take a guest's addresses away.
WAIT = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"]
COUNTS = "sed -n 's/^Ip: [0-9]* [0-9]* \\([0-9]*\\).*/\\1/p' /proc/net/snmp"


def definitions() -> list[Object]:
    """KubeVirt's kinds. Through JSON: versions share their schema."""
    made = []
    for kind in KINDS:
        one = json.loads(
            json.dumps(yaml.safe_load((SCHEMAS / f"kubevirt-{kind}.yaml").read_text()))
        )
        if kind == "virtualmachineinstances":
            for version in one["spec"]["versions"]:
                version.pop("subresources")
        made.append(one)
    return made


@contextmanager
def defined(access: Access) -> Iterator[None]:
    """The cluster has KubeVirt's kinds for as long as the scope lasts, and then no object of it.

    Other tests may have left those of the lab, whose instances have a subresource for the status.
    """
    access.kubectl("delete", "--wait", "--ignore-not-found", *CRDS)
    for each in definitions():
        access.kubectl("create", "-f", "-", data=each)
    try:
        access.wait("condition=Established", *CRDS)
        yield
    finally:
        access.kubectl("delete", "--wait", "--ignore-not-found", *CRDS)


@dataclass(frozen=True, slots=True)
class Machines:
    """Virtual machines in a room."""

    room: Room

    def declare(self, name: str, network: str, *, mac: str = "", addresses: str = "") -> Object:
        """A machine with one NIC, `lan`; as the API server has it."""
        made = objects.machine(
            name,
            {"lan": network},
            macs={"lan": mac} if mac else None,
            addresses=json.dumps({"lan": [addresses]}) if addresses else "",
            namespace=self.room.namespace,
        )
        made["spec"]["runStrategy"] = "Always"
        self.room.apply(made)
        return self.get("vm", name)

    def get(self, kind: str, name: str) -> Object:
        return self.room.access.get("-n", self.room.namespace, kind, name)

    def start(self, name: str, node: str) -> str:
        """virt-controller makes the instance, and its pod; returns the pod's name."""
        vm = self.get("vm", name)
        template = vm["spec"]["template"]
        self.room.apply(
            {
                "apiVersion": vm["apiVersion"],
                "kind": "VirtualMachineInstance",
                "metadata": {
                    **{key: vm["metadata"][key] for key in ("name", "namespace")},
                    "annotations": (template.get("metadata") or {}).get("annotations") or {},
                    "ownerReferences": [launcherpod.owner(vm)],
                },
                "spec": template["spec"],
            }
        )
        return self._launch(launcherpod.render(self.get("vmi", name), ""), node)

    def runs(self, name: str, node: str) -> None:
        """virt-handler says where the guest runs."""
        self.say(name, phase="Running", nodeName=node)

    def say(self, name: str, **status: Any) -> None:
        """What the instance's status says beside what it says already."""
        body = json.dumps({"status": status})
        self.room.kubectl("patch", "vmi", name, "--type=merge", "-p", body)

    def stop(self, name: str, pod: str) -> None:
        """The guest has shut down: the instance goes, and its pod with it."""
        self.room.kubectl("delete", "vmi", name)
        self.room.wait("delete", f"pod/{pod}")

    def migrate(self, name: str, node: str) -> tuple[Object, str]:
        """A migration is asked for, and virt-controller makes its target; returns both."""
        asked = {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstanceMigration",
            "metadata": {
                "generateName": "move-",
                "namespace": self.room.namespace,
                "labels": {"kubevirt.io/vmi-name": name},
            },
            "spec": {"vmiName": name},
        }
        migration = json.loads(self.room.kubectl("create", "-f", "-", "-o", "json", data=asked))
        self.phase(migration, "Scheduling")
        source = launcherpod.render(self.get("vmi", name), "")
        chosen = source["metadata"]["annotations"][names.NETWORKS]
        target = launcherpod.render_target(self.get("vmi", name), migration, chosen, "")
        return migration, self._launch(target, node)

    def hand_over(self, name: str, migration: Object, source: str, target: str) -> None:
        """virt-controller hands the instance to both nodes' handlers, and the source begins."""
        where = {each: self.get("pod", each)["spec"]["nodeName"] for each in (source, target)}
        state = {
            "migrationUid": migration["metadata"]["uid"],
            "mode": "PreCopy",
            "sourceNode": where[source],
            "sourcePod": source,
            "targetNode": where[target],
            "targetPod": target,
            "startTimestamp": "2026-01-01T00:00:00Z",
        }
        # Nothing of the migration before stays.
        whole = [{"op": "add", "path": "/status/migrationState", "value": state}]
        self.room.kubectl("patch", "vmi", name, "--type=json", "-p", json.dumps(whole))
        self.room.kubectl("label", "vmi", name, "--overwrite", f"{TARGET_NODE}={where[target]}")
        self.phase(migration, "Running", sourcePod=source)

    def arrive(self, name: str, migration: Object) -> None:
        """The guest runs at the target; the source's handler says that it has sent it all."""
        ready = "2026-01-01T00:00:01Z"
        there = self.get("vmi", name)["status"]["migrationState"]["targetNode"]
        self.say(name, migrationState={"targetNodeDomainReadyTimestamp": ready})
        self.say(name, migrationState={"completed": True, "endTimestamp": ready})
        self.room.kubectl(
            *("label", "vmi", name, "--overwrite", f"kubevirt.io/nodeName={there}"),
            f"{TARGET_NODE}-",
        )
        self.say(name, nodeName=there)
        self.phase(migration, "Succeeded")

    def fail(self, name: str, migration: Object) -> None:
        """The source's handler gives the migration up."""
        over = {"completed": True, "failed": True, "endTimestamp": "2026-01-01T00:00:01Z"}
        self.say(name, migrationState=over)
        self.phase(migration, "Failed")

    def phase(self, migration: Object, phase: str, **state: Any) -> None:
        body = {"status": {"phase": phase, **({"migrationState": state} if state else {})}}
        self.room.kubectl(
            *("patch", "vmim", migration["metadata"]["name"], "--subresource=status"),
            *("--type=merge", "-p", json.dumps(body)),
        )

    def end(self, pod: str) -> None:
        """The launcher ends by itself: its pod has succeeded. What asks for it may end with it."""
        self.room.kubectl("exec", pod, "--", "kill", "1", ok=None)
        self.room.wait("jsonpath={.status.phase}=Succeeded", f"pod/{pod}")

    def pause(self, pod: str) -> None:
        """The guest stands still, as at the end of a migration: its addresses do not answer."""
        self.room.inside(pod, "ip", "address", "flush", "dev", INTERFACE)

    def received(self, pod: str) -> int:
        """How many IPv4 packets have come in. Nobody sends any but by weft's network."""
        return int(self.room.inside(pod, "sh", "-c", COUNTS))

    def _launch(self, pod: Object, node: str) -> str:
        meta, spec, like = pod["metadata"], pod["spec"], self.room.pod("like")
        meta["generateName"] = f"virt-launcher-{meta['annotations'][launcherpod.DOMAIN]}-"
        del meta["name"]
        # Which addresses a machine asks for, KubeVirt itself tells nobody.
        networks = json.loads(meta["annotations"][names.NETWORKS])
        meta["annotations"][names.NETWORKS] = json.dumps(
            [{key: each[key] for key in each if key != "ips"} for each in networks]
        )
        container = {
            "name": "compute",
            "image": like["spec"]["containers"][0]["image"],
            "command": WAIT,
            "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
        }
        pod["spec"] = {
            **spec,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 1,
            "enableServiceLinks": False,
            "containers": [container],
        }
        name = "jsonpath={.metadata.name}"
        return self.room.kubectl("create", "-f", "-", "-o", name, data=pod)
