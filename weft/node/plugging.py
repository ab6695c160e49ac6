"""Tells at a running pod that nobody plugs, or unplugs, a NIC for which its selection was edited.

The cluster manager allocates for a NIC that is added to a running pod. That the plugin is called is
the work of another program, Multus' dynamic networks controller, and many clusters have none: then
nothing happens, and nobody says so. Here it is known which calls came. What is due after PATIENCE,
without any call about that interface since shortly before, gets an Event. A call that failed is no
silence: its caller tells. Earlier calls, as for a sandbox that was made anew, are about something
else.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from weft import errors, names
from weft.api import podnetworks
from weft.api.pod import Pod
from weft.kube import queue
from weft.model import ObjectKey
from weft.node import addplan
from weft.node.dependencies import Dependencies
from weft.reasons import Reason

PATIENCE = 30.0  # seconds: a controller that is there calls within one, busy within some


class Due(StrEnum):
    """What has to happen to a NIC."""

    PLUG = "plug"
    UNPLUG = "unplug"


class Nic(NamedTuple):
    """An interface of a pod."""

    pod: ObjectKey
    interface: str


class Plugging:
    """Watches the pods of this node; one task of the agent. `called` hears of each call.

    `patience` and `early` in seconds; a call counts that comes up to `early` before what it is for.
    """

    def __init__(
        self, deps: Dependencies, patience: float = PATIENCE, early: float = PATIENCE
    ) -> None:
        self._deps, self._patience, self._early = deps, patience, early
        self.queue = queue.Queue[Nic]("NIC of Pod")
        self._due: dict[ObjectKey, dict[str, tuple[Due, float]]] = {}  # by interface, with the time
        self._called: dict[Nic, float] = {}  # what somebody works on: when it was called last
        self._emitted: set[Nic] = set()

    async def run(self) -> None:
        """Looks at the pods with NICs here, then at those that change, until cancelled."""
        self._deps.pods.subscribe(self._on_pod)
        await self.queue.run(self._emit)

    def called(self, pod: ObjectKey, interface: str) -> None:
        """Hears that somebody called the plugin for an interface of a pod."""
        known = self._deps.pods.get(pod)
        if known is not None and known.has_interfaces:  # a call may come before what it is for
            self._called[Nic(pod, interface)] = asyncio.get_running_loop().time()

    def _on_pod(self, key: ObjectKey, _: Pod | None, new: Pod | None) -> None:
        is_here = new is not None and new.node == self._deps.node
        now = due(new, self._deps) if new is not None and is_here else {}
        before = self._due.pop(key, {})
        if new is None:
            self._called = {nic: at for nic, at in self._called.items() if nic.pod != key}
        for interface, (what, _at) in before.items():
            if now.get(interface) is not what:
                self._called.pop(Nic(key, interface), None)
                self._emitted.discard(Nic(key, interface))
        if not now:
            return
        at = asyncio.get_running_loop().time() + self._patience
        kept = {each: before[each] for each in now if before.get(each, ("",))[0] is now[each]}
        self._due[key] = {each: kept.get(each, (what, at)) for each, what in now.items()}
        for interface in now.keys() - kept.keys():
            self.queue.add(Nic(key, interface), self._patience)

    async def _emit(self, nic: Nic) -> None:
        what, at = self._due.get(nic.pod, {}).get(nic.interface, (None, 0.0))
        pod = self._deps.pods.get(nic.pod)
        if what is None or pod is None or nic in self._emitted:
            return
        if self._called.get(nic, -math.inf) >= at - self._patience - self._early:
            return
        left = at - asyncio.get_running_loop().time()
        if left > 0:  # it was given up, and asked for again
            self.queue.add(nic, left)
            return
        self._emitted.add(nic)
        error = _unplugged_error(pod, nic.interface, what, self._deps.node, self._patience)
        self._deps.warn(pod.ref, Reason.NIC_NOT_PLUGGED, error.in_full())


def due(pod: Pod, deps: Dependencies) -> Mapping[str, Due]:
    """Returns what has to happen to which interfaces of a running pod.

    Both the records of the node and the pod's network-status have to lack an interface, or to have
    it: a node that boots has no records.
    """
    if not pod.has_interfaces or not pod.interfaces or pod.is_completed:
        return {}
    try:
        asked = addplan.asked(pod, deps)
    except errors.InvalidInput:
        return {}  # the cluster manager tells
    decided = deps.decided(pod).allocations
    owners = [each.owner for each in deps.records.all() if each.owner.pod == pod.ref]
    made = {owner.attachment for owner in owners}
    there = {(podnetworks.nad_of(key), name) for key, name in pod.interfaces}
    requested = {(each.nad, each.interface) for each in asked}
    plug = [
        each.interface
        for each in asked
        if each.key in decided and each.key not in made and (each.nad, each.interface) not in there
    ]
    unplug = [
        name
        for nad, name in sorted(there - requested, key=str)
        if name != names.DEFAULT_INTERFACE and _is_made(nad, made - {each.key for each in asked})
    ]
    return {**dict.fromkeys(unplug, Due.UNPLUG), **dict.fromkeys(plug, Due.PLUG)}


def _is_made(nad: ObjectKey | None, keys: set[str]) -> bool:
    return nad is not None and any(podnetworks.nad_of(key) == nad for key in keys)


def _unplugged_error(
    pod: Pod, interface: str, what: Due, node: str, patience: float
) -> errors.WeftError:
    if what is Due.PLUG:
        rule = (
            f"names {interface} since the pod runs; it is allocated, and nobody has called the "
            f"plugin for it in {patience:g} s"
        )
    else:
        rule = (
            f"does not name {interface} any more; nobody has unplugged it in {patience:g} s, and "
            "it keeps its address"
        )
    hint = f"run Multus' dynamic networks controller on {node}, or make the pod anew"
    return errors.InvalidInput(pod.label, names.NETWORKS, None, rule, hint=hint)
