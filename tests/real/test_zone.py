"""Networks across real OVN zones, judged by packets on the wire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import IPv6Address

import pytest

from tests.support import frames
from tests.support.realised import Cluster, Kept, network
from tests.support.zones import Guest
from weft import model
from weft.ovn import ports

pytestmark = pytest.mark.real

ALL = "ff:ff:ff:ff:ff:ff"


@dataclass
class Scene:
    """Network blue; pod one on zone a, pods two, three and four on zone b."""

    a: Kept
    b: Kept
    ports: dict[str, model.Port]
    guests: dict[str, Guest]

    def mac(self, name: str) -> str:
        return self.ports[name].allocation.mac

    def frame(self, name: str, to_mac: str, to: str, payload: bytes, source: str = "") -> bytes:
        own = str(self.ports[name].allocation.addresses[0].ip)
        return frames.udp(self.mac(name), to_mac, source or own, to, payload)


async def build(
    cluster: Cluster, *styles: ports.RemotePorts, subnets: tuple[str, ...] = ("10.1.0.0/24",)
) -> Scene:
    style = styles[0] if styles else ports.RemotePorts.PLAIN
    a, b = await cluster.zone(style), await cluster.zone(style)
    await cluster.define("default/blue", network("blue", 1, *subnets))
    placed, guests = {}, {}
    for number, (name, zone) in enumerate(
        {"one": a, "two": b, "three": b, "four": b}.items(), start=11
    ):
        addresses = [
            f"10.1.0.{number}/24" if ":" not in subnet else f"fd00:1::{number}/64"
            for subnet in subnets
        ]
        placed[name] = await cluster.pod(name, zone, "default/blue", number, *addresses)
    for name, port in placed.items():
        guests[name] = await cluster.guest(a if name == "one" else b, port)
        for address in port.allocation.addresses:
            guests[name].take(str(address))
    return Scene(a, b, placed, guests)


async def pings(guest: Guest, address: str, count: int = 3) -> bool:
    return await asyncio.to_thread(guest.pings, address, count)


@pytest.mark.parametrize("style", ports.RemotePorts)
async def test_unicast_between_zones_in_both_families(
    cluster: Cluster, style: ports.RemotePorts
) -> None:
    scene = await build(cluster, style, subnets=("10.1.0.0/24", "fd00:1::/64"))
    assert await pings(scene.guests["one"], "10.1.0.12")
    assert await pings(scene.guests["two"], "10.1.0.11")
    assert await pings(scene.guests["one"], "fd00:1::12")
    assert await pings(scene.guests["three"], "fd00:1::14")


@pytest.mark.parametrize(
    ("style", "copies"), [(ports.RemotePorts.PLAIN, 1), (ports.RemotePorts.REMOTE, 3)]
)
async def test_a_broadcast_crosses_once_for_each_chassis(
    cluster: Cluster, style: ports.RemotePorts, copies: int
) -> None:
    """And each guest hears it once. Type `remote`, which floods once a port, shows the count."""
    scene = await build(cluster, style)
    assert await pings(scene.guests["one"], "10.1.0.12")
    wire = cluster.wire.space
    with (
        frames.capture(wire, f"ul-{scene.b.zone.name}") as tunnel,
        frames.capture(scene.guests["three"].space) as three,
    ):
        frames.send(
            scene.guests["one"].space,
            scene.frame("one", ALL, "10.1.0.255", b"to all"),
            scene.frame("one", scene.mac("three"), "10.1.0.13", b"the end"),
        )
        crossed = tunnel.until(lambda frame: b"the end" in frame)
        received = three.until(lambda frame: b"the end" in frame)
    assert sum(b"to all" in frame for frame in crossed) == copies
    assert sum(b"to all" in frame for frame in received) == 1


async def test_arp_and_nd_for_remote_pods_are_answered_at_home(cluster: Cluster) -> None:
    scene = await build(cluster, subnets=("10.1.0.0/24", "fd00:1::/64"))
    one = scene.guests["one"]
    with frames.capture(cluster.wire.space, f"ul-{scene.b.zone.name}") as tunnel:
        answer = one.run("busybox", "arping", "-I", "eth0", "-c", "1", "10.1.0.14")
        assert scene.mac("four") in answer.lower()
        assert await pings(one, "fd00:1::14")
        frames.send(one.space, scene.frame("one", scene.mac("four"), "10.1.0.14", b"the end"))
        crossed = [frames.inner(frame) for frame in tunnel.until(lambda f: b"the end" in f)]
    assert not [frame for frame in crossed if frames.is_arp(frame)]
    sought = IPv6Address("fd00:1::14").packed
    assert not [f for f in crossed if frames.icmpv6_type(f) == 135 and f[62:78] == sought]
    assert scene.mac("four") in one.run("busybox", "ip", "neigh", "show", "to", "fd00:1::14")


async def test_what_is_sent_with_anothers_address_is_not_heard(cluster: Cluster) -> None:
    scene = await build(cluster, subnets=("10.1.0.0/24", "fd00:1::/64"))
    assert await pings(scene.guests["one"], "10.1.0.12")
    mac, to = scene.mac("one"), scene.mac("two")
    own_lla, other_lla = "fe80::858:ff:fe00:b", "fe80::1:2:3:4"
    own = (b"own link-local", b"chosen link-local", b"own v6")
    one = scene.guests["one"].space
    with frames.capture(scene.guests["two"].space) as capture:
        frames.send(
            one,
            frames.udp(mac, to, "10.1.0.13", "10.1.0.12", b"stolen v4"),
            frames.udp(mac, to, "10.1.0.200", "10.1.0.12", b"invented v4"),
            frames.udp(mac, to, "fd00:1::13", "fd00:1::12", b"stolen v6"),
            frames.udp(scene.mac("three"), to, "10.1.0.11", "10.1.0.12", b"stolen mac"),
            frames.udp(mac, to, own_lla, "fd00:1::12", own[0]),
            frames.udp(mac, to, other_lla, "fd00:1::12", own[1]),
            frames.udp(mac, to, "fd00:1::11", "fd00:1::12", own[2]),
        )
        # A frame whose flow is known overtakes those of one burst whose flows are not: hence the
        # end is sent when all that may be heard has been.
        for word in own:
            capture.until(frames.with_all(word))
        frames.send(one, scene.frame("one", to, "10.1.0.12", b"the end"))
        received = b"".join(capture.until(lambda frame: b"the end" in frame))
    for word in (b"stolen", b"invented"):
        assert word not in received


async def test_without_subnets_any_address_of_ones_own_mac(cluster: Cluster) -> None:
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define("default/flat", network("flat", 1))
    one = await cluster.pod("one", a, "default/flat", 11)
    two = await cluster.pod("two", b, "default/flat", 12)
    first, second = await cluster.guest(a, one), await cluster.guest(b, two)
    first.take("172.20.0.1/24")
    second.take("172.20.0.2/24")
    assert await pings(first, "172.20.0.2")
    second.run("busybox", "ip", "link", "set", "dev", "eth0", "address", "0a:58:00:00:00:99")
    assert not await pings(first, "172.20.0.2", 1)


async def test_two_networks_with_one_subnet_stay_apart(cluster: Cluster) -> None:
    a = await cluster.zone()
    await cluster.define("default/blue", network("blue", 1, "10.1.0.0/24"))
    await cluster.define("default/red", network("red", 2, "10.1.0.0/24"))
    one = await cluster.guest(a, await cluster.pod("one", a, "default/blue", 11, "10.1.0.11/24"))
    two = await cluster.guest(a, await cluster.pod("two", a, "default/red", 12, "10.1.0.12/24"))
    for guest, address in ((one, "10.1.0.11/24"), (two, "10.1.0.12/24")):
        guest.run("busybox", "ip", "addr", "add", address, "dev", "eth0")
    assert not await pings(one, "10.1.0.12", 1)


def recomputes(kept: Kept, node: str) -> int:
    """How often northd has built a part of its work from nothing, all that was written included."""
    kept.zone.run("ovn-nbctl", "--timeout=60", "--wait=sb", "sync")
    output = kept.zone.run(
        "ovn-appctl", "-t", "ovn-northd", "inc-engine/show-stats", node, "recompute"
    )
    return int(output.split()[-1])


@pytest.mark.parametrize(
    ("style", "is_incremental"),
    [(ports.RemotePorts.PLAIN, True), (ports.RemotePorts.REMOTE, False)],
)
async def test_one_more_remote_pod_is_incremental_for_northd(
    cluster: Cluster, style: ports.RemotePorts, is_incremental: bool
) -> None:
    scene = await build(cluster, style)
    before = {node: recomputes(scene.a, node) for node in ("northd", "lflow")}
    port = await cluster.pod("more", scene.b, "default/blue", 20, "10.1.0.20/24")
    await scene.a.bound(ports.port_key(port), scene.b.zone.chassis)
    after = {node: recomputes(scene.a, node) for node in before}
    assert (after == before) is is_incremental
