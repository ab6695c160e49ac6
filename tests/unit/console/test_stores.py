"""What a page shows of a kind while the API server gives, refuses and gives it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support import objects as made
from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from weft.console.budget import Budget
from weft.console.page import Read
from weft.console.stores import Store, reading
from weft.kube import errors, resources
from weft.kube.resources import Resource

DENIAL = 'User "x" cannot watch resource "networks" in API group "weft.internal"'


class Refusing(MemoryApi):
    """Ends watches, and refuses new ones with `refusal`, while it has one."""

    def __init__(self) -> None:
        super().__init__()
        self.refusal: errors.ApiError | None = None
        self._ended = asyncio.Event()

    def refuse(self, refusal: errors.ApiError | None) -> None:
        self.refusal = refusal
        self._ended.set()

    async def list(self, res: Resource, namespace: str = "", **_: Any) -> Any:
        if self.refusal is not None:
            raise self.refusal
        return await super().list(res, namespace)

    async def watch(self, *where: Any, **how: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        if self.refusal is not None:
            raise self.refusal
        self._ended.clear()
        events = super().watch(*where, **how)
        try:
            while True:
                one = asyncio.ensure_future(anext(events))
                end = asyncio.ensure_future(self._ended.wait())
                done, waiting = await asyncio.wait({one, end}, return_when="FIRST_COMPLETED")
                for each in waiting:
                    each.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
                if one not in done:
                    return
                yield one.result()
        finally:
            await events.aclose()  # type: ignore[attr-defined]


@asynccontextmanager
async def followed() -> AsyncIterator[tuple[Refusing, Store, Callable[[Callable[[], bool]], Any]]]:
    """A server with the network blue, a store that follows it, and a wait for a condition."""
    api = Refusing()
    api.put(resources.NETWORKS, made.named(resources.NETWORKS, "blue"))
    store, changed = Store(api, Read(resources.NETWORKS)), asyncio.Event()
    store.changed.add(changed)
    task = asyncio.create_task(store.run())

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                changed.clear()
                await changed.wait()

    try:
        yield api, store, until
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def names(store: Store) -> list[str]:
    return [one["metadata"]["name"] for one in store.objects()]


async def test_nothing_is_shown_before_it_was_read_and_the_page_says_so() -> None:
    read = reading([Store(MemoryApi(), Read(resources.NETWORKS))])
    assert read.of(resources.NETWORKS) == ()
    assert read.stale == {resources.NETWORKS: "has not been read yet"}


async def test_what_may_not_be_listed_any_more_is_hidden_and_comes_back_whole() -> None:
    async with followed() as (api, store, until):
        await until(lambda: names(store) == ["blue"])
        api.refuse(errors.Forbidden(403, "Forbidden", DENIAL))
        await until(lambda: bool(store.denied))
        assert names(store) == []
        assert reading([store]).denied == {resources.NETWORKS: DENIAL}
        api.put(resources.NETWORKS, made.named(resources.NETWORKS, "green"))
        api.refuse(None)
        await until(lambda: names(store) == ["blue", "green"])
        assert not reading([store]).denied


async def test_objects_stay_while_the_server_does_not_answer() -> None:
    async with followed() as (api, store, until):
        await until(lambda: names(store) == ["blue"])
        api.refuse(errors.Unreachable(0, "Unreachable", "no answer"))
        await until(lambda: bool(store.trouble))
        assert names(store) == ["blue"]
        assert reading([store]).stale == {resources.NETWORKS: "no answer"}
        api.refuse(None)
        await until(lambda: not store.trouble)


@pytest.mark.parametrize(
    "refusal",
    [
        errors.Unauthorized(401, "Unauthorized", "the token is unknown"),
        errors.Forbidden(403, "Forbidden", DENIAL),
        errors.NotFound(404, "NotFound", "no such kind"),
    ],
)
async def test_a_refusal_settles_a_page(refusal: errors.ApiError) -> None:
    async with followed() as (api, store, _):
        api.refuse(refusal)
        async with asyncio.timeout(PATIENCE):
            await store.settled.wait()
        assert names(store) == []
        read = reading([store])
        assert bool(read.denied) != bool(read.absent)
        assert not read.stale


async def test_what_a_budget_has_no_room_for_is_counted_until_there_is_room() -> None:
    api, budget = MemoryApi(), Budget(2)

    def put(name: str) -> None:
        api.put(resources.NETWORKS, made.named(resources.NETWORKS, name, uid=name))

    for name in ("a", "b", "c"):
        put(name)
    store, changed = Store(api, Read(resources.NETWORKS), "", budget), asyncio.Event()
    store.changed.add(changed)
    task = asyncio.create_task(store.run())

    async def until(kept: list[str], left_out: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while (names(store), store.left_out) != (kept, left_out):
                changed.clear()
                await changed.wait()

    try:
        await until(["a", "b"], 1)
        assert reading([store]).left_out == {resources.NETWORKS: 1}
        put("d")
        await until(["a", "b"], 2)
        await api.delete(resources.NETWORKS, "a")
        await until(["b"], 2)
        await api.patch(resources.NETWORKS, "c", "", {"metadata": {"labels": {"x": "y"}}})
        await until(["b", "c"], 1)
        await api.delete(resources.NETWORKS, "d")
        await until(["b", "c"], 0)
        assert budget.held == 2
        store.close()
        assert budget.held == 0
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_change_that_no_page_shows_makes_no_page_again() -> None:
    api, pod = MemoryApi(), made.pod("web", "blue")
    api.put(resources.PODS, pod)
    store, changed = Store(api, Read(resources.PODS)), asyncio.Event()
    task = asyncio.create_task(store.run())
    async with asyncio.timeout(PATIENCE):
        await store.settled.wait()
        before = reading([store]).versions
        store.changed.add(changed)
        for body in ({"annotations": {"example.org/x": "1"}}, {"labels": {"app": "web"}}):
            await api.patch(resources.PODS, "web", "default", {"metadata": body})
        await changed.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert reading([store]).versions[0] == before[0] + 1
    assert store.objects()[0]["metadata"]["labels"] == {"app": "web"}


def nodes(*names: str) -> list[dict[str, Any]]:
    return [made.named(resources.NODES, name) for name in names]


def test_kinds_that_are_listed_at_once_share_a_budget() -> None:
    budget = Budget(3)
    one, two = (Store(MemoryApi(), Read(resources.NODES), "", budget) for _ in range(2))
    for each in (one, two):
        each.begin()
        for node in nodes("a", "b"):
            each.add(node)
    for each in (one, two):
        each.end()
    assert (len(one.objects()), one.left_out) == (2, 0)
    assert (len(two.objects()), two.left_out) == (1, 1)
    assert budget.held == 3
    one.begin()
    for node in nodes("a"):
        one.add(node)
    assert budget.held == 3, "the old objects are there until the end"
    one.end()
    assert budget.held == 2
    one.begin()
    for node in nodes("a", "b", "c"):
        one.add(node)
    assert budget.held == 3
    one.begin()
    assert budget.held == 2, "a list that broke off holds nothing"


def test_a_store_that_is_closed_in_the_midst_of_its_list_holds_nothing() -> None:
    closed: list[Store] = []

    def free() -> bool:
        if closed:
            return False
        closed.append(store)
        store.close()
        return True

    budget = Budget(1, free=free)
    store = Store(MemoryApi(), Read(resources.NODES), "", budget)
    store.begin()
    for node in nodes("a", "b", "c"):
        store.add(node)
    store.end()
    for node in nodes("d"):
        store.change("ADDED", node)
    assert closed
    assert budget.held == 0
