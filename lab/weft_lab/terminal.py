"""Connects a user's terminal with a guest's serial console: bytes both ways."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

from weft.host import files

ESCAPE = 0x1D  # Ctrl-]
CHUNK = 1 << 16
PAST = 4096  # bytes: about what a screen holds


def past(log: Path) -> bytes:
    """The end of a console's output so far, from the beginning of a line; empty without a log."""
    try:
        with open(log, "rb", opener=files.regular_file) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - PAST, 0))
            text = file.read(PAST)
    except OSError:
        return b""
    return text if size <= PAST else text[text.find(b"\n") + 1 :]


def talk(link: socket.socket, source: int, sink: int, *, quiet: float) -> str:
    """Until the escape key, or the far end closes; says which: "left" or "closed".

    When `source` ends (a pipe), it stays until nothing has come for `quiet` seconds: "ended".
    """
    with raw(source):
        reading = [source, link.fileno()]
        while True:
            ready, _, _ = select.select(reading, [], [], None if source in reading else quiet)
            if not ready:
                return "ended"
            if link.fileno() in ready:
                data = _received(link)
                if not data:
                    return "closed"
                write(sink, data)
            if source in ready:
                data = os.read(source, CHUNK)
                before, escape, _ = data.partition(bytes([ESCAPE]))
                if before:
                    link.sendall(before)
                if escape:
                    return "left"
                if not data:
                    reading.remove(source)


def _received(link: socket.socket) -> bytes:
    try:
        return link.recv(CHUNK)
    except ConnectionResetError:
        return b""


def write(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]


@contextlib.contextmanager
def raw(source: int) -> Iterator[None]:
    """Every key goes to the other end, if `source` is a terminal; as before when it ends.

    Discards what the terminal has answered to a guest's escape sequences by then.
    """
    if not os.isatty(source):
        yield
        return
    before = termios.tcgetattr(source)
    try:
        tty.setraw(source)
        yield
    finally:
        termios.tcsetattr(source, termios.TCSAFLUSH, before)
