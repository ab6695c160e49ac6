"""Router advertisements as bytes, read back field by field with the formulas of the RFCs."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from weft import model
from weft.ovn import advertisement

NETWORK = model.Network(
    model.NetworkSpec(
        "blue", model.Topology.LAYER2, 1300, (ip_network("10.1.0.0/24"), ip_network("fd00:1::/64"))
    ),
    3,
)
SAID = advertisement.advertised(NETWORK, frozenset({"0a:58:0a:01:00:05"}))


def solicitation(
    *, source: str = "fe80::1", kind: int = 133, code: int = 0, limit: int = 255
) -> bytes:
    ethernet = bytes.fromhex("3333000000020a580a01000586dd")
    body = bytes((kind, code)) + bytes(6)
    ip = struct.pack("!IHBB", 6 << 28, len(body), 58, limit)
    return ethernet + ip + IPv6Address(source).packed + IPv6Address("ff02::2").packed + body


def options(frame: bytes) -> dict[int, bytes]:
    found, rest = {}, frame[54 + 16 :]
    while rest:
        found[rest[0]] = rest[: rest[1] * 8]
        rest = rest[rest[1] * 8 :]
    return found


def test_no_default_router_addresses_by_dhcp_prefix_on_link():
    frame = advertisement.to_all(SAID)
    assert frame[:6] == bytes.fromhex("333300000001")
    assert frame[54] == 134
    flags, lifetime = struct.unpack("!xBH", frame[58:62])
    assert flags == 0xC0  # managed and other configuration
    assert lifetime == 0
    found = options(frame)
    assert found[1][2:] == bytes.fromhex("0a58a9fe0101")
    assert struct.unpack("!I", found[5][4:]) == (1300,)
    length, bits, valid, preferred = struct.unpack("!BBII", found[3][2:12])
    assert (length, bits) == (64, 0x80)  # on link, not for autoconfiguration
    assert valid > preferred > 0
    assert found[3][16:] == IPv6Address("fd00:1::").packed


def test_checksum_holds():
    for frame in (
        advertisement.to_all(SAID),
        advertisement.answer(
            SAID, advertisement.Solicitation("0a:58:0a:01:00:05", IPv6Address("fe80::5"))
        ),
    ):
        body = frame[54:]
        pseudo = frame[22:54] + struct.pack("!II", len(body), 58)
        total = sum(struct.unpack(f"!{len(pseudo + body) // 2}H", pseudo + body))
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        assert total == 0xFFFF


def test_the_asking_guest_alone_is_answered():
    asked = advertisement.parse(solicitation(source="fe80::7"))
    assert asked == advertisement.Solicitation("0a:58:0a:01:00:05", IPv6Address("fe80::7"))
    frame = advertisement.answer(SAID, asked)
    assert frame[:6] == bytes.fromhex("0a580a010005")
    assert frame[38:54] == IPv6Address("fe80::7").packed


def test_a_guest_without_an_address_is_told_under_the_address_of_all():
    asked = advertisement.parse(solicitation(source="::"))
    frame = advertisement.answer(SAID, asked)
    assert frame[:6] == bytes.fromhex("0a580a010005")
    assert frame[38:54] == IPv6Address("ff02::1").packed


def test_what_is_no_solicitation_of_this_link_is_ignored():
    assert advertisement.parse(solicitation(limit=64)) is None
    assert advertisement.parse(solicitation(kind=134)) is None
    assert advertisement.parse(solicitation(code=1)) is None
    assert advertisement.parse(solicitation()[:60]) is None


@given(st.binary(max_size=128))
def test_any_bytes_are_read_without_harm(frame):
    advertisement.parse(frame)
