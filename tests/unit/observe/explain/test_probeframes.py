"""A probe's frame is what a pod's system would send, and only its own answer is one."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.observe.explain import probeframes
from weft.observe.explain.probeframes import Reply
from weft.ovn import ipv6

MACS = ["0a:58:0a:09:00:01", "0a:58:0a:09:00:02"]
PAIRS = {4: ["10.9.0.1", "10.9.0.2"], 6: ["fd09::1", "fd09::2"]}
CASES = [(protocol, version) for protocol in ("TCP", "UDP", "ICMP") for version in (4, 6)]
EXPECTED = {"TCP": Reply.OPEN, "UDP": Reply.DATAGRAM, "ICMP": Reply.ECHO}
NUMBER, SEQUENCE = 61234, 7


def packet(protocol: str, version: int) -> dict[str, Any]:
    port = 0 if protocol == "ICMP" else 443
    return {"addresses": PAIRS[version], "macs": MACS, "protocol": protocol, "port": port}


def answered(frame: bytes, version: int, flags: int = 0x12) -> bytes:
    """What the target makes of the frame: ends swapped; a SYN-ACK, a datagram or an echo reply."""
    size = 4 if version == 4 else 16
    at = 14 + (12 if version == 4 else 8)
    header = frame[14:at] + frame[at + size : at + 2 * size] + frame[at : at + size]
    body = bytearray(frame[at + 2 * size :])
    number = frame[14 + (9 if version == 4 else 6)]
    if number == 17:
        body[0:4] = body[2:4] + body[0:2]
    elif number == 6:
        body[0:4] = body[2:4] + body[0:2]
        body[8:12] = (int.from_bytes(body[4:8], "big") + 1 & 0xFFFFFFFF).to_bytes(4, "big")
        body[4:8] = bytes(4)
        body[13] = flags
    else:
        body[0] = 0 if version == 4 else 129
    return frame[6:12] + frame[:6] + frame[12:14] + header + bytes(body)


@pytest.mark.parametrize(("protocol", "version"), CASES)
def test_a_frame_has_lengths_and_checksums(protocol: str, version: int) -> None:
    """A userspace switch, as any receiver, drops those that are wrong."""
    frame = probeframes.request(packet(protocol, version), NUMBER, SEQUENCE)
    assert frame[:12] == ipv6.octets(MACS[1]) + ipv6.octets(MACS[0])
    rest = frame[14:]
    if version == 4:
        assert len(rest) == int.from_bytes(rest[2:4], "big")
        assert ipv6.checksum(rest[:20]) == 0
        body, ends, kind = rest[20:], rest[12:20], rest[9]
        pseudo = ends + struct.pack("!BBH", 0, kind, len(body)) if protocol != "ICMP" else b""
    else:
        body, ends, kind = rest[40:], rest[8:40], rest[6]
        assert len(body) == int.from_bytes(rest[4:6], "big")
        pseudo = ends + struct.pack("!I3xB", len(body), kind)
    assert ipv6.checksum(pseudo + body) == 0


@pytest.mark.parametrize(("protocol", "version"), CASES)
def test_the_targets_answer_is_known_and_no_other(protocol: str, version: int) -> None:
    asked = packet(protocol, version)
    frame = probeframes.request(asked, NUMBER, SEQUENCE)
    answer = answered(frame, version)
    assert probeframes.reply(answer, asked, NUMBER, SEQUENCE) is EXPECTED[protocol]
    assert probeframes.reply(frame, asked, NUMBER, SEQUENCE) is None, "the request itself"
    assert probeframes.reply(answer, asked, NUMBER + 1, SEQUENCE) is None
    foreign = {**asked, "addresses": [asked["addresses"][0], PAIRS[version][0]]}
    assert probeframes.reply(answer, foreign, NUMBER, SEQUENCE) is None
    other = packet("ICMP" if protocol == "TCP" else "TCP", version)
    assert probeframes.reply(answer, other, NUMBER, SEQUENCE) is None


@pytest.mark.parametrize("version", [4, 6])
def test_a_closed_port_refuses_and_an_open_one_is_reset(version: int) -> None:
    asked = packet("TCP", version)
    frame = probeframes.request(asked, NUMBER, SEQUENCE)
    assert (
        probeframes.reply(answered(frame, version, 0x14), asked, NUMBER, SEQUENCE) is Reply.CLOSED
    )
    assert probeframes.reply(answered(frame, version, 0x10), asked, NUMBER, SEQUENCE) is None
    reset = probeframes.reset(asked, NUMBER, SEQUENCE)
    start = 14 + (20 if version == 4 else 40)
    assert reset[start : start + 4] == struct.pack("!HH", NUMBER, 443)
    assert int.from_bytes(reset[start + 4 : start + 8], "big") == SEQUENCE + 1
    assert reset[start + 13] == 0x04


@pytest.mark.parametrize("flags", [0x12, 0x14])
@pytest.mark.parametrize("version", [4, 6])
def test_an_answer_to_another_syn_is_none(version: int, flags: int) -> None:
    """Who did not see the SYN does not know what to acknowledge."""
    asked = packet("TCP", version)
    start = 14 + (20 if version == 4 else 40)
    for sequence in (SEQUENCE, 0xFFFFFFFF):
        frame = answered(probeframes.request(asked, NUMBER, sequence), version, flags)
        assert probeframes.reply(frame, asked, NUMBER, sequence) is not None, "the control"
        assert probeframes.reply(frame, asked, NUMBER, sequence ^ 1) is None
        bare = bytearray(frame)
        bare[start + 13] &= ~0x10
        assert probeframes.reply(bytes(bare), asked, NUMBER, sequence) is None, "acknowledges none"


@pytest.mark.parametrize("version", [4, 6])
def test_an_answer_to_another_echo_request_is_none(version: int) -> None:
    asked = packet("ICMP", version)
    frame = answered(probeframes.request(asked, NUMBER, SEQUENCE), version)
    assert probeframes.reply(frame, asked, NUMBER, SEQUENCE) is Reply.ECHO, "the control"
    assert probeframes.reply(frame, asked, NUMBER, SEQUENCE + 1) is None
    second = 14 + (20 if version == 4 else 40) + 7
    other = frame[:second] + b"\2" + frame[second + 1 :]
    assert probeframes.reply(other, asked, NUMBER, SEQUENCE) is None


@given(st.binary(max_size=120), st.sampled_from(CASES))
def test_whatever_comes_is_read(frame: bytes, case: tuple[str, int]) -> None:
    assert probeframes.reply(frame, packet(*case), NUMBER, SEQUENCE) is None


@given(st.integers(0, 200), st.sampled_from(CASES))
def test_an_answer_that_is_cut_short_is_none(length: int, case: tuple[str, int]) -> None:
    asked = packet(*case)
    answer = answered(probeframes.request(asked, NUMBER, SEQUENCE), case[1])
    probeframes.reply(answer[:length], asked, NUMBER, SEQUENCE)


def refused(frame: bytes, version: int) -> bytes:
    """What a system says to a datagram for a port at which nobody listens, and quotes of it."""
    kind, code = (3, 3) if version == 4 else (1, 4)
    quoted = frame[14:]
    body = struct.pack("!BBHI", kind, code, 0, 0) + quoted
    size = 4 if version == 4 else 16
    at = 12 if version == 4 else 8
    ends = quoted[at + size : at + 2 * size] + quoted[at : at + size]
    if version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0)
    else:
        head = struct.pack("!IHBB", 6 << 28, len(body), 58, 64)
    return frame[6:12] + frame[:6] + frame[12:14] + head + ends + body


@pytest.mark.parametrize("version", [4, 6])
def test_a_closed_port_refuses_the_datagram_that_it_quotes(version: int) -> None:
    asked = packet("UDP", version)
    frame = probeframes.request(asked, NUMBER, SEQUENCE)
    answer = refused(frame, version)
    assert probeframes.reply(answer, asked, NUMBER, SEQUENCE) is Reply.NO_PORT
    other = refused(probeframes.request(asked, NUMBER, SEQUENCE + 1), version)
    assert probeframes.reply(other, asked, NUMBER, SEQUENCE) is None, "another's checksum"
    start = 14 + (20 if version == 4 else 40)
    prohibited = answer[: start + 1] + b"\x0d" + answer[start + 2 :]
    assert probeframes.reply(prohibited, asked, NUMBER, SEQUENCE) is None


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("size", [1300, 1301])
def test_a_ping_is_as_large_as_it_is_to_be_and_so_is_its_answer(version: int, size: int) -> None:
    asked = {**packet("ICMP", version), "size": size}
    frame = probeframes.request(asked, NUMBER, SEQUENCE)
    assert len(frame) == 14 + size
    if version == 4:
        assert frame[20] & 0x40, "it must not be fragmented"
    answer = answered(frame, version)
    assert probeframes.reply(answer, asked, NUMBER, SEQUENCE) is Reply.ECHO
    assert probeframes.reply(answer, packet("ICMP", version), NUMBER, SEQUENCE) is None


def test_there_is_no_probe_for_other_protocols() -> None:
    assert not probeframes.can_send({"protocol": "SCTP"})
