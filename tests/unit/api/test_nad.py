"""NADs as a whole: whose, in which form, where two differ, what fits the underlay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.declared import ABSENT, GOOD, nad_object, parsed, refused
from weft import errors
from weft.api import nad


def test_all_problems_are_found_and_the_first_is_raised() -> None:
    broken = nad_object(GOOD, name="default", mtu="1300", vlanID=3, subnets="zz")
    fields = [problem.field.rsplit(".", 1)[1] for problem in nad.problems(broken)]
    assert fields == ["name", "subnets", "mtu", "vlanID"]
    assert refused(broken).field == "spec.config.name"


def test_of_very_many_problems_some_are_reported() -> None:
    assert len(nad.problems(nad_object(GOOD, subnets="zz," * 10_000))) == nad.MAX_PROBLEMS


@pytest.mark.parametrize(
    "obj",
    [
        nad_object(GOOD, type="macvlan"),
        nad_object(GOOD, type=ABSENT),
        nad_object({"plugins": [{"type": "macvlan"}, {"type": "tuning"}], "name": "blue"}),
        nad_object({"plugins": [], "name": "blue"}),
        {"metadata": {"namespace": "ns1", "name": "blue"}},
        {"metadata": {"namespace": "ns1", "name": "blue"}, "spec": {"config": ""}},
    ],
)
def test_of_another_plugin(obj: object) -> None:
    assert nad.parse(obj) is None
    assert nad.problems(obj) == []


def test_list_form_of_one_plugin() -> None:
    plugin = {key: value for key, value in GOOD.items() if key not in ("name", "cniVersion")}
    listed = {"name": "blue", "cniVersion": "1.0.0", "plugins": [plugin]}
    assert nad.parse(nad_object(listed)) == parsed()
    wrong = {**listed, "plugins": [{**plugin, "mtu": 5}]}
    assert refused(nad_object(wrong)).field == "spec.config.plugins[0].mtu"


def test_list_form_refused() -> None:
    chained = nad_object({"name": "blue", "plugins": [GOOD, {"type": "tuning"}]})
    assert "chains 2 plugins" in refused(chained).rule
    assert "not both" in refused(nad_object({**GOOD, "plugins": [GOOD]})).rule
    assert "must be a list" in refused(nad_object({**GOOD, "plugins": GOOD})).rule


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ('{"type": "ovn-k8s-cni-overlay",\n "mtu": 1300\n "name": "blue"}', "line 3, column 2"),
        ("[]", "must hold a JSON object, not a list"),
        (5, "must be a string that holds JSON, not a number"),
    ],
)
def test_malformed(config: object, rule: str) -> None:
    error = refused(nad_object(config))
    assert error.field == "spec.config"
    assert rule in error.rule


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"mtu": 1300}, "mtu"),
        ({"subnets": "10.1.0.0/25"}, "subnets"),
        ({"excludeSubnets": "10.1.0.0/28"}, "excludeSubnets"),
        ({"reservedSubnets": "10.1.0.0/28"}, "reservedSubnets"),
        ({"allowPersistentIPs": True}, "allowPersistentIPs"),
        ({"topology": "localnet", "mtu": 1400}, "topology"),
        ({"name": "red"}, "name"),
        ({"dhcp": {"leaseSeconds": 60}}, "dhcp.leaseSeconds"),
        ({"dhcp": {"enabled": False}}, "dhcp.enabled"),
        ({"dhcp": {"dns": ["9.9.9.9"]}}, "dhcp.dns"),
    ],
)
def test_difference_names_the_key(changes: dict[str, object], key: str) -> None:
    subnets = {"subnets": "10.1.0.0/24"}
    assert nad.difference(parsed(**subnets), parsed(**{**subnets, **changes})) == key


def test_a_default_by_name_is_no_difference() -> None:
    assert nad.difference(parsed(), parsed(portSecurity="strict")) is None
    assert nad.difference(parsed(), parsed(portSecurity="mac")) == "portSecurity"


def test_order_is_no_difference() -> None:
    assert (
        nad.difference(
            parsed(subnets="10.1.0.0/24,fd00::/64"), parsed(subnets="fd00::/64,10.1.0.0/24")
        )
        is None
    )


def test_underlay() -> None:
    nad.check_underlay(parsed(mtu=1442), 1500)
    nad.check_underlay(parsed(mtu=1422), 1500, family=6)
    nad.check_underlay(parsed(mtu=9000, topology="localnet"), 1500)
    with pytest.raises(errors.InvalidInput) as caught:
        nad.check_underlay(parsed(mtu=1443), 1500, where="NetworkAttachmentDefinition ns1/blue")
    assert "mtu 1443" in str(caught.value)
    assert "1500" in str(caught.value)
    assert "1442" in caught.value.hint
    with pytest.raises(errors.InvalidInput):
        nad.check_underlay(parsed(mtu=1423), 1500, family=6)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON | st.dictionaries(st.sampled_from(("metadata", "spec")), JSON))
def test_any_object_is_parsed_or_refused(obj: object) -> None:
    nad.ignored_keys(obj)
    for problem in nad.problems(obj):
        assert str(problem)
