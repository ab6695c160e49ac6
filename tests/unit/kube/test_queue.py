"""A queue of keys: one at a time for each, tried again after a failure."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.support import hasty
from weft import errors
from weft.kube import errors as api_errors
from weft.kube import queue


@asynccontextmanager
async def running(
    due: queue.Queue[str], reconcile: queue.Reconcile[str], workers: int = 3
) -> AsyncIterator[None]:
    task = asyncio.create_task(due.run(reconcile, workers))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Times:
    """Counts calls by key, and wakes who waits for a number of them."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.changed = asyncio.Condition()

    async def note(self, key: str) -> None:
        async with self.changed:
            self.calls[key] += 1
            self.changed.notify_all()

    async def until(self, holds: Callable[[Counter[str]], bool]) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: holds(self.calls))


async def test_a_key_added_often_is_looked_at_once() -> None:
    due, times = queue.Queue[str](), Times()
    for _ in range(10):
        due.add("a")
    async with running(due, times.note):
        await due.idle()
    assert times.calls == {"a": 1}


async def test_one_worker_a_key_and_once_more_for_what_came_meanwhile() -> None:
    due, times = queue.Queue[str](), Times()
    go, inside = asyncio.Event(), 0

    async def reconcile(key: str) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        await times.note(key)
        await go.wait()
        inside -= 1

    async with running(due, reconcile):
        due.add("a")
        await times.until(lambda calls: calls["a"] == 1)
        for _ in range(5):
            due.add("a")
        assert times.calls == {"a": 1}
        go.set()
        await due.idle()
    assert times.calls == {"a": 2}


async def test_other_keys_go_on_beside_a_slow_one() -> None:
    due, times = queue.Queue[str](), Times()
    go = asyncio.Event()

    async def reconcile(key: str) -> None:
        if key == "slow":
            await go.wait()
        await times.note(key)

    async with running(due, reconcile, workers=2):
        due.add("slow")
        for key in "abc":
            due.add(key)
        await times.until(lambda calls: calls.total() == 3)
        assert len(due) == 1
        go.set()
        await due.idle()


async def test_what_may_succeed_later_comes_back_and_what_may_not_is_dropped() -> None:
    received: list[tuple[str, str]] = []
    due = queue.Queue[str](
        on_error=lambda key, error: received.append((key, str(error))), first_pause=0
    )
    times = Times()

    async def reconcile(key: str) -> None:
        await times.note(key)
        if key == "wrong":
            raise errors.InvalidInput("Pod a/b", "mac", "x", "is no MAC")
        if times.calls[key] < 4:
            raise errors.Unavailable("gone")

    async with running(due, reconcile):
        due.add("wrong")
        due.add("later")
        await times.until(lambda calls: calls["later"] == 4)
        await due.idle()
    assert times.calls == {"wrong": 1, "later": 4}
    assert received.count(("later", "gone")) == 3
    assert received.count(("wrong", 'Pod a/b: mac "x": is no MAC')) == 1


async def test_a_mistake_in_the_code_stops_neither_the_key_nor_the_others() -> None:
    due, times = queue.Queue[str](first_pause=0), Times()

    async def reconcile(key: str) -> None:
        await times.note(key)
        if key == "bad" and times.calls[key] == 1:
            raise KeyError("uid")

    async with running(due, reconcile, workers=1):
        due.add("bad")
        due.add("good")
        await times.until(lambda calls: calls == {"bad": 2, "good": 1})


async def test_of_two_times_the_earlier_counts_and_now_beats_later() -> None:
    due, times = queue.Queue[str](), Times()
    async with running(due, times.note):
        due.add("a", after=3600)
        due.add("a", after=0.001)
        await times.until(lambda calls: calls["a"] == 1)
        due.add("b", after=3600)
        due.add("b")
        await times.until(lambda calls: calls["b"] == 1)
        await due.idle()
        due.add("c", after=3600)
        await due.idle()  # what waits for its time is not due
    assert times.calls == {"a": 1, "b": 1}


@pytest.mark.parametrize("code", [401, 403])
def test_what_is_refused_is_tried_again_and_reported_until_it_is_granted(code: int) -> None:
    async def main() -> None:
        refusal: api_errors.ApiError | None = api_errors.from_status({"message": "may not"}, code)
        times: list[float] = []

        async def reconcile(key: str) -> None:
            times.append(asyncio.get_running_loop().time())
            if refusal is not None:
                raise refusal

        due = queue.Queue[str]()
        task = asyncio.create_task(due.run(reconcile))
        due.add("a/one")
        due.add("a/two")
        await asyncio.sleep(300)
        assert len(times) < 60, "back-off"
        assert times[-1] > 200, "it is still tried"
        assert due.trouble.startswith("may not (check")
        assert due.trouble.endswith("(and 1 more)")
        refusal = None
        await asyncio.sleep(31)
        assert due.trouble == ""
        task.cancel()

    hasty.run(main())


def test_a_mistake_in_an_object_is_no_trouble_of_the_process() -> None:
    async def main() -> None:
        async def reconcile(key: str) -> None:
            raise errors.InvalidInput("Pod a/one", "field", "value", "is wrong")

        due = queue.Queue[str]()
        task = asyncio.create_task(due.run(reconcile))
        due.add("a/one")
        await due.idle()
        assert due.trouble == ""
        task.cancel()

    hasty.run(main())


def test_a_cause_is_logged_when_it_comes_and_when_it_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And not for each key and each try."""
    caplog.set_level("INFO")

    async def main() -> None:
        denied = True

        async def reconcile(key: str) -> None:
            if denied:
                text = f'pods "{key}" is forbidden: User "weft" cannot patch resource "pods" in a'
                raise api_errors.from_status({"message": text}, 403)

        due = queue.Queue[str]("Pod")
        task = asyncio.create_task(due.run(reconcile))
        for number in range(500):
            due.add(f"a/{number}")
        await asyncio.sleep(300)
        assert due.trouble.endswith("(and 499 more)")
        denied = False
        await asyncio.sleep(31)
        assert due.trouble == ""
        task.cancel()

    hasty.run(main())
    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO"]
    assert 'cannot patch resource "pods"' in caplog.text


def test_a_retry_after_is_obeyed() -> None:
    async def main() -> None:
        tried: list[float] = []

        async def reconcile(key: str) -> None:
            tried.append(asyncio.get_running_loop().time())
            raise api_errors.from_response(429, b"{}", "30")

        due = queue.Queue[str]()
        task = asyncio.create_task(due.run(reconcile))
        due.add("a/one")
        await asyncio.sleep(100)
        assert 3 <= len(tried) <= 4
        task.cancel()

    hasty.run(main())
