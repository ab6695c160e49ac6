"""Decides whether a running machine can move to another node, by KubeVirt's rules. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft_lab.vm import machine

ALLOWED_BRIDGE = "kubevirt.io/allow-pod-bridge-network-live-migration"

Object = Mapping[str, Any]


def refusal(vmi: Object) -> tuple[str, ...]:
    """Reason and message of the condition LiveMigratable; empty where it can move."""
    spec = vmi.get("spec") or {}
    for volume in spec.get("volumes") or ():
        disk = volume.get("hostDisk")
        if disk is not None and not disk.get("shared"):
            return "DisksNotLiveMigratable", "cannot migrate VMI with non-shared HostDisk"
        claim = volume.get("persistentVolumeClaim") or {}
        name = claim.get("claimName") or (volume.get("dataVolume") or {}).get("name")
        if name:
            return (
                "DisksNotLiveMigratable",
                f"cannot migrate VMI: Unable to determine if PVC {name} is shared, live migration"
                " requires that all PVCs must be shared (using ReadWriteMany access mode)",
            )
    devices = (spec.get("domain") or {}).get("devices") or {}
    if devices.get("hostDevices") or devices.get("gpus"):
        return "HostDeviceNotLiveMigratable", "VMI uses a PCI host devices"
    if _bridges_pod_network(vmi):
        return (
            "InterfaceNotLiveMigratable",
            "cannot migrate VMI which does not use masquerade or a migratable plugin to connect to"
            " the pod network",
        )
    return ()


def warning(vmi: Object) -> str:
    """Of an instance that has to migrate from a node that is drained, and cannot; else empty."""
    why = refusal(vmi)
    if not why or (vmi.get("spec") or {}).get("evictionStrategy") != "LiveMigrate":
        return ""
    return f"EvictionStrategy is set but vmi is not migratable; {why[1]}"


def _bridges_pod_network(vmi: Object) -> bool:
    interfaces, networks = machine.interfaces_and_networks(vmi.get("spec") or {})
    pod = next((each["name"] for each in networks if "pod" in each), None)
    own = next((each for each in interfaces if each["name"] == pod), None)
    if own is None or machine.binding(own) in ("masquerade", "passt"):
        return False
    annotations = vmi["metadata"].get("annotations") or {}
    return not (machine.binding(own) == "bridge" and ALLOWED_BRIDGE in annotations)


def method(vmi: Object) -> str:
    """status.migrationMethod: with disks that are copied, or without."""
    vm = machine.read(vmi)
    copies = any(disk.kind == "empty" or disk.ephemeral for disk in vm.disks)
    return "BlockMigration" if copies else "LiveMigration"
