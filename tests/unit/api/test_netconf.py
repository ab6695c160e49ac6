"""Every field of a configuration: what it gives, or which rule it breaks."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.declared import ABSENT, GOOD, nad_object, only_problem, parsed, refused
from weft import model
from weft.api import nad
from weft.model import ObjectKey


def test_defaults() -> None:
    assert parsed() == model.NetworkSpec("blue", model.Topology.LAYER2, 1400)
    assert nad.parse(nad_object(GOOD), default_mtu=8900) == model.NetworkSpec(
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
        ({"topology": "localnet", "vlanID": 1}, "vlan_id", 1),
        ({"topology": "localnet", "vlanID": 4094}, "vlan_id", 4094),
        ({"topology": "localnet", "trunk": [20, 10, 20]}, "trunk", (10, 20)),
        ({"topology": "localnet", "trunk": "all"}, "trunk", ()),
        ({"topology": "localnet", "physicalNetworkName": "rack"}, "physical_network", "rack"),
        ({"topology": "localnet", "role": "secondary"}, "role", "secondary"),
        ({"role": ""}, "role", "secondary"),
        ({"role": "secondary"}, "role", "secondary"),
        ({"allowPersistentIPs": True}, "allow_persistent_ips", True),
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
        (
            {"dhcp": {"servers": ["t/vm", "t/dhcp", "t/vm"]}},
            "dhcp",
            model.Dhcp(servers=(ObjectKey("t", "dhcp"), ObjectKey("t", "vm"))),
        ),
        (
            {"routers": ["t/gw.one", "t/" + "a" * 253]},
            "routers",
            (ObjectKey("t", "a" * 253), ObjectKey("t", "gw.one")),
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
        ({"name": "default"}, "name", "default network"),
        ({"name": "ovn-kubernetes"}, "name", "default network"),
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
        (
            {"topology": "layer3", "subnets": "10.1.0.0/16", "allowPersistentIPs": True},
            "allowPersistentIPs",
            "impossible on topology layer3",
        ),
        ({"allowPersistentIPs": "yes"}, "allowPersistentIPs", "true or false"),
        ({"persistentIPs": "pod", "allowPersistentIPs": True}, "persistentIPs", "must be vm"),
        ({"persistentIPs": "vm"}, "persistentIPs", "needs allowPersistentIPs and"),
        (
            {"persistentIPs": "vm", "allowPersistentIPs": True, "subnets": None},
            "persistentIPs",
            "and subnets",
        ),
        ({"ipam": {"type": "whereabouts"}}, "ipam", "not supported"),
        ({"ipam": "static"}, "ipam", "must be an object"),
        ({"vlanID": 5}, "vlanID", "only on topology localnet"),
        ({"trunk": [5]}, "trunk", "only on topology localnet"),
        ({"topology": "localnet", "trunk": [5], "vlanID": 5}, "trunk", "beside vlanID"),
        (
            {"topology": "localnet", "trunk": [5], "subnets": "10.1.0.0/24"},
            *("trunk", "beside subnets"),
        ),
        ({"topology": "localnet", "trunk": [4095]}, "trunk", "from 1 to 4094"),
        ({"topology": "localnet", "trunk": []}, "trunk", "a list of VLANs"),
        ({"topology": "localnet", "trunk": ["10"]}, "trunk", "a list of VLANs"),
        ({"topology": "localnet", "trunk": list(range(300))}, "trunk", "can have 256"),
        ({"topology": "localnet", "vlanID": 0}, "vlanID", "from 1 to 4094"),
        ({"topology": "localnet", "vlanID": 4095}, "vlanID", "from 1 to 4094"),
        ({"topology": "localnet", "vlanID": "5"}, "vlanID", "whole number"),
        ({"physicalNetworkName": "rack"}, "physicalNetworkName", "only on topology localnet"),
        ({"topology": "localnet", "physicalNetworkName": "a,b"}, "physicalNetworkName", "comma"),
        ({"topology": "localnet", "joinSubnet": "100.66.0.0/16"}, "joinSubnet", "on topology"),
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
        ({"subnets": "10.1.0.0/24", "dhcp": {"lease": 5}}, "dhcp.lease", "is not a field here"),
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
        ({"dhcp": {"servers": ["vm"]}}, "dhcp.servers[0]", "<namespace>/<name>"),
        ({"dhcp": {"servers": [7]}}, "dhcp.servers[0]", "string"),
        ({"routers": "t/gw"}, "routers", "list of strings"),
        ({"routers": ["t/gw", "t/GW"]}, "routers[1]", "pod or virtual machine"),
        ({"routers": ["t/" + "a" * 300]}, "routers[0]", "pod or virtual machine"),
        ({"routers": ["0a:58:0a:09:00:01"]}, "routers[0]", "<namespace>/<name>"),
    ],
)
def test_refused(changes: dict[str, object], field: str, rule: str) -> None:
    error = only_problem(**changes)
    assert error.field == f"spec.config.{field}"
    assert rule in error.rule


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
        "routers",
    ]
)


@given(st.dictionaries(KEYS, JSON, max_size=5), st.sampled_from(("layer2", "layer3", "localnet")))
def test_any_field_of_any_type_is_parsed_or_refused(changes: dict[str, Any], topology: str) -> None:
    obj = nad_object({**GOOD, "topology": topology}, **changes)
    problems = nad.problems(obj)
    assert all(str(each).startswith("NetworkAttachmentDefinition ns1/blue: ") for each in problems)
    if problems:
        assert str(refused(obj)) == str(problems[0])
    else:
        nad.parse(obj)


def test_slips_of_keys_are_reported() -> None:
    assert nad.ignored_keys(nad_object(GOOD, subnet="10.1.0.0/24")) == [
        "spec.config.subnet is ignored; did you mean subnets?"
    ]
    assert nad.ignored_keys(nad_object(GOOD, prevResult={}, mtu=1300)) == []


def test_names_of_members_come_with_a_server_and_a_domain() -> None:
    spec = parsed(subnets="10.9.0.0/24,fd00::/64", dnsRecords=True)
    assert spec.dns_records
    assert [str(each) for each in spec.dns_servers] == [
        *("10.9.0.254", "fd00::ffff:ffff:ffff:ffff")
    ]
    assert (spec.dhcp.dns, spec.dhcp.domain) == (spec.dns_servers, "blue")
    assert not parsed().dns_records
    assert not parsed().dhcp.dns


def test_the_networks_own_server_and_domain_count_before_weft_s() -> None:
    dhcp = {"dns": ["10.9.0.53"], "domain": "example.org"}
    spec = parsed(subnets="10.9.0.0/24", dnsRecords=True, dhcp=dhcp)
    assert spec.dns_servers == ()
    assert ([str(each) for each in spec.dhcp.dns], spec.dhcp.domain) == (
        *(["10.9.0.53"], "example.org"),
    )


def test_where_names_are_not_served() -> None:
    without = nad_object(GOOD, subnets=ABSENT, dnsRecords=True)
    assert refused(without).field == "spec.config.dnsRecords"
    routed = nad_object(GOOD, topology="layer3", subnets="10.9.0.0/16", dnsRecords=True)
    assert "needs a server in dhcp.dns on topology layer3" in refused(routed).rule
    dhcp = {"dns": ["10.9.0.53"]}
    for topology in ("layer3", "localnet"):
        made = parsed(subnets="10.9.0.0/16", topology=topology, dnsRecords=True, dhcp=dhcp)
        assert made.dns_records
        assert made.dns_servers == ()
