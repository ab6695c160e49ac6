"""DHCPv6 messages as bytes: what is answered to whom, and what is not (RFC 8415)."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.ovn import dhcpv6
from weft.ovn.dhcpv6 import Option, Status, Type

MAC = "0a:58:0a:01:00:05"
OWN = IPv6Address("fe80::5")
LEASE = IPv6Address("fd00:1::5")
CLIENT = bytes.fromhex("00030001") + bytes.fromhex(MAC.replace(":", ""))
FOR_EVER = 0xFFFFFFFF


def option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


def ia(*addresses: str, number: int = 7, code: int = Option.IA_NA) -> bytes:
    inner = b"".join(option(5, IPv6Address(a).packed + bytes(8)) for a in addresses)
    return option(code, struct.pack("!III", number, 0, 0) + inner)


def frame(
    kind: int,
    *options: bytes,
    to: str = "ff02::1:2",
    source: str = str(OWN),
    ports: tuple[int, int] = (546, 547),
    length: int | None = None,
) -> bytes:
    body = bytes((kind,)) + b"\1\2\3" + b"".join(options)
    size = 8 + len(body) if length is None else length
    udp = struct.pack("!HHHH", *ports, size, 0) + body
    ip = struct.pack("!IHBB", 6 << 28, len(udp), 17, 1)
    ip += IPv6Address(source).packed + IPv6Address(to).packed
    return bytes.fromhex("333300010002" + MAC.replace(":", "") + "86dd") + ip + udp


CLIENT_ID = option(Option.CLIENT_ID, CLIENT)
SERVER_ID = option(Option.SERVER_ID, dhcpv6.SERVER_DUID)


def answered(
    sent: bytes, lease: IPv6Address | None = LEASE, settings: dhcpv6.Settings | None = None
) -> tuple[int, list[tuple[int, bytes]]]:
    """Type and options of the answer, after its headers were found right."""
    asked = dhcpv6.parse(sent)
    assert asked is not None
    made = dhcpv6.answer(asked, lease, settings or dhcpv6.Settings())
    assert made is not None
    assert made[:12] == bytes.fromhex(MAC.replace(":", "") + "0a58a9fe0101")
    assert made[22:54] == IPv6Address("fe80::858:a9ff:fefe:101").packed + OWN.packed
    assert struct.unpack("!HHH", made[54:60]) == (547, 546, len(made) - 54)
    body = made[54:] + bytes(len(made) % 2)
    pseudo = made[22:54] + struct.pack("!II", len(made) - 54, 17)
    total = sum(struct.unpack(f"!{len(pseudo + body) // 2}H", pseudo + body))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF
    assert made[63:66] == b"\1\2\3"
    found, rest = [], made[66:]
    while rest:
        code, size = struct.unpack("!HH", rest[:4])
        found.append((code, rest[4 : 4 + size]))
        rest = rest[4 + size :]
    return made[62], found


def lease(*addresses: tuple[str, int], number: int = 7) -> bytes:
    inner = b"".join(
        option(5, IPv6Address(a).packed + struct.pack("!II", life, life)) for a, life in addresses
    )
    return struct.pack("!III", number, FOR_EVER, FOR_EVER) + inner


@pytest.mark.parametrize(
    ("kind", "server", "reply"),
    [
        (Type.SOLICIT, b"", Type.ADVERTISE),
        (Type.REQUEST, SERVER_ID, Type.REPLY),
        (Type.RENEW, SERVER_ID, Type.REPLY),
        (Type.REBIND, b"", Type.REPLY),
    ],
)
def test_a_guest_is_given_its_ports_address_for_ever(
    kind: Type, server: bytes, reply: Type
) -> None:
    got, options = answered(frame(kind, CLIENT_ID, server, ia()))
    assert got == reply
    assert options == [
        (Option.CLIENT_ID, CLIENT),
        (Option.SERVER_ID, bytes.fromhex("000300010a58a9fe0101")),
        (Option.IA_NA, lease((str(LEASE), FOR_EVER))),
    ]


def test_what_a_guest_requests_is_not_what_it_gets() -> None:
    _, options = answered(frame(Type.SOLICIT, CLIENT_ID, ia("fd00:1::66")))
    assert (Option.IA_NA, lease((str(LEASE), FOR_EVER))) in options
    _, options = answered(frame(Type.RENEW, CLIENT_ID, SERVER_ID, ia("fd00:1::66", str(LEASE))))
    assert (Option.IA_NA, lease((str(LEASE), FOR_EVER), ("fd00:1::66", 0))) in options


def test_there_is_one_address_and_no_prefix() -> None:
    sent = frame(Type.SOLICIT, CLIENT_ID, ia(), ia(number=8), ia(number=9, code=Option.IA_PD))
    _, options = answered(sent)
    none = option(Option.STATUS, struct.pack("!H", Status.NO_ADDRESSES))
    assert options[3] == (Option.IA_NA, struct.pack("!III", 8, FOR_EVER, FOR_EVER) + none)
    none = option(Option.STATUS, struct.pack("!H", Status.NO_PREFIXES))
    assert options[4] == (Option.IA_PD, struct.pack("!III", 9, 0, 0) + none)


def test_a_port_without_an_address_leases_none() -> None:
    _, options = answered(frame(Type.SOLICIT, CLIENT_ID, ia()), None)
    none = option(Option.STATUS, struct.pack("!H", Status.NO_ADDRESSES))
    assert options[2] == (Option.IA_NA, struct.pack("!III", 7, FOR_EVER, FOR_EVER) + none)


def test_the_networks_settings_are_reported_with_a_lease_and_alone() -> None:
    settings = dhcpv6.Settings((IPv6Address("fd00:1::2"), IPv6Address("fd00:1::3")), "lab.example")
    expected = [
        (Option.DNS_SERVERS, settings.dns[0].packed + settings.dns[1].packed),
        (Option.DOMAIN_SEARCH, b"\3lab\7example\0"),
    ]
    for sent in (
        frame(Type.SOLICIT, CLIENT_ID, ia()),
        frame(Type.INFORMATION_REQUEST, CLIENT_ID),
        frame(Type.INFORMATION_REQUEST),
    ):
        _, options = answered(sent, settings=settings)
        assert options[-2:] == expected


def test_a_guest_that_comes_back_is_reported_whether_its_address_holds() -> None:
    right = option(Option.STATUS, struct.pack("!H", Status.SUCCESS))
    wrong = option(Option.STATUS, struct.pack("!H", Status.NOT_ON_LINK))
    _, options = answered(frame(Type.CONFIRM, CLIENT_ID, ia(str(LEASE))))
    assert options[-1] == (Option.STATUS, right[4:])
    for addresses in (("fd00:1::66",), (str(LEASE), "fd00:2::5")):
        _, options = answered(frame(Type.CONFIRM, CLIENT_ID, ia(*addresses)))
        assert options[-1] == (Option.STATUS, wrong[4:])
    nothing = dhcpv6.parse(frame(Type.CONFIRM, CLIENT_ID, ia()))
    assert nothing is not None
    assert dhcpv6.answer(nothing, LEASE, dhcpv6.Settings()) is None


@pytest.mark.parametrize("kind", [Type.RELEASE, Type.DECLINE])
def test_what_is_given_back_is_thanked_for(kind: Type) -> None:
    got, options = answered(frame(kind, CLIENT_ID, SERVER_ID, ia(str(LEASE))))
    assert got == Type.REPLY
    assert options[2:] == [(Option.STATUS, b"\0\0")]


OTHER = option(Option.SERVER_ID, bytes.fromhex("000300010a5800000001"))


@pytest.mark.parametrize(
    "sent",
    [
        frame(Type.SOLICIT, ia()),  # nobody asks
        frame(Type.SOLICIT, CLIENT_ID, CLIENT_ID, ia()),
        frame(Type.SOLICIT, CLIENT_ID, SERVER_ID, ia()),
        frame(Type.REQUEST, CLIENT_ID, ia()),  # of no server
        frame(Type.REQUEST, CLIENT_ID, OTHER, ia()),
        frame(Type.REQUEST, CLIENT_ID, SERVER_ID, SERVER_ID, ia()),
        frame(Type.INFORMATION_REQUEST, OTHER),
        frame(Type.INFORMATION_REQUEST, ia()),
        frame(Type.ADVERTISE, CLIENT_ID, SERVER_ID, ia()),
        frame(Type.REPLY, CLIENT_ID, SERVER_ID, ia()),
        frame(12, CLIENT_ID, ia()),  # a relay's
        frame(Type.SOLICIT, CLIENT_ID, ia(), to="fe80::858:a9ff:fefe:101"),
        frame(Type.SOLICIT, CLIENT_ID, ia(), source="fd00:1::5"),
        frame(Type.SOLICIT, CLIENT_ID, ia(), ports=(547, 547)),
        frame(Type.SOLICIT, CLIENT_ID, ia(), length=4000),
        frame(Type.SOLICIT, CLIENT_ID, ia(), length=9),
        frame(Type.SOLICIT, CLIENT_ID, ia(), length=20),
        frame(Type.SOLICIT, CLIENT_ID, *(ia(number=n) for n in range(1, 10))),
        frame(Type.SOLICIT, CLIENT_ID, ia(*(f"fd00::{n}" for n in range(9)))),
        frame(Type.SOLICIT, option(1, b"ab"), ia()),
        frame(Type.SOLICIT, option(1, bytes(131)), ia()),
        frame(Type.SOLICIT, CLIENT_ID, option(3, bytes(11))),
        frame(Type.SOLICIT, CLIENT_ID, option(3, bytes(12) + option(5, bytes(23)))),
        frame(Type.SOLICIT, CLIENT_ID, option(3, bytes(12) + b"\0\5\0\xff")),
        frame(Type.SOLICIT, ia(), b"\0\1\xff\xff" + b"A" * 60),  # what OVN 25.03.0 dies of
        frame(Type.REQUEST, CLIENT_ID, SERVER_ID, ia(), b"\0\1\xff\xff" + b"A" * 60),
        frame(Type.SOLICIT, CLIENT_ID, ia(), b"\0\6\0"),
    ],
)
def test_what_breaks_the_rules_is_not_answered(sent: bytes) -> None:
    assert dhcpv6.parse(sent) is None


def test_neither_is_what_is_cut_short() -> None:
    whole = frame(Type.SOLICIT, CLIENT_ID, ia(str(LEASE)))
    assert dhcpv6.parse(whole) is not None
    assert not any(dhcpv6.parse(whole[:length]) for length in range(len(whole)))


def test_another_interface_or_port_does_not_matter_to_padding() -> None:
    """A short frame is padded on the wire: what lies behind the datagram is not read."""
    sent = frame(Type.SOLICIT, CLIENT_ID, ia())
    assert dhcpv6.parse(sent + b"\0\1\xff\xff") == dhcpv6.parse(sent)


OPTIONS = st.tuples(st.integers(0, 30), st.binary(max_size=48)).map(lambda each: option(*each))


@given(st.integers(0, 14), st.lists(OPTIONS, max_size=12), st.binary(max_size=12))
def test_whatever_is_sent_costs_little_and_the_answer_is_whole(
    kind: int, options: list[bytes], tail: bytes
) -> None:
    sent = frame(kind, CLIENT_ID, *options, tail)
    asked = dhcpv6.parse(sent)
    if asked is not None:
        made = dhcpv6.answer(asked, LEASE, dhcpv6.Settings())
        assert made is None or len(made) < 1280


@given(st.binary(max_size=256))
def test_any_bytes_are_read_without_harm(data: bytes) -> None:
    dhcpv6.parse(data)
    dhcpv6.parse(frame(Type.SOLICIT)[:62] + data)
