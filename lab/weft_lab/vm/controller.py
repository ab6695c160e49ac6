"""Turns VirtualMachines into instances and instances into pods: virt-controller's role.

It reads three caches and calls pure code: validation, lifecycle (the next step), launcherpod and
status. Once a guest runs, the handler writes its status.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from weft import errors, reasons
from weft.app import health
from weft.control import loop
from weft.kube import cache, events, queue, resources
from weft.kube.client import AlreadyExists, Client, Conflict, NotFound, Object
from weft.model import ObjectKey
from weft.reasons import EventReason
from weft_lab.reasons import Reason
from weft_lab.vm import (
    evacuation,
    fields,
    launcherpod,
    lifecycle,
    lostnode,
    machine,
    migration,
    migrationcontroller,
    migrationmetrics,
    nicedits,
    specwarnings,
    status,
    validation,
)

log = logging.getLogger(__name__)

COMPONENT = "virt-controller"
VM_FINALIZER = "kubevirt.io/virtualMachineControllerFinalize"
VMI_FINALIZER = "foregroundDeleteVirtualMachine"
BY_OWNER, BY_POD = "owner", "pod"
# Events of a launcher pod that are about what its virtual machine asks for.
PASSED_ON: Mapping[str, EventReason] = {
    each: each
    for each in (
        reasons.Reason.ERROR_ALLOCATING_POD,
        reasons.Reason.ANNOTATION_IGNORED,
        Reason.FAILED_CREATE_POD_SANDBOX,
        Reason.FAILED_SCHEDULING,
    )
}
WORKERS = 4


class Controller:
    """`run` keeps all four kinds in step until cancelled; `metrics`: where it serves them."""

    def __init__(self, client: Client, metrics: str = "") -> None:
        self._metrics = metrics
        self._client = client
        self._vms = cache.Cache(client, resources.VMS)
        self._vmis = cache.Cache(client, resources.VMIS)
        self._pods = cache.Cache(
            client,
            resources.PODS,
            label_selector=f"{launcherpod.LAUNCHER}=virt-launcher",
            indexes={BY_OWNER: _created_by},
        )
        self._news = cache.Cache(
            client,
            resources.EVENTS,
            field_selector="type=Warning,involvedObject.kind=Pod",
            indexes={BY_POD: _about},
        )
        self._recorder = events.Recorder(client, COMPONENT)
        self._nics = nicedits.NicEdits(client)
        self._machines = queue.Queue[ObjectKey]("VirtualMachine", on_error=self._failed)
        self._instances = queue.Queue[ObjectKey]("VirtualMachineInstance", on_error=self._failed)
        self._migrations = migrationcontroller.Migrations(
            client, self._vmis, self._pods, self._recorder
        )
        self._evacuations = evacuation.Evacuations(
            client, self._vmis, self._pods, self._migrations.cache, self._recorder
        )
        self._reported: dict[str, tuple[str, str]] = {}  # by kind and key: uid, and what is wrong
        self._passed_on: set[ObjectKey] = set()  # keys of Events

    async def run(self) -> None:
        serving = {"metrics": self._serve_metrics()} if self._metrics else {}
        await loop.together(
            **serving,
            events=self._recorder.run(),
            vms=self._vms.run(),
            vmis=self._vmis.run(),
            pods=self._pods.run(),
            news=self._news.run(),
            machines=self._run_machines(),
            instances=self._run_instances(),
            known_migrations=self._migrations.cache.run(),
            migrations=self._migrations.run(),
            evacuations=self._evacuations.run(),
        )

    async def _serve_metrics(self) -> None:
        known = self._migrations.cache
        await health.serve(
            self._metrics,
            list,
            dict,
            more=lambda: migrationmetrics.render(known.objects()),
        )

    async def _run_machines(self) -> None:
        await self._synced()
        self._vms.subscribe(lambda key, old, new: self._machines.add(key))
        self._vmis.subscribe(lambda key, old, new: self._machines.add(key))
        await self._machines.run(self._reconcile_machine, workers=WORKERS)

    async def _run_instances(self) -> None:
        await self._synced()
        self._vmis.subscribe(lambda key, old, new: self._instances.add(key))
        self._pods.subscribe(self._on_pod)
        self._news.subscribe(self._on_news)
        await self._instances.run(self._reconcile_instance, workers=WORKERS)

    async def _synced(self) -> None:
        for one in (self._vms, self._vmis, self._pods, self._news):
            await one.synced()

    def _on_pod(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        for owner in pod["metadata"].get("ownerReferences") or ():
            if owner["kind"] == resources.VMIS.kind:
                self._instances.add(ObjectKey(pod["metadata"]["namespace"], owner["name"]))

    def _on_news(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        """Of a pod that is not known yet the news is found when it is."""
        if new is None:
            self._passed_on.discard(key)
        for about in _about(new) if new is not None and old is None else ():
            pod = self._pods.get(about)
            if pod is not None:
                self._on_pod(about, None, pod)

    def _failed(self, key: ObjectKey, error: errors.WeftError) -> None:
        if not isinstance(error, Conflict):  # the watch queues it again
            log.warning("%s: %s", key, error)

    # VirtualMachines

    async def _reconcile_machine(self, key: ObjectKey) -> None:
        vm = self._vms.get(key)
        if vm is None:
            self._reported.pop(f"{resources.VMS.kind} {key}", None)
            return
        vmi = self._vmis.get(key)
        if vmi is not None and not _owns(vm, vmi):
            self._emit(vm, Reason.VMI_OWNER_CONFLICT, "an instance of this name is not this VM's")
            vmi = None
            return
        if await self._settle_finalizer(
            resources.VMS, vm, VM_FINALIZER, still_needed=vmi is not None
        ):
            return
        problems = [] if lifecycle.is_deleted(vm) else validation.machine_findings(vm)
        self._warn(vm, problems)
        decision = lifecycle.decide(vm, vmi, datetime.now(UTC))
        if problems and decision.step is not lifecycle.Step.DELETE:
            decision = lifecycle.Decision(lifecycle.Step.NOTHING)
        await self._write(resources.VMS, vm, status.of_machine(vm, vmi, problems, decision, _now()))
        before = (vm.get("status") or {}).get("startFailure")
        if vmi is not None and decision.failure and decision.failure != before:
            ready = status.condition(vmi, "Ready") or {}
            self._emit(vm, Reason.INSTANCE_FAILED, str(ready.get("message") or "no reason given"))
        if not lifecycle.is_deleted(vm) and not problems:
            await self._nics.sync(vm, vmi)
        if decision.step is lifecycle.Step.CREATE:
            await self._create_instance(vm, paused=decision.paused)
        elif decision.step is lifecycle.Step.TURN_ON:
            await self._turn_on(vm)
        elif decision.step is lifecycle.Step.DELETE and vmi is not None:
            await self._delete(resources.VMIS, vmi)
            self._emit(vm, Reason.SUCCESSFUL_DELETE, f"stopped the instance {key}")
        if decision.after > 0:
            self._machines.add(key, after=decision.after)

    async def _turn_on(self, vm: Object) -> None:
        """In the field that the manifest uses: both at once are refused."""
        meta = vm["metadata"]
        used = bool(vm["spec"].get("runStrategy"))
        spec: Object = {"runStrategy": "Always"} if used else {"running": True}
        body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "spec": spec}
        with contextlib.suppress(NotFound, Conflict):  # a change since then is watched
            await self._client.patch(resources.VMS, meta["name"], meta["namespace"], body)

    async def _create_instance(self, vm: Object, *, paused: bool) -> None:
        meta = vm["metadata"]
        template = vm["spec"]["template"]
        given = template.get("metadata") or {}
        vmi = {
            "apiVersion": resources.VMIS.api_version,
            "kind": resources.VMIS.kind,
            "metadata": {
                "name": meta["name"],
                "namespace": meta["namespace"],
                "labels": dict(given.get("labels") or {}),
                "annotations": dict(given.get("annotations") or {}),
                "ownerReferences": [launcherpod.owner(vm)],
                "finalizers": [VMI_FINALIZER],
            },
            "spec": template["spec"],
        }
        vmi["spec"] = machine.completed(vmi)
        if paused:
            vmi["spec"] = {**vmi["spec"], "startStrategy": machine.PAUSED}
        try:
            await self._client.create(resources.VMIS, vmi)
        except AlreadyExists:
            return  # the cache will show it
        self._emit(vm, Reason.SUCCESSFUL_CREATE, f"started the instance {meta['name']}")
        if lost := fields.unfollowed_of_machine(vm["spec"]):
            self._emit(vm, *specwarnings.ignored(lost))

    # VirtualMachineInstances

    async def _reconcile_instance(self, key: ObjectKey) -> None:
        vmi = self._vmis.get(key)
        if vmi is None:
            self._reported.pop(f"{resources.VMIS.kind} {key}", None)
            return
        pods = await self._pods_of(vmi)
        if await self._settle_finalizer(
            resources.VMIS, vmi, VMI_FINALIZER, still_needed=bool(pods)
        ):
            return
        if lifecycle.is_deleted(vmi):
            for each in pods:
                if (grace := launcherpod.grace_to_end(vmi, each)) is not None:
                    await self._delete(resources.PODS, each, grace)
            return
        pod = status.pod_of(vmi, pods)
        problems = validation.instance_findings(vmi)
        self._warn(vmi, problems)
        if pod is None and not problems and lifecycle.phase(vmi) in ("", "Pending"):
            pod = await self._create_pod(vmi)
            pods = [pod]
        if pod is not None:
            self._pass_on(vmi, pod)
        if pod is not None and not migration.is_under_way(vmi) and not problems:
            await self._nics.follow(vmi, pod)
        if migration.is_moving(vmi, pods):
            return  # it runs on there, or its migration fails: a change of either is watched
        new = status.of_instance(vmi, pod, problems, _now(), pods)
        new = await lostnode.explained(self._client, self._recorder, vmi, new)
        await self._write(resources.VMIS, vmi, new)
        node = str(new.get("nodeName") or "")
        await self._label(resources.VMIS, vmi, node)
        if pod is not None:
            await self._label(resources.PODS, pod, node)

    async def _label(self, res: resources.Resource, obj: Object, node: str) -> None:
        """KubeVirt's label of the node on which a machine runs; its pod has the same."""
        meta = obj["metadata"]
        if node and (meta.get("labels") or {}).get(migration.NODE_NAME) != node:
            body = {"metadata": {"uid": meta["uid"], "labels": {migration.NODE_NAME: node}}}
            with contextlib.suppress(NotFound, Conflict):
                await self._client.patch(res, meta["name"], meta["namespace"], body)

    async def _pods_of(self, vmi: Object) -> list[Object]:
        """From the cache; that may be behind, so a pod that should be there is asked for."""
        keys = self._pods.index(BY_OWNER, vmi["metadata"]["uid"])
        found = [pod for key in sorted(keys) if (pod := self._pods.get(key)) is not None]
        if found or lifecycle.is_final(vmi) or lifecycle.phase(vmi) == "":
            return found
        try:
            pod = await self._client.get(
                resources.PODS, launcherpod.current(vmi), vmi["metadata"]["namespace"]
            )
        except NotFound:
            return []
        return [pod]

    async def _create_pod(self, vmi: Object) -> Object:
        pod = launcherpod.render(vmi, sys.executable)
        try:
            made = await self._client.create(resources.PODS, pod)
        except AlreadyExists:
            return await self._client.get(
                resources.PODS, pod["metadata"]["name"], pod["metadata"]["namespace"]
            )
        self._emit(vmi, Reason.SUCCESSFUL_CREATE, f"created pod {pod['metadata']['name']}")
        for reason, message in specwarnings.on(vmi):
            self._emit(vmi, reason, message)
        return made

    # Writing

    async def _settle_finalizer(
        self, res: resources.Resource, obj: Object, finalizer: str, *, still_needed: bool
    ) -> bool:
        """Add the finalizer, or take it off when nothing is left below; True ends the reconcile."""
        present = list(obj["metadata"].get("finalizers") or ())
        deleted = lifecycle.is_deleted(obj)
        if deleted and finalizer in present and not still_needed:
            finalizers = [one for one in present if one != finalizer]
        elif not deleted and finalizer not in present:
            finalizers = [*present, finalizer]
        else:
            return False
        meta = obj["metadata"]
        body = {"metadata": {"finalizers": finalizers, "resourceVersion": meta["resourceVersion"]}}
        try:
            await self._client.patch(res, meta["name"], meta["namespace"], body)
        except NotFound:
            pass
        return True  # the watch returns the patched object and queues it again

    async def _write(self, res: resources.Resource, obj: Object, new: Mapping[str, Any]) -> None:
        """Patch the status if it changes; a conflict if another writer was first."""
        before = obj.get("status") or {}
        changed = {key: value for key, value in new.items() if before.get(key) != value}
        if not changed:
            return
        meta = obj["metadata"]
        body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "status": changed}
        try:
            await self._client.patch(
                res, meta["name"], meta["namespace"], body, subresource="status"
            )
        except NotFound:
            pass  # gone meanwhile

    async def _delete(self, res: resources.Resource, obj: Object, grace: int | None = None) -> None:
        meta = obj["metadata"]
        name, namespace, uid = meta["name"], meta["namespace"], meta["uid"]
        try:
            await self._client.delete(res, name, namespace, uid=uid, grace=grace)
        except (NotFound, Conflict):
            pass  # gone, or another object has the name now

    def _warn(self, obj: Object, problems: Sequence[errors.InvalidInput]) -> None:
        """One event a finding, once for each version of the manifest."""
        key = f"{obj['kind']} {resources.key(obj)}"
        reported = obj["metadata"]["uid"], "\n".join(str(problem) for problem in problems)
        if not problems or self._reported.get(key) == reported:
            return
        self._reported[key] = reported
        for problem in problems:
            hint = f" ({problem.hint})" if problem.hint else ""
            self._emit(obj, Reason.INVALID_SPEC, f"{problem}{hint}")

    def _pass_on(self, vmi: Object, pod: Object) -> None:
        """Repeat Events of a launcher pod at the VirtualMachine or instance that its user wrote."""
        if (pod.get("status") or {}).get("phase", "Pending") != "Pending":
            return
        meta = pod["metadata"]
        vm = self._vms.get(resources.key(vmi))
        about = vm if vm is not None and _owns(vm, vmi) else vmi
        for key in sorted(self._news.index(BY_POD, ObjectKey(meta["namespace"], meta["name"]))):
            event = self._news.get(key)
            reason = PASSED_ON.get(event["reason"]) if event is not None else None
            if event is not None and reason is not None and key not in self._passed_on:
                self._passed_on.add(key)
                self._emit(about, reason, event["message"])

    def _emit(self, obj: Object, reason: EventReason, message: str) -> None:
        self._recorder.emit(obj, reason, message)


def _about(event: Object) -> list[ObjectKey]:
    about = event.get("involvedObject") or {}
    return [ObjectKey(about.get("namespace") or "", about.get("name") or "")]


def _created_by(pod: Object) -> list[str]:
    uid = (pod["metadata"].get("labels") or {}).get(launcherpod.CREATED_BY)
    return [uid] if uid else []


def _owns(vm: Object, vmi: Object) -> bool:
    owners = vmi["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == vm["metadata"]["uid"] for owner in owners)


def _now() -> str:
    return lifecycle.stamp(datetime.now(UTC))


async def run(client: Client, metrics: str = "") -> None:
    """Run the controller until cancelled."""
    await Controller(client, metrics).run()
