"""Ports that outlived their sandbox.

The question answered here: which of this node's pod ports have no pod, and how do they go? A
runtime says so per network (CNI GC); the agent finds out by itself when it starts. Addresses
are not freed here: the pod's annotation owns them.
"""

from __future__ import annotations

import logging

from weft.nic import port
from weft.node import attach, call, wiring
from weft.node.dependencies import Dependencies

log = logging.getLogger(__name__)


async def collect(asked: call.Call, deps: Dependencies) -> None:
    """CNI GC: remove all of the network's ports that the runtime no longer knows."""
    gone = port.abandoned(attach.bounds(deps), asked.network, asked.valid_attachments)
    await _remove(gone, deps)


async def sweep(deps: Dependencies) -> int:
    """Remove ports of pods that are not on this node any more; how many there were.

    The ports are listed before the pods are asked for, so a pod that comes meanwhile is safe.
    """
    listed = attach.bounds(deps)
    await deps.pods.synced()
    gone = [b for b in listed if not _has_pod(b, deps)]
    await _remove(gone, deps)
    return len(gone)


def _has_pod(bound: port.Bound, deps: Dependencies) -> bool:
    pod = deps.pods.get(bound.pod.key)
    return pod is not None and pod["metadata"]["uid"] == bound.pod.uid


async def _remove(gone: list[port.Bound], deps: Dependencies) -> None:
    if not gone:
        return
    for bound in gone:
        log.info("removing port %s: Pod %s has no use for it", bound.device, bound.pod.key)
    await deps.ovs.apply((), [("Port", bound.device) for bound in gone])
    for bound in gone:
        await wiring.unmake(bound.device, bound.interface, bound.netns)
