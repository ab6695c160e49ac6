"""Frames that probe policies: each says which probe it is, and no tracker finds fault with it."""

from __future__ import annotations

import struct

import pytest

from lab.tests.support.inside import packets

ENDS = {
    4: packets.Ends("0a:58:0a:0a:00:01", "0a:58:0a:0a:00:02", "10.10.0.1", "10.10.0.2"),
    6: packets.Ends("0a:58:0a:0a:00:01", "0a:58:0a:0a:00:02", "fd10::1", "fd10::2"),
}
PROTOCOLS = (packets.TCP, packets.UDP, packets.SCTP, packets.ICMP)
PROBE, ROUND = 2519, 4711


def words(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    return sum(struct.unpack(f"!{len(padded) // 2}H", padded))


def is_sound(frame: bytes, version: int, protocol: str) -> bool:
    """All that a receiver can check by itself."""
    body = frame[34:] if version == 4 else frame[54:]
    if protocol == packets.SCTP:
        zeroed = body[:8] + bytes(4) + body[12:]
        return packets.crc32c(zeroed) == int.from_bytes(body[8:12], "little")
    number = {packets.TCP: 6, packets.UDP: 17, packets.ICMP: 58}[protocol]
    ends = frame[26:34] if version == 4 else frame[22:54]
    pseudo = words(ends) + number + len(body)
    if version == 4 and protocol == packets.ICMP:
        pseudo = 0
    header = version == 6 or packets.fold(words(frame[14:34])) == 0
    return header and packets.fold(pseudo + words(body)) == 0


def test_the_known_crc() -> None:
    assert packets.crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_probe_and_its_answer(protocol: str, version: int) -> None:
    made = packets.template(PROBE, ENDS[version], protocol, 80)
    for number in (1, ROUND, 65000):
        probe = bytes(made.of(number, packets.round_crc(number)))
        assert is_sound(probe, version, protocol)
        assert packets.read(probe) == packets.Seen(number, PROBE, False)
        answer = packets.answer(probe)
        assert is_sound(answer, version, protocol)
        assert packets.read(answer) == packets.Seen(number, PROBE, True)
        assert (answer[:6], answer[6:12]) == (probe[6:12], probe[:6])


def test_a_marker() -> None:
    frame = packets.marker("0a:58:0a:0a:00:01", "10.10.0.1", 99)
    assert packets.read_marker(frame) == (bytes.fromhex("0a580a0a0001"), 99)
    assert packets.read(frame) is None
