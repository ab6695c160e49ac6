"""Removes ports that outlived their sandbox.

The runtime names the valid ones of a network (CNI GC); a starting agent looks for ports without a
pod itself. Addresses are not freed here: the cluster manager frees them with the pod.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable

from weft import names
from weft.api.pod import Pod
from weft.host import netlink, uninterrupted
from weft.model import ObjectKey
from weft.nic import port
from weft.node import attach, call, links
from weft.node.dependencies import Dependencies

log = logging.getLogger(__name__)


async def collect(cni_call: call.Call, deps: Dependencies) -> None:
    """CNI GC: removes all of the network's ports that the runtime no longer knows."""
    gone = port.abandoned(known(deps), cni_call.network, cni_call.valid_attachments)
    await _remove(gone, deps)


async def sweep(deps: Dependencies) -> int:
    """Removes ports of pods that no longer exist, and stray veths; returns how many.

    The ports are listed before the pods are read, so a pod that comes meanwhile is safe.
    """
    listed = known(deps)
    await deps.pods.synced()
    gone = orphaned(listed, deps.pods.get)
    await _remove(gone, deps)
    kept = {b.device for b in known(deps)}
    strays = await uninterrupted.in_thread(_remove_strays, kept)
    return len(gone) + strays


def orphaned(
    bounds: Iterable[port.Bound], pod: Callable[[ObjectKey], Pod | None]
) -> list[port.Bound]:
    """Returns the ports whose pod is gone, or has another uid; `pod` returns a pod by key."""
    return [
        bound
        for bound in bounds
        if (found := pod(bound.pod.key)) is None or found.uid != bound.pod.uid
    ]


def stray(devices: Iterable[str], kept: Collection[str]) -> list[str]:
    """Returns the veth ends whose ADD was killed before they had a port."""
    return [name for name in devices if names.is_host_device(name) and name not in kept]


def _remove_strays(kept: set[str]) -> int:
    found = stray(netlink.veths(), kept)
    for name in found:
        log.info("removing device %s: no port is on it", name)
        netlink.remove(name)
    return len(found)


def known(deps: Dependencies) -> list[port.Bound]:
    """Returns the pods' ports from the records, and from rows those without a record."""
    remembered = [each.bound for each in deps.records.all()]
    devices = {bound.device for bound in remembered}
    return [*remembered, *(b for b in attach.bounds(deps) if b.device not in devices)]


async def _remove(gone: list[port.Bound], deps: Dependencies) -> None:
    if not gone:
        return
    for bound in gone:
        log.info("removing port %s: Pod %s has no use for it", bound.device, bound.pod.key)
        await deps.records.forget(bound.device)
    await deps.ovs.apply((), [("Port", bound.device) for bound in gone])
    for bound in gone:
        await links.unmake(bound.device, bound.interface, bound.netns)
