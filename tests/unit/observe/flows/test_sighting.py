"""What a node answers is input: it has its form, or is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.flowed import AT, switched, tracked, zone_port
from weft.observe.flows import sighting
from weft.observe.flows.sighting import MOST, Look, Side, at

SEEN = (
    tracked(".1", ".2", "b", more=3, is_answered=True),
    tracked("::1", "::2", "a", passes=None),
    switched(Side("blue_a"), Side(mac="0a:58:0a:01:00:02"), passes=False, packets=7, bytes=700),
)
LOOK = Look(AT, (zone_port("a", 1),), SEEN, frozenset({"blue_a"}), 5, ("the log is gone",))


def changed(value: Any, *path: str | int) -> dict[str, Any]:
    made: Any = json.loads(json.dumps(sighting.render(LOOK)))
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return dict(made)


def test_an_answer_is_the_same_after_json() -> None:
    assert sighting.parse(changed(5, "left_off")) == LOOK


@pytest.mark.parametrize(
    "found",
    [
        {},
        changed("soon", "at"),
        changed(-1, "left_off"),
        changed(True, "left_off"),
        changed("10.1.0.999", "sightings", 0, "source", "address"),
        changed("maybe", "sightings", 0, "passes"),
        changed("rumour", "sightings", 0, "evidence"),
        changed(1 << 70, "sightings", 0, "bytes"),
        changed("x" * 1000, "sightings", 0, "at"),
        changed(None, "sightings", 0, "source"),
        changed([7], "ports"),
        changed([SEEN] * (MOST + 1), "sightings"),
        changed(["x"] * 1000, "notices"),
        changed(float("inf"), "at"),
    ],
)
def test_another_form_is_refused(found: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        sighting.parse(found)


def test_a_text_cannot_steer_a_terminal() -> None:
    (read,) = sighting.parse(changed(["\x1b[2Jgone"], "notices")).notices
    assert read == " [2Jgone"


def test_a_sighting_gets_its_times() -> None:
    assert (at(SEEN[0], 1.0, 2.0).first, at(SEEN[0], 1.0, 2.0).last) == (1.0, 2.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
)


@given(JSON, st.sampled_from([("at",), ("ports", 0), ("sightings", 0, "target"), ("tracked",)]))
def test_any_json_is_read_or_refused(value: Any, path: tuple[str | int, ...]) -> None:
    try:
        sighting.parse(changed(value, *path))
    except ValueError:
        pass
