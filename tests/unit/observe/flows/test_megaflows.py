"""Flows of the datapath, as Open vSwitch 3.5 prints them and as guests may have made them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.observe.flows import megaflows
from weft.observe.flows.megaflows import Seen

UFID = "ufid:1c4e1431-2fe8-45ad-9100-108f0fbc4579, "
TUNNEL = (
    "tunnel(tun_id=0xff0004,src=192.0.2.2,dst=192.0.2.1,ttl=64/0,tp_src=43114/0,tp_dst=6081/0,"
    "geneve({class=0x102%s,type=0x80%s,len=4%s,0xb000c%s}),flags(-df+csum+key))"
)
ENTERED = TUNNEL % ("", "", "", "/0x7fffffff")
LATER = TUNNEL % ("/0", "/0", "/0", "/0")
ETH = "eth(src=0a:58:00:00:00:0b,dst=0a:58:00:00:00:0c)"
V4 = "eth_type(0x0800),ipv4(src=10.1.0.11/0.0.0.0,dst=10.1.0.12/0.0.0.0,proto=%s,tos=0/0,frag=no)"
TCP = "tcp(src=40000/0,dst=%s),tcp_flags(0/0)"


def flow(
    *match: str,
    actions: str,
    recirc: str = "0",
    state: str = "0/0",
    port: str = "g0",
    used: str = "",
) -> str:
    head = f"recirc_id({recirc}),dp_hash(0/0),in_port({port}),ct_state({state}),ct_zone(0/0)"
    counts = f"packets:3, bytes:222, used:{used or '0.577s'}, flags:S, dp:ovs"
    tail = "dp-extra-info:miniflow_bits(5,1)"
    return f"{UFID}{','.join((head, *match))}, {counts}, actions:{actions}, {tail}"


def read(*lines: str) -> list[Seen]:
    return list(megaflows.seen("flow-dump from the main thread:\n" + "\n".join(lines)))


def only(*lines: str) -> Seen:
    (found,) = read(*lines)
    return found


def test_what_is_passed_on_untracked_is_known_as_far_as_it_was_looked_at() -> None:
    found = only(flow(ETH, V4 % "6/0", TCP % "80/0", actions="g1"))
    assert (found.in_port, found.source_mac, found.target_mac) == (
        *("g0", "0a:58:00:00:00:0b", "0a:58:00:00:00:0c"),
    )
    assert (found.source, found.target, found.protocol, found.port) == ("", "", "", None)
    assert (found.is_drop, found.is_tracked, found.zone) == (False, False, 0)
    assert (found.packets, found.bytes, found.used) == (3, 222, 0.577)


def test_a_drop_is_known_by_all_flows_that_led_to_it() -> None:
    """The zone in which it was tracked last, and the ports that the tunnel carried."""
    found = only(
        flow(ENTERED, ETH, V4 % "6", TCP % "81/0", actions="ct(zone=2),recirc(0x4)", port="gnv"),
        flow(
            *(LATER, ETH.replace("0c)", "0c/ff:ff:00:00:00:00)"), V4 % "6", TCP % "81"),
            actions="drop",
            recirc="0x4",
            state="0x21/0x3f",
            port="gnv",
        ),
    )
    assert (found.tunnel_key, found.keys, found.zone) == (0xFF0004, (0xB, 0xC), 2)
    assert (found.target_mac, found.protocol, found.port) == ("0a:58:00:00:00:0c", "TCP", 81)
    assert (found.is_drop, found.is_tracked, found.is_reply) == (True, True, False)


def test_what_flows_that_lead_to_one_differ_in_is_not_known() -> None:
    first = flow(ETH, V4 % "6", TCP % "81", actions="ct(zone=2),recirc(0x4)")
    second = first.replace("0a:58:00:00:00:0c", "0a:58:00:00:00:0d").replace("zone=2", "zone=3")
    found = only(first, second, flow(V4 % "6/0", actions="drop", recirc="0x4", state="0x21/0x3f"))
    assert (found.target_mac, found.zone, found.protocol) == ("", 0, "TCP")
    assert found.source_mac == "0a:58:00:00:00:0b"


@pytest.mark.parametrize(
    ("actions", "is_drop"),
    [
        ("drop", True),
        # An ACL that logs what it drops, one that logs what it lets in, and a DHCP request.
        (
            "sample(sample=100.0%,actions(meter(0),userspace(pid=0,controller(reason=1,"
            "dont_send=0,continuation=0,recirc_id=13,rule_cookie=0xdf2f6419))))",
            True,
        ),
        (
            "sample(sample=100.0%,actions(meter(0),userspace(pid=0,controller(reason=1,"
            "rule_cookie=0x7a4957)))),ct(commit,zone=2,mark=0/0x41,nat(src)),g0",
            None,
        ),
        ("userspace(pid=0,controller(reason=1,dont_send=0))", False),
        ("ct(zone=2),recirc(0x4)", None),
        ("tnl_push(tnl_port(gnv),header(size=58),out_port(br-phy)),ul", False),
    ],
)
def test_actions_say_what_comes_of_packets(actions: str, is_drop: bool | None) -> None:
    found = read(flow(ETH, V4 % "17", actions=actions))
    assert [each.is_drop for each in found] == ([] if is_drop is None else [is_drop])


@pytest.mark.parametrize(
    "match",
    [
        (ETH, "eth_type(0x0806),arp(sip=10.1.0.11/0.0.0.0,op=2/0)"),
        (ETH, "eth_type(0x86dd),ipv6(proto=58,hlimit=255,frag=no),icmpv6(type=135,code=0)"),
        ("eth(dst=33:33:00:00:00:16/ff:ff:00:00:00:00)", V4 % "17"),
        (ETH, "eth_type(0x86dd),ipv6(dst=ff02::16,proto=58,frag=no),icmpv6(type=1/0xfe)"),
    ],
)
def test_what_finds_neighbours_is_no_flow(match: tuple[str, ...]) -> None:
    assert read(flow(*match, actions="g1")) == []


def test_the_short_form_is_read_too() -> None:
    found = only(
        "recirc_id(0),in_port(g0),eth(src=0a:58:00:00:00:0b,dst=0a:58:00:00:00:0c),"
        "eth_type(0x86dd),ipv6(src=fd01::11,dst=fd01::12,proto=17,frag=no),udp(dst=53), "
        "packets:0, bytes:0, used:never, actions:drop"
    )
    assert (found.source, found.target, found.family) == ("fd01::11", "fd01::12", 6)
    assert (found.protocol, found.port, found.used, found.is_drop) == ("UDP", 53, None, True)


def test_a_circle_of_flows_comes_to_an_end() -> None:
    """No switch makes one, but two dumps may have been read as one."""
    circle = flow(ETH, V4 % "6", actions="ct(zone=2),recirc(0x4)", recirc="0x4", state="0x21/0x3f")
    assert len(read(circle, flow(V4 % "6/0", actions="drop", recirc="0x4"))) == 1


PIECES = st.sampled_from(
    [
        *"(),=/:0123456789abcdef+-{} \n",
        *("recirc_id(", "in_port(g0)", "eth(src=", "eth_type(0x0800)", "ipv4(src=", "tcp(dst="),
        *(", packets:1, bytes:2, used:0.1s, ", "actions:drop", "recirc(0x1)", "tunnel("),
        *("ct_state(", "0x21/0x3f", "geneve({", "proto=6"),
    ]
)


@given(st.lists(PIECES, max_size=60).map("".join))
def test_any_text_is_read(text: str) -> None:
    for each in megaflows.seen(text):
        assert each.family in (4, 6)
