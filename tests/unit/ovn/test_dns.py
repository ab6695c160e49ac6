"""The names of a network's members, and who has a name that two of them want."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from weft import model, ranges
from weft.ovn import dns
from weft.ovn.dns import NamedMember


def member(name: str, *addresses: str, namespace: str = "default", rank: int = 0) -> NamedMember:
    return NamedMember(name, namespace, tuple(map(ip_address, addresses)), (rank,))


def test_the_names_of_a_member() -> None:
    found = dns.records("Blue", [member("web", "10.9.0.1", "fd00::1")])
    assert found == {
        "web.default.blue": "10.9.0.1 fd00::1",
        "web.blue": "10.9.0.1 fd00::1",
        "web": "10.9.0.1 fd00::1",
        "1.0.9.10.in-addr.arpa": "web.blue",
        ip_address("fd00::1").reverse_pointer: "web.blue",
    }


def test_the_first_by_rank_has_the_short_name() -> None:
    members = [
        member("web", "10.9.0.2", namespace="evil", rank=2),
        member("web", "10.9.0.1", rank=1),
    ]
    found = dns.records("blue", members)
    assert found["web.blue"] == found["web"] == "10.9.0.1"
    assert found["web.evil.blue"] == "10.9.0.2"


def test_a_pods_name_takes_no_other_name() -> None:
    """A pod may have dots in its name, and be older than the one whose name it imitates."""
    members = [
        member("web.default", "10.9.0.66", namespace="evil"),
        member("www.example.org", "10.9.0.67", namespace="evil"),
        member("web", "10.9.0.1", rank=1),
    ]
    found = dns.records("blue", members)
    assert found["web.default.blue"] == "10.9.0.1"
    assert "www.example.org" not in found
    assert found["web.default.evil.blue"] == "10.9.0.66"


def test_a_name_of_another_namespace_is_nobodys_while_its_member_is_not_there() -> None:
    found = dns.records("blue", [member("web.prod", "10.9.0.66", namespace="evil")])
    assert found == {
        "web.prod.evil.blue": "10.9.0.66",
        "66.0.9.10.in-addr.arpa": "web.prod.evil.blue",
    }


def test_a_host_name_is_one_more_name_that_takes_nobodys() -> None:
    members = [
        replace(member("vm-1", "10.9.0.1", rank=1), hostname="db"),
        replace(member("thief", "10.9.0.66", namespace="evil"), hostname="web"),
        replace(member("late", "10.9.0.3", rank=3), hostname="db"),
        member("web", "10.9.0.2", rank=2),
    ]
    found = dns.records("blue", members)
    assert found["db"] == found["db.blue"] == found["db.default.blue"] == "10.9.0.1"
    assert found["vm-1"] == found["vm-1.blue"] == "10.9.0.1"
    assert found["1.0.9.10.in-addr.arpa"] == "vm-1.blue"
    assert found["web"] == found["web.blue"] == found["web.default.blue"] == "10.9.0.2"
    assert found["web.evil.blue"] == "10.9.0.66"


@given(st.permutations([member(name, f"10.9.0.{n}", rank=n) for n, name in enumerate("abcab", 1)]))
def test_the_order_does_not_matter(members: list[NamedMember]) -> None:
    assert dns.records("blue", members)["a.blue"] == "10.9.0.1"


def test_the_servers_address_is_the_last_of_each_family() -> None:
    subnets = tuple(map(ip_network, ("10.9.0.0/24", "fd00::/64")))
    assert [str(each) for each in ranges.dns_servers(subnets)] == [
        *("10.9.0.254", "fd00::ffff:ffff:ffff:ffff")
    ]


def test_a_network_without_the_key_has_no_row() -> None:
    network = model.Network(model.NetworkSpec("blue", model.Topology.LAYER2, 1400), 1)
    assert dns.row(network) == ()
    assert dns.ref(network) == frozenset()
