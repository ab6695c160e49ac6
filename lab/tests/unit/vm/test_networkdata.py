from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_lab.vm import networkdata
from weft_lab.vm.cloudinit import Unreadable
from weft_lab.vm.networkdata import Ethernet, Route

MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


def cards(text: str) -> tuple[Ethernet, ...]:
    """Of data of which every key is followed."""
    found = networkdata.parse(text)
    assert found.ignored == ()
    return found.ethernets


def test_version_2_with_everything() -> None:
    (found,) = cards(
        """
version: 2
ethernets:
  second:
    match: {macaddress: '02:00:00:00:00:02'}
    addresses: [192.0.2.20/24, '2001:db8::1/64']
    gateway4: 192.0.2.1
    routes: [{to: 10.0.0.0/8, via: 192.0.2.9}, {to: default, via: '2001:db8::9'}]
    nameservers: {addresses: [192.0.2.53], search: [example.org]}
    dhcp4: no
    dhcp6: true
    mtu: 1300
"""
    )
    assert found == Ethernet(
        name="second",
        mac=MACS[1],
        dhcp6=True,
        addresses=("192.0.2.20/24", "2001:db8::1/64"),
        routes=(
            Route("10.0.0.0/8", "192.0.2.9"),
            Route("default", "2001:db8::9"),
            Route("default", "192.0.2.1"),
        ),
        nameservers=("192.0.2.53",),
        search=("example.org",),
        mtu=1300,
    )


def test_a_version_left_out_is_seen_by_its_ethernets() -> None:
    (found,) = cards("ethernets: {eth0: {dhcp4: true}}")
    assert found.dhcp4


def test_version_1_under_its_old_key() -> None:
    first, second = cards(
        """
network:
  version: 1
  config:
  - {type: physical, name: eth0, subnets: [{type: dhcp}]}
  - type: physical
    name: eth1
    mac_address: '02:00:00:00:00:02'
    mtu: 1400
    subnets:
    - {type: static, address: 10.0.0.5, netmask: 255.255.255.0, gateway: 10.0.0.1}
  - {type: nameserver, address: [10.0.0.53]}
"""
    )
    assert first.dhcp4
    assert first.nameservers == ("10.0.0.53",)
    assert second.addresses == ("10.0.0.5/24",)
    assert second.routes == (Route("default", "10.0.0.1"),)
    assert (second.mac, second.mtu) == (MACS[1], 1400)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("version: 3", "must be 1 or 2, not 3"),
        ("version: 2\nbonds: {b: {}}", "bonds"),
        ("version: 2\nethernets: [a]", "is a list"),
        ("version: 2\nethernets: {eth0: {addresses: [10.0.0.300/24]}}", "eth0.addresses"),
        ("version: 2\nethernets: {eth0: {gateway4: x}}", "eth0.gateway4"),
        ("version: 2\nethernets: {eth0: {mtu: 10}}", "eth0.mtu"),
        ("version: 2\nethernets: {eth0: {routes: [{to: x, via: y}]}}", "eth0.routes"),
        ("version: 2\nethernets: {eth0: {routes: [x]}}", "eth0.routes is a str"),
        ("version: 2\nethernets: {eth0: {match: x}}", "eth0.match is a str"),
        ("version: 2\nethernets: {eth0: {set-name: a b}}", "eth0.set-name"),
        ("version: 1\nconfig: [x]", "config.0. is a str"),
        ("version: 1\nconfig: [{type: bond}]", "bond"),
    ],
)
def test_unreadable_data_say_where(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        networkdata.parse(text)


def test_nothing_configures_nothing() -> None:
    assert networkdata.parse("") == networkdata.NetworkData()


@pytest.mark.parametrize(
    ("name", "place"),
    [("eth0", 0), ("eth1", 1), ("enp1s0", 0), ("enp2s0", 1), ("ens3", 0), ("lan", None)],
)
def test_names_of_other_systems_say_a_place(name: str, place: int | None) -> None:
    assert networkdata.position(name) == place


def test_a_mac_decides_over_a_name() -> None:
    ethernet = Ethernet("eth0", mac=MACS[1])
    assert networkdata.assign([ethernet], MACS) == ({1: ethernet}, ())


def test_a_card_that_is_not_there_is_reported() -> None:
    found, lost = networkdata.assign([Ethernet("eth5"), Ethernet("x", mac="02::")], MACS)
    assert found == {}
    assert lost == ("eth5: no card has this name", "x: no card has the MAC 02::")


def test_two_configurations_of_one_card_are_reported() -> None:
    one, other = Ethernet("eth0", dhcp4=True), Ethernet("lan", mac=MACS[0])
    found, lost = networkdata.assign([one, other], MACS)
    assert found == {0: one}
    assert lost == ("lan: its card is configured by eth0 already",)


@pytest.mark.parametrize("mac", ["52:54:00:12:34:56", "12:34:56:11:22:33", "02:00:00:00:00:99"])
def test_a_mac_needs_no_quotes(mac: str) -> None:
    (two,) = cards(f"version: 2\nethernets: {{lan: {{match: {{macaddress: {mac}}}}}}}")
    (one,) = cards(f"version: 1\nconfig: [{{type: physical, name: a, mac_address: {mac}}}]")
    assert two.mac == one.mac == mac


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        ("version: 2\nethernets: {eth0: {dhcp4: true, dchp6: true}}", ["ethernets.eth0.dchp6"]),
        ("version: 2\nethernets: {a: {match: {driver: x}}}", ["ethernets.a.match.driver"]),
        ("version: 2\nethernets: {a: {set-name: eth1}}", ["ethernets.a.set-name eth1"]),
        ("version: 2\nethernets: {a: {optional: true}}\nrenderer: networkd", []),
        (
            "version: 2\nethernets: {a: {routes: [{to: default, via: 10.0.0.1, table: 7}]}}",
            ["ethernets.a.routes.table"],
        ),
        (
            "version: 1\nconfig: [{type: physical, subnets: [{type: dhcp, dns: x}], lan: 1}]",
            ["config[0].lan", "config[0].subnets.dns"],
        ),
        ("version: 2\nethernet: {eth0: {dhcp4: true}}", ["ethernet"]),
    ],
)
def test_keys_that_nobody_follows_are_named(text: str, ignored: list[str]) -> None:
    assert list(networkdata.parse(text).ignored) == ignored


def test_routes_and_names_are_followed() -> None:
    (found,) = cards(
        """
version: 2
ethernets:
  lan:
    set-name: lan0
    routes: [{to: 10.2.0.0/16, via: 10.1.0.9, metric: 50, on-link: true}]
"""
    )
    assert found.rename == "lan0"
    assert found.routes == (Route("10.2.0.0/16", "10.1.0.9", 50, True),)


def test_a_free_name_takes_the_next_free_card() -> None:
    one, other = Ethernet("eth0"), Ethernet("lan")
    assert networkdata.assign([one, other], MACS) == ({0: one, 1: other}, ())


@given(st.lists(st.sampled_from(["eth0", "eth1", "enp2s0", "lan", "wan"]), unique=True))
def test_every_configuration_is_used_or_named(names: list[str]) -> None:
    found, lost = networkdata.assign([Ethernet(name) for name in names], MACS)
    named = [each.partition(":")[0] for each in lost]
    assert sorted([*(one.name for one in found.values()), *named]) == sorted(names)
    assert all(0 <= index < len(MACS) for index in found)
