"""A container's probe judges what a daemon answers at its control socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from weft.app import probe


@contextmanager
def daemon(path: Path, reply: bytes) -> Iterator[list[bytes]]:
    """Answers one request, and closes; yields what it was sent."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield asked
        finally:
            thread.join()


def reply(result: str | None, error: str | None = None) -> bytes:
    return json.dumps({"id": 0, "result": result, "error": error}).encode()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (reply("Status: active\n"), 0),
        (reply("Status: standby\n"), 1),
        (reply("not active: Status: active"), 1),
        (reply(None, "unknown command"), 1),
        (b'{"id": 0,', 1),
        (b"7", 1),
        (b"", 1),
    ],
)
def test_only_the_line_that_is_expected_is_good(tmp_path: Path, answer: bytes, status: int) -> None:
    path = tmp_path / "x.ctl"
    with daemon(path, answer) as asked:
        assert probe.main([str(path), "status", "Status: active"]) == status
    assert json.loads(asked[0])["method"] == "status"


def test_a_daemon_that_does_not_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe.main([str(tmp_path / "x.ctl"), "status", "x"]) == 1
    assert "x.ctl: status: " in capsys.readouterr().out


def test_one_of_several_that_answers_is_enough(tmp_path: Path) -> None:
    """A daemon that was killed leaves its socket, which has its PID in its name."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "x.1.ctl"))
    with daemon(tmp_path / "x.2.ctl", reply("x 3.5")):
        assert probe.main([str(tmp_path / "x.*.ctl"), "version"]) == 0
    assert probe.main([str(tmp_path / "x.*.ctl"), "version"]) == 1
