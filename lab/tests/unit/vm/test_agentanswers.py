"""What a guest says of itself is input: bounded, printable, or refused."""

from collections.abc import Callable
from typing import Any

import pytest

from weft_lab.vm import agentanswers

CARD: dict[str, Any] = {
    "name": "eth0",
    "hardware-address": "52:54:00:00:00:01",
    "ip-addresses": [{"ip-address": "10.1.0.5", "prefix": 24}],
}


def test_an_honest_answer() -> None:
    found = agentanswers.interfaces([CARD, {"name": "lo"}])
    assert found == [
        agentanswers.GuestInterface("eth0", CARD["hardware-address"], ("10.1.0.5/24",))
    ]
    assert agentanswers.system({"id": "debian", "size": 3}) == {"id": "debian"}
    assert agentanswers.hostname({"host-name": "web"}) == "web"


def test_no_guest_writes_to_a_terminal() -> None:
    (found,) = agentanswers.interfaces([{**CARD, "name": "\x1b]0;owned\x07\n\u202e"}])
    assert found.name == "?]0;owned???"
    assert agentanswers.hostname({"host-name": "\x1b[2J"}) == "?[2J"
    assert agentanswers.system({"id": "a\x9b"}) == {"id": "a?"}


def test_no_guest_fills_a_status() -> None:
    crowd = [{**CARD, "ip-addresses": CARD["ip-addresses"] * 5000}] * 5000
    found = agentanswers.interfaces(crowd)
    assert len(found) == agentanswers.MOST
    assert len(found[0].addresses) == agentanswers.MOST
    long = agentanswers.system({str(number): "x" * 10_000 for number in range(5000)})
    assert len(long) == agentanswers.MOST
    assert {len(value) for value in long.values()} == {agentanswers.LONGEST}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        7,
        ["eth0"],
        [{"hardware-address": "52:54:00:00:00:01"}],
        [{**CARD, "hardware-address": 5}],
        [{**CARD, "ip-addresses": 5}],
        [{**CARD, "ip-addresses": [{"ip-address": "::", "prefix": "9" * 5000}]}],
        [{**CARD, "ip-addresses": [{"ip-address": "here", "prefix": 1}]}],
    ],
)
def test_what_no_agent_answers(answer: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        agentanswers.interfaces(answer)


@pytest.mark.parametrize("read", [agentanswers.system, agentanswers.hostname])
def test_other_answers_that_no_agent_gives(read: Callable[[object], object]) -> None:
    answers: tuple[Any, ...] = (None, [], "text", 7)
    for answer in answers:
        with pytest.raises(AttributeError):
            read(answer)


def test_how_a_command_ended() -> None:
    assert agentanswers.started({"pid": 7}) == 7
    assert agentanswers.ended({"exited": False}) is None
    told = agentanswers.ended({"exited": True, "exitcode": 3, "out-data": "aGk="})
    assert told == agentanswers.Outcome(3, b"hi")
    assert agentanswers.ended({"exited": True, "signal": 9}) == agentanswers.Outcome(137, b"")


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"exited": True, "exitcode": []}, {"exited": 1, "out-data": "a"}]
)
def test_how_no_command_ends(answer: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        agentanswers.ended(answer)
