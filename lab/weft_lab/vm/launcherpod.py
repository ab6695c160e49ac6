"""Makes the virt-launcher pod of a virtual machine's instance. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from weft import names
from weft_lab.vm import hotplug, machine, nicplaces, requested

IMAGE = "lab.weft/virt-launcher"
LAUNCHER = "kubevirt.io"
CREATED_BY = "kubevirt.io/created-by"
DOMAIN = "kubevirt.io/domain"
MIGRATION_UID = "kubevirt.io/migrationJobUID"  # label of a migration's target pod
MIGRATION_NAME = "kubevirt.io/migrationJobName"  # its annotation
# The launcher gets this longer than its guest, so that it can still end in order.
GRACE_MARGIN = 15
GRACE_DEFAULT = 30
# Annotations that others write to a pod; a VM's template must not set them.
NOT_COPIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    names.NETWORKS,
    names.NETWORK_STATUS,
    names.POD_NETWORKS,
    names.POD_NETWORKS_SIGNATURE,
)
COPIED_FIELDS = (
    *("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints"),
    *("priorityClassName", "schedulerName", "dnsConfig", "dnsPolicy"),
)

Object = dict[str, Any]


def name(vmi: Mapping[str, Any]) -> str:
    """The pod's name: derived from the instance's uid, so that two creations make one pod."""
    meta = vmi["metadata"]
    tail = hashlib.sha256(meta["uid"].encode()).hexdigest()[:5]
    return f"virt-launcher-{meta['name'][:40].rstrip('-.')}-{tail}"


def target_name(vmi: Mapping[str, Any], migration: Mapping[str, Any]) -> str:
    """The name of a migration's target pod, likewise of both uids."""
    meta = vmi["metadata"]
    tail = hashlib.sha256((meta["uid"] + migration["metadata"]["uid"]).encode()).hexdigest()[:5]
    return f"virt-launcher-{meta['name'][:40].rstrip('-.')}-{tail}"


def current(vmi: Mapping[str, Any]) -> str:
    """The name of the pod in which the guest runs, as the last migration left it."""
    state = (vmi.get("status") or {}).get("migrationState") or {}
    node = (vmi.get("status") or {}).get("nodeName")
    if state.get("targetPod") and node and node == state.get("targetNode"):
        return str(state["targetPod"])
    return str(state.get("sourcePod") or name(vmi))


def render_target(
    vmi: Mapping[str, Any], migration: Mapping[str, Any], networks_now: str, python: str
) -> Object:
    """The pod in which QEMU waits for the guest, on any node but the one where it runs.

    It has the NICs that the guest has now; `networks_now` is the source pod's annotation of them.
    """
    pod = render(hotplug.of_pod(vmi), python)
    meta, spec = pod["metadata"], pod["spec"]
    if chosen := followed(vmi, networks_now):
        meta["annotations"][names.NETWORKS] = chosen
    meta["name"] = target_name(vmi, migration)
    meta["labels"][MIGRATION_UID] = migration["metadata"]["uid"]
    meta["annotations"][MIGRATION_NAME] = migration["metadata"]["name"]
    added = (migration.get("spec") or {}).get("addedNodeSelector") or {}
    spec["nodeSelector"] = {**added, **(spec.get("nodeSelector") or {})}
    affinity = dict(spec.get("affinity") or {})
    apart = dict(affinity.get("podAntiAffinity") or {})
    rule = "requiredDuringSchedulingIgnoredDuringExecution"
    same = {
        "labelSelector": {"matchLabels": {CREATED_BY: vmi["metadata"]["uid"]}},
        "topologyKey": "kubernetes.io/hostname",
    }
    affinity["podAntiAffinity"] = {**apart, rule: [*(apart.get(rule) or ()), same]}
    spec["affinity"] = affinity
    spec["containers"][0]["env"].append(
        {"name": "WEFT_MIGRATION", "value": migration["metadata"]["uid"]}
    )
    return pod


def grace_to_end(vmi: Mapping[str, Any], pod: Mapping[str, Any]) -> int | None:
    """The grace period to delete a pod with; None if it is being deleted, as soon as that.

    A request to stop the machine may have made its period shorter since the launcher, which shuts
    it down, was started: the pod ends it then.
    """
    meta, planned = pod["metadata"], int(pod["spec"]["terminationGracePeriodSeconds"])
    seconds = _grace(vmi.get("spec") or {})
    requested = max(seconds, 1) if seconds + GRACE_MARGIN < planned else planned
    if not meta.get("deletionTimestamp"):
        return requested
    return requested if requested < meta.get("deletionGracePeriodSeconds", 0) else None


def _grace(spec: Mapping[str, Any]) -> int:
    seconds = spec.get("terminationGracePeriodSeconds")
    return GRACE_DEFAULT if seconds is None else int(seconds)


def render(vmi: Mapping[str, Any], python: str) -> Object:
    """The pod; `python` runs the launcher."""
    meta, spec = vmi["metadata"], vmi["spec"]
    labels = {
        **(meta.get("labels") or {}),
        LAUNCHER: "virt-launcher",
        CREATED_BY: meta["uid"],
        names.VM_NAME: meta["name"][:63].rstrip("-."),
    }
    annotations = {
        key: value
        for key, value in (meta.get("annotations") or {}).items()
        if key not in NOT_COPIED
    }
    annotations |= {DOMAIN: meta["name"], "kubectl.kubernetes.io/default-container": "compute"}
    if chosen := networks(vmi):
        annotations[names.NETWORKS] = chosen
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name(vmi),
            "namespace": meta["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner(vmi)],
        },
        "spec": {
            **{field: spec[field] for field in COPIED_FIELDS if spec.get(field)},
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": _grace(spec) + GRACE_MARGIN,
            "hostname": (spec.get("hostname") or meta["name"])[:63].replace(".", "-").rstrip("-"),
            "containers": [
                {
                    "name": "compute",
                    "image": IMAGE,
                    "command": [python, "-m", "weft_lab.vm.launcher"],
                    # The end of the log says why the launcher failed; an Event repeats it.
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    "env": [{"name": "WEFT_VMI", "value": _literal(essence(vmi))}],
                }
            ],
        },
    }


def _literal(value: Object) -> str:
    """JSON with `$` doubled, so that no kubelet expands a variable in user data."""
    return json.dumps(value).replace("$", "$$")


def owner(obj: Mapping[str, Any]) -> Object:
    """A reference by which an object is deleted after its owner."""
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def essence(vmi: Mapping[str, Any]) -> Object:
    """What the launcher must know of the object."""
    meta = vmi["metadata"]
    kept = {key: meta[key] for key in ("name", "namespace", "uid")}
    annotations = meta.get("annotations") or {}
    read = (machine.DISK_ANNOTATION, nicplaces.ANNOTATION)
    if found := {key: annotations[key] for key in read if key in annotations}:
        kept["annotations"] = found
    return {"metadata": kept, "spec": vmi["spec"]}


def networks(vmi: Mapping[str, Any]) -> str:
    """The pod's selection annotation; "" for none."""
    return _joined(selection(vmi))


def followed(vmi: Mapping[str, Any], current: str) -> str:
    """The annotation of a pod that runs, which is `current` now."""
    listed = ((vmi.get("status") or {}).get("interfaces")) or ()
    macs = {str(each.get("podInterfaceName")): str(each.get("mac") or "") for each in listed}
    try:
        elements = [each for each in json.loads(current or "[]") if isinstance(each, dict)]
    except (ValueError, TypeError):
        elements = []
    return _joined(hotplug.with_macs(selection(hotplug.of_pod(vmi)), elements, macs))


def _joined(elements: list[Object]) -> str:
    return json.dumps(elements, separators=(",", ":")) if elements else ""


def selection(vmi: Mapping[str, Any]) -> list[Object]:
    """The network selection elements, in the order of spec.networks as KubeVirt has it."""
    interfaces, networks = machine.interfaces_and_networks(vmi["spec"])
    by_name = {interface["name"]: interface for interface in interfaces}
    addresses = requested.addresses(vmi)
    elements = []
    for network in networks:
        if "multus" not in network:
            continue
        namespace, _, nad = network["multus"]["networkName"].rpartition("/")
        element: Object = {
            "name": nad,
            "namespace": namespace or vmi["metadata"]["namespace"],
            "interface": machine.pod_interface(network["name"]),
        }
        mac = by_name.get(network["name"], {}).get("macAddress")
        if mac:
            element["mac"] = str(mac).lower().replace("-", ":")
        if addresses.get(network["name"]):
            element["ips"] = addresses[network["name"]]
        elements.append(element)
    return elements
