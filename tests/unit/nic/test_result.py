"""The result in every version's form."""

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from weft import model
from weft.nic import plan, result

SPEC = model.NetworkSpec("blue", model.Topology.LAYER2, 1300, (ip_network("10.1.0.0/24"),))
ALLOCATION = model.Allocation(
    "0a:58:0a:01:00:02",
    (ip_interface("10.1.0.2/24"), ip_interface("fd01::2/64")),
    gateways=(ip_address("10.1.0.1"),),
)


def make(kind: plan.NicKind = plan.NicKind.INTERNAL) -> plan.Nic:
    return plan.plan(kind, "abc", "net1", SPEC, ALLOCATION)


@pytest.mark.parametrize("version", result.VERSIONS)
def test_form_of_each_version(version: str) -> None:
    made = result.render(make(), "/run/netns/abc", version)
    assert made["cniVersion"] == version
    (inside,) = made["interfaces"]
    assert inside["name"] == "net1"
    assert inside["sandbox"] == "/run/netns/abc"
    assert ("mtu" in inside) == (version == "1.1.0")
    families = [entry.get("version") for entry in made["ips"]]
    assert families == (["4", "6"] if version < "1" else [None, None])
    assert [entry.get("gateway") for entry in made["ips"]] == ["10.1.0.1", None]
    assert made["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}]


def test_a_veth_has_an_end_on_the_node() -> None:
    made = result.render(make(plan.NicKind.VETH), "/n", "1.1.0")
    assert [entry["name"] for entry in made["interfaces"]] == [make().device, "net1"]
    assert {entry["interface"] for entry in made["ips"]} == {1}


def test_in_a_chain_the_earlier_result_comes_first() -> None:
    before = {"interfaces": [{"name": "x"}], "ips": [{"address": "1.2.3.4/8"}], "dns": {"a": 1}}
    made = result.render(make(), "/n", "1.0.0", before)
    assert made["interfaces"][0] == {"name": "x"}
    assert made["ips"][0] == {"address": "1.2.3.4/8"}
    assert made["ips"][1]["interface"] == 1
    assert made["dns"] == {"a": 1}


def test_check_finds_what_is_missing() -> None:
    made = result.render(make(), "/n", "1.1.0")
    there = ALLOCATION.addresses
    assert result.differences(made, "net1", "/n", there) == []
    assert "fd01::2/64" in result.differences(made, "net1", "/n", there[:1])[0]
    assert "net9" in result.differences(made, "net9", "/n", there)[0]
    assert result.differences({}, "net1", "/n", there)
