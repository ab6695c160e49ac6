"""Decides the next step of a live migration: virt-controller's role. Pure.

Phases, conditions, messages and who writes what are those of KubeVirt's migration controller. The
controller (migrationcontroller.py) asks `decide` at each change; the handlers of the two nodes do
the rest (migrationsource.py, migrationtarget.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from weft_lab.reasons import Reason
from weft_lab.vm import launcherpod, lifecycle, nicplaces, status, targetpending
from weft_lab.vm.migrationconfig import Configuration

FINALIZER = "kubevirt.io/migrationJobFinalize"
VMI_NAME = "kubevirt.io/vmi-name"  # label of a migration
NODE_NAME = "kubevirt.io/nodeName"  # labels of an instance
TARGET_NODE = "kubevirt.io/migrationTargetNodeName"
TARGET_READY = "kubevirt.io/migration-target-ready-timestamp"  # annotation of the target pod
EVACUATION = "kubevirt.io/evacuationMigration"
FAILED = "lab.weft/Failed"  # condition of a migration: why it failed
ABORT_REQUESTED = "migrationAbortRequested"
ABORTED = "Live migration has been aborted"
OCCUPIED = "VMI is not eligible for migration because another migration job is in progress."
SOURCE_GONE_SECONDS = 10.0  # until a target that nobody feeds any more is given up
FINAL = ("Succeeded", "Failed")
BEFORE_HAND_OFF = ("", "Pending", "Scheduling", "Scheduled")

Object = dict[str, Any]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is of a migration. `running`: the others that have target pods, anywhere.

    `source` and `target` are pods; `pods` counts those of the instance that have not ended.
    `earlier`: uid of another migration of the instance, which goes first.
    """

    migration: Object
    vmi: Object | None
    source: Object | None
    target: Object | None
    pods: int
    running: Sequence[tuple[str, str]]  # instance (namespace/name) and source node of each
    config: Configuration
    now: datetime
    earlier: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now; `after` > 0: look again in so many seconds. `status` is the migration's."""

    status: Json
    create_pod: bool = False
    delete_pod: str = ""  # the text of the Event that says so
    hand_off: bool = False
    request_abort: bool = False
    fail_instance: str = ""  # the reason that the instance's migrationState gets
    mark_ready: bool = False
    is_over: bool = False  # no finalizer and no label of the instance is needed any more
    events: tuple[tuple[Reason, str], ...] = ()
    after: float = 0.0


def phase(migration: Object) -> str:
    return str((migration.get("status") or {}).get("phase") or "")


def is_final(migration: Object) -> bool:
    return phase(migration) in FINAL


def has_target(migration: Object) -> bool:
    """Whether it counts against the limits of migrations at a time."""
    return phase(migration) not in ("", "Pending", *FINAL)


def state(vmi: Object | None) -> Mapping[str, Any]:
    """status.migrationState of an instance."""
    return ((vmi or {}).get("status") or {}).get("migrationState") or {}


def is_of(vmi: Object | None, migration: Object) -> bool:
    """Whether the instance's migrationState is this migration's."""
    return bool(state(vmi).get("migrationUid") == migration["metadata"]["uid"])


def is_under_way(vmi: Object | None) -> bool:
    """Whether the instance was handed to the handlers, and they have not ended it."""
    found = state(vmi)
    return bool(found.get("migrationUid")) and not (
        found.get("endTimestamp") and (found.get("completed") or found.get("failed"))
    )


def is_moving(vmi: Object, pods: Sequence[Object]) -> bool:
    """Whether the end of the source pod is not the instance's: its target may have the guest.

    True until the migration has ended, which the end of either pod brings about.
    """
    found = state(vmi)
    if not is_under_way(vmi) or not found.get("startTimestamp"):
        return False
    down = {pod["metadata"]["name"]: _is_down(pod) for pod in pods}
    source, target = str(found.get("sourcePod")), str(found.get("targetPod"))
    return down.get(source, True) and not down.get(target, True)


def decide(seen: Seen) -> Decision:
    """The next step; the same again where nothing is to be done."""
    migration, vmi = seen.migration, seen.vmi
    before = dict(migration.get("status") or {})
    if is_final(migration):
        return _over(seen, before)
    if vmi is None:
        return _failed(seen, "Migration failed because vmi does not exist.")
    if lifecycle.is_final(vmi) or lifecycle.is_deleted(vmi):
        return _failed(seen, "Migration failed vmi shutdown during migration.")
    if lifecycle.is_deleted(migration) and not is_of(vmi, migration):
        return _cancelled(seen)
    handed_off = phase(migration) not in BEFORE_HAND_OFF
    if seen.target is not None and _is_down(seen.target) and not is_received(vmi):
        text = "Migration failed because target pod shutdown during migration"
        return _failed(seen, text, "Target pod is down")
    if phase(migration) not in ("", "Pending") and seen.target is None:
        text = "Migration target pod was removed during active migration."
        return _failed(seen, text, "Target pod is down")
    if handed_off and not state(vmi):
        text = "VMI's migration state was cleared during the active migration."
        return _failed(seen, text)
    if handed_off and not is_of(vmi, migration):
        return _failed(
            seen,
            "VMI's migration state was taken over by another migration job during active"
            " migration.",
        )
    if is_of(vmi, migration) and state(vmi).get("failed"):
        return _failed(seen, "source node reported migration failed")
    if lifecycle.is_deleted(migration) and not state(vmi).get("abortRequested"):
        conditions = _with(before, ABORT_REQUESTED, seen.now)
        event = (
            Reason.SUCCESSFUL_ABORT_MIGRATION,
            "Migration is ready to be canceled by virt-handler.",
        )
        return Decision({"conditions": conditions}, request_abort=True, events=(event,))
    if handed_off and not is_received(vmi) and (seen.source is None or _is_down(seen.source)):
        return _abandoned(seen)
    return _next(seen)


def _next(seen: Seen) -> Decision:
    """The phases in order."""
    migration, vmi, pod = seen.migration, seen.vmi, seen.target
    assert vmi is not None
    now, found = phase(migration), state(vmi)
    if now == "":
        return _accepted(seen)
    if now == "Pending":
        return _pending(seen)
    assert pod is not None
    if now == "Scheduling":
        if _is_ready(pod):
            return _to(seen, "Scheduled")
        return _unready(seen)
    if now == "Scheduled":
        if not is_of(vmi, migration) and is_under_way(vmi):
            return _failed(seen, OCCUPIED)
        if not is_of(vmi, migration) and nicplaces.are_other(vmi, pod):
            text = (
                "Migration failed because the interfaces of the machine changed since its target"
                " pod was made"
            )
            return _failed(seen, text)
        if not is_of(vmi, migration):
            event = (
                Reason.SUCCESSFUL_HAND_OVER,
                "Migration target pod is ready for preparation by virt-handler.",
            )
            return Decision({}, hand_off=True, events=(event,))
        return _to(seen, "PreparingTarget")
    if now == "PreparingTarget":
        return _to(seen, "TargetReady") if found.get("targetNodeAddress") else Decision({})
    if now == "TargetReady":
        return _to(seen, "Running") if found.get("startTimestamp") else Decision({})
    annotations = pod["metadata"].get("annotations") or {}
    mark = is_received(vmi) and TARGET_READY not in annotations
    if found.get("completed"):
        event = (Reason.SUCCESSFUL_MIGRATION, "Source node reported migration succeeded")
        return replace(_to(seen, "Succeeded"), events=(event,), mark_ready=mark)
    return Decision({}, mark_ready=mark)


def _accepted(seen: Seen) -> Decision:
    """Of a migration that is new: what KubeVirt's webhook refuses, and what waits."""
    spec = seen.migration.get("spec") or {}
    assert seen.vmi is not None
    for field_ in ("sendTo", "receive"):
        if spec.get(field_):
            text = (
                f"spec.{field_}: DecentralizedLiveMigration feature gate is not enabled in"
                " kubevirt resource"
            )
            return _failed(seen, text)
    migratable = status.condition(seen.vmi, "LiveMigratable")
    if migratable is not None and migratable.get("status") == "False":
        text = (
            f"Cannot migrate VMI, Reason: {migratable.get('reason')}, "
            f"Message: {migratable.get('message')}"
        )
        return _failed(seen, text)
    if refused := seen.config.refused():
        return _failed(seen, refused)
    if is_under_way(seen.vmi) and not is_of(seen.vmi, seen.migration):
        return _failed(seen, OCCUPIED)
    if seen.earlier:  # KubeVirt's webhook says so
        text = (
            f"in-flight migration detected. Active migration job ({seen.earlier}) is currently"
            f" already in progress for VMI {spec.get('vmiName')}."
        )
        return _failed(seen, text)
    return _to(seen, "Pending")


def _pending(seen: Seen) -> Decision:
    vmi = seen.vmi
    assert vmi is not None
    if seen.target is not None:
        return _to(seen, "Scheduling")
    if lifecycle.phase(vmi) != "Running" or seen.pods > 1 or is_under_way(vmi):
        return Decision({})  # a change of the instance or of its pods is watched
    if len(seen.running) >= seen.config.parallel:
        return Decision({})
    node = (vmi.get("status") or {}).get("nodeName")
    if sum(source == node for _, source in seen.running) >= seen.config.parallel_outbound:
        return Decision({})
    return Decision({}, create_pod=True)


def _unready(seen: Seen) -> Decision:
    """A target pod that does not run yet: an Event at once, the end after its time."""
    assert seen.target is not None
    wait = targetpending.decide(seen.migration, seen.target, seen.now)
    events: tuple[tuple[Reason, str], ...] = ()
    if wait.warning:
        events = ((Reason.MIGRATION_TARGET_POD_UNSCHEDULABLE, wait.warning),)
    after = wait.seconds + 1 if wait.seconds else 0.0
    return Decision({}, delete_pod=wait.over, events=events, after=after)


def _abandoned(seen: Seen) -> Decision:
    """The source pod has ended before the guest was seen to run on the target.

    A target that has received everything runs in a moment; any other ends by itself, unless the
    network between them was cut too.
    """
    ended = _ended_at(seen.source) or seen.now
    left = SOURCE_GONE_SECONDS - (seen.now - ended).total_seconds()
    if left > 0 and seen.source is not None:
        return Decision({}, after=left + 1)
    return _failed(seen, "Migration failed vmi shutdown during migration.", "Source pod is down")


def _over(seen: Seen, before: Json) -> Decision:
    """After the end: the instance learns of a failure, the migration keeps the final figures."""
    vmi, failed = seen.vmi, phase(seen.migration) == "Failed"
    if failed and is_of(vmi, seen.migration) and not state(vmi).get("failed"):
        gone = seen.source is None or _is_down(seen.source)
        return Decision({}, fail_instance=f"{'Source' if gone else 'Target'} pod is down")
    changed: Json = {}
    if is_of(vmi, seen.migration) and before.get("migrationState") != state(vmi):
        changed["migrationState"] = dict(state(vmi))
    # One that has ended is left: it says why.
    waste = ""
    if failed and seen.target is not None and not _is_down(seen.target):
        meta = seen.target["metadata"]
        waste = f"migration canceled and pod {meta['namespace']}/{meta['name']} is deleted"
    return Decision(changed, delete_pod=waste, is_over=True)


def _failed(seen: Seen, message: str, reason: str = "") -> Decision:
    found = state(seen.vmi)
    why = found.get("failureReason") if is_of(seen.vmi, seen.migration) else ""
    text = f"{message} ({why})" if why and found.get("failed") else message
    event = (Reason.FAILED_MIGRATION, text)
    unknown = is_of(seen.vmi, seen.migration) and not found.get("failed")
    decision = _to(seen, "Failed")
    conditions = status.with_condition(
        (seen.migration.get("status") or {}).get("conditions") or (),
        *(FAILED, "True", lifecycle.stamp(seen.now), "FailedMigration", text),
    )
    return replace(
        decision,
        status={**decision.status, "conditions": conditions},
        events=(event,),
        fail_instance=reason if unknown else "",
    )


def _cancelled(seen: Seen) -> Decision:
    """Before the handlers know of it: the target pod goes, and that was all."""
    decision = _failed(seen, "Migration failed due to being canceled")
    conditions = _with(decision.status, ABORT_REQUESTED, seen.now)
    return replace(decision, status={**decision.status, "conditions": conditions})


def _to(seen: Seen, new: str) -> Decision:
    before = dict(seen.migration.get("status") or {})
    times = list(before.get("phaseTransitionTimestamps") or ())
    times.append({"phase": new, "phaseTransitionTimestamp": lifecycle.stamp(seen.now)})
    found: Json = {"phase": new, "phaseTransitionTimestamps": times}
    if new in FINAL and is_of(seen.vmi, seen.migration):
        found["migrationState"] = dict(state(seen.vmi))
    return Decision(found)


def _with(before: Json, kind: str, now: datetime) -> list[Json]:
    conditions = before.get("conditions") or ()
    return status.with_condition(conditions, kind, "True", lifecycle.stamp(now))


def is_received(vmi: Object | None) -> bool:
    """Whether the guest runs on the target."""
    return bool(state(vmi).get("targetNodeDomainReadyTimestamp"))


def _is_down(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in FINAL or lifecycle.is_deleted(pod)


def _is_ready(pod: Object) -> bool:
    ready = status.condition(pod, "Ready")
    return ready is not None and ready.get("status") == "True"


def _ended_at(pod: Object | None) -> datetime | None:
    for entry in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        ended = (entry.get("state") or {}).get("terminated") or {}
        if ended.get("finishedAt"):
            return lifecycle.moment(ended["finishedAt"])
    return None


def ended_at(migration: Object) -> datetime | None:
    """When a migration reached its last phase; None for one that has not."""
    for each in (migration.get("status") or {}).get("phaseTransitionTimestamps") or ():
        if each.get("phase") in FINAL:
            return lifecycle.moment(each.get("phaseTransitionTimestamp"))
    return None


def handed_off(vmi: Object, migration: Object, pod: Object, config: Configuration) -> Json:
    """status.migrationState with which the handlers begin."""
    found = (vmi.get("status") or {}).get("nodeName")
    return {
        "migrationUid": migration["metadata"]["uid"],
        "sourceNode": found,
        "sourcePod": launcherpod.current(vmi),
        "targetNode": pod["spec"]["nodeName"],
        "targetPod": pod["metadata"]["name"],
        "mode": "PreCopy",
        "migrationConfiguration": config.rendered(),
    }


def marked_failed(vmi: Object, reason: str, now: str, *, cancelled: bool = False) -> Json:
    """What a failure adds to migrationState; one that was cancelled ends by that, whatever went."""
    found = state(vmi)
    is_cancelled = cancelled or bool(found.get("abortRequested"))
    return {
        "failed": True,
        "completed": True,
        "endTimestamp": found.get("endTimestamp") or now,
        "startTimestamp": found.get("startTimestamp") or now,
        "failureReason": found.get("failureReason") or (ABORTED if is_cancelled else reason),
        **({"abortStatus": "Succeeded"} if is_cancelled else {}),
    }
