"""A pod's first process, whatever becomes of those who are connected to it."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from weft_lab.kubelet import init


@pytest.fixture
def process(tmp_path: Path) -> init.Init:
    return init.Init(str(tmp_path))


def test_a_kubelet_that_ends_together_with_a_container_costs_no_pod(process: init.Init) -> None:
    """One poll told both: the link is dropped while the container's end is told on it."""
    ours, theirs = socket.socketpair()
    process.greet(ours)
    number = ours.fileno()
    theirs.close()
    process.report()
    process.report()
    process.receive(number)
    assert process.links == {}


def test_a_link_that_has_nothing_to_say_is_not_waited_for(process: init.Init) -> None:
    """Its number may be that of one that was dropped after it was told to be ready."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)  # a mistake is to fail here, not to wait
        process.greet(ours)
        process.receive(ours.fileno())
        assert list(process.links) == [ours.fileno()]


def state_changes(process: init.Init, times: int) -> None:
    for attempt in range(times):
        process.containers["c"] = {"attempt": attempt, "error": "e" * 1000, "status": 1}
        process.report()


def stalls(process: init.Init, seconds: int = 60) -> None:
    """Fail, instead of waiting for ever, if the pod's owner waits for a reader."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits for who does not read"))
    signal.alarm(seconds)


def test_a_kubelet_that_does_not_read_stops_nothing_and_finds_the_newest(
    process: init.Init,
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("rb") as told:
        process.greet(ours)
        stalls(process)
        try:
            state_changes(process, 1000)
            last: dict[str, Any] = {}
            while last.get("c", {}).get("attempt") != 999:
                last = json.loads(told.readline())["state"]
                process.flush(ours.fileno())
        finally:
            signal.alarm(0)
        assert list(process.links) == [ours.fileno()]


def test_who_attaches_and_does_not_read_stops_nothing_and_gets_its_file(
    process: init.Init,
) -> None:
    ours, theirs = socket.socketpair()
    source, feed = os.pipe()
    with ours, theirs:
        process.greet(ours)
        process.consoles.add("c", {}, feed, -1)
        stalls(process)
        try:
            for attempt in range(1000):
                process.containers["c"] = {"attempt": attempt, "error": "e" * 1000}
                process.report()
            process.obey({"op": "attach", "name": "c"}, ours)
            seen, files = b"", list[int]()
            while b'"attached": true' not in seen or not files:
                data, got, _, _ = socket.recv_fds(theirs, 1 << 16, 1)
                seen, files = seen + data, files + got
                process.flush(ours.fileno())
        finally:
            signal.alarm(0)
        os.write(files[0], b"typed")
        assert os.read(source, 16) == b"typed"
        os.close(files[0])
    process.consoles.end("c")
    assert os.read(source, 16) == b"", "no copy is left open"
    os.close(source)


def test_a_command_that_has_ended_hears_of_no_state(process: init.Init) -> None:
    """Its reader may be held up by a client that has stopped reading."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process.greet(ours)
        assert b"state" in theirs.recv(1 << 16)
        process.execute({"op": "exec", "name": "c", "argv": ["true"]}, ours)
        assert "is not running" in json.loads(theirs.recv(1 << 16))["error"]
        stalls(process)
        try:
            state_changes(process, 10)
        finally:
            signal.alarm(0)
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


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


def test_a_long_name_of_a_program_is_reported_by_its_beginning(
    process: init.Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kubelet reads lines up to a bound, and puts what they say into a status."""

    def refuse(order: init.Json, *_: object) -> None:
        raise OSError(errno.ENAMETOOLONG, "File name too long", order["argv"][0])

    monkeypatch.setattr(init, "become", refuse)
    order = {"op": "start", "name": "c", "attempt": 0, "argv": ["\U0001f600" * 500_000], "env": {}}
    process.obey({**order, "log": str(tmp_path / "c.log")})
    assert len(process.containers["c"]["error"]) < 1000
    assert process.containers["c"]["error"].endswith("File name too long")


def test_a_container_cannot_fill_the_machine() -> None:
    """Neither with processes nor by one file; who is bounded cannot raise it."""
    code = (
        "import resource\n"
        "from weft_lab.kubelet import init\n"
        "init.bound({'longest_file': 1 << 20})\n"
        "print(*resource.getrlimit(resource.RLIMIT_NPROC),"
        " *resource.getrlimit(resource.RLIMIT_FSIZE))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    processes, hard, file, longest = map(int, done.stdout.split())
    assert 0 < processes == hard <= init.MAX_PROCESSES
    assert file == longest == 1 << 20
