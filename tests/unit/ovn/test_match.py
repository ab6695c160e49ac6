"""What ACLs match, as text."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from weft.ovn import match
from weft.policy import netpolicy

TCP, UDP, SCTP = netpolicy.Protocol
INGRESS, EGRESS = netpolicy.Direction


def test_the_isolated_end_is_where_packets_go_to_or_come_from() -> None:
    assert match.isolated_ports(INGRESS, "a1") == "outport == @a1"
    assert match.isolated_ports(EGRESS, "a1") == "inport == @a1"


def test_requests_pass_outwards_and_answers_inwards() -> None:
    assert "udp.src == 68 && udp.dst == 67" in match.always_allowed(EGRESS)
    assert "udp.src == 67 && udp.dst == 68" in match.always_allowed(INGRESS)
    for direction in netpolicy.Direction:
        assert match.always_allowed(direction).startswith("(arp || nd || ")


def test_where_weft_answers_requests_nobody_else_is_asked_or_answers() -> None:
    assert "ip4.dst == {255.255.255.255, 169.254.1.1} && udp.src == 68" in match.always_allowed(
        EGRESS, {4}
    )
    assert "udp.src == 67" not in match.always_allowed(INGRESS, {4})
    assert "udp.src == 547" in match.always_allowed(INGRESS, {4})
    answers = match.always_allowed(INGRESS, {4, 6})
    assert answers.count("udp.src") == 1
    own = "eth.src == 0a:58:a9:fe:01:01 && ip6.src == fe80::858:a9ff:fefe:101 && udp.src == 547"
    assert own in answers
    for served in ((), {6}):
        assert "ip6.dst == ff02::1:2 && udp.src == 546" in match.always_allowed(EGRESS, served)


def test_peers_of_one_field_are_one_set() -> None:
    subnets = [ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("192.0.2.0/24")]
    assert match.peers(INGRESS, {"eth": ["b", "a"]}, subnets) == (
        "(eth.src == {$a, $b} || ip4.src == {10.0.0.0/8, 192.0.2.0/24} || ip6.src == fd00::/8)"
    )
    assert match.peers(EGRESS, {"eth": ["a"]}, ()) == "eth.dst == $a"
    assert match.peers(EGRESS, {"ip4": ["a_v4"]}, [ip_network("10.0.0.1/32")]) == (
        "ip4.dst == {$a_v4, 10.0.0.1/32}"
    )


def test_a_family_as_a_whole_needs_no_address() -> None:
    both = [ip_network("0.0.0.0/0"), ip_network("::/0"), ip_network("10.0.0.0/8")]
    assert match.peers(INGRESS, {}, both) == "(ip4 || ip6)"


def test_nobody_is_no_match() -> None:
    assert match.peers(INGRESS, {}, ()) is None
    assert match.policy_ports([netpolicy.PolicyPort(TCP, "http")]) is None


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ([netpolicy.PolicyPort(TCP)], "tcp"),
        ([netpolicy.PolicyPort(TCP), netpolicy.PolicyPort(TCP, 80)], "tcp"),
        ([netpolicy.PolicyPort(SCTP, 80)], "sctp.dst == 80"),
        ([netpolicy.PolicyPort(UDP, 81), netpolicy.PolicyPort(UDP, 80)], "udp.dst == {80, 81}"),
        ([netpolicy.PolicyPort(UDP, 80, end=90)], "80 <= udp.dst <= 90"),
        ([netpolicy.PolicyPort(UDP, 80, end=80)], "udp.dst == 80"),
        (
            [
                netpolicy.PolicyPort(UDP, 53),
                netpolicy.PolicyPort(TCP, 80, end=90),
                netpolicy.PolicyPort(TCP, 53),
            ],
            "(tcp.dst == 53 || 80 <= tcp.dst <= 90 || udp.dst == 53)",
        ),
    ],
)
def test_ports_of_one_protocol_are_one_set(asked: list[netpolicy.PolicyPort], text: str) -> None:
    assert match.policy_ports(asked) == text
