"""Removes ports that outlived their sandbox.

The question answered here: which of this node's pod ports have no pod, and how do they go? A
runtime says so per network (CNI GC); the agent finds out by itself when it starts. Addresses
are not freed here: the pod's annotation owns them.
"""

from __future__ import annotations

import logging

from weft import names
from weft.host import netlink, uninterrupted
from weft.nic import port
from weft.node import attach, call, links
from weft.node.dependencies import Dependencies

log = logging.getLogger(__name__)


async def collect(asked: call.Call, deps: Dependencies) -> None:
    """CNI GC: remove all of the network's ports that the runtime no longer knows."""
    gone = port.abandoned(known(deps), asked.network, asked.valid_attachments)
    await _remove(gone, deps)


async def sweep(deps: Dependencies) -> int:
    """Remove ports of pods that are not on this node any more; how many there were.

    The ports are listed before the pods are asked for, so a pod that comes meanwhile is safe.
    """
    listed = known(deps)
    await deps.pods.synced()
    gone = [b for b in listed if not _has_pod(b, deps)]
    await _remove(gone, deps)
    kept = {b.device for b in known(deps)}
    strays = await uninterrupted.in_thread(_remove_strays, kept)
    return len(gone) + strays


def _remove_strays(kept: set[str]) -> int:
    """Ends of veth pairs whose ADD was killed before it had a port."""
    strays = [name for name in netlink.veths() if names.is_host_device(name) and name not in kept]
    for name in strays:
        log.info("removing device %s: no port is on it", name)
        netlink.remove(name)
    return len(strays)


def known(deps: Dependencies) -> list[port.Bound]:
    """What is remembered of pods' ports, and what the rows say of those of which nothing is."""
    remembered = [each.bound for each in deps.records.all()]
    devices = {bound.device for bound in remembered}
    return [*remembered, *(b for b in attach.bounds(deps) if b.device not in devices)]


def _has_pod(bound: port.Bound, deps: Dependencies) -> bool:
    pod = deps.pods.get(bound.pod.key)
    return pod is not None and pod.uid == bound.pod.uid


async def _remove(gone: list[port.Bound], deps: Dependencies) -> None:
    if not gone:
        return
    for bound in gone:
        log.info("removing port %s: Pod %s has no use for it", bound.device, bound.pod.key)
        await deps.records.forget(bound.device)
    await deps.ovs.apply((), [("Port", bound.device) for bound in gone])
    for bound in gone:
        await links.unmake(bound.device, bound.interface, bound.netns)
