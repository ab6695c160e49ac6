"""Every rule of a NetworkAttachmentDefinition: what it gives, or which field it refuses and why."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors, model
from weft.api import nad

BASE: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "type": "ovn-k8s-cni-overlay",
    "name": "blue",
    "netAttachDefName": "ns1/blue",
    "topology": "layer2",
}
ABSENT = object()


def definition(config: object, **changes: object) -> dict[str, Any]:
    if isinstance(config, dict):
        merged = {**config, **changes}
        config = json.dumps({key: value for key, value in merged.items() if value is not ABSENT})
    return {"metadata": {"namespace": "ns1", "name": "blue"}, "spec": {"config": config}}


def parsed(**changes: object) -> model.NetworkSpec:
    spec = nad.parse(definition(BASE, **changes))
    assert spec is not None
    return spec


def refused(obj: object, **options: Any) -> errors.InvalidInput:
    with pytest.raises(errors.InvalidInput) as caught:
        nad.parse(obj, **options)
    return caught.value


def nets(*texts: str) -> tuple[model.Subnet, ...]:
    return tuple(ip_network(text) for text in texts)


def test_defaults() -> None:
    assert parsed() == model.NetworkSpec("blue", model.Topology.LAYER2, 1400)
    assert nad.parse(definition(BASE), default_mtu=8900) == model.NetworkSpec(
        "blue", model.Topology.LAYER2, 8900
    )
    localnet = parsed(topology="localnet")
    assert (localnet.mtu, localnet.physical_network) == (1500, "blue")


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"mtu": 1300}, "mtu", 1300),
        ({"MTU": 1300}, "mtu", 1300),
        ({"mtu": 576}, "mtu", 576),
        ({"mtu": 65535}, "mtu", 65535),
        ({"mtu": 1280, "subnets": "fd00::/64"}, "mtu", 1280),
        ({"mtu": None}, "mtu", 1400),
        ({"subnets": "10.1.0.0/24"}, "subnets", nets("10.1.0.0/24")),
        ({"subnets": " 10.1.0.9/24 , fd00::/64 "}, "subnets", nets("10.1.0.0/24", "fd00::/64")),
        ({"subnets": "fd00::/64,10.1.0.0/30"}, "subnets", nets("fd00::/64", "10.1.0.0/30")),
        ({"subnets": ""}, "subnets", ()),
        (
            {"subnets": "10.1.0.0/24", "excludeSubnets": "10.1.0.0/28,10.1.0.99/32"},
            "exclude_subnets",
            nets("10.1.0.0/28", "10.1.0.99/32"),
        ),
        (
            {
                "subnets": "10.1.0.0/24",
                "reservedSubnets": "10.1.0.0/28",
                "infrastructureSubnets": "10.1.0.16/28",
            },
            "reserved_subnets",
            nets("10.1.0.0/28", "10.1.0.16/28"),
        ),
        ({"topology": "localnet", "vlanID": 1}, "vlan_id", 1),
        ({"topology": "localnet", "vlanID": 4094}, "vlan_id", 4094),
        ({"topology": "localnet", "physicalNetworkName": "rack"}, "physical_network", "rack"),
        ({"topology": "localnet", "role": "secondary"}, "role", "secondary"),
        ({"role": ""}, "role", "secondary"),
        ({"role": "secondary"}, "role", "secondary"),
        ({"allowPersistentIPs": True}, "allow_persistent_ips", True),
        (
            {"topology": "layer3", "subnets": "10.128.0.0/14/23,fd00::/48"},
            "host_prefix",
            (23, 64),
        ),
        ({"topology": "layer3", "subnets": "10.128.0.0/14"}, "host_prefix", (24,)),
        (
            {"topology": "layer3", "subnets": "10.0.0.0/16/24,10.1.0.0/16"},
            "subnets",
            nets("10.0.0.0/16", "10.1.0.0/16"),
        ),
        ({"joinSubnet": "100.66.0.0/16", "deviceID": "x", "ipam": {}}, "name", "blue"),
        ({"cniVersion": ABSENT, "prevResult": {}, "somethingNew": [1]}, "name", "blue"),
        ({"transport": "geneve"}, "name", "blue"),
        (
            {"subnets": "10.1.0.0/24", "dhcp": {"enabled": False}},
            "dhcp",
            model.Dhcp(enabled=False),
        ),
        (
            {
                "subnets": "10.1.0.0/24,fd00::/64",
                "dhcp": {
                    "leaseSeconds": 60,
                    "routers": ["10.1.0.1"],
                    "dns": ["9.9.9.9", "fd00::53"],
                    "domain": "a.example",
                },
            },
            "dhcp",
            model.Dhcp(
                lease_seconds=60,
                routers=(ip_address("10.1.0.1"),),
                dns=(ip_address("9.9.9.9"), ip_address("fd00::53")),
                domain="a.example",
            ),
        ),
    ],
)
def test_accepted(changes: dict[str, object], field: str, value: object) -> None:
    assert getattr(parsed(**changes), field) == value


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"name": ABSENT}, "name", "missing"),
        ({"name": ""}, "name", "missing"),
        ({"name": 5}, "name", "must be a string"),
        ({"name": "default"}, "name", "cluster's own network"),
        ({"name": "ovn-kubernetes"}, "name", "cluster's own network"),
        ({"name": "a b"}, "name", "letters, digits"),
        ({"netAttachDefName": ABSENT}, "netAttachDefName", 'must be "ns1/blue"'),
        ({"netAttachDefName": "ns2/blue"}, "netAttachDefName", 'must be "ns1/blue"'),
        ({"netAttachDefName": "blue"}, "netAttachDefName", 'must be "ns1/blue"'),
        ({"cniVersion": "9.9"}, "cniVersion", "not a CNI version"),
        ({"cniVersion": 1}, "cniVersion", "must be a string"),
        ({"topology": ABSENT}, "topology", "one of layer2, layer3, localnet"),
        ({"topology": "Layer2"}, "topology", "one of layer2, layer3, localnet"),
        ({"topology": 2}, "topology", "must be a string"),
        ({"role": "primary"}, "role", "not served"),
        ({"role": "Secondary"}, "role", "must be secondary"),
        ({"role": "primary", "topology": "localnet"}, "role", "always secondary"),
        ({"mtu": 0}, "mtu", "at least 576"),
        ({"mtu": 575}, "mtu", "at least 576"),
        ({"mtu": -1}, "mtu", "at least 576"),
        ({"mtu": 65536}, "mtu", "at most 65535"),
        ({"mtu": 1279, "subnets": "fd00::/64"}, "mtu", "at least 1280"),
        ({"mtu": "1300"}, "mtu", "whole number"),
        ({"mtu": 1300.5}, "mtu", "whole number"),
        ({"mtu": True}, "mtu", "whole number"),
        ({"subnets": ["10.1.0.0/24"]}, "subnets", "must be a string"),
        ({"subnets": "10.1.0.0"}, "subnets", "must be a subnet"),
        ({"subnets": "10.1.0.0/24,"}, "subnets", "empty item"),
        ({"subnets": "10.1.0.0/24;fd00::/64"}, "subnets", "must be a subnet"),
        ({"subnets": "10.1.0.0/16/24"}, "subnets", "only topology layer3"),
        ({"subnets": "10.1.0.0/24,10.1.0.0/25"}, "subnets", "second IPv4 subnet"),
        ({"subnets": "fd00::/64,fd01::/64"}, "subnets", "second IPv6 subnet"),
        ({"subnets": "10.1.0.0/31"}, "subnets", "too small"),
        ({"subnets": "fd00::1/128"}, "subnets", "too small"),
        ({"subnets": "224.1.0.0/24"}, "subnets", "multicast"),
        ({"excludeSubnets": "10.1.0.0/28"}, "excludeSubnets", "no subnets"),
        (
            {"subnets": "10.1.0.0/24", "excludeSubnets": "10.2.0.0/28"},
            "excludeSubnets",
            "outside of subnets 10.1.0.0/24",
        ),
        (
            {"subnets": "10.1.0.0/24", "excludeSubnets": "10.1.0.0/16"},
            "excludeSubnets",
            "outside of subnets",
        ),
        (
            {"subnets": "10.1.0.0/24", "excludeSubnets": "10.1.0.0/24"},
            "excludeSubnets",
            "no address",
        ),
        (
            {"subnets": "10.1.0.0/24", "excludeSubnets": "10.1.0.1"},
            "excludeSubnets",
            "must be a subnet",
        ),
        (
            {"topology": "layer3", "subnets": "10.1.0.0/16", "excludeSubnets": "10.1.0.0/28"},
            "excludeSubnets",
            "only on topology layer2 and localnet",
        ),
        (
            {"topology": "localnet", "subnets": "10.1.0.0/16", "reservedSubnets": "10.1.0.0/28"},
            "reservedSubnets",
            "only on topology layer2",
        ),
        ({"topology": "layer3"}, "subnets", "missing"),
        ({"topology": "layer3", "subnets": "10.1.0.0/24/24"}, "subnets", "longer than the /24"),
        ({"topology": "layer3", "subnets": "10.1.0.0/24"}, "subnets", "longer than the /24"),
        ({"topology": "layer3", "subnets": "10.1.0.0/16/31"}, "subnets", "/29 is the smallest"),
        ({"topology": "layer3", "subnets": "10.1.0.0/16/x"}, "subnets", "a number"),
        ({"topology": "layer3", "subnets": "fd00::/48/80"}, "subnets", "not a /64"),
        (
            {"topology": "layer3", "subnets": "10.1.0.0/16/24,10.2.0.0/16/25"},
            "subnets",
            "one length",
        ),
        (
            {"topology": "layer3", "subnets": "10.1.0.0/16,10.1.8.0/21"},
            "subnets",
            "overlaps 10.1.0.0/16 of the same network",
        ),
        (
            {"topology": "layer3", "subnets": "10.1.0.0/16", "allowPersistentIPs": True},
            "allowPersistentIPs",
            "impossible on topology layer3",
        ),
        ({"allowPersistentIPs": "yes"}, "allowPersistentIPs", "true or false"),
        ({"ipam": {"type": "whereabouts"}}, "ipam", "not supported"),
        ({"ipam": "static"}, "ipam", "must be an object"),
        ({"vlanID": 5}, "vlanID", "only on topology localnet"),
        ({"topology": "localnet", "vlanID": 0}, "vlanID", "from 1 to 4094"),
        ({"topology": "localnet", "vlanID": 4095}, "vlanID", "from 1 to 4094"),
        ({"topology": "localnet", "vlanID": "5"}, "vlanID", "whole number"),
        ({"physicalNetworkName": "rack"}, "physicalNetworkName", "only on topology localnet"),
        ({"topology": "localnet", "physicalNetworkName": "a,b"}, "physicalNetworkName", "comma"),
        ({"topology": "localnet", "joinSubnet": "100.66.0.0/16"}, "joinSubnet", "no place"),
        ({"joinSubnet": 5}, "joinSubnet", "must be a string"),
        (
            {"topology": "layer3", "subnets": "10.0.0.0/16", "defaultGatewayIPs": "10.0.0.1"},
            "defaultGatewayIPs",
            "only on topology layer2",
        ),
        ({"transport": "no-overlay"}, "transport", "Geneve"),
        ({"logfile-maxsize": "5"}, "logfile-maxsize", "whole number"),
        ({"evpn": []}, "evpn", "must be an object"),
        ({"dhcp": True}, "dhcp", "must be an object"),
        ({"dhcp": {"enabled": True}}, "dhcp.enabled", "needs subnets"),
        ({"subnets": "10.1.0.0/24", "dhcp": {"lease": 5}}, "dhcp.lease", "is none of"),
        ({"subnets": "10.1.0.0/24", "dhcp": {"leaseSeconds": 59}}, "dhcp.leaseSeconds", "from 60"),
        (
            {"subnets": "10.1.0.0/24", "dhcp": {"routers": "10.1.0.1"}},
            "dhcp.routers",
            "list of strings",
        ),
        (
            {"subnets": "10.1.0.0/24", "dhcp": {"routers": ["10.2.0.1"]}},
            "dhcp.routers[0]",
            "must lie in subnet 10.1.0.0/24",
        ),
        (
            {"subnets": "fd00::/64", "dhcp": {"routers": ["fd00::1"]}},
            "dhcp.routers[0]",
            "DHCPv6 cannot name a router",
        ),
        (
            {"subnets": "10.1.0.0/24", "dhcp": {"dns": ["fd00::1"]}},
            "dhcp.dns[0]",
            "none of that family",
        ),
        ({"subnets": "10.1.0.0/24", "dhcp": {"dns": ["x"]}}, "dhcp.dns[0]", "must be an address"),
        ({"subnets": "10.1.0.0/24", "dhcp": {"domain": "a b"}}, "dhcp.domain", "DNS name"),
    ],
)
def test_refused(changes: dict[str, object], field: str, rule: str) -> None:
    problems = nad.problems(definition(BASE, **changes))
    assert [problem.field for problem in problems] == [f"spec.config.{field}"]
    assert str(problems[0]).startswith(f"NetworkAttachmentDefinition ns1/blue: spec.config.{field}")
    assert rule in problems[0].rule
    assert refused(definition(BASE, **changes)).rule == problems[0].rule


def test_all_problems_are_found_and_the_first_is_raised() -> None:
    broken = definition(BASE, name="default", mtu="1300", vlanID=3, subnets="zz")
    fields = [problem.field.rsplit(".", 1)[1] for problem in nad.problems(broken)]
    assert fields == ["name", "subnets", "mtu", "vlanID"]
    assert refused(broken).field == "spec.config.name"


@pytest.mark.parametrize(
    "obj",
    [
        definition(BASE, type="macvlan"),
        definition(BASE, type=ABSENT),
        definition({"plugins": [{"type": "macvlan"}, {"type": "tuning"}], "name": "blue"}),
        definition({"plugins": [], "name": "blue"}),
        {"metadata": {"namespace": "ns1", "name": "blue"}},
        {"metadata": {"namespace": "ns1", "name": "blue"}, "spec": {"config": ""}},
    ],
)
def test_of_another_plugin(obj: object) -> None:
    assert nad.parse(obj) is None
    assert nad.problems(obj) == []


def test_list_form_of_one_plugin() -> None:
    plugin = {key: value for key, value in BASE.items() if key not in ("name", "cniVersion")}
    listed = {"name": "blue", "cniVersion": "1.0.0", "plugins": [plugin]}
    assert nad.parse(definition(listed)) == parsed()
    wrong = {**listed, "plugins": [{**plugin, "mtu": 5}]}
    assert refused(definition(wrong)).field == "spec.config.plugins[0].mtu"


def test_list_form_refused() -> None:
    chained = definition({"name": "blue", "plugins": [BASE, {"type": "tuning"}]})
    assert "chains 2 plugins" in refused(chained).rule
    assert "not both" in refused(definition({**BASE, "plugins": [BASE]})).rule
    assert "must be a list" in refused(definition({**BASE, "plugins": BASE})).rule


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ('{"type": "ovn-k8s-cni-overlay",\n "mtu": 1300\n "name": "blue"}', "line 3, column 2"),
        ("[]", "must hold a JSON object, not a list"),
        (5, "must be a string that holds JSON, not a number"),
    ],
)
def test_malformed(config: object, rule: str) -> None:
    error = refused(definition(config))
    assert error.field == "spec.config"
    assert rule in error.rule


def test_reserved_ranges() -> None:
    reserved = (("the cluster's pods", ip_network("10.244.0.0/16")),)
    error = refused(definition(BASE, subnets="10.244.8.0/24"), reserved=reserved)
    assert "overlaps 10.244.0.0/16, the cluster's pods" in error.rule
    assert nad.parse(definition(BASE, subnets="10.245.8.0/24"), reserved=reserved)
    localnet = definition(BASE, subnets="10.244.8.0/24", topology="localnet")
    assert nad.parse(localnet, reserved=reserved)


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
    nad.check_underlay(parsed(mtu=1500, topology="localnet"), 1500)
    with pytest.raises(errors.InvalidInput) as caught:
        nad.check_underlay(parsed(mtu=1443), 1500, where="NetworkAttachmentDefinition ns1/blue")
    assert "mtu 1443" in str(caught.value)
    assert "1500" in str(caught.value)
    assert "1442" in caught.value.hint
    with pytest.raises(errors.InvalidInput):
        nad.check_underlay(parsed(mtu=1423), 1500, family=6)


def test_slips_of_keys_are_told() -> None:
    assert nad.ignored_keys(definition(BASE, subnet="10.1.0.0/24")) == [
        "spec.config.subnet is ignored; did you mean subnets?"
    ]
    assert nad.ignored_keys(definition(BASE, prevResult={}, mtu=1300)) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "name",
        "netAttachDefName",
        "topology",
        "role",
        "mtu",
        "subnets",
        "excludeSubnets",
        "reservedSubnets",
        "vlanID",
        "dhcp",
        "ipam",
        "plugins",
        "physicalNetworkName",
        "transport",
        "evpn",
        "cniVersion",
    ]
)


@given(st.dictionaries(KEYS, JSON, max_size=5), st.sampled_from(("layer2", "layer3", "localnet")))
def test_any_field_of_any_type_is_parsed_or_refused(changes: dict[str, Any], topology: str) -> None:
    obj = definition({**BASE, "topology": topology}, **changes)
    problems = nad.problems(obj)
    assert all(str(each).startswith("NetworkAttachmentDefinition ns1/blue: ") for each in problems)
    if problems:
        assert str(refused(obj)) == str(problems[0])
    else:
        nad.parse(obj)


@given(JSON | st.dictionaries(st.sampled_from(("metadata", "spec")), JSON))
def test_any_object_is_parsed_or_refused(obj: object) -> None:
    nad.ignored_keys(obj)
    for problem in nad.problems(obj):
        assert str(problem)
