"""A pod's first process, whatever becomes of those who are connected to it."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from weft.lab.kubelet import init


@pytest.fixture
def process(tmp_path: Path) -> init.Init:
    return init.Init(str(tmp_path))


def test_a_kubelet_that_ends_together_with_a_container_costs_no_pod(process: init.Init) -> None:
    """One poll told both: the link is dropped while the container's end is told on it."""
    ours, theirs = socket.socketpair()
    process.greet(ours)
    number = ours.fileno()
    theirs.close()
    process.tell()
    process.tell()
    process.hear(number)
    assert process.links == {}


def test_a_link_that_has_nothing_to_say_is_not_waited_for(process: init.Init) -> None:
    """Its number may be that of one that was dropped after it was told to be ready."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)  # a mistake is to fail here, not to wait
        process.greet(ours)
        process.hear(ours.fileno())
        assert list(process.links) == [ours.fileno()]


def test_a_log_that_cannot_be_written_fails_the_container_alone(
    process: init.Init, tmp_path: Path
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("rb") as told:
        process.greet(ours)
        log = str(tmp_path / "missing" / "c.log")
        order = {"op": "start", "name": "c", "attempt": 2, "argv": ["true"], "env": {}}
        process.obey({**order, "log": log})
        told.readline()
        state = json.loads(told.readline())["state"]["c"]
    assert (state["attempt"], state["status"]) == (2, 126)
    assert log in state["error"]
    assert state["ended"] >= state["started"]


def test_a_log_has_one_run_and_that_before_stands_beside_it(tmp_path: Path) -> None:
    log = tmp_path / "c.log"
    for run in ("first", "second", "third"):
        with os.fdopen(init.open_log(str(log)), "w") as written:
            written.write(run)
    assert (tmp_path / "c.log.previous").read_text() == "second"
    assert log.read_text() == "third"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_process_that_ends_while_it_is_killed(
    process: init.Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.containers["c"] = {"attempt": 0, "status": None, "pid": 1 << 30}
    process.kill("c", signal.SIGTERM)
    process.kill("c", signal.SIGKILL)
