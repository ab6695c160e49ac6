"""What the demo of a physical network claims holds for the right reason alone."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest

from weft_lab.demos import localnet, manifests
from weft_lab.demos.machines import Machine, Nic
from weft_lab.vm.agentclient import Outcome

WEFTS, LEASED = "192.168.20.130", "192.168.20.70"


def machine(name: str, address: str) -> Machine:
    nic = Nic(localnet.NIC, "eth0", "02:00:00:00:00:01", (address,), "virtio", "bridge")
    return Machine("default", name, "node1", (nic,))


TILL, STRAY = machine("till", LEASED), machine("stray", "192.168.20.193")


def test_the_manifests_are_what_the_demo_says_of_them() -> None:
    found = manifests.read(localnet.NAME)
    nads = [obj for obj in found if obj["kind"] == "NetworkAttachmentDefinition"]
    configs = {obj["metadata"]["name"]: json.loads(obj["spec"]["config"]) for obj in nads}
    vlans = {name: config["vlanID"] for name, config in configs.items()}
    other = vlans.pop("elsewhere")
    assert vlans == {"rack-dhcp": localnet.VLAN.number, "rack-weft": localnet.VLAN.number}
    assert other != localnet.VLAN.number
    assert "subnets" not in configs["rack-dhcp"]
    vms = {}
    for obj in found:
        if obj["kind"] == "VirtualMachine":
            (network,) = obj["spec"]["template"]["spec"]["networks"]
            key = f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
            vms[key] = network["multus"]["networkName"]
    expected = {localnet.LEASING: "rack-dhcp", localnet.ASSIGNED: "rack-weft"}
    assert vms == {**expected, localnet.STRAY: "elsewhere"}


def test_no_address_is_in_two_hands() -> None:
    """Else an answer for the control would be that of the machine with the same address."""
    free = {}
    for name in ("rack-weft", "elsewhere"):
        (nad,) = [each for each in manifests.read("localnet") if each["metadata"]["name"] == name]
        config = json.loads(nad["spec"]["config"])
        taken = map(ip_network, config["excludeSubnets"].split(","))
        free[name] = set(ip_network(config["subnets"])).difference(*taken)
    first = sorted(free["elsewhere"])[0]
    assert sorted(free["rack-weft"])[0] < first
    assert len([each for each in free["rack-weft"] if each < first]) > 1


@pytest.mark.parametrize(
    ("address", "server", "expected", "holds"),
    [
        (LEASED, localnet.HOST, localnet.HOST, True),
        (WEFTS, localnet.OVN, localnet.OVN, True),
        (LEASED, localnet.OVN, localnet.HOST, False),
        (WEFTS, localnet.HOST, localnet.HOST, False),
        (LEASED, localnet.OVN, localnet.OVN, False),
        ("", "", localnet.HOST, False),
    ],
)
def test_a_lease_is_right_from_the_right_server(
    address: str, server: str, expected: str, holds: bool
) -> None:
    assert localnet.is_right(address, server, expected) is holds


class Guests:
    """Guests of which some are answered, by the database and by pings."""

    def __init__(self, *answered: str) -> None:
        self.answered = answered

    async def run(self, machine: Machine, *_: str) -> Outcome:
        output = b"+PONG\r\n+OK\r\n" if machine.name in self.answered else b""
        return Outcome(0, output, b"")

    async def outside(self, *argv: str) -> str:
        named = {STRAY.address(localnet.NIC): STRAY.name, TILL.address(localnet.NIC): TILL.name}
        return "64 bytes from it" if named[argv[-1]] in self.answered else ""


@pytest.mark.parametrize(
    ("answered", "holds"),
    [(("till",), True), ((), False), (("till", "stray"), False), (("stray",), False)],
)
async def test_silence_counts_where_the_control_is_answered(
    answered: tuple[str, ...], holds: bool
) -> None:
    guests = Guests(*answered)
    assert (await localnet.silent(STRAY, TILL, guests.run)).holds is holds
    assert (await localnet.unreached(STRAY, TILL, guests.outside)).holds is holds
    nobody = machine("stray", "fe80::1")
    assert not (await localnet.silent(nobody, TILL, guests.run)).holds


@pytest.mark.parametrize(("known", "holds"), [(LEASED, True), ("172.31.1.101", False), ("", False)])
async def test_a_client_is_known_by_its_own_address(known: str, holds: bool) -> None:
    async def run(*_: Any) -> Outcome:
        return Outcome(0, f"id=4 addr={known}:5000 laddr=192.168.20.1:6379 fd=8".encode(), b"")

    assert (await localnet.known_by_its_own_address(TILL, run)).holds is holds
