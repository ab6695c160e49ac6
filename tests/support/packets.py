"""First packets of connections, as frames with right checksums: what conntrack takes for real."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from tests.support import frames
from weft.policy import netpolicy

SOURCE_PORT = 40000
ECHO_ID = 0x7E57


@dataclass(frozen=True)
class Ends:
    """Who speaks to whom: MACs and addresses of one family."""

    mac: str
    to_mac: str
    source: str
    to: str

    @property
    def version(self) -> int:
        return ip_address(self.to).version

    @property
    def pseudo(self) -> bytes:
        return ip_address(self.source).packed + ip_address(self.to).packed


def first(
    ends: Ends,
    protocol: netpolicy.Protocol | None,
    payload: bytes,
    *,
    port: int = 0,
    source_port: int = SOURCE_PORT,
) -> bytes:
    """What opens a connection: a SYN, a datagram, an INIT; for None an echo request."""
    match protocol:
        case netpolicy.Protocol.TCP:
            number, body = 6, _tcp(ends, payload, source_port, port)
        case netpolicy.Protocol.UDP:
            number, body = 17, _udp(ends, payload, source_port, port)
        case netpolicy.Protocol.SCTP:
            number, body = 132, _sctp(payload, source_port, port)
        case None:
            number, body = (1 if ends.version == 4 else 58), _echo(ends, payload)
    return _ethernet(ends, 0x0800 if ends.version == 4 else 0x86DD) + _ip(ends, number, body)


def neighbour(mac: str, to_mac: str, source: str, to: str, payload: bytes) -> bytes:
    """An ARP reply with something behind it."""
    sender = bytes.fromhex(mac.replace(":", "")) + ip_address(source).packed
    received = bytes.fromhex(to_mac.replace(":", "")) + ip_address(to).packed
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + sender + received
    return _ethernet(Ends(mac, to_mac, source, to), 0x0806) + arp + payload


def is_echo_reply(frame: bytes) -> bool:
    number, body = _body(frame)
    return (number, body[:1]) in ((1, b"\0"), (58, b"\x81")) and body[4:6] == ECHO_ID.to_bytes(2)


def is_reset(port: int) -> Callable[[bytes], bool]:
    """What a host says to a SYN to a port on which nobody listens."""

    def is_it(frame: bytes) -> bool:
        number, body = _body(frame)
        return number == 6 and body[:2] == port.to_bytes(2) and bool(body[13] & 4)

    return is_it


def is_unreachable(port: int) -> Callable[[bytes], bool]:
    """What it says to such a datagram."""

    def is_it(frame: bytes) -> bool:
        number, body = _body(frame)
        kind = (number, body[:2])
        return kind in ((1, b"\x03\x03"), (58, b"\x01\x04")) and port.to_bytes(2) in body[8:]

    return is_it


def _body(frame: bytes) -> tuple[int, bytes]:
    """Protocol and contents of an IP packet; (0, b"") for anything else."""
    match frame[12:14]:
        case b"\x08\x00":
            return frame[23], frame[14 + (frame[14] & 15) * 4 :]
        case b"\x86\xdd":
            return frame[20], frame[54:]
    return 0, b""


def _ethernet(ends: Ends, kind: int) -> bytes:
    return bytes.fromhex((ends.to_mac + ends.mac).replace(":", "")) + struct.pack("!H", kind)


def _ip(ends: Ends, protocol: int, body: bytes) -> bytes:
    if ends.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + ends.pseudo + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + ends.pseudo
    return head[:10] + frames.checksum(head).to_bytes(2, "big") + head[12:] + body


def _summed(ends: Ends, protocol: int, body: bytes, at: int) -> bytes:
    """The body with its checksum, pseudo header included, at this place."""
    whole = ends.pseudo + struct.pack("!II", len(body), protocol) + body
    total = frames.checksum(whole + b"\0" * (len(whole) % 2))
    return body[:at] + (total or 0xFFFF).to_bytes(2, "big") + body[at + 2 :]


def _tcp(ends: Ends, payload: bytes, source_port: int, port: int) -> bytes:
    syn = struct.pack("!HHIIBBHHH", source_port, port, 1, 0, 5 << 4, 2, 65535, 0, 0)
    return _summed(ends, 6, syn + payload, 16)


def _udp(ends: Ends, payload: bytes, source_port: int, port: int) -> bytes:
    return _summed(
        ends, 17, struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload, 6
    )


def _sctp(payload: bytes, source_port: int, port: int) -> bytes:
    """An INIT, whose one parameter is to be skipped by who does not know it."""
    parameter = struct.pack("!HH", 0x8001, 4 + len(payload)) + payload
    parameter += b"\0" * (-len(parameter) % 4)
    init = struct.pack("!BBHIIHHI", 1, 0, 20 + len(parameter), 7, 65535, 1, 1, 1) + parameter
    head = struct.pack("!HHI", source_port, port, 0)
    return head + _crc32c(head + b"\0\0\0\0" + init).to_bytes(4, "little") + init


def _echo(ends: Ends, payload: bytes) -> bytes:
    kind = 8 if ends.version == 4 else 128
    body = struct.pack("!BBHHH", kind, 0, 0, ECHO_ID, 1) + payload
    if ends.version == 6:
        return _summed(ends, 58, body, 2)
    return body[:2] + frames.checksum(body + b"\0" * (len(body) % 2)).to_bytes(2, "big") + body[4:]


def _crc32c(data: bytes) -> int:
    total = 0xFFFFFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ (0x82F63B78 if total & 1 else 0)
    return total ^ 0xFFFFFFFF
