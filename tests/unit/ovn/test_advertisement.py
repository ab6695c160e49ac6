"""Router advertisements as bytes, read back field by field with the formulas of the RFCs."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_interface, ip_network

from hypothesis import given
from hypothesis import strategies as st

from tests.support.columns import mapping
from weft import model, rows, tunnelkeys
from weft.ovn import advertisement, dhcpv6

NETWORK = model.Network(
    model.NetworkSpec(
        "blue", model.Topology.LAYER2, 1300, (ip_network("10.1.0.0/24"), ip_network("fd00:1::/64"))
    ),
    3,
)
GUEST = model.Allocation("0a:58:0a:01:00:05", (ip_interface("fd00:1::5/64"),), 11)
SAID = advertisement.of_network(NETWORK, [GUEST])


ROUTED = model.Network(
    model.NetworkSpec(
        "red",
        model.Topology.LAYER3,
        1300,
        (ip_network("10.64.0.0/16"), ip_network("fd00:64::/48")),
        host_prefix=(24, 64),
    ),
    4,
)
PART = (ip_network("10.64.2.0/24"), ip_network("fd00:64:0:2::/64"))


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


def test_no_default_router_addresses_by_dhcp_prefix_on_link() -> None:
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


def test_checksum_holds() -> None:
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


def test_on_a_routed_network_the_nodes_router_leads_to_all_of_it() -> None:
    frame = advertisement.to_all(advertisement.of_network(ROUTED, (), PART))
    assert frame[6:12] == bytes.fromhex("0a580a400201")
    assert frame[22:38] == IPv6Address("fe80::858:aff:fe40:201").packed
    assert struct.unpack("!H", frame[60:62]) == (0,)  # a default router it is not
    found = options(frame)
    assert found[1][2:] == frame[6:12]
    assert found[3][16:] == IPv6Address("fd00:64:0:2::").packed
    length, preference, valid = struct.unpack("!BBI", found[24][2:8])
    assert (length, preference) == (48, 0)
    assert valid > 0
    assert found[24][8:] == IPv6Address("fd00:64::").packed


def test_on_the_clusters_own_network_it_leads_everywhere() -> None:
    own = model.Network(replace(ROUTED.spec, name="default"), 0)
    frame = advertisement.to_all(advertisement.of_network(own, (), PART))
    assert struct.unpack("!H", frame[60:62]) == (65535,)
    assert 24 not in options(frame)


def test_a_flat_network_has_no_way_to_tell() -> None:
    assert 24 not in options(advertisement.to_all(SAID))
    assert advertisement.to_all(SAID)[22:38] == IPv6Address("fe80::858:a9ff:fefe:101").packed


def test_its_port_keeps_below_the_keys_of_pods() -> None:
    for network in (NETWORK, ROUTED):
        (row,) = advertisement.port(network, "switch")
        assert row.columns["type"] == "localport"
        assert row.parent == rows.Ref("Logical_Switch", "switch")
        assert (
            int(str(mapping(row.columns["options"])["requested-tnl-key"]))
            < tunnelkeys.FIRST_POD_TUNNEL_KEY
        )
    silent = replace(NETWORK, spec=replace(NETWORK.spec, dhcp=model.Dhcp(enabled=False)))
    assert advertisement.port(silent, "switch") == ()


def test_what_each_guest_leases_and_is_reported_beside_it() -> None:
    assert SAID.leases == {"0a:58:0a:01:00:05": IPv6Address("fd00:1::5")}
    told = model.Dhcp(dns=(ip_address("10.1.0.2"), ip_address("fd00:1::2")), domain="lab.example")
    network = replace(NETWORK, spec=replace(NETWORK.spec, dhcp=told))
    made = advertisement.of_network(network, [replace(GUEST, addresses=())])
    assert made.leases == {"0a:58:0a:01:00:05": None}
    assert made.settings == dhcpv6.Settings((IPv6Address("fd00:1::2"),), "lab.example")
    assert not made.has_same_content_as(SAID)
    assert SAID.has_same_content_as(advertisement.of_network(NETWORK, ()))


def test_the_asking_guest_alone_is_answered() -> None:
    asked = advertisement.parse(solicitation(source="fe80::7"))
    assert asked == advertisement.Solicitation("0a:58:0a:01:00:05", IPv6Address("fe80::7"))
    frame = advertisement.answer(SAID, asked)
    assert frame[:6] == bytes.fromhex("0a580a010005")
    assert frame[38:54] == IPv6Address("fe80::7").packed


def test_a_guest_without_an_address_is_reported_under_the_address_of_all() -> None:
    asked = advertisement.parse(solicitation(source="::"))
    assert asked is not None
    frame = advertisement.answer(SAID, asked)
    assert frame[:6] == bytes.fromhex("0a580a010005")
    assert frame[38:54] == IPv6Address("ff02::1").packed


def test_what_is_no_solicitation_of_this_link_is_ignored() -> None:
    assert advertisement.parse(solicitation(limit=64)) is None
    assert advertisement.parse(solicitation(kind=134)) is None
    assert advertisement.parse(solicitation(code=1)) is None
    assert advertisement.parse(solicitation()[:60]) is None


@given(st.binary(max_size=128))
def test_any_bytes_are_read_without_harm(frame: bytes) -> None:
    advertisement.parse(frame)
