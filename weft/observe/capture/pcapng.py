"""Writes and reads the blocks of a pcapng file (draft-ietf-opsawg-pcapng). Pure.

One section, one interface: what `weft capture` writes. All numbers are little-endian, times are in
nanoseconds. `Reader` takes only what this module writes, block by block as the bytes come.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from weft import errors

LONGEST = 1 << 18  # bytes of a packet: the most that a snaplen may be
_MOST = LONGEST + 4096  # bytes of a block
_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_MAGIC = 0x1A2B3C4D
_ETHERNET = 1  # LINKTYPE_ETHERNET
_COMMENT, _NAME, _DESCRIPTION, _RESOLUTION, _FILTER, _FLAGS = 1, 2, 3, 9, 11, 2
_USER_APPLICATION, _START, _END, _RECEIVED, _DROPPED = 4, 2, 3, 4, 5
_NANOSECONDS = 9
_TO_POD, _FROM_POD = 1, 2  # inbound, outbound
_LONGEST_TEXT = 1000  # bytes of an option

Option = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Packet:
    """`time` in nanoseconds since 1970; `length`: of the packet, of which `data` is the beginning.

    `inbound`: towards the pod.
    """

    time: int
    data: bytes
    length: int
    inbound: bool


@dataclass(frozen=True, slots=True)
class Interface:
    """The NIC: its name, a description, the filter's text, and how many bytes are kept."""

    name: str
    description: str
    filter: str
    length: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """`received` packets were admitted by the filter; `dropped` of them did not fit in the ring.

    Times are in nanoseconds. `reason`: why the capture ended.
    """

    start: int
    end: int
    received: int
    dropped: int
    reason: str


Block = Packet | Interface | Statistics


def head(interface: Interface, program: str) -> bytes:
    """The beginning of a file; `program` names who writes it."""
    section = struct.pack("<IHHq", _MAGIC, 1, 0, -1) + _options((_USER_APPLICATION, program))
    listed: list[tuple[int, str | bytes]] = [
        (_NAME, interface.name),
        (_DESCRIPTION, interface.description),
        (_RESOLUTION, bytes((_NANOSECONDS,))),
    ]
    if interface.filter:
        listed.append((_FILTER, b"\0" + _text(interface.filter)))
    described = struct.pack("<HHI", _ETHERNET, 0, interface.length) + _options(*listed)
    return _block(_SECTION, section) + _block(_INTERFACE, described)


def packet(each: Packet) -> bytes:
    flags = struct.pack("<I", _TO_POD if each.inbound else _FROM_POD)
    sizes = struct.pack("<III", *_time(each.time), len(each.data))
    body = struct.pack("<I", 0) + sizes + struct.pack("<I", each.length) + _padded(each.data)
    return _block(_PACKET, body + _options((_FLAGS, flags)))


def statistics(each: Statistics) -> bytes:
    """The end of a file."""
    body = struct.pack("<III", 0, *_time(each.end)) + _options(
        (_COMMENT, each.reason),
        (_START, struct.pack("<II", *_time(each.start))),
        (_END, struct.pack("<II", *_time(each.end))),
        (_RECEIVED, struct.pack("<Q", each.received)),
        (_DROPPED, struct.pack("<Q", each.dropped)),
    )
    return _block(_STATISTICS, body)


def _time(time: int) -> tuple[int, int]:
    return time >> 32, time & 0xFFFFFFFF


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _text(text: str) -> bytes:
    return text.encode()[:_LONGEST_TEXT].decode(errors="ignore").encode()


def _options(*listed: tuple[int, str | bytes]) -> bytes:
    found = b""
    for code, value in listed:
        data = _text(value) if isinstance(value, str) else value
        found += struct.pack("<HH", code, len(data)) + _padded(data)
    return found + bytes(4)


class Reader:
    """Takes bytes as they come, and gives whole blocks with the bytes of each.

    Raise Unavailable for what `head`, `packet` and `statistics` do not write: the bytes come from a
    node.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._sections = 0

    @property
    def is_between_blocks(self) -> bool:
        return not self._rest

    def feed(self, data: bytes) -> Iterator[tuple[Block | None, bytes]]:
        """The blocks that are whole now; None for the head of the section."""
        self._rest += data
        at = 0
        try:
            while len(self._rest) - at >= 12:
                kind, size = struct.unpack_from("<II", self._rest, at)
                if size % 4 or not 12 <= size <= _MOST:
                    raise _unreadable(f"a block of {size} bytes")
                if len(self._rest) - at < size:
                    break
                whole = bytes(self._rest[at : at + size])
                at += size
                if struct.unpack_from("<I", whole, size - 4)[0] != size:
                    raise _unreadable("a block with two lengths")
                yield self._read(kind, whole[8:-4]), whole
        finally:
            del self._rest[:at]

    def _read(self, kind: int, body: bytes) -> Block | None:
        try:
            if kind == _SECTION:
                self._begin(body)
                return None
            if not self._sections:
                raise _unreadable("no beginning")
            if kind == _INTERFACE:
                return _interface(body)
            if kind == _PACKET:
                return _packet(body)
            if kind == _STATISTICS:
                return _statistics(body)
        except (struct.error, IndexError):
            raise _unreadable("a block that is too short") from None
        raise _unreadable(f"a block of type {kind:#x}")

    def _begin(self, body: bytes) -> None:
        magic, major, _, _ = struct.unpack_from("<IHHq", body)
        if magic != _MAGIC or major != 1 or self._sections:
            raise _unreadable("another beginning")
        self._sections += 1


def _unreadable(what: str) -> errors.Unavailable:
    return errors.Unavailable(f"{what} is in the capture that the node sends")


def _read_options(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if not code:
            break
        if at + 4 + size > len(data):
            raise _unreadable("an option that does not end")
        found[code] = data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    return found


def _interface(body: bytes) -> Interface:
    _, _, length = struct.unpack_from("<HHI", body)
    options = _read_options(body[8:])
    texts: Sequence[bytes] = [options.get(each, b"") for each in (_NAME, _DESCRIPTION, _FILTER)]
    name, description, filter = (each.decode(errors="replace") for each in texts)
    return Interface(name, description, filter.removeprefix("\0"), length)


def _packet(body: bytes) -> Packet:
    _, high, low, kept, length = struct.unpack_from("<5I", body)
    if 20 + kept > len(body) or kept > LONGEST:
        raise _unreadable("a packet longer than its block")
    options = _read_options(body[20 + kept + -kept % 4 :])
    flags = struct.unpack("<I", options.get(_FLAGS, bytes(4)))[0]
    return Packet(high << 32 | low, body[20 : 20 + kept], length, flags & 3 == _TO_POD)


def _statistics(body: bytes) -> Statistics:
    options = _read_options(body[12:])

    def time(code: int) -> int:
        high, low = struct.unpack("<II", options.get(code, bytes(8)))
        return int(high) << 32 | int(low)

    def number(code: int) -> int:
        return int(struct.unpack("<Q", options.get(code, bytes(8)))[0])

    reason = options.get(_COMMENT, b"").decode(errors="replace")
    return Statistics(time(_START), time(_END), number(_RECEIVED), number(_DROPPED), reason)
