"""What waits for a kubelet that does not read."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from weft_lab.kubelet import initlink

Pair = tuple[initlink.Link, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    own, other = socket.socketpair()
    link = initlink.Link(own)
    yield link, other
    link.close()
    other.close()


def fill(link: initlink.Link) -> None:
    """Until the kernel takes no more."""
    while not link.flush():
        link.put(b"x" * 65535 + b"\n", is_state=False)


def test_a_file_waits_with_its_line_for_who_does_not_read(pair: Pair) -> None:
    link, other = pair
    fill(link)
    reader, writer = os.pipe()
    link.put(b"here\n", is_state=False, given=writer)
    link.put(b"newest\n", is_state=True)
    assert link.flush()
    seen, files = b"", list[int]()
    while not seen.endswith(b"newest\n"):
        data, got, _, _ = socket.recv_fds(other, 1 << 20, 1)
        seen, files = seen + data, files + got
        link.flush()
    assert seen.endswith(b"x\nhere\nnewest\n")
    (given,) = files
    os.write(given, b"typed")
    assert os.read(reader, 16) == b"typed"
    os.close(given)
    assert os.read(reader, 16) == b"", "no other copy is open"
    os.close(reader)


def test_files_that_nobody_takes_are_closed(pair: Pair) -> None:
    link, _ = pair
    fill(link)
    reader, writer = os.pipe()
    link.put(b"here\n", is_state=False, given=writer)
    link.close()
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_of_files_no_more_wait_than_few(pair: Pair) -> None:
    link, _ = pair
    fill(link)
    for _ in range(initlink.MOST_GIVEN + 1):
        link.put(b"here\n", is_state=False, given=os.open(os.devnull, os.O_RDONLY))
    with pytest.raises(ConnectionError):
        link.flush()
