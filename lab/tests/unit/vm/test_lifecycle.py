from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab.tests.unit.vm import manifests
from weft import errors
from weft_lab.apiserver import machineverbs
from weft_lab.vm import agentclient, launcherpod, lifecycle, machine, status
from weft_lab.vm.lifecycle import Step

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STAMP = "2026-01-02T03:04:05Z"
RUNNING = manifests.instance(phase="Running")
GONE = None


def vm(strategy: str, **status_: Any) -> dict[str, Any]:
    obj = manifests.bent(manifests.machine(), "spec.runStrategy", strategy)
    obj["status"] = status_
    return obj


@pytest.mark.parametrize(
    ("strategy", "phase", "step"),
    [
        ("Always", None, Step.CREATE),
        ("Always", "Running", Step.NOTHING),
        ("Always", "Succeeded", Step.DELETE),
        ("Always", "Failed", Step.DELETE),
        ("Halted", None, Step.NOTHING),
        ("Halted", "Running", Step.DELETE),
        ("Halted", "Succeeded", Step.DELETE),
        ("Manual", None, Step.NOTHING),
        ("Manual", "Running", Step.NOTHING),
        ("Manual", "Failed", Step.NOTHING),
        ("RerunOnFailure", None, Step.CREATE),
        ("RerunOnFailure", "Failed", Step.DELETE),
        ("RerunOnFailure", "Succeeded", Step.NOTHING),
        ("Once", None, Step.CREATE),
        ("Once", "Failed", Step.NOTHING),
    ],
)
def test_a_strategy_decides(strategy: str, phase: str | None, step: Step) -> None:
    vmi = manifests.instance(phase=phase) if phase else None
    assert lifecycle.decide(vm(strategy), vmi, NOW).step is step


def test_running_means_always_or_halted() -> None:
    assert lifecycle.strategy({"spec": {"running": True}}) == "Always"
    assert lifecycle.strategy({"spec": {"running": False}}) == "Halted"


def test_what_is_being_deleted_is_not_deleted_twice() -> None:
    vmi = manifests.instance(phase="Running")
    vmi["metadata"]["deletionTimestamp"] = STAMP
    assert lifecycle.decide(vm("Halted"), vmi, NOW).step is Step.NOTHING


def test_a_deleted_machine_takes_its_instance_along() -> None:
    obj = vm("Always")
    obj["metadata"]["deletionTimestamp"] = STAMP
    assert lifecycle.decide(obj, RUNNING, NOW).step is Step.DELETE
    assert lifecycle.decide(obj, GONE, NOW).step is Step.NOTHING


def test_failures_in_a_row_wait_longer_and_are_forgotten_once_up() -> None:
    failed = manifests.instance(phase="Failed")
    first = lifecycle.decide(vm("Always"), failed, NOW)
    assert first.failure is not None
    assert first.failure["consecutiveFailCount"] == 1
    again = lifecycle.decide(vm("Always", startFailure=first.failure), failed, NOW)
    assert again.failure == first.failure, "one instance counts once"
    waiting = lifecycle.decide(vm("Always", startFailure=first.failure), GONE, NOW)
    assert (waiting.step, waiting.after) == (Step.NOTHING, lifecycle.FIRST_PAUSE)
    later = NOW + timedelta(seconds=lifecycle.FIRST_PAUSE)
    due = lifecycle.decide(vm("Always", startFailure=first.failure), GONE, later)
    assert due.step is Step.CREATE
    other = manifests.instance(phase="Failed")
    other["metadata"]["uid"] = "another"
    second = lifecycle.decide(vm("Always", startFailure=first.failure), other, NOW).failure
    assert second is not None
    assert second["consecutiveFailCount"] == 2
    up = manifests.instance(
        phase="Running", conditions=[{"type": "AgentConnected", "status": "True"}]
    )
    assert lifecycle.decide(vm("Always", startFailure=second), up, NOW).failure is None


def follow(strategy: str, action: str, vmi: Any) -> lifecycle.Decision:
    """What the controller decides after a request to do this was served."""
    obj = vm(strategy)
    for each in (obj, *([vmi] if vmi else [])):
        each["metadata"].setdefault("resourceVersion", "1")
    (change,) = machineverbs.changes(action, obj, vmi, machineverbs.Options())
    for part, fields in change.body.items():
        obj[part] = {**obj[part], **fields}
    return lifecycle.decide(obj, vmi, NOW)


@pytest.mark.parametrize("strategy", ["Halted", "Manual", "RerunOnFailure"])
def test_a_start_starts(strategy: str) -> None:
    decision = follow(strategy, "start", GONE)
    assert (decision.step, decision.requests) == (Step.CREATE, ())


@pytest.mark.parametrize("strategy", ["Halted", "Manual", "RerunOnFailure"])
def test_a_guest_that_is_started_paused_waits(strategy: str) -> None:
    paused = machineverbs.Options(paused=True)
    obj = vm(strategy)
    obj["metadata"].setdefault("resourceVersion", "1")
    (change,) = machineverbs.changes("start", obj, GONE, paused)
    obj["status"] = change.body["status"]
    decision = lifecycle.decide(obj, GONE, NOW)
    if strategy == "Halted":  # it is to run from now on, which its spec has to say
        assert decision.step is Step.TURN_ON
        on = {**obj, "spec": {"runStrategy": "Always"}, "status": {}}
        on["status"] = {"stateChangeRequests": list(decision.requests)}
        decision = lifecycle.decide(on, GONE, NOW)
    assert (decision.step, decision.paused, decision.requests) == (Step.CREATE, True, ())


@pytest.mark.parametrize("strategy", ["Always", "Manual", "Once", "RerunOnFailure"])
def test_a_stop_stops(strategy: str) -> None:
    assert follow(strategy, "stop", RUNNING).step is Step.DELETE


@pytest.mark.parametrize("strategy", ["Always", "Manual", "RerunOnFailure"])
def test_a_restart_stops_and_then_starts(strategy: str) -> None:
    first = follow(strategy, "restart", RUNNING)
    assert first.step is Step.DELETE
    after = lifecycle.decide(vm(strategy, stateChangeRequests=first.requests), GONE, NOW)
    assert (after.step, after.requests) == (Step.CREATE, ())


def test_a_machine_that_reruns_on_failure_stays_stopped_and_no_failure_ends_it() -> None:
    stopped = vm("RerunOnFailure", runStrategy="RerunOnFailure")
    assert lifecycle.decide(stopped, GONE, NOW).step is Step.NOTHING
    failed = lifecycle.decide(stopped, manifests.instance(phase="Failed"), NOW)
    stopped["status"]["startFailure"] = failed.failure
    later = NOW + timedelta(seconds=lifecycle.FIRST_PAUSE)
    assert lifecycle.decide(stopped, GONE, later).step is Step.CREATE


@pytest.mark.parametrize(
    ("seconds", "deleting", "grace"),
    [(None, None, 45), (30, None, 45), (0, None, 1), (5, None, 5), (0, 45, 1), (30, 45, None)],
)
def test_a_machine_that_is_to_end_sooner_takes_its_pod_along(
    seconds: int | None, deleting: int | None, grace: int | None
) -> None:
    started, now = manifests.instance(), manifests.instance()
    started["spec"]["terminationGracePeriodSeconds"] = 30
    now["spec"]["terminationGracePeriodSeconds"] = seconds
    pod = launcherpod.render(started, "python")
    if deleting is not None:
        pod["metadata"] |= {"deletionTimestamp": "now", "deletionGracePeriodSeconds": deleting}
    assert launcherpod.grace_to_end(now, pod) == grace


# Status


def pod(phase: str, **extra: Any) -> dict[str, Any]:
    return {
        "metadata": {"uid": "pod-uid"},
        "spec": {"nodeName": "node1"},
        "status": {"phase": phase, **extra},
    }


@pytest.mark.parametrize(
    ("current", "found", "phase"),
    [
        ("", None, "Pending"),
        ("Pending", pod("Pending"), "Scheduling"),
        ("Scheduling", pod("Running"), "Scheduled"),
        ("Running", pod("Running"), "Running"),
        ("Running", pod("Succeeded"), "Succeeded"),
        ("Running", pod("Failed"), "Failed"),
        ("Running", None, "Failed"),
        ("Succeeded", None, "Succeeded"),
    ],
)
def test_a_pod_decides_the_phase(current: str, found: Any, phase: str) -> None:
    after = status.of_instance(manifests.instance(phase=current), found, [], STAMP)
    assert after["phase"] == phase


def test_a_status_that_says_nothing_new_is_the_same() -> None:
    once = status.of_instance(manifests.instance(), pod("Pending"), [], STAMP)
    again = status.of_instance(manifests.instance(**once), pod("Pending"), [], "later")
    assert again == once


def test_why_a_guest_failed_is_reported() -> None:
    words = "virt-launcher: runs under kvm as process 9\nvirt-launcher: no disk\n"
    ended = {"state": {"terminated": {"exitCode": 2, "message": words}}}
    found = pod("Failed", containerStatuses=[ended])
    after = status.of_instance(manifests.instance(phase="Running"), found, [], STAMP)
    (ready,) = [one for one in after["conditions"] if one["type"] == "Ready"]
    assert ready["message"] == "virt-launcher ended with status 2: no disk"


def moving(**state: str) -> dict[str, Any]:
    return manifests.instance(phase="Running", migrationState={"migrationUid": "u", **state})


def test_a_machine_shows_one_word() -> None:
    nothing = lifecycle.Decision(Step.NOTHING)
    unschedulable = manifests.instance(
        phase="Scheduling", conditions=[{"type": "PodScheduled", "status": "False"}]
    )
    problem = errors.InvalidInput("o", "f", "v", "r")
    words = [
        (None, [], nothing, "Stopped"),
        (None, [problem], nothing, "Invalid"),
        (None, [], lifecycle.Decision(Step.CREATE), "Starting"),
        (None, [], lifecycle.Decision(Step.NOTHING, after=3), "CrashLoopBackOff"),
        (RUNNING, [], nothing, "Running"),
        (RUNNING, [], lifecycle.Decision(Step.DELETE), "Stopping"),
        (manifests.instance(phase="Scheduled"), [], nothing, "Starting"),
        (manifests.instance(phase="Succeeded"), [], nothing, "Stopped"),
        (unschedulable, [], nothing, "ErrorUnschedulable"),
        (moving(), [], nothing, "Running"),
        (moving(startTimestamp=STAMP), [], nothing, "Migrating"),
        (moving(startTimestamp=STAMP), [], lifecycle.Decision(Step.DELETE), "Stopping"),
        (moving(startTimestamp=STAMP, endTimestamp=STAMP), [], nothing, "Running"),
    ]
    for vmi, problems, decision, word in words:
        assert status.printable(vm("Always"), vmi, problems, decision) == word


def test_an_invalid_machine_says_so_in_a_condition() -> None:
    problem = errors.InvalidInput("VirtualMachine a/b", "spec.x", 1, "must be 2")
    found = status.of_machine(
        vm("Always"), None, [problem], lifecycle.Decision(Step.NOTHING), STAMP
    )
    (failure,) = [one for one in found["conditions"] if one["type"] == "Failure"]
    assert failure["message"] == "VirtualMachine a/b: spec.x 1: must be 2"


def test_a_changed_template_asks_for_a_restart() -> None:
    def kinds(obj: dict[str, Any]) -> set[str]:
        found = status.of_machine(obj, RUNNING, [], lifecycle.Decision(Step.NOTHING), STAMP)
        return {one["type"] for one in found["conditions"]}

    same = vm("Always")
    assert "RestartRequired" not in kinds(same)
    path = "spec.template.spec.domain.resources.requests.memory"
    assert "RestartRequired" in kinds(manifests.bent(same, path, "2Gi"))


def test_interfaces_join_domain_and_guest() -> None:
    vm_ = machine.read(manifests.instance())
    macs = ("02:00:00:00:00:01", "0A:58:0a:64:c8:01")
    guest = [
        agentclient.GuestInterface("eth0", macs[0], ("10.0.2.2/24",)),
        agentclient.GuestInterface(
            "eth1", macs[1].lower(), ("fe80::1/64", "fd00::1/128", "10.1.1.1/24")
        ),
        agentclient.GuestInterface("br0", "02:ff:00:00:00:01", ()),
    ]
    first, second, third = status.interfaces(vm_, macs, guest, ("10.244.1.2", "fd00::2"))
    assert (first["name"], first["ipAddresses"]) == ("default", ["10.244.1.2", "fd00::2"])
    assert (first["podInterfaceName"], first["infoSource"]) == ("eth0", "domain, guest-agent")
    assert (second["interfaceName"], second["ipAddress"]) == ("eth1", "10.1.1.1")
    assert second["ipAddresses"] == ["10.1.1.1", "fd00::1", "fe80::1"]
    assert (third["interfaceName"], third["infoSource"]) == ("br0", "guest-agent")


def test_a_guest_without_agent_shows_its_cards() -> None:
    found = status.interfaces(machine.read(manifests.instance()), ("a", "b"), ())
    assert [one["mac"] for one in found] == ["a", "b"]
    assert "ipAddress" not in found[1]


def test_a_condition_keeps_its_time_while_it_holds() -> None:
    once = status.with_condition([], "Ready", "True", "t1")
    again = status.with_condition(once, "Ready", "True", "t2", "why")
    changed = status.with_condition(again, "Ready", "False", "t3")
    assert [one[0]["lastTransitionTime"] for one in (once, again, changed)] == ["t1", "t1", "t3"]


def test_a_guests_bridge_with_the_mac_of_its_card_is_listed_beside_it() -> None:
    vm_ = machine.read(manifests.instance())
    guest = (
        agentclient.GuestInterface("eth1", "02:00:00:00:00:02", ()),
        agentclient.GuestInterface("br0", "02:00:00:00:00:02", ("10.1.0.9/24",)),
    )
    found = status.interfaces(vm_, ("02:00:00:00:00:01", "02:00:00:00:00:02"), guest)
    assert [(one.get("interfaceName"), one.get("ipAddress")) for one in found] == [
        (None, None),
        ("eth1", None),
        ("br0", "10.1.0.9"),
    ]
