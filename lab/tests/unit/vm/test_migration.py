"""Phases of a migration, in KubeVirt's order and words; and what ends one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from weft_lab.vm import migration, migrationconfig, nicplaces

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}


def seen(phase: str = "", **more: Any) -> migration.Seen:
    """A migration of a running instance, in a phase; `more` replaces what the controller sees."""
    one = {
        "metadata": {"name": "m", "namespace": "ns", "uid": "m1"},
        "spec": {"vmiName": "vm"},
        "status": {"phase": phase} if phase else {},
    }
    found: dict[str, Any] = {
        "migration": one,
        "vmi": instance(),
        "source": pod("source"),
        "target": None,
        "pods": 1,
        "running": (),
        "config": migrationconfig.Configuration(),
        "now": NOW,
    }
    return migration.Seen(**{**found, **more})


def instance(**state: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"phase": "Running", "nodeName": "node1"}
    if state:
        status["migrationState"] = {"migrationUid": "m1", **state}
    return {"metadata": {"name": "vm", "namespace": "ns", "uid": "u"}, "status": status}


def pod(name: str, **status: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "ns", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": meta, "spec": {"nodeName": "node2"}, "status": status or READY}


def test_a_new_one_is_pending_and_then_has_a_pod_made() -> None:
    assert migration.decide(seen()).status["phase"] == "Pending"
    assert migration.decide(seen("Pending")).create_pod


@pytest.mark.parametrize(
    "more",
    [
        {"pods": 2},
        {"running": [(f"ns/{n}", "node9") for n in range(5)]},
        {"running": [("ns/a", "node1"), ("ns/b", "node1")]},
        {"vmi": {**instance(), "status": {"phase": "Scheduled"}}},
    ],
    ids=["two pods", "five in the cluster", "two out of the node", "does not run"],
)
def test_it_waits_for_its_turn(more: dict[str, Any]) -> None:
    assert not migration.decide(seen("Pending", **more)).create_pod


def test_interfaces_that_changed_since_the_target_was_made_end_it() -> None:
    """QEMU would refuse the guest: it has its cards elsewhere."""
    vmi, target = instance(), pod("target")
    vmi["metadata"]["annotations"] = {nicplaces.ANNOTATION: "{}"}
    decision = migration.decide(seen("Scheduled", vmi=vmi, target=target))
    assert decision.status["phase"] == "Failed"
    assert not decision.hand_off
    target["metadata"]["annotations"] = {nicplaces.ANNOTATION: "{}"}
    assert migration.decide(seen("Scheduled", vmi=vmi, target=target)).hand_off


def test_each_phase_follows_what_it_waits_for() -> None:
    ready = {"targetNodeAddress": "192.0.2.1"}
    begun = {**ready, "startTimestamp": "2026-01-01T00:00:00Z"}
    done = {**begun, "targetNodeDomainReadyTimestamp": "x", "endTimestamp": "x", "completed": True}
    target = {"target": pod("target")}
    for phase, more, after in (
        ("Pending", {}, "Scheduling"),
        ("Scheduling", {}, "Scheduled"),
        ("Scheduled", {"vmi": instance(targetNode="node2")}, "PreparingTarget"),
        ("PreparingTarget", {"vmi": instance(**ready)}, "TargetReady"),
        ("TargetReady", {"vmi": instance(**begun)}, "Running"),
        ("Running", {"vmi": instance(**done)}, "Succeeded"),
    ):
        assert migration.decide(seen(phase, **target, **more)).status["phase"] == after
    assert migration.decide(seen("Scheduled", **target)).hand_off
    assert migration.decide(seen("Running", **target, vmi=instance(**done))).mark_ready
    for phase, still in (("PreparingTarget", {"targetNode": "n"}), ("TargetReady", ready)):
        assert not migration.decide(seen(phase, **target, vmi=instance(**still))).status


@pytest.mark.parametrize(
    ("phase", "more", "says"),
    [
        ("Pending", {"vmi": None}, "vmi does not exist"),
        ("Running", {"vmi": {**instance(x=1), "status": {"phase": "Failed"}}}, "vmi shutdown"),
        ("Running", {"vmi": instance(x=1), "target": pod("t", phase="Failed")}, "target pod shut"),
        ("Running", {"vmi": instance(x=1)}, "target pod was removed"),
        ("Running", {"target": pod("t")}, "state was cleared"),
        ("Running", {"target": pod("t"), "vmi": instance(migrationUid="m2")}, "taken over"),
        (
            "Running",
            {"target": pod("t"), "vmi": instance(failed=True, failureReason="why")},
            r"source node reported migration failed \(why\)",
        ),
        ("", {"config": migrationconfig.Configuration(post_copy=True)}, "allowPostCopy"),
        ("", {"vmi": instance(migrationUid="m2")}, "another migration job is in progress"),
        ("", {"earlier": "m2"}, r"in-flight migration detected. Active migration job \(m2\)"),
        (
            "Scheduled",
            {"vmi": instance(migrationUid="m2"), "target": pod("t")},
            "another migration job is in progress",
        ),
    ],
)
def test_it_fails_in_kubevirts_words(phase: str, more: dict[str, Any], says: str) -> None:
    decision = migration.decide(seen(phase, **more))
    assert decision.status["phase"] == "Failed"
    ((_, message),) = decision.events
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(message)


def test_a_machine_that_cannot_move_is_refused_with_its_conditions_reason() -> None:
    vmi = instance()
    vmi["status"]["conditions"] = [
        {"type": "LiveMigratable", "status": "False", "reason": "R", "message": "M"}
    ]
    ((_, message),) = migration.decide(seen(vmi=vmi)).events
    assert message == "Cannot migrate VMI, Reason: R, Message: M"


def test_cancelling_asks_the_source_once_it_was_handed_over_and_only_fails_before() -> None:
    def deleted(phase: str, **more: Any) -> migration.Decision:
        found = seen(phase, target=pod("t"), **more)
        found.migration["metadata"]["deletionTimestamp"] = "x"
        return migration.decide(found)

    assert deleted("Scheduling").status["phase"] == "Failed"
    asked = deleted("Running", vmi=instance(startTimestamp="x"))
    assert asked.request_abort
    assert "phase" not in asked.status
    again = deleted("Running", vmi=instance(startTimestamp="x", abortRequested=True))
    assert not again.request_abort


@pytest.mark.parametrize(
    ("state", "cancelled", "says"),
    [
        ({}, False, "Target pod is down"),
        ({"abortRequested": True}, False, migration.ABORTED),
        ({}, True, migration.ABORTED),  # it is deleted, and the instance does not say so yet
    ],
)
def test_a_cancelled_one_ended_by_that_though_its_target_went_first(
    state: dict[str, Any], cancelled: bool, says: str
) -> None:
    vmi = instance(**state)
    marks = migration.marked_failed(vmi, "Target pod is down", "now", cancelled=cancelled)
    assert (marks["failed"], marks["failureReason"]) == (True, says)
    assert marks.get("abortStatus") == ("Succeeded" if says == migration.ABORTED else None)


def test_a_target_that_does_not_start_is_given_up() -> None:
    for late in (False, True):
        now = NOW + timedelta(minutes=15, seconds=1 if late else -1)
        decision = migration.decide(seen("Scheduling", target=pod("t", phase="Pending"), now=now))
        assert bool(decision.delete_pod) is late
        assert bool(decision.after) is not late


def test_a_migration_fails_when_its_target_is_gone() -> None:
    assert migration.decide(seen("Scheduling", target=None)).status["phase"] == "Failed"


def test_what_is_over_lets_go_of_everything() -> None:
    failed = migration.decide(seen("Failed", vmi=instance(failed=True), target=pod("t")))
    assert failed.is_over
    assert failed.delete_pod
    unaware = migration.decide(seen("Failed", vmi=instance(startTimestamp="x")))
    assert unaware.fail_instance
    assert not unaware.is_over
    done = migration.decide(seen("Succeeded", vmi=instance(completed=True), target=pod("t")))
    assert done.is_over
    assert not done.delete_pod
    assert done.status["migrationState"]["completed"]


def test_the_source_pods_end_is_not_the_machines_while_the_target_may_have_it() -> None:
    moving = instance(startTimestamp="x", sourcePod="source", targetPod="target")
    source, target = pod("source", phase="Succeeded"), pod("target")
    assert migration.is_moving(moving, [source, target])
    assert not migration.is_moving(moving, [pod("source"), target])
    assert not migration.is_moving(moving, [source, pod("target", phase="Failed")])
    assert not migration.is_moving(instance(), [source, target])
