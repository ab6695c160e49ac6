"""What the advertiser asks of OVS, and which of OVS's news make it open its device again."""

from __future__ import annotations

import socket
from dataclasses import replace
from ipaddress import ip_address, ip_network
from types import SimpleNamespace
from typing import Any

import pytest

from weft import model, names, rows, tunnelkeys
from weft.metrics import Metric
from weft.nic import port
from weft.node import advertise
from weft.ovn import advertisement

SAID = advertisement.of_network(
    model.Network(
        model.NetworkSpec("blue", model.Topology.LAYER2, 1300, (ip_network("fd00:1::/64"),)), 3
    ),
    (),
)


def test_the_port_is_bound_to_the_networks_advertiser_and_its_own_kind() -> None:
    interface, made = advertise.desired(SAID, "br-int")
    assert interface.key == made.key == "wra3"
    ids = interface.columns["external_ids"]
    assert isinstance(ids, rows.MapEntries)
    assert ids.present[names.IFACE_ID] == "blue_:advertiser"
    assert made.parent == rows.Ref("Bridge", "br-int")
    read: dict[str, rows.Value] = {"external_ids": ids.present, "name": "wra3"}
    assert advertise.is_ours(read)
    assert port.bound(read) is None  # none of the pods' ports, so no clean-up of those takes it


def test_the_longest_device_name_fits() -> None:
    assert len(names.advertiser_device(tunnelkeys.MAX_NETWORKS)) <= 15


@pytest.mark.parametrize(
    ("old", "new", "anew"),
    [
        ((4, 7), (4, 7), False),
        ((4, 7), (4, 0), False),  # moved away by ourselves
        ((4, 7), (4, frozenset()), False),
        ((4, 0), (4, 9), True),  # the switch started again
        ((4, 7), (5, 7), True),
        ((frozenset(), frozenset()), (4, 7), True),
    ],
)
def test_a_device_that_is_another_one(
    old: tuple[Any, Any], new: tuple[Any, Any], anew: bool
) -> None:
    before, after = ({"ofport": o, "ifindex": i} for o, i in (old, new))
    assert advertise._is_anew(before, after) is anew


def solicitation(mac: str) -> bytes:
    ethernet = bytes.fromhex("333300000002" + mac.replace(":", "") + "86dd")
    ipv6 = b"\x60\0\0\0" + b"\x00\x08\x3a\xff" + ip_address("fe80::1").packed + bytes(16)
    return ethernet + ipv6 + b"\x85" + bytes(7)


async def test_a_device_that_fails_while_guests_wait_is_opened_anew_once() -> None:
    guests = [f"0a:58:00:00:00:{number:02x}" for number in range(3)]
    advertised = replace(SAID, leases=dict.fromkeys(guests))
    ovs: Any = SimpleNamespace(subscribe=lambda table, function: None)
    speaker = advertise.RouterAdvertiser(ovs)
    device, wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    device.setblocking(False)
    for guest in guests:
        wire.send(solicitation(guest))
    wire.close()  # what has come can be read, and nothing can be sent
    speaker._devices["blue"] = advertise.OpenDevice(advertised, device)
    speaker._read_frames("blue")
    assert speaker.figures()[Metric.ADVERTISED] == 0
    assert device.fileno() == -1
    assert len(speaker._queue) == 1
