"""Runs the pods of one node, from their binding to their end.

For each pod a worker reads the pod and its sandbox, takes the next step, and writes the status. A
change of the pod, of a NAD that it waits for, or of a process queues the pod again; nothing polls.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import time
from collections.abc import Callable
from typing import Any

from weft import errors
from weft.host import netns
from weft.kube import cache, client, events, queue
from weft.kube.resources import PODS, key
from weft.model import ObjectKey
from weft_lab.kubelet import (
    containerconfig,
    containerevents,
    containers,
    fields,
    images,
    launchers,
    logs,
    plugging,
    podstatus,
    sandbox,
    security,
    sysctls,
    volumes,
)
from weft_lab.multus import attach, plugin
from weft_lab.reasons import Reason

log = logging.getLogger(__name__)

Object = dict[str, Any]
WORKERS = 256
DEFAULT_GRACE = 30


class Pods:
    """The pods of one node; `clock` gives wall time, for their statuses."""

    def __init__(
        self,
        api: client.Client,
        pods: cache.Cache,
        multus: attach.Multus,
        recorder: events.Recorder,
        environment: containerconfig.Environment,
        launchers: launchers.Launchers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api, self._pods, self._multus = api, pods, multus
        self._recorder, self._environment, self._clock = recorder, environment, clock
        self._launchers = launchers
        self._sandboxes: dict[str, sandbox.Sandbox] = {}
        self._starting: dict[ObjectKey, asyncio.Task[sandbox.Sandbox]] = {}
        self._refused: set[ObjectKey] = set()
        # By key of a pod that ended here: its uid and final status; the cached one may be older.
        self._ended: dict[ObjectKey, tuple[str, dict[str, containers.State]]] = {}
        self._deadlines: dict[str, float] = {}
        self._queue = queue.Queue[ObjectKey]("pods", on_error=self._report, first_pause=1.0)
        self._plugging = plugging.Plugging(multus, self._queue.add)

    async def run(self) -> None:
        """Run until cancelled; the pods keep running, and the next kubelet finds them."""
        await self._recover()
        self._pods.subscribe(self._pod_changed)
        self._multus.nads.subscribe(self._nad_changed)
        try:
            await self._queue.run(self.reconcile, workers=WORKERS)
        finally:
            await self._plugging.finish()
            for box in self._sandboxes.values():
                await box.disconnect()

    async def _recover(self) -> None:
        """Take over the sandboxes of an earlier kubelet; remove those whose pods are gone."""
        await self._pods.synced()
        await self._multus.nads.synced()
        for box in await asyncio.to_thread(sandbox.find, self._environment.folder):
            self._sandboxes[box.about.uid] = box
            try:
                if not box.ips:
                    raise ConnectionResetError("its network was not finished")
                await box.connect(lambda box=box: self._queue.add(_key(box)))  # type: ignore[misc]
                box.requested = {name: state.attempt for name, state in box.states.items()}
            except (OSError, ValueError):  # one pod must not delay the others of the node
                box.gone = True
            self._queue.add(_key(box))

    def _pod_changed(self, name: ObjectKey, old: Object | None, new: Object | None) -> None:
        if new is None or new["metadata"].get("deletionTimestamp"):
            self._plugging.give_up(name)
            starting = self._starting.get(name)
            # Once: a second cancellation would stop the clean-up of the first.
            if starting is not None and not starting.cancelling():
                starting.cancel()
        self._queue.add(name)

    def _nad_changed(self, name: ObjectKey, old: Object | None, new: Object | None) -> None:
        """A NAD came or changed: pods that could not be attached try again now.

        A pod that starts at this moment may not have seen the NAD, and fail.
        """
        for pod in (*self._refused, *self._starting):
            self._queue.add(pod)

    def _report(self, name: ObjectKey, error: errors.WeftError) -> None:
        log.warning("pod %s: %s", name, error)

    async def reconcile(self, name: ObjectKey) -> None:
        """Take one step for the pod of this key."""
        pod = self._pods.get(name)
        uid = pod["metadata"]["uid"] if pod else ""
        boxes = [box for box in self._sandboxes.values() if _key(box) == name]
        foreign = [box for box in boxes if box.about.uid != uid]
        ended, states = self._ended.get(name, ("", {}))
        if foreign:
            for box in foreign:
                await self._tear_down(box, None)
            self._queue.add(name)  # the pod that was read is outdated by now
        elif pod is None:
            self._refused.discard(name)
            self._ended.pop(name, None)
        elif pod["metadata"].get("deletionTimestamp"):
            await self._delete(pod)
        elif ended == uid:
            await self._write_status(pod, states, None)
        else:
            await self._keep_running(pod)

    async def _keep_running(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        box = self._sandboxes.get(uid)
        if box is not None and box.gone:
            await self._end(pod, box)
            return
        if box is None:
            lost = podstatus.lost(pod, self._clock())
            if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                return
            if lost and containers.is_finished(pod, lost):
                await self._write_status(pod, lost, None)
                return
            if why := sysctls.forbidden(pod):
                await self._reject(pod, Reason.SYSCTL_FORBIDDEN, why)
                return
            box = await self._start(pod, lost)
            if volumes.has(pod):
                pod = await volumes.up_to_date(self._api, self._pods, pod)
        if volumes.has(pod):
            await self._lay_out(pod, box)
        self._plugging.look_at(pod, box)
        # One step uses one report: a report that comes while it writes queues the pod again.
        states = box.states
        containerevents.failed(self._recorder, pod, box, states)
        for step in containers.due(pod, states, self._clock()):
            if isinstance(step, containers.Start):
                await self._start_container(pod, box, step)
            else:
                self._queue.add(key(pod), max(step.until - self._clock(), 0.05))
                containerevents.backoff(self._recorder, pod, box, states)
        await self._write_status(pod, states, box)
        if containers.is_finished(pod, states):
            await self._end(pod, box)

    async def _lay_out(self, pod: Object, box: sandbox.Sandbox) -> None:
        """Write the pod's volumes; if that fails, a running pod keeps its files."""
        try:
            await asyncio.to_thread(volumes.write, box.folder, volumes.files(pod))
        except (errors.WeftError, OSError) as error:
            self._recorder.emit(pod, Reason.FAILED_MOUNT, str(error))
            if not box.requested:
                raise errors.NotReady(str(error)) from error

    async def _reject(self, pod: Object, reason: Reason, why: str) -> None:
        """Fail a pod before it starts if the lab cannot grant a field."""
        self._recorder.emit(pod, reason, why)
        message = f"Pod was rejected: {why}"
        start = podstatus.when(self._clock())
        status = {"phase": "Failed", "reason": reason, "message": message, "startTime": start}
        await self._patch_status(pod, status)

    async def _end(self, pod: Object, box: sandbox.Sandbox) -> None:
        """Remove the sandbox; a pod that is not finished is queued and gets another."""
        states = await self._tear_down(box, pod)
        if not containers.is_finished(pod, states):
            self._queue.add(key(pod))
            return
        self._ended[key(pod)] = box.about.uid, states
        await self._write_status(pod, states, None)

    async def _start(self, pod: Object, lost: dict[str, containers.State]) -> sandbox.Sandbox:
        """Make a sandbox with all its interfaces; on an error, nothing of it is left."""
        name = key(pod)
        task = asyncio.create_task(self._make_sandbox(pod, lost), name=f"sandbox of {name}")
        self._starting[name] = task
        try:
            if "startTime" not in (pod.get("status") or {}):
                await self._write_status(pod, {}, None)
            return await task
        except asyncio.CancelledError:
            worker = asyncio.current_task()
            if worker is not None and worker.cancelling():
                raise
            # The sandbox was cancelled, not this worker: the pod is being deleted.
            raise errors.NotReady("its start was given up: it is being deleted") from None
        except errors.WeftError as error:
            self._refused.add(name)
            what = f"Failed to create pod sandbox: {error.in_full()}"
            self._recorder.emit(pod, Reason.FAILED_CREATE_POD_SANDBOX, what)
            raise errors.NotReady(str(error), hint=error.hint) from error
        finally:
            task.cancel()  # not awaited here: without a written status nothing may start
            await asyncio.gather(task, return_exceptions=True)
            del self._starting[name]

    async def _make_sandbox(
        self, pod: Object, lost: dict[str, containers.State]
    ) -> sandbox.Sandbox:
        meta, place = pod["metadata"], self._environment
        number = secrets.token_hex(32)
        on_host = containerconfig.on_host(pod)
        about = plugin.Sandbox(
            id=number,
            netns="" if on_host else str(sandbox.NETNS / number),
            namespace=meta["namespace"],
            pod=meta["name"],
            uid=meta["uid"],
        )
        hostname = containerconfig.hostname(pod, place)
        box = await sandbox.create(place.folder / number[:13], about, hostname)
        box.lost = lost
        try:
            if on_host:
                box.ips = (place.host_ip,)
            else:
                box.ips = tuple(await attach.add(self._multus, pod, about, box.network))
                await netns.run_inside(about.netns, sysctls.write, sysctls.of(pod))
            box.started = self._clock()
            box.save()
            await box.connect(lambda: self._queue.add(_key(box)))
        except BaseException as error:
            # The network is undone already, unless only the connection failed.
            failures = await attach.delete(self._multus, about, box.network)
            if failures:
                log.warning("sandbox %s: %s", number[:13], failures[0])
            await sandbox.remove(box)
            if isinstance(error, OSError):
                raise errors.Unavailable(str(error), where="the pod's first process") from error
            raise
        self._sandboxes[about.uid] = box
        self._refused.discard(_key(box))
        for what in fields.ignored(pod):
            self._recorder.emit(pod, Reason.FIELD_IGNORED, what)
        return box

    async def _start_container(
        self, pod: Object, box: sandbox.Sandbox, step: containers.Start
    ) -> None:
        container, name = step.container, step.container["name"]
        if box.is_requested(name, step.attempt):
            return
        root = box.folder / f"root-{name}"
        try:
            request = containerconfig.start(pod, container, box.ips, root, self._environment)
            if images.is_native(container.get("image", "")):
                request = await self._launchers.completed(pod, container, request)
        except (errors.WeftError, OSError) as error:
            why = error.in_full() if isinstance(error, errors.WeftError) else str(error)
            box.refuse(name, step.attempt, why, self._clock())
            self._queue.add(_key(box))
            return
        if not box.start(name, step.attempt, request):
            return
        if what := images.explanation(container):
            self._recorder.emit(pod, Reason.PULLED, what)
        for what in security.ignored(container):
            self._recorder.emit(pod, Reason.SECURITY_CONTEXT, what)
        self._recorder.emit(pod, Reason.CREATED, f"Created container: {name}")
        self._recorder.emit(pod, Reason.STARTED, f"Started container {name}")

    async def _delete(self, pod: Object) -> None:
        """Stop the containers: SIGTERM, SIGKILL after the grace period, then remove the pod."""
        uid = pod["metadata"]["uid"]
        box = self._sandboxes.get(uid)
        if box is not None and box.running and not self._is_overdue(pod, box):
            return
        if box is not None:
            states = await self._tear_down(box, pod)
            await self._write_status(pod, states, None)
        self._ended.pop(key(pod), None)
        self._refused.discard(key(pod))
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        try:
            await self._api.delete(PODS, name, namespace, uid=uid, grace=0)
        except (client.NotFound, client.Conflict):
            pass  # gone already, or its name has a new owner

    def _is_overdue(self, pod: Object, box: sandbox.Sandbox) -> bool:
        """Whether the grace period is over; the first call starts it."""
        grace = pod["metadata"].get("deletionGracePeriodSeconds")
        now, uid = asyncio.get_running_loop().time(), box.about.uid
        allowed = now + (DEFAULT_GRACE if grace is None else grace)
        begun = uid in self._deadlines
        deadline = self._deadlines[uid] = min(self._deadlines.get(uid, allowed), allowed)
        if not begun:
            for name in box.running:
                self._recorder.emit(pod, Reason.KILLING, f"Stopping container {name}")
            box.signal(signal.SIGTERM)
        if now < deadline:
            self._queue.add(key(pod), deadline - now + 0.01)
            return False
        return True

    async def _tear_down(
        self, box: sandbox.Sandbox, pod: Object | None
    ) -> dict[str, containers.State]:
        """End everything of the sandbox; return how its containers ended."""
        states = {
            name: state if state.status is not None else containers.killed(state, self._clock())
            for name, state in box.states.items()
        }
        await box.end()
        await self._plugging.ended(_key(box))
        box.states = states
        failures = await attach.delete(self._multus, box.about, box.network)
        if failures:
            what = f"Failed to kill pod sandbox: {failures[0].in_full()}"
            if pod is not None:
                self._recorder.emit(pod, Reason.FAILED_KILL_POD, what)
            raise errors.Unavailable(what, where=f"Pod {_key(box)}")
        await sandbox.remove(box)
        self._sandboxes.pop(box.about.uid, None)
        self._deadlines.pop(box.about.uid, None)
        return states

    async def _write_status(
        self, pod: Object, states: dict[str, containers.State], box: sandbox.Sandbox | None
    ) -> None:
        """Patch the pod's status if it differs from the API server's."""
        current = self._pods.get(key(pod)) or pod
        earlier = current.get("status") or {}
        facts = podstatus.Facts(
            host_ip=self._environment.host_ip,
            sandbox=box.about.id[:13] if box else "",
            ips=box.ips if box else tuple(entry["ip"] for entry in earlier.get("podIPs") or ()),
            started=box.started if box else self._clock(),
            last=box.last if box else None,
            now=self._clock(),
            words=logs.last_words(self._environment.logs, pod, states),
        )
        status = podstatus.render(current, states, facts)
        if "startTime" in earlier:
            status["startTime"] = earlier["startTime"]
        if all(earlier.get(name) == value for name, value in status.items()):
            return
        await self._patch_status(pod, status)

    async def _patch_status(self, pod: Object, status: Object) -> None:
        meta = pod["metadata"]
        body = {"metadata": {"uid": meta["uid"]}, "status": status}
        try:
            await self._api.patch(
                PODS,
                meta["name"],
                meta["namespace"],
                body,
                subresource="status",
                field_manager="kubelet",
            )
        except (client.NotFound, client.Conflict):
            pass  # the watch delivers its new state


def _key(box: sandbox.Sandbox) -> ObjectKey:
    return ObjectKey(box.about.namespace, box.about.pod)
