"""What comes of a node's end that works, ends early, or talks nonsense: a program plays it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence

import pytest

from weft import errors
from weft.host import process
from weft.observe.capture import pcapng, session
from weft.observe.capture.order import Order

NIC = pcapng.Interface("eth1", "", "", 100)
HEAD = pcapng.head(NIC, "weft")
PACKET = pcapng.packet(pcapng.Packet(5, b"x" * 60, 60, True))
END = pcapng.statistics(pcapng.Statistics(1, 2, 3, 1, "it is enough"))
ORDER = Order("p", "default/p", "eth1")


def node(code: str) -> process.Command:
    begin = "import sys\nline = sys.stdin.readline()\nout = sys.stdout.buffer\n"
    parts = f"HEAD, PACKET, END = {HEAD!r}, {PACKET!r}, {END!r}\n"
    return process.Command((sys.executable, "-c", begin + parts + code), dict(os.environ))


async def run(
    code: str,
    take: Callable[..., None] = lambda _: None,
    *,
    enough: asyncio.Event | None = None,
    is_read: Callable[[], bool] = lambda: True,
) -> session.Outcome:
    async with asyncio.timeout(60):
        return await session.run(
            node(code), ORDER, take, enough=enough or asyncio.Event(), is_read=is_read
        )


async def test_all_blocks_are_taken_in_order() -> None:
    found: list[bytes] = []

    def take(blocks: Sequence[tuple[pcapng.Block | None, bytes]]) -> None:
        found.extend(data for _, data in blocks)

    outcome = await run("out.write(HEAD + PACKET + PACKET + END)", take)
    assert b"".join(found) == HEAD + PACKET + PACKET + END
    assert (outcome.packets, outcome.bytes) == (2, len(b"".join(found)))
    assert outcome.statistics == pcapng.Statistics(1, 2, 3, 1, "it is enough")


async def test_the_order_arrives_and_then_a_sign_of_life() -> None:
    code = "out.write(HEAD + END if sys.stdin.readline() == '\\n' else b'')"
    assert (await run(code)).statistics is not None
    parsed = "from weft.observe.capture import order\nassert order.parse(line).pod == 'default/p'\n"
    assert (await run(parsed + "out.write(HEAD + END)")).statistics is not None


UNTIL_END = """
out.write(HEAD)
out.flush()
while sys.stdin.readline() != 'end\\n':
    pass
out.write(PACKET + END)
"""


async def test_enough_is_said_and_what_comes_then_is_taken() -> None:
    enough = asyncio.Event()
    enough.set()
    outcome = await run(UNTIL_END, enough=enough)
    assert outcome.packets == 1
    assert outcome.statistics is not None


async def test_what_nobody_reads_ends() -> None:
    assert (await run(UNTIL_END, is_read=lambda: False)).statistics is not None


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        ("out.write(HEAD + PACKET); sys.exit('the node says why')", "the node says why"),
        ("out.write(HEAD + PACKET)", "it ended without a word"),
        ("out.write(HEAD + PACKET + END[:-4])", "it ended without a word"),
        ("out.write(HEAD + PACKET + b'nonsense ' * 9)", "that the node sends"),
        ("out.write(HEAD + PACKET); sys.exit('\\x1b[31mred')", "[31mred"),
    ],
)
async def test_an_end_that_is_missing_leaves_what_is_whole(code: str, trouble: str) -> None:
    found = bytearray()

    def take(blocks: Sequence[tuple[pcapng.Block | None, bytes]]) -> None:
        for _, data in blocks:
            found.extend(data)

    outcome = await run(code, take)
    assert outcome.statistics is None
    assert trouble in outcome.trouble
    assert "\x1b" not in outcome.trouble
    assert bytes(found) == HEAD + PACKET


async def test_nothing_at_all_is_an_error() -> None:
    with pytest.raises(errors.Unavailable, match="no such pod"):
        await run("sys.exit('no such pod')")


async def test_a_node_that_does_not_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_LAST", 0.2)
    enough, loop = asyncio.Event(), asyncio.get_running_loop()

    def take(_: object) -> None:
        """It has begun: how long a program takes for that is another matter."""
        loop.call_soon_threadsafe(enough.set)

    code = "out.write(HEAD); out.flush()\nwhile True: sys.stdin.read()"
    outcome = await run(code, take, enough=enough)
    assert outcome.statistics is None


async def test_an_error_of_the_taker_ends_the_nodes_process() -> None:
    def take(_: object) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await run("out.write(HEAD); out.flush()\nwhile True: sys.stdin.read()", take)
