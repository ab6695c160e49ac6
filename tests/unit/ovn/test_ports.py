from __future__ import annotations

from ipaddress import ip_interface, ip_network

import pytest

from weft import model
from weft.ovn import ports

OWN, VIRTUAL = "0a:58:0a:01:00:05", "00:00:5e:00:01:0a"
STRICT, MAC, OFF = model.PortSecurity
SHARED = model.AddressPair(ip_network("10.1.0.100"))
RANGE = model.AddressPair(ip_network("10.1.0.96/30"))
BY_VIRTUAL = model.AddressPair(ip_network("10.1.0.100"), VIRTUAL)


def spec(
    laxest: model.PortSecurity = OFF, default: model.PortSecurity | None = None
) -> model.NetworkSpec:
    return model.NetworkSpec(
        *("blue", model.Topology.LAYER2, 1300, (ip_network("10.1.0.0/24"),)),
        nic=model.NicOptions(port_security=default),
        permits=model.Permits(laxest, (ip_network("10.1.0.96/28"),)),
    )


def allocation(
    security: model.PortSecurity | None = None, *pairs: model.AddressPair
) -> model.Allocation:
    nic = model.NicOptions(port_security=security, address_pairs=pairs)
    return model.Allocation(OWN, (ip_interface("10.1.0.5/24"),), 11, nic=nic)


@pytest.mark.parametrize(
    ("held", "network", "security", "is_open"),
    [
        (allocation(), spec(), {f"{OWN} 10.1.0.5/24"}, False),
        (allocation(MAC), spec(), {OWN}, False),
        (allocation(OFF), spec(), set(), True),
        (allocation(OFF), spec(MAC), {f"{OWN} 10.1.0.5/24"}, False),
        (allocation(), spec(STRICT, MAC), {OWN}, False),
        (allocation(STRICT), spec(STRICT, OFF), {f"{OWN} 10.1.0.5/24"}, False),
        (allocation(None, SHARED), spec(), {f"{OWN} 10.1.0.5/24 10.1.0.100"}, False),
        (allocation(None, RANGE), spec(), {f"{OWN} 10.1.0.5/24 10.1.0.96/30"}, False),
        (
            *(allocation(None, BY_VIRTUAL), spec()),
            *({f"{OWN} 10.1.0.5/24", f"{VIRTUAL} 10.1.0.5/24 10.1.0.100"}, True),
        ),
        (allocation(MAC, BY_VIRTUAL), spec(), {OWN, VIRTUAL}, True),
        (
            *(allocation(None, model.AddressPair(ip_network("10.1.0.7"))), spec()),
            *({f"{OWN} 10.1.0.5/24"}, False),
        ),
    ],
)
def test_a_port_sends_from_what_was_asked_for_and_is_permitted_now(
    held: model.Allocation, network: model.NetworkSpec, security: set[str], is_open: bool
) -> None:
    assert ports.port_security(network, held) == security
    unknown = {"unknown"} if is_open else set()
    assert ports.addresses(network, held) == {f"{OWN} 10.1.0.5"} | unknown


@pytest.mark.parametrize(
    ("machine", "hostname"),
    [
        ("", None),
        ("vm1", '"vm1"'),
        ("vm1.shop", '"vm1"'),
        ("v" * 70, f'"{"v" * 63}"'),
        ('"x"); next; //', None),
        ("vm1\n", None),
    ],
)
def test_dhcp_has_the_name_of_a_virtual_machine(machine: str, hostname: str | None) -> None:
    port = model.Port(
        model.PodRef(model.ObjectKey("default", "one"), "u1"),
        "default/blue",
        model.ObjectKey("default", "blue"),
        "blue",
        "node1",
        allocation(),
        machine,
    )
    assert ports.local_options(port, "c1").get("hostname") == hostname
