"""What runs, in the words of the API."""

from dataclasses import replace
from typing import Any

from weft_lab.kubelet import podstatus
from weft_lab.kubelet.containers import State

FACTS = podstatus.Facts("192.0.2.1", "abc", ("10.244.1.2",), started=100.0, now=200.0)
POD: dict[str, Any] = {
    "metadata": {"name": "web"},
    "spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "busybox"}]},
}


def never(pod: dict[str, Any]) -> dict[str, Any]:
    return {**pod, "spec": {**pod["spec"], "restartPolicy": "Never"}}


def ready(status: dict[str, Any]) -> str:
    return str(next(c["status"] for c in status["conditions"] if c["type"] == "Ready"))


def test_before_anything_runs() -> None:
    status = podstatus.render(POD, {}, podstatus.Facts("192.0.2.1", now=1.0))
    assert status["phase"] == "Pending"
    assert "podIP" not in status
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "ContainerCreating"
    assert ready(status) == "False"


def test_running() -> None:
    status = podstatus.render(POD, {"c": State(0, 150.0)}, FACTS)
    assert (status["phase"], status["podIP"], ready(status)) == ("Running", "10.244.1.2", "True")
    assert status["startTime"] == "1970-01-01T00:01:40Z"
    assert status["containerStatuses"][0]["ready"]


def test_crashing() -> None:
    status = podstatus.render(POD, {"c": State(2, 150.0, -9, 160.0)}, FACTS)
    entry = status["containerStatuses"][0]
    assert status["phase"] == "Running"
    assert entry["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert entry["lastState"]["terminated"]["exitCode"] == 137
    assert entry["lastState"]["terminated"]["signal"] == 9
    assert entry["restartCount"] == 2


def test_ended() -> None:
    good = podstatus.render(never(POD), {"c": State(0, 1.0, 0, 2.0)}, FACTS)
    bad = podstatus.render(never(POD), {"c": State(0, 1.0, 3, 2.0)}, FACTS)
    assert (good["phase"], bad["phase"]) == ("Succeeded", "Failed")
    assert good["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert bad["containerStatuses"][0]["state"]["terminated"]["reason"] == "Error"


def test_last_words_are_those_of_who_failed() -> None:
    facts = replace(FACTS, words={"c": "no disk"})
    bad = podstatus.render(never(POD), {"c": State(0, 1.0, 3, 2.0)}, facts)
    assert bad["containerStatuses"][0]["state"]["terminated"]["message"] == "no disk"


def test_a_command_that_is_not_there() -> None:
    state = State(0, 1.0, 127, 2.0, error="/nope: No such file")
    status = podstatus.render(never(POD), {"c": state}, FACTS)
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["message"]) == ("StartError", "/nope: No such file")


def test_transition_times_move_only_with_the_value() -> None:
    first = podstatus.render(POD, {"c": State(0, 150.0)}, FACTS)
    later = podstatus.Facts("192.0.2.1", "abc", ("10.244.1.2",), started=100.0, now=900.0)
    assert podstatus.render({**POD, "status": first}, {"c": State(0, 150.0)}, later) == first


def test_conditions_of_others_stay() -> None:
    gate = {"type": "example.com/gate", "status": "True"}
    status = podstatus.render({**POD, "status": {"conditions": [gate]}}, {}, FACTS)
    assert gate in status["conditions"]
