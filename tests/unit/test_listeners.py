"""Readers that fail on a change, and what they are told afterwards."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.patience import PATIENCE
from weft import listeners

Notified = tuple[str, str | None, str | None]


class Reader:
    """Fails as often as it is told to, and then hears."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.received: list[Notified] = []
        self.called = asyncio.Event()

    def __call__(self, key: str, old: str | None, new: str | None) -> None:
        self.called.set()
        if self.failures:
            self.failures -= 1
            raise RuntimeError("a mistake of the reader")
        self.received.append((key, old, new))

    async def until_received(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.received:
                self.called.clear()
                await self.called.wait()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "PAUSES", (0.001, 0.01))


@pytest.fixture
def world() -> dict[str, str]:
    return {}


@pytest.fixture
def notified(world: dict[str, str]) -> listeners.Listeners[str, str]:
    return listeners.Listeners("pods", world.get)


async def test_what_a_reader_failed_on_is_reported_until_it_takes_it_in(
    world: dict[str, str], notified: listeners.Listeners[str, str]
) -> None:
    reader, other = Reader(failures=3), Reader()
    notified.add(reader)
    notified.add(other)
    world["a"] = "1"
    notified.notify("a", None, "1")
    assert other.received == [("a", None, "1")]
    assert "1 changes of pods" in notified.trouble
    assert "a mistake of the reader" in notified.trouble
    await reader.until_received()
    assert reader.received == other.received
    assert notified.trouble == ""


async def test_what_changed_meanwhile_is_reported_as_one_step(
    world: dict[str, str], notified: listeners.Listeners[str, str]
) -> None:
    reader = Reader(failures=1)
    notified.add(reader)
    world["a"] = "2"
    notified.notify("a", "1", "2")
    world["a"] = "3"
    notified.notify("a", "2", "3")
    assert reader.received == [("a", "1", "3")]
    assert notified.trouble == ""


async def test_a_change_of_something_else_does_not_wait(
    world: dict[str, str], notified: listeners.Listeners[str, str]
) -> None:
    reader = Reader(failures=1)
    notified.add(reader)
    world.update(a="1", b="1")
    notified.notify("a", None, "1")
    notified.notify("b", None, "1")
    assert reader.received == [("b", None, "1")]


async def test_what_came_and_went_untold_never_was(
    world: dict[str, str], notified: listeners.Listeners[str, str]
) -> None:
    reader = Reader(failures=1)
    notified.add(reader)
    notified.notify("a", None, "1")
    notified.notify("a", "1", None)
    assert reader.received == []
    assert notified.trouble == ""


async def test_who_listens_no_more_is_owed_nothing(
    world: dict[str, str], notified: listeners.Listeners[str, str]
) -> None:
    reader = Reader(failures=1)
    remove = notified.add(reader)
    notified.notify("a", None, "1")
    remove()
    assert notified.trouble == ""
    assert not notified


async def test_steps_that_readers_expect_are_kept(world: dict[str, str]) -> None:
    """As an incarnation that took another's name: the end of one, then the other's beginning."""

    def steps(old: str | None, new: str | None) -> list[tuple[str | None, str | None]]:
        return [(old, None), (None, new)]

    notified = listeners.Listeners("pods", world.get, steps)
    reader = Reader(failures=2)
    notified.add(reader)
    world["a"] = "2"
    notified.notify("a", "1", None)
    notified.notify("a", None, "2")
    await reader.until_received()
    assert reader.received == [("a", "1", None), ("a", None, "2")]
