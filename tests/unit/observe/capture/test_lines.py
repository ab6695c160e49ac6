"""A line for a packet: what people look for in it, and nothing of its own text."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import frames, packets
from weft.observe.capture import lines
from weft.observe.capture.pcapng import Packet
from weft.policy import netpolicy

MACS = ("0a:58:0a:09:00:05", "0a:58:0a:09:00:07")
ENDS = packets.Ends(*MACS, "10.9.0.5", "10.9.0.7")
ENDS6 = packets.Ends(*MACS, "fd00::5", "fd00::7")
TCP, UDP, SCTP = netpolicy.Protocol.TCP, netpolicy.Protocol.UDP, netpolicy.Protocol.SCTP
HEAD = bytes.fromhex("".join(MACS[::-1]).replace(":", ""))


def dhcp(kind: int, *, option: bytes = b"") -> bytes:
    head = struct.pack("!BBBBIHH4x", 1, 1, 6, 0, 7, 0, 0) + ip_address("10.9.0.5").packed + bytes(8)
    body = head + bytes.fromhex(MACS[0].replace(":", "")) + bytes(10 + 192)
    return body + b"\x63\x82\x53\x63" + (option or bytes((0, 12, 1, 65, 53, 1, kind, 255)))


def arp(operation: int) -> bytes:
    packed = [ip_address(each).packed for each in ("10.9.0.5", "10.9.0.7")]
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return HEAD + b"\x08\x06" + body + HEAD[6:] + packed[0] + bytes(6) + packed[1]


def neighbour(kind: int) -> bytes:
    frame = packets.first(ENDS6, None, bytes(40))
    return frame[:54] + bytes((kind, 0, 0, 0)) + bytes(4) + ip_address("fd00::9").packed


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (arp(1), "ARP, Request who-has 10.9.0.7 tell 10.9.0.5"),
        (arp(2), f"ARP, Reply 10.9.0.5 is-at {MACS[0]}"),
        (arp(9), "ARP, operation 9, 10.9.0.5 > 10.9.0.7"),
        (
            packets.first(ENDS, TCP, b"", port=443),
            "IP 10.9.0.5.40000 > 10.9.0.7.443: Flags [S], length 0",
        ),
        (
            packets.first(ENDS6, UDP, b"abc", port=9),
            "IP6 fd00::5.40000 > fd00::7.9: UDP, length 3",
        ),
        (
            packets.first(ENDS, SCTP, b"", port=9),
            "IP 10.9.0.5.40000 > 10.9.0.7.9: SCTP, length 24",
        ),
        (
            packets.first(ENDS, UDP, bytes(4), port=53),
            "IP 10.9.0.5.40000 > 10.9.0.7.53: DNS query, length 4",
        ),
        (
            packets.first(ENDS, None, b""),
            "IP 10.9.0.5 > 10.9.0.7: ICMP echo request, id 32343, seq 1, length 8",
        ),
        (
            packets.first(ENDS6, None, b""),
            "IP6 fd00::5 > fd00::7: ICMP6, echo request, id 32343, seq 1, length 8",
        ),
        (
            packets.first(ENDS, UDP, dhcp(1), port=67, source_port=68),
            f"IP 10.9.0.5.68 > 10.9.0.7.67: DHCP Discover of {MACS[0]}",
        ),
        (
            packets.first(ENDS, UDP, dhcp(5), port=68, source_port=67),
            f"IP 10.9.0.5.67 > 10.9.0.7.68: DHCP ACK of {MACS[0]}, address 10.9.0.5",
        ),
        (
            packets.first(ENDS, UDP, dhcp(1, option=b"\x35"), port=67, source_port=68),
            f"IP 10.9.0.5.68 > 10.9.0.7.67: DHCP message of {MACS[0]}",
        ),
        (
            packets.first(ENDS6, UDP, b"\x01abc", port=547, source_port=546),
            "IP6 fd00::5.546 > fd00::7.547: DHCPv6 Solicit",
        ),
        (frames.tagged(arp(1), 7), "vlan 7, ARP, Request who-has 10.9.0.7 tell 10.9.0.5"),
        (
            HEAD + b"\x88\xcc" + bytes(46),
            f"{MACS[0]} > {MACS[1]} ethertype 0x88cc, length 60",
        ),
        (arp(1)[:30], f"{MACS[0]} > {MACS[1]} [cut short], length 30"),
        (b"", "[cut short]"),
    ],
)
def test_what_is_said_of_a_frame(frame: bytes, text: str) -> None:
    assert lines.described(frame, len(frame)) == text


def test_neighbours_are_asked_for_an_address() -> None:
    assert "neighbor solicitation, who has fd00::9" in lines.described(neighbour(135), 78)
    assert "neighbor advertisement, tgt is fd00::9" in lines.described(neighbour(136), 78)
    assert "router advertisement" in lines.described(neighbour(134), 78)


def test_a_fragment_has_no_ports() -> None:
    frame = packets.first(ENDS, UDP, bytes(40), port=9)
    later = frame[:20] + b"\x00\x02" + frame[22:]
    assert lines.described(later, 82) == "IP 10.9.0.5 > 10.9.0.7: fragment at 16, length 48"


def test_time_and_direction() -> None:
    time = 1_796_000_000 * 10**9 + 1_234_567
    assert lines.line(Packet(time, arp(1), 42, True)).startswith("00:53:20.001234 In  ARP, ")
    assert lines.line(Packet(time, arp(1), 42, False)).startswith("00:53:20.001234 Out ARP, ")


@given(st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x08\x06", b"\x81\x00", b""]), st.binary())
def test_any_frame_is_a_line_of_plain_text(kind: bytes, data: bytes) -> None:
    text = lines.described(HEAD + kind + data, 2000)
    assert text.isprintable()
    assert text.isascii()


@given(st.integers(0, 400), st.binary(min_size=240, max_size=400))
def test_any_dhcp_message_is_described(cut: int, data: bytes) -> None:
    for port in (67, 547):
        frame = packets.first(ENDS, UDP, data[:cut], port=port, source_port=port)
        assert "DHCP" in lines.described(frame, 500) or "cut short" in lines.described(frame, 500)
