"""What a client does over minutes at a server that refuses, forgets or does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support import hasty
from tests.support.memory_api import MemoryApi
from weft.kube import cache, errors, events, lease, queue, resources
from weft.kube.resources import Resource

FORBIDDEN = errors.from_status({"reason": "Forbidden", "message": "may not"}, 403)
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "a", "uid": "u1"},
}


class Moody(MemoryApi):
    """Watches answer with `mood`, an error or "silent", for as long as it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.mood: errors.ApiError | str = ""
        self.lists = 0
        self.refused = 0
        self.answered = asyncio.Event()

    async def list(self, res: Resource, namespace: str = "", **options: Any) -> Any:
        self.lists += 1
        return await super().list(res, namespace, **options)

    async def watch(  # type: ignore[override]
        self, res: Resource, resource_version: str, namespace: str = "", **options: Any
    ) -> AsyncIterator[tuple[str, Any]]:
        if isinstance(self.mood, errors.Expired):
            options["on_state"]("")  # the server takes the watch, and then says so in an event
        if isinstance(self.mood, errors.ApiError):
            raise self.mood
        if self.mood == "silent":
            options["on_state"]("no answer from the Kubernetes API")
            await self.answered.wait()
        async for each in super().watch(res, resource_version, namespace, **options):
            yield each

    async def create(self, res: Resource, obj: Any) -> Any:
        if isinstance(self.mood, errors.ApiError):
            self.refused += 1
            raise self.mood
        return await super().create(res, obj)


REFUSALS = {
    "403": FORBIDDEN,
    "410": errors.from_status({"reason": "Expired", "message": "too old"}, 410),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_server_that_refuses_each_watch_is_not_listed_in_a_tight_loop(code: str) -> None:
    async def main() -> None:
        api = Moody()
        api.mood = REFUSALS[code]
        followed = cache.Cache(api, resources.PODS)
        task = asyncio.create_task(followed.run())
        await asyncio.sleep(600)
        assert 60 <= api.lists <= 130
        assert followed.trouble
        api.mood = ""
        await asyncio.sleep(25)
        assert followed.trouble == ""
        api.put(resources.PODS, POD)
        found = await followed.wait_for("a/web", lambda _: True, 1)
        assert found["metadata"]["uid"] == "u1"
        task.cancel()

    hasty.run(main())


def test_one_410_after_a_watch_that_lasted_is_listed_again_at_once() -> None:
    async def main() -> None:
        api = Moody()
        followed = cache.Cache(api, resources.PODS)
        task = asyncio.create_task(followed.run())
        await asyncio.sleep(100)
        followed._follow = _once(followed, REFUSALS["410"])  # type: ignore[method-assign]
        task.cancel()
        task = asyncio.create_task(followed.run())
        await asyncio.sleep(0.5)
        assert api.lists == 3
        assert followed.trouble == ""
        task.cancel()

    hasty.run(main())


def _once(followed: cache.Cache, error: errors.ApiError) -> Any:
    original, raised = followed._follow, False

    async def follow(version: str) -> None:
        nonlocal raised
        if not raised:
            raised = True
            raise error
        await original(version)

    return follow


def test_a_view_is_out_of_date_when_the_server_is_silent_for_long_and_not_before() -> None:
    async def main() -> None:
        api = Moody()
        api.mood = "silent"
        followed = cache.Cache(api, resources.PODS)
        task = asyncio.create_task(followed.run())
        await asyncio.sleep(cache.CUT_OFF / 2)
        assert followed.trouble == ""
        await asyncio.sleep(cache.CUT_OFF)
        assert "cannot be followed for 15 s: no answer" in followed.trouble
        api.mood = ""
        api.answered.set()
        await asyncio.sleep(2)
        assert followed.trouble == ""
        task.cancel()

    hasty.run(main())


@pytest.mark.parametrize("code", [401, 403])
def test_what_is_refused_is_tried_again_and_told_until_it_is_granted(code: int) -> None:
    async def main() -> None:
        refusal: errors.ApiError | None = errors.from_status({"message": "may not"}, code)
        times: list[float] = []

        async def reconcile(key: str) -> None:
            times.append(asyncio.get_running_loop().time())
            if refusal is not None:
                raise refusal

        due = queue.Queue()
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
            raise errors.errors.InvalidInput("Pod a/one", "field", "value", "is wrong")

        due = queue.Queue()
        task = asyncio.create_task(due.run(reconcile))
        due.add("a/one")
        await due.idle()
        assert due.trouble == ""
        task.cancel()

    hasty.run(main())


def test_an_event_that_is_refused_is_told_when_it_may_be() -> None:
    async def main() -> None:
        api = Moody()
        api.mood = FORBIDDEN
        recorder = events.Recorder(api, "test")
        task = asyncio.create_task(recorder.run())
        recorder.emit(POD, "Warning", "Reason", "message")
        await asyncio.sleep(60)
        assert 3 <= api.refused <= 8
        api.mood = ""
        await recorder.flushed()
        (told,) = api.all(resources.EVENTS).values()
        assert (told["message"], told["count"]) == ("message", 1)
        api.mood = FORBIDDEN
        recorder.emit(POD, "Warning", "Reason", "never")
        await recorder.flushed()  # not for ever
        task.cancel()

    hasty.run(main())


def test_a_copy_whose_view_of_the_lease_ends_says_so_and_does_not_wait_for_ever() -> None:
    class Broken(MemoryApi):
        async def list(self, res: Resource, namespace: str = "", **_: Any) -> Any:
            raise RuntimeError("a mistake in the code")

    async def main() -> None:
        elector = lease.Elector(Broken(), "boss", "default", "one")
        with pytest.raises(RuntimeError, match="a mistake"):
            async with asyncio.timeout(60):
                await elector.lead(asyncio.Event().wait)  # type: ignore[arg-type]

    hasty.run(main())


def test_a_copy_that_may_not_write_the_lease_says_so_and_leads_when_it_may() -> None:
    async def main() -> None:
        api = Moody()
        api.mood = FORBIDDEN
        leading = asyncio.Event()

        async def work() -> None:
            leading.set()
            await asyncio.Event().wait()

        elector = lease.Elector(api, "boss", "default", "one")
        task = asyncio.create_task(elector.lead(work))
        await asyncio.sleep(60)
        assert "may not" in elector.trouble
        assert not leading.is_set()
        api.mood = ""
        await leading.wait()
        assert elector.trouble == ""
        task.cancel()

    hasty.run(main())
