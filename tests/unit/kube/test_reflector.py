"""What a reflector does over minutes at a server that refuses, forgets or does not answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support import hasty
from tests.unit.kube.moody import EXPIRED, FORBIDDEN, MOODS, Moody
from weft.kube import cache, errors, reflector, resources
from weft.kube.resources import Resource
from weft.model import ObjectKey

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "a", "uid": "u1"},
}


@pytest.mark.parametrize("mood", MOODS)
def test_a_server_that_ends_each_watch_is_not_asked_in_a_tight_loop(mood: str) -> None:
    async def main() -> None:
        api = Moody()
        api.mood = MOODS[mood]
        followed = cache.Cache(api, resources.PODS)
        task = asyncio.create_task(followed.run())
        await asyncio.sleep(600)
        assert 60 <= api.count("watch") <= 250  # pauses of 2.5 to 10 s, after some shorter ones
        assert api.count("list") == (api.count("watch") if mood == "410" else 1)
        assert followed.trouble
        api.mood = ""
        await asyncio.sleep(25)
        assert followed.trouble == ""
        api.put(resources.PODS, POD)
        found = await followed.wait_for(ObjectKey("a", "web"), lambda _: True, 1)
        assert found["metadata"]["uid"] == "u1"
        task.cancel()

    hasty.run(main())


def test_a_kind_that_the_server_may_lack_is_no_trouble() -> None:
    class Lacking(Moody):
        async def list(self, res: Resource, namespace: str = "", **_: Any) -> Any:
            raise errors.NotFound(404, "NotFound", "no such kind")

    async def main() -> None:
        for may_be_unknown in (True, False):
            followed = cache.Cache(Lacking(), resources.PODS, may_be_unknown=may_be_unknown)
            task = asyncio.create_task(followed.run())
            troubles = set()
            for _ in range(120):
                await asyncio.sleep(5)
                troubles.add(bool(followed.trouble))
            assert troubles == {not may_be_unknown}
            task.cancel()

    hasty.run(main())


def test_a_list_that_is_refused_is_not_asked_for_in_a_tight_loop() -> None:
    class Refusing(Moody):
        async def list(self, res: Resource, namespace: str = "", **_: Any) -> Any:
            self._note("list")
            if self.mood:
                raise FORBIDDEN
            return await super().list(res, namespace)

    async def main() -> None:
        api = Refusing()
        api.mood = "refusing"
        followed = cache.Cache(api, resources.PODS)
        task = asyncio.create_task(followed.run())
        await asyncio.sleep(600)
        assert 60 <= api.count("list") <= 130  # pauses of 5 to 10 s, likewise
        assert "may not" in followed.trouble
        assert not followed.is_synced
        api.mood = ""
        await asyncio.sleep(11)
        assert followed.is_synced
        assert followed.trouble == ""
        task.cancel()

    hasty.run(main())


def test_a_retry_after_is_obeyed() -> None:
    async def main() -> None:
        api = Moody()
        api.mood = errors.from_response(429, b"{}", "30")
        followed = cache.Cache(api, resources.PODS)
        task = asyncio.create_task(followed.run())
        await asyncio.sleep(600)
        times = [time for verb, time in api.asked if verb == "watch"]
        pauses = [after - before for before, after in itertools.pairwise(times)]
        assert min(pauses) >= 30
        assert len(times) > 10
        task.cancel()

    hasty.run(main())


def test_one_410_after_a_watch_that_lasted_is_listed_again_at_once() -> None:
    class Once(Moody):
        async def watch(  # type: ignore[override]
            self, res: Resource, resource_version: str, namespace: str = "", **options: Any
        ) -> AsyncIterator[tuple[str, Any]]:
            options["on_open"]()
            await asyncio.sleep(100)
            raise EXPIRED
            yield

    async def main() -> None:
        api = Once()
        followed = cache.Cache(api, resources.PODS)
        task = asyncio.create_task(followed.run())
        await asyncio.sleep(950)
        assert api.count("list") == 10
        assert followed.trouble == ""
        task.cancel()

    hasty.run(main())


@pytest.mark.parametrize("mood", ["silent", "cut", "500", "closing"])
def test_a_view_is_out_of_date_when_nothing_follows_for_long_and_not_before(mood: str) -> None:
    async def main() -> None:
        api = Moody()
        followed = cache.Cache(api, resources.PODS)
        api.mood = MOODS.get(mood, mood)
        task = asyncio.create_task(followed.run())
        await asyncio.sleep(reflector.CUT_OFF / 2)
        assert followed.trouble == ""
        await asyncio.sleep(reflector.CUT_OFF * 0.9)
        assert "pods cannot be followed for 14 s" in followed.trouble
        api.mood = ""
        api.answered.set()
        await asyncio.sleep(10)
        assert followed.trouble == ""
        task.cancel()

    hasty.run(main())
