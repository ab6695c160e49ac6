from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors, model
from weft.api import bandwidth
from weft.api.fields import Fields

RATES = st.none() | st.builds(
    model.Rate,
    st.integers(bandwidth.SMALLEST, bandwidth.LARGEST),
    st.integers(0, bandwidth.LARGEST),
)


def read(value: object) -> tuple[model.Bandwidth, list[str]]:
    found: list[errors.InvalidInput] = []
    made = bandwidth.read(Fields("Pod shop/web", "", {"bandwidth": value}, found))
    return made, [str(each) for each in found]


@given(st.builds(model.Bandwidth, RATES, RATES))
def test_what_is_rendered_is_read(one: model.Bandwidth) -> None:
    assert read(bandwidth.render(one)) == (one, [])


def test_a_rate_of_zero_says_nothing() -> None:
    assert read({"ingressRate": 0, "ingressBurst": 0}) == (model.Bandwidth(), [])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"ingressRate": 999}, "bandwidth.ingressRate 999: must be from 1000 to"),
        ({"egressRate": 10**16}, "must be from 1000 to 1000000000000000 bits a second"),
        ({"egressRate": 1000, "egressBurst": -1}, "egressBurst -1: must be from 0"),
        ({"ingressBurst": 5}, "ingressBurst 5: has no effect without ingressRate"),
        ({"rate": 5}, "is not a field here"),
        ({"ingressRate": "10M"}, "must be a whole number"),
        ([], "must be an object"),
    ],
)
def test_what_breaks_a_rule_is_named(value: object, problem: str) -> None:
    made, (message,) = read(value)
    assert made == model.Bandwidth()
    assert problem in message


INGRESS, EGRESS = bandwidth.ANNOTATIONS


def test_a_pods_annotations_are_quantities() -> None:
    found = bandwidth.of_pod("Pod shop/web", {INGRESS: "10M", EGRESS: "1Gi"})
    assert found == model.Bandwidth(model.Rate(10_000_000), model.Rate(1 << 30))
    assert bandwidth.of_pod("Pod shop/web", {}) == model.Bandwidth()


@pytest.mark.parametrize(("text", "rule"), [("fast", "is not a quantity"), ("1", "from 1k to 1P")])
def test_a_pods_annotation_that_is_none_is_refused(text: str, rule: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rule) as caught:
        bandwidth.of_pod("Pod shop/web", {EGRESS: text})
    assert caught.value.field == EGRESS


def test_what_a_nic_asks_for_stands_over_the_rest() -> None:
    one, two = model.Rate(1000), model.Rate(2000)
    assert model.Bandwidth(one).over(model.Bandwidth(two, two)) == model.Bandwidth(one, two)
