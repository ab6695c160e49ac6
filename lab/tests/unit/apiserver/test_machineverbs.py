"""What starts, stops, restarts and migrates a machine, by KubeVirt's rules."""

from __future__ import annotations

from typing import Any

import pytest

from weft_lab.apiserver import machineverbs, status

Object = dict[str, Any]
STRATEGIES = ("Always", "Halted", "Manual", "Once", "RerunOnFailure")
NONE = machineverbs.Options()


def vm(strategy: str, *requests: Object) -> Object:
    meta = {"name": "m", "resourceVersion": "7"}
    found: Object = {"metadata": meta, "spec": {"runStrategy": strategy}}
    if requests:
        found["status"] = {"stateChangeRequests": list(requests)}
    return found


def vmi(phase: str = "Running", **spec: Any) -> Object:
    meta = {"name": "m", "resourceVersion": "8", "uid": "u"}
    return {"metadata": meta, "spec": spec, "status": {"phase": phase}}


def done(verb: str, strategy: str, instance: Object | None) -> str:
    """What is written in short, or the code of the refusal."""
    try:
        (*_, write) = machineverbs.changes(verb, vm(strategy), instance, NONE)
    except status.ApiError as error:
        return str(error.code)
    if "spec" in write.body:
        return str(write.body["spec"]["runStrategy"])
    requests = write.body["status"]["stateChangeRequests"]
    return "+".join(each["action"] for each in requests)


# By run strategy, in the order of STRATEGIES.
TABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("start", ""): ("409", "Always", "Start", "409", "Start"),
    ("start", "Running"): ("409", "409", "409", "409", "409"),
    ("start", "Succeeded"): ("409", "Always", "Stop+Start", "409", "Stop+Start"),
    ("start", "Failed"): ("409", "Always", "Stop+Start", "409", "409"),
    ("stop", ""): ("Halted", "409", "409", "Halted", "409"),
    ("stop", "Running"): ("Halted", "409", "Stop", "Halted", "Stop"),
    ("stop", "Failed"): ("Halted", "409", "409", "Halted", "409"),
    ("restart", ""): ("409", "409", "409", "409", "409"),
    ("restart", "Running"): ("Stop+Start", "409", "Stop+Start", "409", "Stop+Start"),
}


@pytest.mark.parametrize(("verb", "phase"), TABLE)
def test_each_strategy_has_its_way(verb: str, phase: str) -> None:
    instance = vmi(phase) if phase else None
    found = tuple(done(verb, strategy, instance) for strategy in STRATEGIES)
    assert found == TABLE[verb, phase]


def test_a_machine_is_started_paused_by_a_request() -> None:
    paused = machineverbs.options("start", {"paused": True})
    start = {"action": "Start", "data": {"paused": "true"}}
    for strategy in ("Halted", "Manual"):
        (write,) = machineverbs.changes("start", vm(strategy), None, paused)
        assert write.body["status"]["stateChangeRequests"] == [start]


@pytest.mark.parametrize(
    ("verb", "instance", "code", "words"),
    [
        ("pause", vmi("Scheduled"), 409, "VM is not running"),
        ("freeze", vmi("Failed"), 409, "VM is not running"),
        ("unfreeze", vmi("Failed"), 409, "VMI is not running"),
        ("unpause", vmi("Scheduled"), 409, "VMI is not running"),
        ("unpause", vmi(), 409, "VMI is not paused"),
        ("pause", vmi(livenessProbe={"httpGet": {"port": 80}}), 403, "non-GuestAgentPing"),
        ("pause", vmi(livenessProbe={"guestAgentPing": {}}), 0, ""),
        ("freeze", vmi(), 0, ""),
        ("softreboot", vmi("Scheduled"), 409, "VM is not running"),
        ("softreboot", vmi(), 0, ""),
        ("reset", vmi("Scheduled"), 500, "reset non-running VMI with phase Scheduled"),
        ("reset", vmi(), 0, ""),
    ],
)
def test_a_guest_is_paused_and_frozen_while_it_runs(
    verb: str, instance: Object, code: int, words: str
) -> None:
    if not code:
        machineverbs.check_order(verb, instance)
        return
    with pytest.raises(status.ApiError, match=words) as refused:
        machineverbs.check_order(verb, instance)
    assert refused.value.code == code


def test_a_guest_is_paused_once() -> None:
    paused = vmi()
    paused["status"]["conditions"] = [{"type": "Paused", "status": "True"}]
    machineverbs.check_order("unpause", paused)
    machineverbs.check_order("reset", paused)
    for verb, words in (("pause", "VMI is already paused"), ("softreboot", "VMI is paused")):
        with pytest.raises(status.ApiError, match=words):
            machineverbs.check_order(verb, paused)


def test_a_handler_gets_a_timeout_and_nothing_else_of_a_body() -> None:
    whole = {"unfreezeTimeout": "10s", "more": ["x" * 100_000], 1: "no key of JSON"}
    assert machineverbs.passed_on("freeze", whole) == {"unfreezeTimeout": "10s"}
    assert machineverbs.passed_on("pause", whole) == {}
    assert machineverbs.passed_on("freeze", None) == {}
    for given in ("9" * 65, 10, ["10s"]):
        with pytest.raises(status.ApiError, match="unfreezeTimeout must be a duration"):
            machineverbs.passed_on("freeze", {"unfreezeTimeout": given})


def test_a_halted_machine_that_ends_slowly_is_stopped_sooner() -> None:
    asked = machineverbs.options("stop", {"gracePeriod": 1})
    slow = vmi(terminationGracePeriodSeconds=30)
    first, second = machineverbs.changes("stop", vm("Halted"), slow, asked)
    assert first.plural == machineverbs.INSTANCES
    assert first.body["spec"] == {"terminationGracePeriodSeconds": 1}
    assert first.body["metadata"] == {"resourceVersion": "8"}
    assert second.subresource == "status"
    with pytest.raises(status.ApiError, match="with a shorter graceperiod"):
        machineverbs.changes("stop", vm("Halted"), vmi(terminationGracePeriodSeconds=1), asked)


def test_a_stop_replaces_what_waits_and_nothing_else_does() -> None:
    waiting = vm("Manual", {"action": "Start"})
    (write,) = machineverbs.changes("stop", waiting, vmi(), NONE)
    assert write.body["status"]["stateChangeRequests"] == [{"action": "Stop", "uid": "u"}]
    for verb, instance in (("start", None), ("restart", vmi())):
        with pytest.raises(status.ApiError, match="stop/start already underway"):
            machineverbs.changes(verb, waiting, instance, NONE)


def test_a_machine_that_does_not_run_is_not_moved() -> None:
    made = machineverbs.migration(vm("Always"), vmi(), NONE)
    assert made.creates
    assert made.body["spec"] == {"vmiName": "m"}
    with pytest.raises(status.ApiError, match="VM is not running"):
        machineverbs.migration(vm("Always"), vmi("Scheduled"), NONE)


def test_a_machine_may_have_no_console() -> None:
    def without(device: str) -> Object:
        return vmi(domain={"devices": {device: False}})

    machineverbs.check_console("vnc", vmi())
    machineverbs.check_console("vnc", without("autoattachSerialConsole"))
    with pytest.raises(status.ApiError, match="No serial consoles are present"):
        machineverbs.check_console("console", without("autoattachSerialConsole"))
    with pytest.raises(status.ApiError, match="No graphics devices are present"):
        machineverbs.check_console("vnc", without("autoattachGraphicsDevice"))
