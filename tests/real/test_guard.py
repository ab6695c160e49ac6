"""Guests that play router or DHCP server, or solicit in another's name: who hears them?

Frame by frame, on one node and across. What a named guest sends is heard, so the ears work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.support import forged, frames
from tests.support.addressed import Cluster
from tests.support.objects import nad
from tests.support.patience import PATIENCE
from tests.support.zones import Guest, Zone
from weft.api import podnetworks
from weft.kube import resources
from weft.model import ObjectKey

pytestmark = pytest.mark.real

IPV4, IPV6 = 0x0800, 0x86DD
REWRITTEN = "writing them again"
FALSE = "0a:58:0a:01:00:99"
ROUTER = "fe80::858:a9ff:fefe:101"  # where weft's own advertisements come from


@pytest.fixture
def cluster(addressed: Cluster) -> Cluster:
    return addressed


@dataclass
class Scene:
    """A guest that is named, one that is not, and one who listens on each node."""

    cluster: Cluster
    named: Guest
    rogue: Guest
    captures: tuple[Guest, Guest]
    addresses: dict[str, str]  # IPv4, by MAC

    async def hears(
        self, sender: Guest, sent: Iterable[bytes], expected: Iterable[bytes] = ()
    ) -> list[list[bytes]]:
        """Which of these frames each listener hears of a sender, whose end it waits for.

        A switch that knows a frame's flow passes it before those of the same burst whose flows it
        does not know: the end is sent when all that is expected has been heard.
        """
        wanted, awaited = list(sent), list(expected)
        own = forged.link_local(sender.mac)

        def end(to: Guest) -> bytes:
            return frames.udp(sender.mac, to.mac, own, forged.link_local(to.mac), b"the end")

        def listen() -> list[list[bytes]]:
            near, far = self.captures
            with frames.capture(near.space) as one, frames.capture(far.space) as other:
                frames.send(sender.space, *wanted)
                for capture in (one, other):
                    for frame in awaited:
                        capture.until(frame.__eq__)
                frames.send(sender.space, end(near), end(far))
                received = [capture.until(lambda f: b"the end" in f) for capture in (one, other)]
            return [[frame for frame in wanted if frame in each] for each in received]

        return await asyncio.to_thread(listen)


@pytest.fixture
async def scene(cluster: Cluster) -> Scene:
    """On network `open`, which assigns addresses and names `default/named` for everything."""
    config: dict[str, Any] = {"dhcp": {"servers": ["default/named"]}, "routers": ["default/named"]}
    await cluster.api.create(
        resources.NADS, nad("open", "10.1.0.0/24,fd00:1::/64", mtu=1300, **config)
    )
    return await arrange(cluster, "open")


async def arrange(cluster: Cluster, network: str) -> Scene:
    zone, other = cluster.zones
    named, rogue, near = [await cluster.guest(n, zone, network) for n in ("named", "rogue", "near")]
    far = await cluster.guest("far", other, network)
    addresses = {}
    for name, guest in (("named", named), ("rogue", rogue)):
        (held,) = podnetworks.parse(cluster.pods.get(ObjectKey("default", name)) or {}).values()
        addresses[guest.mac] = str(held.addresses[0].ip)
    for one in cluster.zones:
        await guarded(one)
    made = Scene(cluster, named, rogue, (near, far), addresses)
    # The first packet to a tunnel's peer is lost.
    await asyncio.to_thread(rogue.pings, forged.link_local(far.mac) + "%eth0")
    return made


async def guarded(zone: Zone, count: int = 30) -> None:
    """Returns when the switch has the flows."""
    await until(lambda: len(flows(zone)) >= count)


def flows(zone: Zone) -> list[str]:
    """Those of weft's own."""
    argv = ("ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "dump-flows", "br-int")
    output = zone.run(*argv, "cookie=0x7766000000000000/0xffff000000000000")
    return sorted(line for line in output.splitlines() if "cookie=" in line)


def change(zone: Zone, *argv: str) -> None:
    """What somebody else does to the bridge's flows."""
    zone.run("ovs-ofctl", "-O", "OpenFlow15", *argv)


async def until(holds: Callable[[], bool]) -> None:
    """Asks again and again; each asking runs a program."""

    def ask() -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, "did not come about"

    await asyncio.to_thread(ask)


def advertisements(guest: Guest) -> list[bytes]:
    """Router advertisements, plain, behind extension headers, and in fragments; a redirect."""
    own = forged.link_local(guest.mac)
    forgery = forged.advertisement(own, "2001:db8:bad::", guest.mac)
    bodies = [
        (58, forgery),
        forged.behind_options(forgery),
        forged.behind_options(forgery, count=30),
        (44, b"\x3a\0\0\0\0\0\0\1" + forgery),  # whole, behind a fragment header
        (44, forged.fragments(forgery)[0]),
        (44, forged.fragments(forgery, size=8)[0]),
        (44, forged.fragments(b"\x3a\0\x01\x04\0\0\0\0" + forgery, kind=60, size=8)[0]),
        (58, forged.redirect(own, forged.ALL_NODES, own, "2001:db8::1")),
    ]
    return [
        forged.ethernet(
            *(guest.mac, forged.ALL_NODES_MAC, IPV6),
            forged.ipv6(own, forged.ALL_NODES, kind, body),
        )
        for kind, body in bodies
    ]


def redirects(guest: Guest, address: str, to: Guest) -> list[bytes]:
    """By ICMP, and a router advertisement of its kind."""
    bodies = (b"\x05\x01\0\0\x0a\x01\0\x63" + bytes(28), b"\x09\0\0\0\x01\x02\x07\x08" + bytes(8))
    return [
        forged.ethernet(
            *(guest.mac, forged.BROADCAST, IPV4),
            forged.ipv4(address, "255.255.255.255", 1, body),
        )
        for body in bodies
    ]


def leases(guest: Guest, address: str) -> list[bytes]:
    """What DHCP clients hear: from a server's port and from any other, in both families."""
    own = forged.link_local(guest.mac)
    made = []
    for ports in ((67, 68), (5555, 68), (67, 6767)):
        offer = forged.udp(address, "255.255.255.255", ports, b"\x02" + bytes(299))
        for fragment in (0, 0x2000):  # as it is, and as the first of several
            packet = forged.ipv4(address, "255.255.255.255", 17, offer, fragment)
            made.append(forged.ethernet(guest.mac, forged.BROADCAST, IPV4, packet))
    for ports in ((547, 546), (5555, 546), (547, 5555)):
        reply = forged.udp(own, forged.ALL_NODES, ports, b"\x07" + bytes(39))
        for kind, body in ((17, reply), (44, forged.fragments(reply, kind=17)[0])):
            packet = forged.ipv6(own, forged.ALL_NODES, kind, body, hops=64)
            made.append(forged.ethernet(guest.mac, forged.ALL_NODES_MAC, IPV6, packet))
    return made


async def test_only_who_is_named_is_heard_as_router(scene: Scene) -> None:
    rogue, named = scene.rogue, scene.named
    for sender, is_received in ((rogue, False), (named, True)):
        sent = advertisements(sender)
        sent += redirects(sender, scene.addresses[sender.mac], scene.captures[0])
        expected = sent if is_received else []
        for received in await scene.hears(sender, sent, expected):
            assert received == expected


TAGS = {
    "priority": b"\x81\x00\x00\x00",  # of VLAN 0, which a host takes for none
    "VLAN": b"\x81\x00\x00\x07",
    "provider": b"\x88\xa8\x00\x00",
    "twice": b"\x81\x00\x00\x00\x81\x00\x00\x00",
    "provider and priority": b"\x88\xa8\x00\x00\x81\x00\x00\x00",
    "three": b"\x88\xa8\x00\x00\x81\x00\x00\x00\x81\x00\x00\x00",
}


@pytest.mark.parametrize("tags", TAGS)
async def test_tags_lead_nobody_past_the_guard(scene: Scene, tags: str) -> None:
    rogue, named = scene.rogue, scene.named
    plain = advertisements(rogue) + leases(rogue, scene.addresses[rogue.mac])
    tagged = [frame[:12] + TAGS[tags] + frame[12:] for frame in plain]
    assert await received_within(scene, rogue, tagged, plain) == [[], []]
    control = advertisements(named)
    assert await received_within(scene, named, control, control) == [control, control]


async def received_within(
    scene: Scene, sender: Guest, sent: list[bytes], wanted: list[bytes]
) -> list[list[bytes]]:
    """Which of these packets each listener hears, with or without tags around them."""
    end = b"the very end"
    own = forged.link_local(sender.mac)

    def listen() -> list[list[bytes]]:
        near, far = scene.captures
        ends = [
            frames.udp(sender.mac, to.mac, own, forged.link_local(to.mac), end)
            for to in scene.captures
        ]
        with frames.capture(near.space) as one, frames.capture(far.space) as other:
            frames.send(sender.space, *sent)
            frames.send(sender.space, *ends)
            received = [capture.until(lambda frame: end in frame) for capture in (one, other)]
        return [
            [frame for frame in wanted if any(frame[14:] in each for each in those)]
            for those in received
        ]

    return await asyncio.to_thread(listen)


async def test_only_who_is_named_is_heard_as_dhcp_server(scene: Scene) -> None:
    for sender, is_received in ((scene.rogue, False), (scene.named, True)):
        sent = leases(sender, scene.addresses[sender.mac])
        expected = sent if is_received else []
        for received in await scene.hears(sender, sent, expected):
            assert received == expected


async def test_headers_that_cannot_be_followed_lead_nowhere(scene: Scene) -> None:
    """Not even for who is named: what a switch cannot read to its end, hosts might."""
    own = forged.link_local(scene.named.mac)
    forgery = forged.advertisement(own, "2001:db8:bad::", scene.named.mac)
    cut = forged.fragments(b"\x3a\x02\x01\x04\0\0\0\0" + bytes(16) + forgery, kind=60, size=16)
    sent = [
        forged.ethernet(
            *(scene.named.mac, forged.ALL_NODES_MAC, IPV6),
            forged.ipv6(own, forged.ALL_NODES, kind, body),
        )
        for kind, body in ((44, cut[0]), (0, b"\x3a\x40\x01\x04\0\0\0\0" + forgery), (59, forgery))
    ]
    assert await scene.hears(scene.named, sent) == [[], []]


async def test_a_vlan_tag_hides_nothing(scene: Scene) -> None:
    sent = [forged.tagged(frame) for frame in advertisements(scene.rogue)]
    assert await scene.hears(scene.rogue, sent) == [[], []]


async def test_the_number_of_a_port_of_another_bridge_permits_nobody(scene: Scene) -> None:
    """A patch port of the physical bridge that is numbered as the guest is on its own."""
    zone, count = scene.cluster.zones[0], len(flows(scene.cluster.zones[0]))
    device = next(f"g{n}" for n, each in enumerate(zone.guests.values()) if each is scene.rogue)
    number = zone.run("ovs-vsctl", "get", "Interface", device, "ofport").strip()
    ends = (("br-phy", "outer", "inner", number), ("br-int", "inner", "outer", "99"))
    argv = []
    for bridge, name, peer, requested in ends:
        argv += ["--", "add-port", bridge, name, "--", "set", "Interface", name, "type=patch"]
        argv += [f"options:peer={peer}", f"ofport_request={requested}"]
    await asyncio.to_thread(zone.run, "ovs-vsctl", *argv)
    assert zone.run("ovs-vsctl", "get", "Interface", "outer", "ofport").strip() == number
    await until(lambda: len(flows(zone)) == count + 4)  # of `inner` alone
    sent = advertisements(scene.rogue) + leases(scene.rogue, scene.addresses[scene.rogue.mac])
    assert await scene.hears(scene.rogue, sent) == [[], []]


async def test_neighbour_discovery_is_heard_with_the_senders_own_mac_only(scene: Scene) -> None:
    guest = scene.rogue
    own, false = forged.source_option(guest.mac), forged.source_option(FALSE)
    source = forged.link_local(guest.mac)

    def framed(kind: int, body: bytes) -> bytes:
        packet = forged.ipv6(source, forged.ALL_NODES, kind, body)
        return forged.ethernet(guest.mac, forged.ALL_NODES_MAC, IPV6, packet)

    def asked(options: bytes) -> bytes:
        return forged.solicitation(source, "fe80::1234", options)

    def unused(address: str) -> bytes:
        """Duplicate address detection."""
        packet = forged.solicitation("::", address, b"")
        return forged.ethernet(
            *(guest.mac, forged.ALL_NODES_MAC, IPV6),
            forged.ipv6("::", forged.ALL_NODES, 58, packet),
        )

    nonce = b"\x0e\x01abcdef"
    target = forged.target_option(guest.mac)
    forgery = forged.neighbour(source, source, target)
    honest = [
        framed(58, asked(own)),
        framed(58, asked(own + nonce)),
        framed(*forged.behind_options(asked(own))),
        framed(58, forgery),
        unused(source),
        unused(f"fd00:1::{scene.addresses[guest.mac].split('.')[-1]}"),
    ]
    untrue = [
        framed(58, asked(false)),
        framed(58, asked(nonce + false)),
        framed(58, asked(false + own)),
        framed(58, asked(own + false)),
        framed(58, asked(b"\x01\0" + forged.packed(FALSE))),
        framed(*forged.behind_options(asked(false))),
        framed(44, forged.fragments(asked(false))[0]),
        framed(58, forged.neighbour(source, source, forged.target_option(FALSE))),
        framed(58, forged.neighbour(source, source, forged.target_option(FALSE) + target)),
        unused("fd00:1::77"),  # whoever has it, or is given it next
        # The address of the node's own advertiser.
        framed(58, forged.neighbour(source, ROUTER, target)),
        forged.ethernet(
            *(guest.mac, forged.ALL_NODES_MAC, IPV6),
            forged.ipv6(
                *(ROUTER, forged.ALL_NODES, 58),
                forged.solicitation(ROUTER, "fe80::1234", own),
            ),
        ),
    ]
    for received in await scene.hears(guest, [*untrue, *honest], honest):
        assert received == honest


async def rewritten(scene: Scene, before: list[str], times: int = 0) -> None:
    """Returns when the switch has the flows as they were, the agent having said so often why."""
    zone, whole = scene.cluster.zones[0], scene.cluster.whole

    def again() -> bool:
        return flows(zone) == before and whole.log(zone.name).count(REWRITTEN) >= times

    await until(again)
    for received in await scene.hears(scene.rogue, advertisements(scene.rogue)):
        assert received == []


async def test_what_others_do_to_the_flows_is_undone(scene: Scene) -> None:
    zone = scene.cluster.zones[0]
    before = flows(zone)
    admit = "actions=set_field:1->reg14,resubmit(,0)"
    for times, argv in enumerate(
        (
            ("del-flows", "br-int", "table=0,icmp6"),
            ("mod-flows", "br-int", f"table=250,{admit}"),
            ("del-flows", "br-int", "table=250"),
        ),
        1,
    ):
        await asyncio.to_thread(change, zone, *argv)
        await rewritten(scene, before, times)
    # A flow of a stranger in weft's own table lets nobody in; one in OVN's table is left alone.
    theirs = "cookie=0x1,table=0,priority=1,reg14=0,ip,nw_src=192.0.2.77"
    await asyncio.to_thread(change, zone, "add-flow", "br-int", f"{theirs},actions=drop")
    await asyncio.to_thread(change, zone, "add-flow", "br-int", f"table=250,priority=99,{admit}")
    every = ("ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "br-int", "table=250")
    await until(lambda: "priority=99" not in zone.run(*every))
    await rewritten(scene, before)
    found = zone.run("ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "br-int", "cookie=0x1/-1")
    assert "nw_src=192.0.2.77" in found


async def test_the_flows_survive_every_restart(scene: Scene) -> None:
    zone, whole = scene.cluster.zones[0], scene.cluster.whole
    before = flows(zone)
    await asyncio.to_thread(zone.stop, "ovn-controller")
    await asyncio.to_thread(zone.start, "ovn-controller")
    await rewritten(scene, before, 1)
    agent = whole.agent(zone)
    assert await asyncio.to_thread(whole.stop, agent) == 0
    assert flows(zone) == before  # they hold while no agent runs
    for received in await scene.hears(scene.rogue, advertisements(scene.rogue)):
        assert received == []
    left = "cookie=0x7766000000000001,table=250,in_port=1,actions=resubmit(,8)"
    await asyncio.to_thread(change, zone, "add-flow", "br-int", left)
    whole.start_agent(zone)
    await rewritten(scene, before)


async def test_a_switch_that_is_started_again_is_guarded_again(scene: Scene) -> None:
    zone, whole = scene.cluster.zones[0], scene.cluster.whole
    await asyncio.to_thread(zone.stop, "ovs-vswitchd")
    await asyncio.to_thread(zone.start, "ovs-vswitchd")
    await asyncio.to_thread(whole.wire.plug, zone)
    late = [await scene.cluster.guest(name, zone, "open") for name in ("late", "later")]
    await guarded(zone)
    again = replace(scene, rogue=late[1], captures=(late[0], scene.captures[1]))
    assert await asyncio.to_thread(
        late[1].pings, forged.link_local(scene.captures[1].mac) + "%eth0"
    )
    assert await again.hears(late[1], advertisements(late[1])) == [[], []]


async def test_who_is_named_changes_while_guests_run(scene: Scene) -> None:
    zone, api = scene.cluster.zones[0], scene.cluster.api
    before = len(flows(zone))
    config = nad("open", "10.1.0.0/24,fd00:1::/64", mtu=1300)["spec"]
    await api.patch(resources.NADS, "open", "default", {"spec": config})
    await until(lambda: len(flows(zone)) == before - 2)
    for sent in (advertisements(scene.named), leases(scene.named, "10.1.0.1")):
        assert await scene.hears(scene.named, sent) == [[], []]
    config = nad("open", "10.1.0.0/24,fd00:1::/64", mtu=1300, routers=["default/machine"])
    await api.patch(resources.NADS, "open", "default", {"spec": config["spec"]})
    label = {"vm.kubevirt.io/name": "machine"}
    launcher = await scene.cluster.guest("virt-launcher-1", zone, "open", **label)
    # Its MAC's two, its addresses' three, one as router; the other is permitted two less.
    await until(lambda: len(flows(zone)) == before + 4)
    sent = advertisements(launcher)
    every = sent + leases(launcher, "10.1.0.9")
    assert await scene.hears(launcher, every, sent) == [sent, sent]
