from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.lab.vm import networkdata
from weft.lab.vm.cloudinit import Unreadable
from weft.lab.vm.networkdata import Ethernet, Route

MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


def test_version_2_with_everything() -> None:
    (found,) = networkdata.parse(
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
    (found,) = networkdata.parse("ethernets: {eth0: {dhcp4: true}}")
    assert found.dhcp4


def test_version_1_under_its_old_key() -> None:
    first, second = networkdata.parse(
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
        ("version: 1\nconfig: [{type: bond}]", "bond"),
    ],
)
def test_unreadable_data_say_where(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        networkdata.parse(text)


def test_nothing_configures_nothing() -> None:
    assert networkdata.parse("") == ()


@pytest.mark.parametrize(
    ("name", "place"),
    [("eth0", 0), ("eth1", 1), ("enp1s0", 0), ("enp2s0", 1), ("ens3", 0), ("lan", None)],
)
def test_names_of_other_systems_say_a_place(name: str, place: int | None) -> None:
    assert networkdata.position(name) == place


def test_a_mac_decides_over_a_name() -> None:
    ethernet = Ethernet("eth0", mac=MACS[1])
    assert networkdata.assign([ethernet], MACS) == ({1: ethernet}, ())


def test_a_card_that_is_not_there_is_told() -> None:
    found, lost = networkdata.assign([Ethernet("eth5"), Ethernet("x", mac="02::")], MACS)
    assert (found, lost) == ({}, ("eth5", "x"))


def test_a_free_name_takes_the_next_free_card() -> None:
    one, other = Ethernet("eth0"), Ethernet("lan")
    assert networkdata.assign([one, other], MACS) == ({0: one, 1: other}, ())


@given(st.lists(st.sampled_from(["eth0", "eth1", "enp2s0", "lan", "wan"]), unique=True))
def test_every_configuration_is_used_or_named(names: list[str]) -> None:
    found, lost = networkdata.assign([Ethernet(name) for name in names], MACS)
    assert {one.name for one in found.values()} | set(lost) <= set(names)
    assert all(0 <= index < len(MACS) for index in found)
