import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_lab.probes import packets

PORT = st.integers(0, 65535)


def ethernet(kind: int, ip: bytes, *, vlan: bool = False) -> bytes:
    tag = struct.pack("!HH", 0x8100, 7) if vlan else b""
    return b"\x0a" * 12 + tag + struct.pack("!H", kind) + ip


def four(source: str, target: str, protocol: int, rest: bytes, *, offset: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(rest), 1, offset, 64, protocol, 0)
    return head + IPv4Address(source).packed + IPv4Address(target).packed + rest


def six(source: str, target: str, protocol: int, rest: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(rest), protocol, 64)
    return head + IPv6Address(source).packed + IPv6Address(target).packed + rest


@pytest.mark.parametrize("version", [4, 6])
@given(st.integers(0, 65535), st.integers(0, 65535))
def test_an_echo_request_is_no_answer_and_its_reply_is(
    version: int, identity: int, sequence: int
) -> None:
    request = packets.echo(version, identity, sequence)
    assert not packets.is_echoed(version, request, identity)
    reply = bytes([packets.ECHO[version][1]]) + request[1:]
    assert packets.is_echoed(version, reply, identity)
    assert not packets.is_echoed(version, reply, identity ^ 1)
    assert not packets.is_echoed(version, reply[:7], identity)


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_the_sum_over_an_echo_request_is_all_ones(identity: int, sequence: int) -> None:
    total = sum(struct.unpack("!4H", packets.echo(4, identity, sequence)))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


def test_sctps_checksum_is_the_published_one() -> None:
    assert packets._crc32c(b"123456789") == 0x839206E3  # 0xE3069283 with its bytes turned around


@given(PORT, PORT)
def test_sctps_first_packet_asks_for_an_association(source: int, target: int) -> None:
    packet = packets.init(source, target)
    assert struct.unpack("!HHI", packet[:8]) == (source, target, 0)
    assert packet[12] == 1
    assert struct.unpack("!H", packet[14:16])[0] == len(packet) - 12
    bare = packet[:8] + b"\0\0\0\0" + packet[12:]
    assert packets._crc32c(bare) == int.from_bytes(packet[8:12], "big")


@pytest.mark.parametrize("vlan", [False, True])
@pytest.mark.parametrize("protocol", [packets.UDP, packets.SCTP])
@given(port=PORT)
def test_frames_tell_both_ends_protocol_and_port(protocol: int, vlan: bool, port: int) -> None:
    rest = struct.pack("!HHI", 40000, port, 0)
    found = packets.parse(ethernet(0x0800, four("10.9.0.1", "10.9.0.2", protocol, rest), vlan=vlan))
    assert found == packets.Flow("10.9.0.1", "10.9.0.2", protocol, port)
    found = packets.parse(ethernet(0x86DD, six("fd09::1", "fd09::2", protocol, rest), vlan=vlan))
    assert found == packets.Flow("fd09::1", "fd09::2", protocol, port)


def test_other_protocols_and_later_fragments_are_not_heard() -> None:
    rest = struct.pack("!HHI", 1, 2, 3)
    assert packets.parse(ethernet(0x0800, four("10.9.0.1", "10.9.0.2", 6, rest))) is None
    late = four("10.9.0.1", "10.9.0.2", packets.UDP, rest, offset=100)
    assert packets.parse(ethernet(0x0800, late)) is None
    assert packets.parse(ethernet(0x0806, rest)) is None


@given(st.binary(max_size=80))
def test_no_frame_is_too_strange(frame: bytes) -> None:
    packets.parse(frame)
    packets.parse(b"\x0a" * 12 + b"\x08\x00" + frame)
    packets.parse(b"\x0a" * 12 + b"\x86\xdd" + frame)
