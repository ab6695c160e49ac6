"""Who shares watches with whom, and how long they go on."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import pytest

from tests.support import objects as made
from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from weft.console import viewers
from weft.console.page import Read
from weft.kube import resources

NETWORKS = (Read(resources.NETWORKS),)


class Api(MemoryApi):
    """Of one token: only it has a network of that name."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.closed, self.watches = asyncio.Event(), 0
        self.put(resources.NETWORKS, made.named(resources.NETWORKS, token))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.closed.set()

    async def list(self, *where: Any, **how: Any) -> Any:
        self.watches += 1
        return await super().list(*where, **how)


class Connected:
    """All clients that were made, by token."""

    def __init__(self) -> None:
        self.made: list[tuple[str, Api]] = []

    def __call__(self, token: str) -> Api:
        self.made.append((token, Api(token)))
        return self.made[-1][1]


async def test_viewers_with_one_token_share_watches_and_others_do_not() -> None:
    connect = Connected()
    known = viewers.Viewers(connect)
    async with known.of("a") as one, known.of("a") as same, known.of("b") as other:
        assert one is same
        assert one is not other
        async with (
            one.following(NETWORKS) as first,
            same.following(NETWORKS) as second,
            other.following(NETWORKS) as third,
        ):
            assert first[0] is second[0]
            assert [each["metadata"]["name"] for each in first[0].objects()] == ["a"]
            assert [each["metadata"]["name"] for each in third[0].objects()] == ["b"]
    assert [(token, api.watches) for token, api in connect.made] == [("a", 1), ("b", 1)]
    await known.close()
    assert all(api.closed.is_set() for _, api in connect.made)


async def test_a_viewers_watches_and_connections_end_after_the_last_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(viewers, "LINGER", 0.0)
    connect = Connected()
    known = viewers.Viewers(connect)
    async with known.of("a") as viewer, viewer.following(NETWORKS):
        pass
    async with asyncio.timeout(PATIENCE):
        await connect.made[0][1].closed.wait()
    async with known.of("a") as again:
        assert again is not viewer
    await known.close()


async def test_a_page_that_is_opened_again_finds_its_watch() -> None:
    connect = Connected()
    known = viewers.Viewers(connect)
    for _ in range(3):
        async with known.of("a") as viewer, viewer.following(NETWORKS):
            pass
    assert [api.watches for _, api in connect.made] == [1]
    await known.close()


@pytest.mark.parametrize(
    ("bound", "most"), [("streaming", viewers.MOST_STREAMS), ("acting", viewers.MOST_ACTIONS)]
)
async def test_a_viewer_may_do_so_much_at_once_and_no_more(bound: str, most: int) -> None:
    known = viewers.Viewers(Connected())
    async with known.of("a") as viewer, known.of("b") as other:
        begin = getattr(viewer, bound)
        under_way = [begin() for _ in range(most)]
        for one in under_way:
            one.__enter__()
        with pytest.raises(viewers.TooMuch), begin():
            pass
        with getattr(other, bound)():
            pass
        under_way.pop().__exit__(None, None, None)
        with begin():
            pass
        for one in under_way:
            one.__exit__(None, None, None)
    await known.close()


async def test_there_may_be_so_many_viewers_and_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "MOST_VIEWERS", 1)
    monkeypatch.setattr(viewers, "MOST_WATCHES", 1)
    known = viewers.Viewers(Connected())
    async with known.of("a") as viewer:
        with pytest.raises(viewers.TooMuch):
            async with known.of("b"):
                pass
        async with viewer.following(NETWORKS):
            with pytest.raises(viewers.TooMuch):
                async with viewer.following((*NETWORKS, Read(resources.NODES))):
                    pass
    await known.close()


async def test_who_left_longest_ago_makes_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "MOST_VIEWERS", 2)
    connect = Connected()
    known = viewers.Viewers(connect)
    for token in ("a", "b"):
        async with known.of(token):
            pass
    async with known.of("c"):
        async with asyncio.timeout(PATIENCE):
            await connect.made[0][1].closed.wait()
        assert not connect.made[1][1].closed.is_set()
    await known.close()


async def test_watches_that_nobody_needs_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "MOST_WATCHES", 1)
    monkeypatch.setattr(viewers, "MOST_OBJECTS_OF_ALL", 1)
    known = viewers.Viewers(Connected())
    async with known.of("a") as viewer, known.of("b") as other:
        async with viewer.following((Read(resources.NODES),)):
            pass
        async with viewer.following(NETWORKS) as (store,):
            assert len(store.objects()) == 1
        async with other.following(NETWORKS) as (store,):
            assert [one["metadata"]["name"] for one in store.objects()] == ["b"]
            assert not store.left_out
            async with viewer.following(NETWORKS) as (store,):
                assert (store.objects(), store.left_out) == ((), 1)
    await known.close()


async def test_a_page_that_tells_of_a_kind_shares_its_watch_with_one_that_does_not() -> None:
    connect = Connected()
    known = viewers.Viewers(connect)
    aside = (Read(resources.NETWORKS, is_aside=True),)
    async with (
        known.of("a") as viewer,
        viewer.following(NETWORKS) as first,
        viewer.following(aside) as second,
    ):
        assert first == second
    await known.close()


class Slow(Api):
    """It takes some turns of the loop to connect."""

    async def __aenter__(self) -> Self:
        for _ in range(3):
            await asyncio.sleep(0)
        return self


async def test_two_first_requests_with_one_token_are_one_viewer() -> None:
    made: list[Slow] = []

    def connect(token: str) -> Slow:
        made.append(Slow(token))
        return made[-1]

    known = viewers.Viewers(connect)
    both = asyncio.Barrier(2)

    async def request() -> viewers.Viewer:
        async with known.of("a") as viewer:
            await both.wait()
            return viewer

    async with asyncio.timeout(PATIENCE):
        one, other = await asyncio.gather(request(), request())
    assert one is other
    await known.close()
    assert len(made) == 1
    assert made[0].closed.is_set()
