"""A terminal that the pod's process makes comes, or does not, and no thread waits for it."""

from __future__ import annotations

import asyncio
import os
import socket
import threading

import pytest

from weft import errors
from weft_lab.kubelet import podcommands

REQUEST = {"namespace": "shop", "pod": "web", "container": "c", "tty": True}


async def test_a_terminal_that_does_not_come_blocks_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pod's root may stop the process that makes it."""
    monkeypatch.setattr(podcommands, "START", 0.2)
    links = [socket.socketpair() for _ in range(64)]
    for ours, _ in links:
        ours.setblocking(False)
    before = threading.active_count()
    waiting = [
        asyncio.ensure_future(podcommands._await_screen(podcommands.Command(ours), REQUEST))
        for ours, _ in links
    ]
    await asyncio.sleep(0)
    assert threading.active_count() == before
    for answer in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(answer, errors.Unavailable)
        assert answer.where == "pod shop/web"
    for pair in links:
        for end in pair:
            end.close()


async def test_a_terminal_that_comes_is_taken() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    command = podcommands.Command(ours)
    waiting = asyncio.ensure_future(podcommands._await_screen(command, REQUEST))
    await asyncio.sleep(0)
    with theirs:
        theirs.sendall(b'{"state": {}}\n')
        reader, writer = os.pipe()
        socket.send_fds(theirs, [b'{"screen": true}\n'], [writer])
        os.close(writer)
        await waiting
        assert command.outputs == {command.screen: podcommands.STDOUT}
        os.write(command.screen, b"x")
        assert os.read(reader, 2) == b"x"
        os.close(reader)
    command.close()
