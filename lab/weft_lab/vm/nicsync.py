"""Keeps the NICs of a node's machines as their instances ask: virt-handler's side.

When an instance or its pod's network-status changes, the machine's launcher is asked to plug,
unplug or set links (nics.py), and what the guest has then is for guestwatch.py to report.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from weft import errors
from weft.api import status as podstatus
from weft.control import loop
from weft.kube import cache, events, queue, resources
from weft.kube.client import Client, Object
from weft.model import ObjectKey
from weft_lab.reasons import Reason
from weft_lab.vm import (
    hotplug,
    jsonlines,
    launcher,
    launcherpod,
    lifecycle,
    machine,
    nicplaces,
    nics,
)

log = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds; a guest may take its time with each NIC that it releases
LONGEST_ANSWER = 1 << 16  # bytes
MOST_NICS = 64  # of one machine: its launcher's word is its guest's, at worst


@dataclass(frozen=True, slots=True)
class GuestNics:
    """`plugged`: the cards that a guest has, each with its MAC. `waiting`: NICs that are in its pod
    alone. `places`: what the instance is to say of the root ports that they sit in."""

    plugged: tuple[tuple[machine.Nic, str], ...]
    waiting: tuple[machine.Nic, ...]
    places: str | None


class Guest(Protocol):
    """Who writes what a guest has into its instance's status."""

    async def take_nics(self, found: GuestNics) -> None: ...


def read(vmi: Object, answer: Mapping[str, Any], attached: Collection[str]) -> GuestNics:
    """The NICs of an instance, from its launcher's answer and the pod's interfaces."""
    spec = vmi["spec"]
    shown = [
        {key: value for key, value in each.items() if key != "state"}
        for each in hotplug.interfaces_of(spec)
    ]
    every = machine.read({**vmi, "spec": hotplug.with_nics(spec, shown, hotplug.networks_of(spec))})
    known = {nic.name: nic for nic in every.nics}
    listed = answer["nics"]
    if not isinstance(listed, list) or len(listed) > MOST_NICS:
        raise ValueError("a list of few NICs is expected")
    there = {str(each["name"]): each for each in listed}
    plugged = tuple(
        (replace(known[name], is_down=bool(each["down"])), str(each["mac"])[:17])
        for name, each in there.items()
        if name in known
    )
    waiting = tuple(
        nic
        for nic in every.nics
        if nic.name not in there and nic.network and nic.pod_interface in attached
    )
    places = nicplaces.annotation(nicplaces.parse(answer["places"]), every.nics)
    return GuestNics(plugged, waiting, places)


class NicSync:
    """One queue for all machines of the node."""

    def __init__(
        self,
        client: Client,
        node: str,
        vmis: cache.Cache,
        recorder: events.Recorder,
        run_folder: Path = launcher.RUN,
    ) -> None:
        self._node, self._vmis, self._recorder = node, vmis, recorder
        self._run_folder = run_folder
        self._pods = cache.Cache(
            client,
            resources.PODS,
            label_selector=f"{launcherpod.LAUNCHER}=virt-launcher",
            field_selector=f"spec.nodeName={node}",
        )
        self._queue = queue.Queue[ObjectKey]("NICs of", first_pause=0.5, longest_pause=10.0)
        self._done: dict[str, object] = {}  # by uid: for what the launcher was asked last
        self._reported: dict[str, str] = {}
        self._guests: dict[str, Guest] = {}  # by uid

    async def run(self) -> None:
        self._vmis.subscribe(self._on_vmi)
        self._pods.subscribe(self._on_pod)
        await loop.together(pods=self._pods.run(), queue=self._queue.run(self._reconcile, 4))

    def follow(self, uid: str, key: ObjectKey, guest: Guest) -> None:
        """Has a guest report its NICs from now on."""
        self._guests[uid] = guest
        self._done.pop(uid, None)
        self._queue.add(key)

    def leave(self, uid: str) -> None:
        self._guests.pop(uid, None)
        self._done.pop(uid, None)
        self._reported.pop(uid, None)

    def _on_vmi(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._queue.add(key)

    def _on_pod(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        name = ((new or old or {})["metadata"].get("annotations") or {}).get(launcherpod.DOMAIN)
        if name:
            self._queue.add(ObjectKey(key.namespace, str(name)))

    async def _reconcile(self, key: ObjectKey) -> None:
        vmi = self._vmis.get(key)
        status = (vmi or {}).get("status") or {}
        if vmi is None or status.get("nodeName") != self._node or _is_moving(vmi):
            return
        uid = str(vmi["metadata"]["uid"])
        guest = self._guests.get(uid)
        if guest is None or lifecycle.phase(vmi) != "Running":
            return
        attached = self._attached(vmi)
        if not _are_on(vmi, attached):
            return  # the pod's interface is about to be another: its status brings this back
        asked = hotplug.interfaces_of(vmi["spec"]), hotplug.networks_of(vmi["spec"]), attached
        if self._done.get(uid) == asked:
            return
        answer = await self._ask(key, vmi, attached)
        try:
            found, failures = read(vmi, answer, attached), dict(answer["failures"])
        except (KeyError, TypeError, ValueError) as error:
            raise errors.Unavailable(f"the launcher's answer cannot be used: {error}") from error
        await guest.take_nics(found)
        if failures:
            name, why = min(failures.items())
            what = f"interface {str(name)[:63]}: {str(why)[:512]}"
            if self._reported.get(uid) != what:
                self._reported[uid] = what
                self._recorder.emit(vmi, Reason.NIC_NOT_CHANGED, what)
            raise errors.NotReady(what, where=f"VirtualMachineInstance {key}")
        self._reported.pop(uid, None)
        self._done[uid] = asked

    async def _ask(
        self, key: ObjectKey, vmi: Object, attached: Collection[str]
    ) -> Mapping[str, Any]:
        path = launcher.folder(*key, self._run_folder) / nics.SOCKET
        stream = await jsonlines.Stream.connect(path, LONGEST_ANSWER)
        try:
            async with asyncio.timeout(PATIENCE):
                arguments = {"spec": vmi["spec"], "attached": list(attached)}
                await stream.send(jsonlines.request(nics.COMMAND, arguments))
                answer = jsonlines.value(nics.COMMAND, await stream.receive(), path)
        except TimeoutError:
            what = f"the launcher does not answer within {PATIENCE:g} s"
            raise errors.Unavailable(what, where=str(path)) from None
        finally:
            await stream.close()
        if not isinstance(answer, dict):
            raise errors.Unavailable("the launcher's answer is not an object", where=str(path))
        return answer

    def _attached(self, vmi: Object) -> dict[str, str]:
        """The interfaces that the machine's pod has, each with its NAD."""
        name = ObjectKey(vmi["metadata"]["namespace"], launcherpod.current(vmi))
        pod = self._pods.get(name)
        try:
            listed = podstatus.parse(pod) if pod is not None else ()
        except errors.InvalidInput:
            return {}
        return {each.interface: each.name for each in listed}


def _are_on(vmi: Object, attached: Mapping[str, str]) -> bool:
    """Whether the pod's interfaces are on the networks that the instance names."""
    return all(
        attached.get(nic.pod_interface, nic.network) == nic.network
        for nic in machine.read(vmi).nics
        if nic.network
    )


def _is_moving(vmi: Object) -> bool:
    state = (vmi.get("status") or {}).get("migrationState") or {}
    return bool(state) and not (state.get("completed") or state.get("failed"))
