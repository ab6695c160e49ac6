"""What a cache makes of two states of the world."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from weft import listeners
from weft.kube import cache, resources
from weft.kube.client import Object
from weft.model import ObjectKey

KEY = ObjectKey("a", "p")


def pod(uid: str, version: str) -> Object:
    return {"metadata": {"name": "p", "namespace": "a", "uid": uid, "resourceVersion": version}}


def test_a_name_taken_by_another_incarnation_is_an_end_and_a_beginning() -> None:
    old, new = pod("1", "5"), pod("2", "9")
    assert cache.steps(KEY, old, new, cache.version) == (
        cache.Change(KEY, old, None),
        cache.Change(KEY, None, new),
    )


def test_the_same_version_again_is_no_change() -> None:
    assert cache.steps(KEY, pod("1", "5"), pod("1", "5"), cache.version) == ()
    assert cache.steps(KEY, None, None, cache.version) == ()
    assert len(cache.steps(KEY, pod("1", "5"), pod("1", "6"), cache.version)) == 1


worlds = st.dictionaries(
    st.sampled_from(
        [ObjectKey("a", "1"), ObjectKey("a", "2"), ObjectKey("b", "1"), ObjectKey("c", "1")]
    ),
    st.builds(pod, st.sampled_from("12"), st.sampled_from("345")),
)


@given(worlds, worlds)
def test_differences_lead_from_one_world_to_the_other(
    have: dict[ObjectKey, Object], listed: dict[ObjectKey, Object]
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


def show(followed: cache.Informer[Any], *objects: Object) -> None:
    """A list of these."""
    followed.begin()
    for obj in objects:
        followed.add({"kind": "Pod", "apiVersion": "v1", **obj})
    followed.end()


async def test_a_reader_that_fails_hears_of_the_object_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "PAUSES", (0.001, 0.01))
    followed = cache.Cache(MemoryApi(), resources.PODS)
    received: asyncio.Queue[tuple[ObjectKey, bool]] = asyncio.Queue()
    failures = [RuntimeError("a mistake of the reader")] * 3

    def fail(key: ObjectKey, old: Object | None, new: Object | None) -> None:
        if failures:
            raise failures.pop()
        received.put_nowait((key, old is None))

    followed.subscribe(fail)
    show(followed, pod("1", "5"))
    assert "pods" in followed.trouble
    async with asyncio.timeout(PATIENCE):
        assert await received.get() == (KEY, True)
    assert followed.trouble == ""


@dataclass(frozen=True)
class Labels:
    labels: Object
    version: cache.Version = field(compare=False)


async def test_what_parses_alike_is_no_news() -> None:
    """Where only labels are read, a status is no change."""
    labels = cache.Informer(
        MemoryApi(),
        resources.PODS,
        lambda obj: Labels(obj["metadata"].get("labels", {}), cache.version(obj)),
        lambda seen: seen.version,
    )
    received: list[Labels | None] = []
    labels.subscribe(lambda key, old, new: received.append(new))
    for version, own in [("1", {}), ("2", {}), ("3", {"a": "b"}), ("4", {"a": "b"})]:
        seen = pod("1", version)
        seen["metadata"]["labels"] = own
        show(labels, seen)
    assert [each and each.labels for each in received] == [{}, {"a": "b"}]
    kept = labels.get(KEY)
    assert kept is not None
    assert kept.version == ("1", "4"), "what is stored is the newest all the same"
