"""A command that may have neither the terminal nor the files of who called it, with real ones."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.tests.support.labs import ROOT

pytestmark = pytest.mark.real

CALLER = """
import os, sys
from weft_lab import relay
streams = relay.streams((os.getuid(), os.getgid()))
child = os.fork()
if child == 0:
    streams.take()
    os.execvp(sys.argv[1], sys.argv[1:])
code = os.waitstatus_to_exitcode(streams.follow(child))
sys.exit(128 - code if code < 0 else code)
"""
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
TOLD = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
signal.signal(signal.SIGINT, signal.SIG_DFL)
print("device", os.fstat(0).st_rdev, os.fstat(1).st_rdev, os.fstat(2).st_rdev)
os.close(os.open("/dev/tty", os.O_RDWR))
print("leads", os.getsid(0) == os.getpid(), os.tcgetpgrp(0) == os.getpid())
print("size", *os.get_terminal_size())
print("files", sorted(int(each) for each in os.listdir("/proc/self/fd"))[:5], flush=True)
signal.sigwait({signal.SIGWINCH})
print("size", *os.get_terminal_size(), flush=True)
sys.exit(int(sys.stdin.readline()))
"""


def call(*argv: str) -> list[str]:
    return [sys.executable, "-c", CALLER, *argv]


def resize(descriptor: int, lines: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))


def until(screen: int, pattern: str) -> str:
    output = ""
    while not re.search(pattern, output):
        output += os.read(screen, 4096).decode()
    return output


@pytest.fixture
def screen() -> Iterator[tuple[int, int]]:
    """A user's terminal: a process at it, and the end that the user sees."""
    pid, seen = pty.fork()
    if pid == 0:
        resize(0, 11, 33)
        os.write(1, b"mine %d\n" % os.fstat(0).st_rdev)
        os.execvpe(sys.executable, call(sys.executable, "-c", TOLD), ENV)
    try:
        yield pid, seen
    finally:
        os.close(seen)


def test_at_a_terminal_the_command_has_another(screen: tuple[int, int]) -> None:
    pid, seen = screen
    output = until(seen, r"files .*\n")
    (mine,) = re.findall(r"mine (\d+)", output)
    devices = re.findall(r"device (\d+) (\d+) (\d+)", output)[0]
    assert len(set(devices)) == 1
    assert mine not in devices
    assert "leads True True" in output
    assert "size 33 11" in output
    assert "files [0, 1, 2, 3]" in output, "the last one is that of the listed folder itself"
    resize(seen, 22, 44)
    until(seen, "size 44 22")
    os.write(seen, b"7\r")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7


def test_ctrl_c_is_the_commands(screen: tuple[int, int]) -> None:
    pid, seen = screen
    until(seen, r"files .*\n")
    os.write(seen, b"\x03")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGINT


def test_without_a_terminal_there_are_pipes(tmp_path: Path) -> None:
    sent = os.urandom(1 << 20)
    given, out = tmp_path / "in", tmp_path / "out"
    given.write_bytes(sent)
    with given.open("rb") as source, out.open("wb") as sink:
        done = subprocess.run(
            call("sh", "-c", "stat -L -c %F /dev/fd/0 /dev/fd/1 >&2; cat; exit 9"),
            stdin=source,
            stdout=sink,
            stderr=subprocess.PIPE,
            env=ENV,
            check=False,
        )
    assert done.returncode == 9
    assert out.read_bytes() == sent
    assert done.stderr == b"fifo\nfifo\n", "and neither of the caller's files"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("kill -9 $$", 137),
        ("exec 0<&-; exit 3", 3),
        ("head -c 1 >/dev/null; exit 4", 4),
        ("yes", 141),  # whose reader goes
        ("sleep 600 & echo $!; exit 5", 5),  # leaves one behind that holds the pipes
    ],
)
def test_a_command_ends_as_it_would_here(command: str, status: int) -> None:
    with subprocess.Popen(
        call("sh", "-c", command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENV
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        if "head" in command:
            running.stdin.write(b"two")
            running.stdin.flush()
        if command == "yes":
            running.stdout.read(4)
            running.stdout.close()
        assert running.wait() == status
        if "sleep" in command:
            os.kill(int(running.stdout.read()), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_caller_is_the_commands(number: signal.Signals) -> None:
    command = f"trap 'echo told; exit 6' {int(number)}; echo ready; while :; do sleep 0.1; done"
    with subprocess.Popen(
        call("sh", "-c", command),
        stdout=subprocess.PIPE,
        env=ENV,
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),  # as a shell's background job
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(number)
        assert running.stdout.read() == b"told\n"
        assert running.wait() == 6
