"""One call at a time for one interface, however calls arrive and give up."""

from __future__ import annotations

import asyncio

from weft.node.keyedlock import KeyedLock

KEY = ("sandbox", "net1")


class Calls:
    """Calls that note who is inside, and stay until they are let go."""

    def __init__(self) -> None:
        self.turns = KeyedLock()
        self.inside: list[str] = []
        self.order: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}

    def start(self, name: str) -> asyncio.Task[None]:
        self.leave[name] = asyncio.Event()
        return asyncio.create_task(self._call(name))

    async def _call(self, name: str) -> None:
        async with self.turns.of(KEY):
            self.inside.append(name)
            self.order.append(name)
            assert self.inside == [name]
            try:
                await self.leave[name].wait()
            finally:
                self.inside.remove(name)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_call_that_comes_while_the_turn_is_handed_over_waits_for_it() -> None:
    calls = Calls()
    first, second = calls.start("first"), calls.start("second")
    await settle()
    calls.leave["first"].set()
    await first
    third = calls.start("third")
    await settle()
    assert calls.inside == ["second"]
    calls.leave["second"].set()
    calls.leave["third"].set()
    await asyncio.gather(second, third)
    assert calls.order == ["first", "second", "third"]


async def test_one_that_gives_up_while_it_waits_leaves_the_turn_to_the_next() -> None:
    calls = Calls()
    first, second, third = (calls.start(name) for name in ("first", "second", "third"))
    await settle()
    second.cancel()
    calls.leave["first"].set()
    await settle()
    assert calls.inside == ["third"]
    calls.leave["third"].set()
    await asyncio.gather(first, third)


async def test_a_key_is_known_while_a_call_has_it_or_waits_and_no_longer() -> None:
    calls = Calls()
    assert not calls.turns.keys
    first, second = calls.start("first"), calls.start("second")
    await settle()
    assert set(calls.turns.keys) == {KEY}
    calls.leave["first"].set()
    await first
    assert set(calls.turns.keys) == {KEY}
    second.cancel()
    await settle()
    assert not calls.turns.keys
