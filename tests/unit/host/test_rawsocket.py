"""What the kernel's filter lets through, told by running the program as the kernel does."""

from __future__ import annotations

import pytest

from weft.host import rawsocket

MACS = ("0a:58:0a:01:00:05", "02:00:00:00:00:07")


def takes(program: tuple[rawsocket.Instruction, ...], frame: bytes) -> bool:
    """Classic BPF: a load beyond the frame's end rejects it."""
    at, value = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x06:
            return bool(operand)
        if code == 0x15:
            at += if_true if value == operand else if_false
            continue
        size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
        if operand + size > len(frame):
            return False
        value = int.from_bytes(frame[operand : operand + size], "big")


def frame(mac: str, following: int, *, at: int = 0, kind: str = "86dd") -> bytes:
    head = bytes(6) + bytes.fromhex(mac.replace(":", "") + kind)
    body = bytes((at,)) + bytes(7) if following == 58 else b"\x02\x22" + at.to_bytes(2, "big")
    return head + bytes(6) + bytes((following, 255)) + bytes(32) + body + bytes(8)


@pytest.mark.parametrize("mac", MACS)
def test_solicitations_and_requests_of_the_guests(mac: str) -> None:
    program = rawsocket.icmpv6_or_udp(133, 547, MACS)
    assert takes(program, frame(mac, 58, at=133))
    assert takes(program, frame(mac, 17, at=547))


@pytest.mark.parametrize(
    "sent",
    [
        frame("0a:58:0a:01:00:06", 58, at=133),
        frame("0a:58:0a:01:00:06", 17, at=547),
        frame(MACS[0], 58, at=134),
        frame(MACS[0], 17, at=546),
        frame(MACS[0], 6, at=547),
        frame(MACS[0], 58, at=133, kind="0800"),
        frame(MACS[0], 17, at=547)[:57],
    ],
)
def test_nothing_else(sent: bytes) -> None:
    assert not takes(rawsocket.icmpv6_or_udp(133, 547, MACS), sent)


def test_nobody_and_everybody() -> None:
    asked = frame(MACS[0], 58, at=133)
    assert not takes(rawsocket.icmpv6_or_udp(133, 547, ()), asked)
    assert takes(rawsocket.icmpv6_or_udp(133, 547), asked)


def test_more_guests_than_a_program_can_name_are_not_told_apart() -> None:
    many = [f"0a:58:00:00:{n >> 8:02x}:{n & 255:02x}" for n in range(3000)]
    program = rawsocket.icmpv6_or_udp(133, 547, many)
    assert len(program) <= 4096
    assert takes(program, frame(MACS[0], 58, at=133))
    assert len(rawsocket.icmpv6_or_udp(133, 547, many[:2000])) <= 4096
