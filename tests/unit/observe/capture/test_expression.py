"""What filters mean, and what is refused."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from weft import errors
from weft.observe.capture import expression
from weft.observe.capture.expression import All, Any, Mac, Not, Ports, Protocol, Side, Subnet

HOST = Subnet(Side.EITHER, ip_network("10.9.0.7/32"))


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("", None),
        ("  ", None),
        ("arp", Protocol.ARP),
        ("host 10.9.0.7", HOST),
        ("not host 10.9.0.7", Not(HOST)),
        ("!host 10.9.0.7", Not(HOST)),
        ("tcp port 443", All((Protocol.TCP, Ports(Side.EITHER, 443, 443)))),
        ("tcp && dst port 443", All((Protocol.TCP, Ports(Side.TARGET, 443, 443)))),
        ("arp or icmp || icmp6", Any((Protocol.ARP, Protocol.ICMP, Protocol.ICMP6))),
        (
            "(arp or icmp) and not(host 10.9.0.7)",
            All((Any((Protocol.ARP, Protocol.ICMP)), Not(HOST))),
        ),
        ("src net fd00::/64", Subnet(Side.SOURCE, ip_network("fd00::/64"))),
        ("portrange 67-68", Ports(Side.EITHER, 67, 68)),
        ("ether host 0A:58:00:00:00:01", Mac(Side.EITHER, "0a:58:00:00:00:01")),
        ("ether src 0a:58:00:00:00:01", Mac(Side.SOURCE, "0a:58:00:00:00:01")),
    ],
)
def test_a_filter_is_read(text: str, term: expression.Term | None) -> None:
    assert expression.parse(text) == term


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("and", "none of arp, ip, ip6"),
        ("host", "ends where an IPv4 or IPv6 address is expected"),
        ("host www", "'www' after host, which is not an IPv4 or IPv6 address"),
        ("host fe80::1%eth0", "not an IPv4 or IPv6 address"),
        ("net 10.9.0.1/24", "not a CIDR without host bits"),
        ("port 65536", "not a number up to 65535"),
        ("port ٣", "not a number up to 65535"),
        ("port https", "not a number up to 65535"),
        ("portrange 9-8", "not a range"),
        ("port 80 or 443", "has '443', which is none of"),
        ("arp and tcp or udp", "write parentheses"),
        ("(arp", "ends where ) is expected"),
        ("arp)", "from ')' on"),
        ("arp & tcp", "cannot be read from ' & tcp' on"),
        ("ether 1", "not a MAC"),
        ("arp tcp", "from 'tcp' on"),
        ("$(reboot)", "none of arp"),
        ("arp or " * 32 + "arp", "more than 32 terms"),
        ("not " * 40 + "arp", "nested more than 16 deep"),
        ("(" * 900, "nested more than 16 deep"),
        ("x" * 2001, "2001 characters"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, rule: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        expression.parse(text)
    assert rule in refused.value.rule
    assert refused.value.hint
