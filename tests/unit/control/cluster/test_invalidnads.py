"""Invalid NADs by the network that each is about, however they change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weft import model
from weft.control.cluster.invalidnads import InvalidNads
from weft.control.cluster.nads import Nad
from weft.model import ObjectKey

BLUE = model.NetworkSpec("blue", model.Topology.LAYER2, 1400)
ONE = ObjectKey("a", "one")
KEYS = (ONE, ObjectKey("b", "two"))
NADS = st.one_of(
    st.none(),
    st.builds(
        lambda problem, named, accepted: Nad(
            ONE, "", "", problem=problem, named=named, accepted=accepted
        ),
        st.sampled_from(["", "bad"]),
        st.sampled_from(["", "red", "green"]),
        st.sampled_from([None, BLUE]),
    ),
)


@given(st.lists(st.tuples(st.sampled_from(KEYS), NADS)))
def test_lists_are_what_the_nads_say_now(changes: list[tuple[ObjectKey, Nad | None]]) -> None:
    listed, now = InvalidNads(), dict[ObjectKey, Nad | None]()
    for key, nad in changes:
        before = {network: listed.of(network) for network in listed.networks()}
        touched = listed.set(key, nad)
        now[key] = nad
        after = {network: listed.of(network) for network in listed.networks()}
        assert {n for n in {*before, *after} if before.get(n) != after.get(n)} <= touched
    expected: dict[str, set[ObjectKey]] = {}
    for key, nad in now.items():
        if nad is not None and nad.problem:
            expected.setdefault(nad.about, set()).add(key)
    assert {network: listed.of(network) for network in listed.networks()} == expected


def test_what_an_invalid_nad_is_about() -> None:
    assert Nad(ONE, "", "", problem="bad").about == "a/one"
    assert Nad(ONE, "", "", problem="bad", named="red").about == "red"
    assert Nad(ONE, "", "", problem="bad", named="red", accepted=BLUE).about == "blue"
