"""Judges evictions of virtual machines' pods, as KubeVirt's webhook does. Pure.

A machine that migrates rather than stops keeps its pod: the answer is 429, which `kubectl drain`
takes for "ask again", and the instance is marked, so that its controller migrates it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from weft_lab.apiserver import status
from weft_lab.apiserver.resources import Object

INSTANCES = "virtualmachineinstances.kubevirt.io"
_WEBHOOK = "virt-launcher-eviction-interceptor.kubevirt.io"
_MIGRATING = ("LiveMigrate", "LiveMigrateIfPossible", "External")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refusal` is empty for an eviction that may be done. `marked`: the instance to write."""

    refusal: str = ""
    marked: Object | None = None


def judge(pod: Object, instance_of: Callable[[str, str], Object | None]) -> Verdict:
    """`instance_of` reads a VirtualMachineInstance by namespace and name."""
    meta = pod["metadata"]
    name = (meta.get("annotations") or {}).get("kubevirt.io/domain")
    is_launcher = (meta.get("labels") or {}).get("kubevirt.io") == "virt-launcher"
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    if not is_launcher or not name or ended:
        return Verdict()
    vmi = instance_of(meta["namespace"], name)
    if vmi is None or not _owns(vmi, pod):
        return Verdict()
    strategy = (vmi.get("spec") or {}).get("evictionStrategy")
    if strategy not in _MIGRATING:
        return Verdict()
    found = vmi.get("status") or {}
    if strategy != "External" and not _is_migratable(found):
        if strategy == "LiveMigrateIfPossible":
            return Verdict()
        text = f"VMI {name} is configured with an eviction strategy but is not live-migratable"
        return Verdict(text)
    triggered = f'Eviction triggered evacuation of VMI "{meta["namespace"]}/{name}"'
    if found.get("evacuationNodeName"):
        return Verdict(f"Evacuation in progress: {triggered}")
    node = (pod.get("spec") or {}).get("nodeName")
    if found.get("nodeName") != node:
        return Verdict("Eviction request for target Pod")
    return Verdict(triggered, {**vmi, "status": {**found, "evacuationNodeName": node}})


def refused(text: str) -> status.ApiError:
    """The answer to who evicts."""
    what = f'admission webhook "{_WEBHOOK}" denied the request: {text}'
    return status.ApiError(429, "TooManyRequests", what)


def _owns(vmi: Object, pod: Object) -> bool:
    """Anybody may write a pod with these labels; an owner that is there is another thing."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == vmi["metadata"]["uid"] for owner in owners)


def _is_migratable(found: Object) -> bool:
    return any(
        each.get("type") == "LiveMigratable" and each.get("status") == "True"
        for each in found.get("conditions") or ()
    )
