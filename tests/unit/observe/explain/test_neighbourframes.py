"""Who has an address: what asks, and what a guest says of itself."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import packets
from weft.observe.explain import neighbourframes
from weft.observe.explain.neighbourframes import FrameContent, FrameKind
from weft.ovn import ipv6
from weft.policy import netpolicy

GUEST, ASKER = "0a:58:0a:09:00:02", "02:11:22:33:44:55"
FOUR, SIX = ip_address("10.9.0.2"), ip_address("fd09::2")


def test_a_question_is_a_probe_that_no_neighbour_table_takes_in() -> None:
    frame = neighbourframes.question(FOUR, ASKER)
    said = neighbourframes.read(frame)
    assert said == FrameContent(FrameKind.SEEKS, ASKER, None, FOUR)
    assert frame[:6] == b"\xff" * 6


def test_a_question_for_ipv6_has_a_source_for_without_it_is_a_claim() -> None:
    frame = neighbourframes.question(SIX, ASKER)
    assert neighbourframes.read(frame) == FrameContent(
        FrameKind.SEEKS, ASKER, ipv6.link_local(ASKER), SIX
    )
    assert frame[:6].hex(":") == "33:33:ff:00:00:02"
    assert ip_address(frame[38:54]) == ip_address("ff02::1:ff00:2")
    body = frame[54:]
    pseudo = frame[22:54] + struct.pack("!I3xB", len(body), ipv6.ICMPV6)
    assert ipv6.checksum(pseudo + body) == 0
    assert frame[21] == 255, "the hop limit that RFC 4861 asks for"


def test_an_answer_names_the_mac_that_has_the_address() -> None:
    frame = packets.neighbour(GUEST, ASKER, str(FOUR), "0.0.0.0", b"")
    assert neighbourframes.read(frame) == FrameContent(FrameKind.HOLDS, GUEST, FOUR, FOUR)
    other = "0a:58:0a:09:00:63"  # what it says counts, not what sends it
    body = struct.pack("!BBHI16s", 136, 0, 0, 0, SIX.packed) + b"\2\1" + ipv6.octets(other)
    to = ipv6.link_local(ASKER)
    told = ipv6.frame(GUEST, ipv6.octets(ASKER), to, ipv6.ICMPV6, body, checksum_at=2)
    found = neighbourframes.read(told)
    assert found == FrameContent(FrameKind.HOLDS, other, ipv6.link_local(GUEST), SIX)


@pytest.mark.parametrize(("version", "port"), [(4, 67), (6, 547)])
def test_who_asks_for_an_address_has_none(version: int, port: int) -> None:
    source, to = ("0.0.0.0", "255.255.255.255") if version == 4 else ("fe80::1", "ff02::1:2")
    ends = packets.Ends(GUEST, "ff:ff:ff:ff:ff:ff", source, to)
    without = ip_address("0.0.0.0" if version == 4 else "::")
    asks = FrameContent(FrameKind.DHCP, GUEST, None, without)
    for asked, expected in ((port, asks), (port + 1, None)):
        frame = packets.first(ends, netpolicy.Protocol.UDP, b"x", port=asked)
        assert neighbourframes.read(frame) == expected


@given(st.binary(max_size=120), st.sampled_from([0x0800, 0x0806, 0x86DD]))
def test_whatever_comes_is_read(rest: bytes, kind: int) -> None:
    neighbourframes.read(rest)
    neighbourframes.read(bytes(12) + kind.to_bytes(2, "big") + rest)


@given(st.integers(0, 90), st.sampled_from([FOUR, SIX]))
def test_what_is_cut_short_is_read(length: int, address: Any) -> None:
    neighbourframes.read(neighbourframes.question(address, ASKER)[:length])
