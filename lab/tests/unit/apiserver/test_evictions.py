"""Evictions of virtual machines' pods, in KubeVirt's words."""

from __future__ import annotations

from typing import Any

import pytest

from weft_lab.apiserver import evictions

MIGRATABLE = {"conditions": [{"type": "LiveMigratable", "status": "True"}], "nodeName": "n1"}


def pod(**more: Any) -> dict[str, Any]:
    meta = {
        "namespace": "ns",
        "name": "virt-launcher-vm-x",
        "labels": {"kubevirt.io": "virt-launcher"},
        "annotations": {"kubevirt.io/domain": "vm"},
        "ownerReferences": [{"kind": "VirtualMachineInstance", "name": "vm", "uid": "u"}],
    }
    return {"metadata": meta, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}, **more}


def judged(
    strategy: str, status: dict[str, Any], evicted: dict[str, Any] | None = None, uid: str = "u"
) -> evictions.Verdict:
    vmi = {
        "metadata": {"namespace": "ns", "name": "vm", "uid": uid},
        "spec": {"evictionStrategy": strategy} if strategy else {},
        "status": status,
    }
    return evictions.judge(evicted or pod(), lambda namespace, name: vmi)


@pytest.mark.parametrize("strategy", ["LiveMigrate", "LiveMigrateIfPossible", "External"])
def test_a_machine_that_migrates_is_marked_and_keeps_its_pod(strategy: str) -> None:
    verdict = judged(strategy, MIGRATABLE)
    assert verdict.refusal == 'Eviction triggered evacuation of VMI "ns/vm"'
    assert verdict.marked is not None
    assert verdict.marked["status"] == {**MIGRATABLE, "evacuationNodeName": "n1"}
    assert evictions.refused(verdict.refusal).code == 429


@pytest.mark.parametrize("strategy", ["", "None"])
def test_a_machine_without_such_a_strategy_is_evicted(strategy: str) -> None:
    assert judged(strategy, MIGRATABLE) == evictions.Verdict()


def test_a_machine_that_cannot_move_stays_only_if_it_must() -> None:
    assert judged("LiveMigrateIfPossible", {"nodeName": "n1"}) == evictions.Verdict()
    assert "is not live-migratable" in judged("LiveMigrate", {"nodeName": "n1"}).refusal


def test_a_machine_on_its_way_is_not_marked_again() -> None:
    verdict = judged("LiveMigrate", {**MIGRATABLE, "evacuationNodeName": "n1"})
    assert verdict.refusal.startswith("Evacuation in progress: ")
    assert verdict.marked is None


def test_a_target_pod_is_not_evicted() -> None:
    verdict = judged("LiveMigrate", MIGRATABLE, pod(spec={"nodeName": "n2"}))
    assert verdict == evictions.Verdict("Eviction request for target Pod")


def test_pods_that_run_no_machine_are_evicted() -> None:
    ended = pod(status={"phase": "Succeeded"})
    plain = pod()
    plain["metadata"]["labels"] = {}
    for each in (ended, plain):
        assert judged("LiveMigrate", MIGRATABLE, each) == evictions.Verdict()
    # A pod that only says that it is a machine's keeps nothing.
    assert judged("LiveMigrate", MIGRATABLE, uid="another") == evictions.Verdict()
