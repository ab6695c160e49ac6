"""What a guest behind its pod is given, as settings of nftables and udhcpd."""

from __future__ import annotations

import json
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from weft_lab.vm import dhcpd, nat

FOUR = nat.Inside(IPv4Network("10.0.2.0/24"))
SIX = nat.Inside(IPv6Network("fd10:0:2::/120"))
PLACE = nat.Place("eth0", "k6t-eth0")


def rules(place: nat.Place, inside: nat.Inside, chain: str) -> list[list[nat.Json]]:
    commands = (command["add"] for command in nat.ruleset(place, [inside])["nftables"])
    found = (each["rule"] for each in commands if "rule" in each)
    return [rule["expr"] for rule in found if rule["chain"] == chain]


def test_the_pod_has_the_first_address_and_the_guest_the_second() -> None:
    assert (str(FOUR.gateway), str(FOUR.guest)) == ("10.0.2.1", "10.0.2.2")
    assert (str(SIX.gateway), str(SIX.guest)) == ("fd10:0:2::1", "fd10:0:2::2")


def test_without_ports_all_that_arrives_is_the_guests() -> None:
    for inside in (FOUR, SIX):
        ((*conditions, last),) = rules(PLACE, inside, "arriving")
        assert last == {"dnat": {"addr": str(inside.guest)}}
        assert "dport" not in json.dumps(conditions)


def test_with_ports_each_protocol_has_a_rule() -> None:
    forwards = (("tcp", 443), ("udp", 53), ("tcp", 80), ("tcp", 80))
    found = rules(nat.Place("eth0", "k6t-eth0", forwards), FOUR, "arriving")
    matches = [rule[-2]["match"] for rule in found]
    seen = [(one["left"]["payload"]["protocol"], one["right"]["set"]) for one in matches]
    assert seen == [("tcp", [80, 443]), ("udp", [53])]


KNOWN = dhcpd.resolver("nameserver 192.0.2.53\nnameserver fd00::53\nsearch a.example b.example\n")


def settings(hostname: str = "web", known: dhcpd.Resolver = KNOWN) -> list[str]:
    mac = "02:00:00:00:00:01"
    text = dhcpd.settings(FOUR, "k6t-eth0", mac, 1400, hostname, known, Path("/p"))
    return text.splitlines()


def test_a_guest_is_reported_all_that_its_pod_knows() -> None:
    assert {
        "static_lease 02:00:00:00:00:01 10.0.2.2",
        "option subnet 255.255.255.0",
        "option router 10.0.2.1",
        "option mtu 1400",
        "option dns 192.0.2.53",
        "option domain a.example",
        "option search a.example b.example",
        "option hostname web",
    } <= {*settings()}


@given(st.text(), st.text())
def test_no_text_becomes_a_setting_of_its_own(hostname: str, conf: str) -> None:
    known = dhcpd.resolver(f"search {conf}\nnameserver {conf}\n")
    plain = {line.split()[0] for line in settings("web")}
    for line in settings(hostname, known):
        words = line.split(" ")
        assert words[0] in plain
        assert all(word.isascii() and word.isprintable() for word in words)
    assert all(ip_address(str(server)) for server in known.servers)


def test_search_domains_fit_into_an_option() -> None:
    known = dhcpd.Resolver((), tuple(f"{number}.{'a' * 50}.example" for number in range(9)))
    (line,) = [line for line in settings(known=known) if line.startswith("option search")]
    assert 100 < len(line) < 255
