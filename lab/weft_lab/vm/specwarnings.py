"""Finds what of a virtual machine's manifest has another effect in the lab than on a cluster.

Pure: the kubelet that opens a disk reports a missing one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from weft_lab.reasons import Reason
from weft_lab.vm import cloudinit, cloudinitdisk, fields, machine, networkdata

Warned = tuple[Reason, str]  # an Event, with its message


def on(vmi: Mapping[str, Any]) -> Iterator[Warned]:
    """Events for a VMI that is about to be started."""
    vm = machine.read(vmi)
    spec = vmi.get("spec") or {}
    disk = vm.boot_disk
    if disk is None:
        what = (
            f"container disk {vm.image} is not on this machine" if vm.image else "no disk to boot"
        )
        yield (
            Reason.BUILT_IN_GUEST,
            f"{what}: the built-in guest (Debian's kernel, busybox, curl and the QEMU guest agent)"
            f" serves instead; annotation {machine.DISK_ANNOTATION} names a local image to boot",
        )
        yield from _cloud_init(vm, spec)
    for volume in spec.get("volumes") or ():
        for source in fields.REPORTED_ELSEWHERE:
            if source in volume:
                yield (
                    Reason.VOLUME_IGNORED,
                    f"volume {volume['name']}: {source} is not available in the lab",
                )
    yield from _unseen(spec)
    yield from _bindings(vm, spec)
    yield from _cards(vm)
    if lost := list(fields.unfollowed(spec)):
        yield ignored(lost)


def ignored(paths: Sequence[str]) -> Warned:
    """Fields that have an effect on a real cluster and none here."""
    return Reason.FIELD_IGNORED, f"not followed by the lab: {', '.join(paths)}"


def _unseen(spec: Mapping[str, Any]) -> Iterator[Warned]:
    """Volumes that no disk shows to the guest; cloud-init's reach it either way."""
    devices = (spec.get("domain") or {}).get("devices") or {}
    shown = {
        each.get("name") for key in ("disks", "filesystems") for each in devices.get(key) or ()
    }
    for volume in spec.get("volumes") or ():
        if volume["name"] not in shown and not any(
            source in volume for source in cloudinitdisk.SOURCES
        ):
            yield (
                Reason.VOLUME_IGNORED,
                f"volume {volume['name']}: spec.domain.devices.disks has no disk of its name, so "
                "the guest does not see it",
            )


def _cloud_init(vm: machine.Machine, spec: Mapping[str, Any]) -> Iterator[Warned]:
    """What of the cloud-init data the built-in guest cannot follow."""
    try:
        found = cloudinitdisk.data(spec)
        config = cloudinit.parse(found.user, cloudinit.default_user(vm.image))
    except cloudinit.Unreadable as error:
        yield Reason.CLOUD_INIT_IGNORED, f"cloud-init userData {error}"
        return
    if config.unknown:
        keys = ", ".join(config.unknown)
        yield Reason.CLOUD_INIT_IGNORED, f"the built-in guest does not follow: {keys}"
    try:
        network = networkdata.parse(found.network)
    except cloudinit.Unreadable as error:
        yield Reason.CLOUD_INIT_IGNORED, f"cloud-init networkData {error}"
        return
    if network.ignored:
        keys = ", ".join(network.ignored)
        yield (
            Reason.CLOUD_INIT_IGNORED,
            f"the built-in guest does not follow these keys of networkData: {keys}",
        )
    macs = [nic.mac for nic in vm.nics]
    # A card without a MAC in the manifest is given one later: who names that MAC may be right.
    known = [each for each in network.ethernets if all(macs) or not each.mac]
    _, lost = networkdata.assign(known, macs)
    if lost:
        yield Reason.CLOUD_INIT_IGNORED, f"cloud-init networkData: {'; '.join(lost)}"


def _bindings(vm: machine.Machine, spec: Mapping[str, Any]) -> Iterator[Warned]:
    interfaces, _ = machine.interfaces_and_networks(spec)
    for nic, interface in zip(vm.nics, interfaces, strict=False):
        binding = machine.binding(interface)
        if binding != nic.binding:
            yield (
                Reason.BINDING_REPLACED,
                f"interface {nic.name}: {binding} on the pod's own network is served as masquerade",
            )


def _cards(vm: machine.Machine) -> Iterator[Warned]:
    """Cards that differ from those on a real cluster."""
    for nic in vm.nics:
        if nic.model != machine.model(vm, nic):
            yield (
                Reason.MODEL_REPLACED,
                f"interface {nic.name}: the built-in guest has no driver for {nic.model}, and gets "
                f"{machine.model(vm, nic)}",
            )
