"""The frames by which a NIC announces itself."""

from __future__ import annotations

from ipaddress import ip_interface

from weft.ovn import announcement, ipv6

MAC = "0a:58:c0:a8:14:05"
OWN = ipv6.octets(MAC)


def test_an_ipv4_address_is_announced_to_all_as_ones_own() -> None:
    (frame,) = announcement.frames(MAC, [ip_interface("192.168.20.5/24")])
    address = bytes((192, 168, 20, 5))
    assert frame[:14] == b"\xff" * 6 + OWN + b"\x08\x06"
    assert frame[14:22] == b"\x00\x01\x08\x00\x06\x04\x00\x01"
    assert frame[22:42] == OWN + address + bytes(6) + address


def test_an_ipv6_address_is_advertised_unasked_and_overrides() -> None:
    (frame,) = announcement.frames(MAC, [ip_interface("fd00:20::5/64")])
    assert frame[:14] == b"\x33\x33\x00\x00\x00\x01" + OWN + b"\x86\xdd"
    body = ipv6.payload(frame, ipv6.ICMPV6)
    assert body is not None
    assert (body[0], body[4] & 0x60) == (136, 0x20)
    assert body[8:24] == ip_interface("fd00:20::5/64").ip.packed
    assert body[24:] == b"\x02\x01" + OWN
    ends = frame[22:54]
    assert ipv6.checksum(ends + len(body).to_bytes(4, "big") + bytes((0, 0, 0, 58)) + body) == 0


def test_a_nic_without_addresses_shows_its_mac_alone() -> None:
    (frame,) = announcement.frames(MAC, [])
    assert frame[:14] == b"\xff" * 6 + OWN + b"\x80\x35"
    assert frame[20:22] == b"\x00\x03"
    assert frame[22:42] == OWN + bytes(4) + OWN + bytes(4)
