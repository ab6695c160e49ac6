"""What the kernel says of neighbours, read from its messages."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from weft.host import neighbours

NEW, GONE = 28, 29
REACHABLE = 2


def message(kind: int, index: int, state: int, address: str, *, extra: bytes = b"") -> bytes:
    """One message of rtnetlink(7): nlmsghdr, ndmsg, and attributes with the address last."""
    packed = ip_address(address).packed
    attributes = extra + struct.pack("=HH", 4 + len(packed), 1) + packed
    body = struct.pack("=BxxxiHBB", 2, index, state, 0, 1) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_each_neighbour_of_a_datagram_is_read() -> None:
    mac = struct.pack("=HH", 10, 2) + b"\x02\0\0\0\0\1" + b"\0\0"
    data = (
        message(NEW, 7, REACHABLE, "192.0.2.1", extra=mac)
        + message(GONE, 7, REACHABLE, "192.0.2.2")
        + message(NEW, 8, 0x20, "2001:db8::1")
    )
    assert list(neighbours.changes(data)) == [
        (7, "192.0.2.1", REACHABLE),
        (8, "2001:db8::1", 0x20),
    ]


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_to_its_end(data: bytes) -> None:
    for index, address, state in neighbours.changes(data):
        assert isinstance(index, int)
        assert ip_address(address)
        assert 0 <= state < 1 << 16
