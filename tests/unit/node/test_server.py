"""Who may call the CNI server: the socket's peer, as the kernel names it."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from weft.node import server


class Peer:
    """A socket whose peer is a process of `uid`."""

    def __init__(self, uid: int) -> None:
        self._uid = uid

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_PEERCRED)
        return struct.pack("3i", 42, self._uid, self._uid)


@pytest.mark.parametrize("uid", [0, os.geteuid()])
def test_root_and_the_agents_own_user_may_call(uid: int) -> None:
    assert server.check_peer(Peer(uid)) == ""


def test_another_user_may_not_call() -> None:
    uid = os.geteuid() + 1
    assert server.check_peer(Peer(uid)).startswith(f"process 42 of user {uid} calls")


def test_the_kernel_names_the_peer() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert server.check_peer(ours) == ""
