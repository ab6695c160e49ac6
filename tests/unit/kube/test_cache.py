"""What a cache makes of two states of the world, and when it lists again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import hasty
from tests.support.patience import PATIENCE
from tests.unit.kube.moody import FORBIDDEN, Moody
from weft import listeners
from weft.kube import cache, client, errors, resources
from weft.kube.client import Object


def pod(uid: str, version: str) -> Object:
    return {"metadata": {"name": "p", "namespace": "a", "uid": uid, "resourceVersion": version}}


def test_a_name_taken_by_another_incarnation_is_an_end_and_a_beginning() -> None:
    old, new = pod("1", "5"), pod("2", "9")
    assert cache.steps("a/p", old, new, cache.version) == (
        cache.Change("a/p", old, None),
        cache.Change("a/p", None, new),
    )


def test_the_same_version_again_is_no_change() -> None:
    assert cache.steps("a/p", pod("1", "5"), pod("1", "5"), cache.version) == ()
    assert cache.steps("a/p", None, None, cache.version) == ()
    assert len(cache.steps("a/p", pod("1", "5"), pod("1", "6"), cache.version)) == 1


worlds = st.dictionaries(
    st.sampled_from(["a/1", "a/2", "b/1", "b/2", "c/1"]),
    st.builds(pod, st.sampled_from("12"), st.sampled_from("345")),
)


@given(worlds, worlds)
def test_differences_lead_from_one_world_to_the_other(
    have: dict[str, Object], listed: dict[str, Object]
) -> None:
    world = dict(have)
    for change in cache.differences(have, listed, cache.version):
        assert world.get(change.key) is change.old  # nobody hears of a change from a wrong state
        if change.old is not None and change.new is not None:
            assert change.old["metadata"]["uid"] == change.new["metadata"]["uid"]
        if change.new is None:
            del world[change.key]
        else:
            world[change.key] = change.new
    assert world == listed


class Listed(list[Object]):
    resource_version = "1"


class Forgetful:
    """A server whose lists are there and whose watches have always expired."""

    def __init__(self, *objects: Object) -> None:
        self.objects = objects

    async def list(self, *_: Any, **__: Any) -> Listed:
        kind = {"kind": "Pod", "apiVersion": "v1"}
        return Listed([{**kind, **obj} for obj in self.objects])

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise client.Expired(410, "Expired", "too old resource version")
        yield


async def test_a_reader_that_fails_hears_of_the_object_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "PAUSES", (0.001, 0.01))
    followed = cache.Cache(Forgetful(pod("1", "5")), resources.PODS)  # type: ignore[arg-type]
    heard: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
    failures = [RuntimeError("a mistake of the reader")] * 3

    def fail(key: str, old: Object | None, new: Object | None) -> None:
        if failures:
            raise failures.pop()
        heard.put_nowait((key, old is None))

    followed.subscribe(fail)
    await followed._relist()
    assert "pods" in followed.trouble
    async with asyncio.timeout(PATIENCE):
        assert await heard.get() == ("a/p", True)
    assert followed.trouble == ""


@dataclass(frozen=True)
class Labels:
    labels: Object
    version: cache.Version = field(compare=False)


async def test_what_parses_alike_is_no_news() -> None:
    """Where only labels are read, a status is no change."""
    server = Forgetful(pod("1", "1"))
    labels = cache.Informer(
        server,  # type: ignore[arg-type]
        resources.PODS,
        lambda obj: Labels(obj["metadata"].get("labels", {}), cache.version(obj)),
        lambda seen: seen.version,
    )
    heard: list[Labels | None] = []
    labels.subscribe(lambda key, old, new: heard.append(new))
    for version, own in [("1", {}), ("2", {}), ("3", {"a": "b"}), ("4", {"a": "b"})]:
        seen = pod("1", version)
        seen["metadata"]["labels"] = own
        server.objects = (seen,)
        await labels._relist()
    assert [each and each.labels for each in heard] == [{}, {"a": "b"}]
    kept = labels.get("a/p")
    assert kept is not None
    assert kept.version == ("1", "4"), "what is stored is the newest all the same"


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "a", "uid": "u1"},
}


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
