"""What an allocation comes to inside the pod."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors, model, names
from weft.nic import plan

SPEC = model.NetworkSpec("blue", model.Topology.LAYER2, 1300, (ip_network("10.1.0.0/24"),))
BOTH = model.Allocation(
    "0a:58:0a:01:00:02",
    (ip_interface("10.1.0.2/24"), ip_interface("fd01::2/64")),
    gateways=(ip_address("10.1.0.1"),),
)


def make(allocation: model.Allocation = BOTH, *, shares: bool = False) -> plan.Nic:
    return plan.plan(
        plan.NicKind.VETH, "abc", "net1", SPEC, allocation, peers=("net2",) if shares else ()
    )


def test_plan() -> None:
    nic = make()
    assert (nic.mac, nic.mtu, nic.addresses) == (BOTH.mac, 1300, BOTH.addresses)
    assert [str(route.dest) for route in nic.routes] == ["0.0.0.0/0"]
    assert not nic.peers


def test_ipv6_needs_its_settings_only_with_an_address() -> None:
    assert not any(sysctl.optional for sysctl in make().sysctls)
    assert all(sysctl.optional for sysctl in make(model.Allocation("0a:00:00:00:00:01")).sysctls)


def test_the_link_local_address_follows_the_mac() -> None:
    values = {sysctl.path.rpartition("/")[2]: sysctl.value for sysctl in make().sysctls}
    assert values["addr_gen_mode"] == values["accept_dad"] == values["accept_ra"] == "0"


def test_two_on_one_network_answer_for_themselves() -> None:
    nic = make(shares=True)
    values = {sysctl.path: sysctl.value for sysctl in nic.sysctls}
    assert nic.peers == ("net2",)
    assert values["net/ipv4/conf/net1/arp_ignore"] == "1"
    assert values["net/ipv4/conf/net1/arp_announce"] == "2"
    assert values["net/ipv4/conf/net1/rp_filter"] == "2"


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_device_names_fit_and_differ(sandbox: str, one: str, other: str) -> None:
    first, second = names.host_device(sandbox, one), names.host_device(sandbox, other)
    assert len(first) == plan.MAX_DEVICE_NAME
    assert (first == second) == (one == other)


@pytest.mark.parametrize("name", ["", "a" * 16, ".", "..", "a/b", "a:b", "a b", "a\tb", "a\x00"])
def test_bad_interface_names(name: str) -> None:
    with pytest.raises(errors.InvalidInput, match="CNI_IFNAME"):
        plan.check_name(name)


def test_differences() -> None:
    route = model.Route(ip_network("10.60.0.0/16"), ip_address("10.1.0.1"))
    nic = replace(make(), routes=(route,))
    fine: dict[str, Any] = {"mac": nic.mac, "mtu": 1300, "up": True, "addresses": nic.addresses}
    routes = ("10.60.0.0/16",)
    assert plan.differences(nic, **fine, routes=routes) == []
    own: dict[str, Any] = {"addresses": (*nic.addresses, ip_interface("10.9.9.9/32"))}
    assert plan.differences(nic, **{**fine, **own}, routes=("0.0.0.0/0", *routes)) == []
    (missing,) = plan.differences(nic, **fine, routes=("0.0.0.0/0",))
    assert missing == "route 10.60.0.0/16 is missing"
    found = plan.differences(
        nic, mac="02:00:00:00:00:01", mtu=1500, up=False, addresses=(), routes=()
    )
    assert len(found) == 6
    assert "10.1.0.2/24" in " ".join(found)
