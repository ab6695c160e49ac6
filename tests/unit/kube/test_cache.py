"""What a cache makes of two states of the world; following a server is tested in tests/real."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weft.kube import cache
from weft.kube.client import Object


def pod(uid: str, version: str) -> Object:
    return {"metadata": {"name": "p", "namespace": "a", "uid": uid, "resourceVersion": version}}


def test_a_name_taken_by_another_incarnation_is_an_end_and_a_beginning() -> None:
    old, new = pod("1", "5"), pod("2", "9")
    assert cache.steps("a/p", old, new) == (
        cache.Change("a/p", old, None),
        cache.Change("a/p", None, new),
    )


def test_the_same_version_again_is_no_change() -> None:
    assert cache.steps("a/p", pod("1", "5"), pod("1", "5")) == ()
    assert cache.steps("a/p", None, None) == ()
    assert len(cache.steps("a/p", pod("1", "5"), pod("1", "6"))) == 1


worlds = st.dictionaries(
    st.sampled_from(["a/1", "a/2", "b/1", "b/2", "c/1"]),
    st.builds(pod, st.sampled_from("12"), st.sampled_from("345")),
)


@given(worlds, worlds)
def test_differences_lead_from_one_world_to_the_other(
    have: dict[str, Object], listed: dict[str, Object]
) -> None:
    world = dict(have)
    for change in cache.differences(have, listed):
        assert world.get(change.key) is change.old  # nobody hears of a change from a wrong state
        if change.old is not None and change.new is not None:
            assert change.old["metadata"]["uid"] == change.new["metadata"]["uid"]
        if change.new is None:
            del world[change.key]
        else:
            world[change.key] = change.new
    assert world == listed
