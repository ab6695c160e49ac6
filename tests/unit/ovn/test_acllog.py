"""Lines as ovn-controller writes them."""

from __future__ import annotations

import pytest

from weft.ovn import acllog
from weft.policy import netpolicy

HEAD = "2026-11-23T15:17:26.011Z|00007|acl_log(ovn_pinctrl0)|INFO|"
ENDS = "vlan_tci=0x0000,dl_src=0a:58:00:00:00:0b,dl_dst=0a:58:00:00:00:0c"
V4 = f"{ENDS},nw_src=172.20.0.11,nw_dst=172.20.0.12,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no"
V6 = f"{ENDS},ipv6_src=fd20::11,ipv6_dst=fd20::12,ipv6_label=0x00000,nw_tos=0"


def line(flow: str, direction: str = "to-lport") -> str:
    fields = f'name="audit:ns:Ingress", verdict=allow, severity=info, direction={direction}'
    return f"{HEAD}{fields}: {flow}"


@pytest.mark.parametrize(
    ("flow", "protocol", "source", "port"),
    [
        (f"tcp,{V4},tp_src=40000,tp_dst=81,tcp_flags=syn", "TCP", "172.20.0.11", 81),
        (f"udp,{V4},tp_src=40000,tp_dst=53", "UDP", "172.20.0.11", 53),
        (f"sctp6,{V6},tp_src=40000,tp_dst=80", "SCTP", "fd20::11", 80),
        (f"icmp,{V4},icmp_type=8,icmp_code=0", "ICMP", "172.20.0.11", 0),
        (f"icmp6,{V6},icmp_type=128,icmp_code=0", "ICMP", "fd20::11", 0),
    ],
)
def test_a_packet_is_read(flow: str, protocol: str, source: str, port: int) -> None:
    found = acllog.parse(line(flow))
    assert found is not None
    assert found.direction is netpolicy.Direction.INGRESS
    assert found.name == "audit:ns:Ingress"
    assert (found.protocol, found.source, found.port) == (protocol, source, port)
    assert found.target_mac == "0a:58:00:00:00:0c"


def test_of_what_a_port_sends_the_direction_is_egress() -> None:
    found = acllog.parse(line(f"udp,{V4},tp_src=1,tp_dst=53", "from-lport"))
    assert found is not None
    assert found.direction is netpolicy.Direction.EGRESS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23T15:17:26.011Z|00001|vlog|INFO|opened log file /run/ovn/acl.log",
        f"2026-11-23T15:17:26.011Z|00002|main|INFO|{line('tcp')}",
        line(""),
    ],
)
def test_other_lines_are_about_no_packet(text: str) -> None:
    assert acllog.parse(text) is None
