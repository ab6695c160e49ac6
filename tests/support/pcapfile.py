"""A strict reader of pcapng files, written from the specification, apart from what weft has."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

INBOUND, OUTBOUND = 1, 2


@dataclass
class Packet:
    time: float  # seconds since 1970
    data: bytes
    length: int
    direction: int


@dataclass
class File:
    """One section with one interface. `received` and `dropped` are -1 without statistics."""

    interface: str = ""
    description: str = ""
    filter: str = ""
    snaplen: int = 0
    packets: list[Packet] = field(default_factory=list)
    received: int = -1
    dropped: int = -1


def read(data: bytes) -> File:
    """The file; fails for what is not whole or breaks the specification."""
    found, kinds = File(), []
    for kind, body in _blocks(data):
        kinds.append(kind)
        if kind == 0x0A0D0D0A:
            assert struct.unpack("<IHHq", body[:16])[:3] == (0x1A2B3C4D, 1, 0)
            _options(body[16:])
        elif kind == 1:
            link, reserved, found.snaplen = struct.unpack("<HHI", body[:8])
            assert (link, reserved) == (1, 0)
            options = _options(body[8:])
            assert options[9] == b"\x09"
            found.interface, found.description = options[2].decode(), options[3].decode()
            assert options.get(11, b"\0")[:1] == b"\0"
            found.filter = options.get(11, b"\0")[1:].decode()
        elif kind == 6:
            found.packets.append(_packet(body, found.snaplen))
        else:
            assert kind == 5, f"block of type {kind}"
            options = _options(body[12:])
            found.received, found.dropped = (
                struct.unpack("<Q", options[code])[0] for code in (4, 5)
            )
    assert kinds[:2] == [0x0A0D0D0A, 1]
    assert set(kinds[2:]) <= {5, 6}
    assert 5 not in kinds[:-1], "statistics are last"
    return found


def _blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert size % 4 == 0
        assert at + size <= len(data), "the file ends within a block"
        assert struct.unpack_from("<I", data, at + size - 4)[0] == size
        yield kind, data[at + 8 : at + size - 4]
        at += size


def _packet(body: bytes, snaplen: int) -> Packet:
    interface, high, low, kept, length = struct.unpack("<5I", body[:20])
    assert interface == 0
    assert kept <= min(snaplen, length)
    rest = body[20 + kept :]
    padding = -kept % 4
    assert rest[:padding] == bytes(padding)
    flags = struct.unpack("<I", _options(rest[padding:])[2])[0]
    return Packet((high << 32 | low) / 1e9, body[20 : 20 + kept], length, flags & 3)


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if code == 0:
            assert (size, at + 4) == (0, len(data))
            return found
        assert code not in found
        found[code] = data[at + 4 : at + 4 + size]
        assert len(found[code]) == size
        at += 4 + size + -size % 4
    assert not data, "options do not end"
    return found
