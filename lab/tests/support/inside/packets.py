"""The first packet of a connection and its answer, as whole frames that say which probe they are.

Every probe has a number. The round in which it is sent is its source port (of ICMP the id), so
that no connection tracker has met it before; the number is in the place that each protocol has
for it. Checksums are right, for a tracker drops what has wrong ones.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address

TCP, UDP, SCTP, ICMP = "TCP", "UDP", "SCTP", "ICMP"
ARP_TYPE = b"\x08\x06"
_MAGIC = 0x57454654
_NUMBERS = {TCP: 6, UDP: 17, SCTP: 132}
_ICMP_4, _ICMP_6 = 1, 58
_SYN, _ACK = 2, 16


@dataclass(frozen=True, slots=True)
class Ends:
    """Who sends to whom: MACs as text, `to_mac` of the next hop, addresses of one family."""

    mac: str
    to_mac: str
    address: str
    to_address: str


@dataclass(slots=True)
class Template:
    """A probe's frame, of which only the round is missing."""

    frame: bytearray
    round_at: int
    check_at: int
    total: int  # of what the checksum covers, without the round
    sctp: bool = False

    def of(self, number: int, crc: int) -> bytearray:
        """The frame for a round; `crc` is `round_crc(number)`. It is valid until the next call."""
        struct.pack_into("!H", self.frame, self.round_at, number)
        if self.sctp:
            struct.pack_into("<I", self.frame, self.check_at, self.total ^ crc)
        else:
            folded = fold(self.total + number)
            struct.pack_into("!H", self.frame, self.check_at, folded or 0xFFFF)
        return self.frame


@dataclass(frozen=True, slots=True)
class Seen:
    """A probe or an answer to one that was heard."""

    round: int
    probe: int
    answer: bool


def template(probe: int, ends: Ends, protocol: str, port: int) -> Template:
    """The first packet of a connection to `port`."""
    if protocol == TCP:
        body = struct.pack("!HHIIBBHHH", 0, port, probe, 0, 0x50, _SYN, 8192, 0, 0)
    elif protocol == UDP:
        body = struct.pack("!HHHHIIB", 0, port, 17, 0, _MAGIC, probe, 0)
    elif protocol == SCTP:
        chunk = struct.pack("!BBHIIHHI", 1, 0, 20, probe + 1, 65536, 1, 1, probe)
        body = struct.pack("!HHII", 0, port, 0, 0) + chunk
    else:
        kind = 8 if _is_v4(ends) else 128
        body = struct.pack("!BBHHHII", kind, 0, 0, 0, port, _MAGIC, probe)
    frame, at, total = _frame(ends, protocol, body)
    if protocol == SCTP:
        return Template(frame, at, at + 8, crc32c(body), sctp=True)
    check = {TCP: 16, UDP: 6, ICMP: 2}[protocol]
    return Template(frame, at + (4 if protocol == ICMP else 0), at + check, total)


def answer(frame: bytes) -> bytes:
    """What the target answers to a probe: SYN-ACK, INIT ACK, a datagram, an echo reply."""
    ends, at, number = _read_ends(frame)
    body = bytearray(frame[at:])
    if number in _NUMBERS.values():
        body[0:2], body[2:4] = frame[at + 2 : at + 4], frame[at : at + 2]
    if number == _NUMBERS[TCP]:
        (probe,) = struct.unpack_from("!I", frame, at + 4)
        struct.pack_into("!IIBB", body, 4, probe, probe + 1, 0x50, _SYN | _ACK)
        return _finish(ends, TCP, body, 16)
    if number == _NUMBERS[UDP]:
        body[16] = 1
        return _finish(ends, UDP, body, 6)
    if number == _NUMBERS[SCTP]:
        (tag,) = struct.unpack_from("!I", frame, at + 16)
        chunk = struct.pack("!BBHIIHHI", 2, 0, 28, tag, 65536, 1, 1, tag) + b"\0\x07\0\x08WEFT"
        body = body[:4] + struct.pack("!II", tag, 0) + chunk
        struct.pack_into("<I", body, 8, crc32c(body))
        return bytes(_frame(ends, SCTP, body)[0])
    body[0] = 0 if number == _ICMP_4 else 129
    return _finish(ends, ICMP, body, 2)


def read(frame: bytes) -> Seen | None:
    """Which probe or answer this is, None if it is neither."""
    kind = frame[12:14]
    if kind == b"\x08\x00":
        number, at = frame[23], 34
    elif kind == b"\x86\xdd":
        number, at = frame[20], 54
    else:
        return None
    body = frame[at:]
    if number == 6 and len(body) >= 20:
        source, target, sent, got = struct.unpack_from("!HHII", body)
        if body[13] == _SYN:
            return Seen(source, sent, False)
        return Seen(target, sent, True) if body[13] == _SYN | _ACK and got == sent + 1 else None
    if number == 17 and len(body) >= 17:
        source, target, _, _, magic, probe, answer = struct.unpack_from("!HHHHIIB", body)
        return Seen(target if answer else source, probe, bool(answer)) if magic == _MAGIC else None
    if number == 132 and len(body) >= 32:
        source, target, _, _, chunk, _, _, tag = struct.unpack_from("!HHIIBBHI", body)
        if chunk in (1, 2):
            return Seen(target if chunk == 2 else source, tag - 1, chunk == 2)
    if number in (_ICMP_4, _ICMP_6) and len(body) >= 16:
        code, _, _, round_, _, magic, probe = struct.unpack_from("!BBHHHII", body)
        if magic == _MAGIC and code in (0, 8, 128, 129):
            return Seen(round_, probe, code in (0, 129))
    return None


def marker(mac: str, address: str, tag: int) -> bytes:
    """An ARP answer to all, which every policy lets pass and nobody believes; it says `tag`."""
    own, place = _mac(mac), ip_address(address).packed
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
    return b"\xff" * 6 + own + ARP_TYPE + head + own + place + struct.pack("!HI", 0, tag) + place


def read_marker(frame: bytes) -> tuple[bytes, int] | None:
    """Sender's MAC and tag."""
    if frame[12:14] != ARP_TYPE or len(frame) < 42 or frame[20:22] != b"\0\x02":
        return None
    return frame[22:28], int.from_bytes(frame[34:38], "big")


def round_crc(number: int) -> int:
    """What the round in the first two bytes changes in the CRC of an SCTP probe."""
    with_it = struct.pack("!H", number) + bytes(30)
    return crc32c(with_it) ^ crc32c(bytes(32))


def fold(total: int) -> int:
    """The checksum of what adds up to `total`."""
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def crc32c(data: bytes | bytearray) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC = tuple(_crc_entry(value) for value in range(256))


def _sum(data: bytes | bytearray) -> int:
    padded = bytes(data) + b"\0" * (len(data) % 2)
    return sum(struct.unpack(f"!{len(padded) // 2}H", padded))


def _is_v4(ends: Ends) -> bool:
    return "." in ends.address


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _frame(ends: Ends, protocol: str, body: bytes | bytearray) -> tuple[bytearray, int, int]:
    """The frame, where `body` begins, and the sum of body and pseudo-header."""
    source, target = ip_address(ends.address).packed, ip_address(ends.to_address).packed
    link = _mac(ends.to_mac) + _mac(ends.mac)
    number = _NUMBERS.get(protocol, _ICMP_4 if _is_v4(ends) else _ICMP_6)
    pseudo = 0 if number == _ICMP_4 else _sum(source + target) + number + len(body)
    if _is_v4(ends):
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, number, 0)
        head += source + target
        head = head[:10] + struct.pack("!H", fold(_sum(head))) + head[12:]
        kind = b"\x08\x00"
    else:
        head = struct.pack("!IHBB", 6 << 28, len(body), number, 64) + source + target
        kind = b"\x86\xdd"
    frame = bytearray(link + kind + head + body)
    return frame, len(frame) - len(body), pseudo + _sum(body)


def _finish(ends: Ends, protocol: str, body: bytearray, check: int) -> bytes:
    """The frame around a body whose checksum is at `check`."""
    body[check : check + 2] = b"\0\0"
    frame, at, total = _frame(ends, protocol, body)
    struct.pack_into("!H", frame, at + check, fold(total) or 0xFFFF)
    return bytes(frame)


def _read_ends(frame: bytes) -> tuple[Ends, int, int]:
    """Where the answer to a frame goes, where its body begins, and its protocol's number."""
    if frame[12:14] == b"\x08\x00":
        source, target, at, number = frame[26:30], frame[30:34], 34, frame[23]
    else:
        source, target, at, number = frame[22:38], frame[38:54], 54, frame[20]
    ends = Ends(
        frame[0:6].hex(":"),
        frame[6:12].hex(":"),
        str(ip_address(target)),
        str(ip_address(source)),
    )
    return ends, at, number
