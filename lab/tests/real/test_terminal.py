"""A console between a terminal and a socket, with a real terminal pair."""

from __future__ import annotations

import os
import select
import socket
import termios
import threading
from collections.abc import Iterator

import pytest

from tests.support.patience import PATIENCE
from weft_lab import terminal

pytestmark = pytest.mark.real


@pytest.fixture
def wires() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def test_escape_key_leaves_and_the_terminal_is_as_before(
    wires: tuple[socket.socket, socket.socket],
) -> None:
    near, far = wires
    keyboard, tty = os.openpty()
    before = termios.tcgetattr(tty)
    screen, out = os.pipe()
    result: list[str] = []
    talking = threading.Thread(
        target=lambda: result.append(terminal.talk(near, tty, out, quiet=1.0))
    )
    talking.start()
    far.sendall(b"login: ")
    assert os.read(screen, 64) == b"login: "  # from here on the terminal is raw
    os.write(keyboard, b"a\x03\r")
    assert far.recv(64) == b"a\x03\r", "Ctrl-C and Return are the guest's"
    os.write(keyboard, b"b\x1dnot this")
    talking.join(PATIENCE)
    assert result == ["left"]
    assert far.recv(64) == b"b"
    assert termios.tcgetattr(tty) == before


def test_guest_that_ends_closes_the_console(wires: tuple[socket.socket, socket.socket]) -> None:
    near, far = wires
    source, _keep = os.pipe()
    screen, out = os.pipe()
    far.sendall(b"bye")
    far.close()
    assert terminal.talk(near, source, out, quiet=1.0) == "closed"
    assert os.read(screen, 64) == b"bye"


def test_piped_input_waits_for_what_comes_back(
    wires: tuple[socket.socket, socket.socket],
) -> None:
    near, far = wires
    source, feed = os.pipe()
    screen, out = os.pipe()
    os.write(feed, b"question\n")
    os.close(feed)

    def answer() -> None:
        assert far.recv(64) == b"question\n"
        far.sendall(b"answer\n")

    guest = threading.Thread(target=answer)
    guest.start()
    assert terminal.talk(near, source, out, quiet=2.0) == "ended"
    guest.join()
    assert os.read(screen, 64) == b"answer\n"


def test_what_the_terminal_answered_is_not_the_shells() -> None:
    """A guest can ask a terminal where its cursor is; the answer is typed, by nobody."""
    keyboard, tty = os.openpty()
    with terminal.raw(tty):
        os.write(keyboard, b"\x1b[24;80R")
        assert select.select([tty], [], [], PATIENCE)[0] == [tty]
    assert select.select([tty], [], [], 0)[0] == []
