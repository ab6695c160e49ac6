"""Routed networks across real OVN zones, judged by packets on the wire."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.real.test_guest_addresses import lease
from tests.real.test_zone import recomputes
from tests.support import frames
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster, Kept, network
from tests.support.routed import OUTSIDE, Routed, default, gateway, open_gateways, routed, secondary
from tests.support.zones import Guest
from weft.control.zone import state
from weft.ovn import ports, tables

pytestmark = pytest.mark.real

KEY = "default/blue"
DEFAULT = default("10.128.0.0/14", "fd00:10::/48")
BLUE = secondary("blue", 1, "10.64.0.0/16", "fd00:64::/48")


def _enters(ethertype: bytes, frame: bytes) -> bool:
    return b"enter" in frame and frame[12:14] == ethertype


def _is_icmp(type_and_code: bytes, frame: bytes) -> bool:
    return frames.icmp(frame)[:2] == type_and_code


async def pings(guest: Guest, address: str, count: int = 3) -> bool:
    return await asyncio.to_thread(guest.pings, address, count)


@asynccontextmanager
async def lossless(guest: Guest, address: str) -> AsyncIterator[None]:
    """Pings all the while, and finds that every one was answered but those still on their way."""
    assert await pings(guest, address)
    process = guest.space.popen("busybox", "ping", "-i", "0.05", "-W", "2", address)
    try:
        yield
        # When these are answered, so is what was sent until now.
        assert await pings(guest, address)
    finally:
        interrupt(process.pid)
        output, _ = await asyncio.to_thread(process.communicate)
    received = {int(number) for number in re.findall(r" seq=(\d+) ", output)}
    assert len(received) > 3
    assert received == set(range(len(received)))


def interrupt(pid: int) -> None:
    """What a terminal does, to who runs inside for this process: its only child."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    os.kill(int(children.split()[0]), signal.SIGINT)


@pytest.mark.parametrize("style", ports.RemotePorts)
@pytest.mark.parametrize(
    ("declared", "key"), [(DEFAULT, "default"), (BLUE, KEY)], ids=["default", "secondary"]
)
async def test_pods_reach_pods_of_every_node(
    cluster: Cluster, declared: state.DeclaredNetwork, key: str, style: ports.RemotePorts
) -> None:
    net = await routed(cluster, declared, key, style=style)
    a, b = cluster.kept
    one = await net.pod("one", a, 11)
    await net.pod("two", b, 12)
    await net.pod("near", a, 13)
    for version in (4, 6):
        assert await pings(one, net.address(a, 13, version))
        assert await pings(one, net.address(b, 12, version))
        assert await pings(net.guests["two"], net.address(a, 11, version))


async def test_the_outside_sees_the_gateway_alone(cluster: Cluster, tmp_path: Path) -> None:
    """Both families, from both nodes; a whole connection with a body of many segments, too."""
    net = await routed(cluster, DEFAULT, "default")
    outside = await open_gateways(cluster)
    a, b = cluster.kept
    one, two = await net.pod("one", a, 11), await net.pod("two", b, 12)
    for address in OUTSIDE:
        assert await pings(one, address)
        assert await pings(two, address)
    (tmp_path / "body").write_text("hello from outside\n" * 50_000)
    server = outside.popen(
        *(sys.executable, "-u", "-m", "http.server", "8080"),
        *("--bind", OUTSIDE[0], "--directory", str(tmp_path)),
    )
    assert server.stdout is not None
    assert "Serving" in await asyncio.to_thread(server.stdout.readline)
    with frames.capture(outside, "ul-node1") as capture:
        url = f"http://{OUTSIDE[0]}:8080/body"
        body = await asyncio.to_thread(one.run, "busybox", "wget", "-q", "-O", "-", url)
        asked = capture.until(lambda frame: to_port(frame, 8080))[-1]
    assert body == (tmp_path / "body").read_text()
    assert ip_address(asked[26:30]) == gateway(1).addresses[0].ip


async def test_a_guest_learns_its_way_by_dhcp(cluster: Cluster, tmp_path: Path) -> None:
    """As VMs do: on a secondary network the way to the other nodes, and no default route."""
    net = await routed(cluster, BLUE, KEY)
    own = await routed(cluster, DEFAULT, "default")
    a = cluster.kept[0]
    for made, given_way in ((net, {"staticroutes": "10.64.0.0/16 10.64.2.1"}), (own, {})):
        name = f"vm{len(given_way)}"
        address = made.address(a, 11, 4)
        port = await cluster.pod(name, a, made.key, 11, f"{address}/24")
        guest = await cluster.guest(a, port)
        given = await asyncio.to_thread(lease, guest, tmp_path, "udhcpc", "-O", "staticroutes")
        assert given["ip"] == address
        if given_way:
            assert given["staticroutes"] == given_way["staticroutes"]
            assert "router" not in given
        else:
            assert given["router"] == "10.128.2.1"


def to_port(frame: bytes, port: int) -> bool:
    """Whether this is TCP over IPv4 to that port."""
    return (
        frame[12:14] == b"\x08\x00" and frame[23] == 6 and frame[36:38] == port.to_bytes(2, "big")
    )


async def test_the_outside_does_not_reach_in(cluster: Cluster) -> None:
    """Not even a host that sends frames for pods to the gateway; without the guard it would."""
    net = await routed(cluster, DEFAULT, "default")
    outside = await open_gateways(cluster)
    a = cluster.kept[0]
    one = await net.pod("one", a, 11)
    inside = [net.address(a, 11, version) for version in (4, 6)]

    def send(word: bytes) -> None:
        sent = [
            frames.udp("02:00:00:00:00:fd", gateway(1).mac, source, to, word)
            for source, to in zip(OUTSIDE, inside, strict=True)
        ]
        frames.send(outside, *sent, device="underlay")

    with frames.capture(one.space) as capture:
        for address in OUTSIDE:
            assert await pings(one, address)
        send(b"knock")
        # Answers that come in by the same way are the sign that what came before them is through.
        for address in OUTSIDE:
            assert await pings(one, address)
        cluster.end()
        await asyncio.to_thread(a.zone.run, "ovn-nbctl", "--wait=hv", "acl-del", "ext_node1")
        send(b"enter")
        for kind in (b"\x08\x00", b"\x86\xdd"):
            capture.until(partial(_enters, kind))
        assert not [frame for frame in capture.received if b"knock" in frame]


async def test_a_pod_sends_nothing_to_tunnels(cluster: Cluster) -> None:
    """Of a chassis or of anybody, in both families; without the rule it would."""
    net = await routed(cluster, DEFAULT, "default")
    outside = await open_gateways(cluster)
    a, b = cluster.kept
    one = await net.pod("one", a, 11)
    for address in OUTSIDE:
        assert await pings(one, address)
    await pings(one, b.zone.address)  # answered or not, the gateway learns its MAC
    ends = (b.zone.address, *OUTSIDE)

    def send(word: bytes) -> None:
        for port, payload in ((frames.GENEVE, word + b" tunnel"), (9999, word + b" other")):
            sent = []
            for to in ends:
                own = net.address(a, 11, ip_address(to).version)
                sent.append(frames.udp(one.mac, net.gateway_mac(a), own, to, payload, port=port))
            frames.send(one.space, *sent)

    def leaves(capture: frames.Capture, word: bytes) -> None:
        for to in ends:
            wanted = ip_address(to).packed
            capture.until(frames.with_all(word, wanted))

    with frames.capture(outside, "ul-node1") as capture:
        send(b"first")
        leaves(capture, b"first other")
        cluster.end()
        await asyncio.to_thread(a.zone.run, "ovn-nbctl", "--wait=hv", "acl-del", "ext_node1")
        send(b"second")
        leaves(capture, b"second tunnel")
        assert not [frame for frame in capture.received if b"first tunnel" in frame]


async def test_the_outside_is_reported_how_large_packets_may_be(cluster: Cluster) -> None:
    """It sends what its own link takes; the interface of a pod would drop that without a word."""
    net = await routed(cluster, DEFAULT, "default")
    outside = await open_gateways(cluster)
    one = await net.pod("one", cluster.kept[0], 11)
    size = net.network.spec.mtu
    told = {4: b"\x03\x04", 6: b"\x02\x00"}
    for address in OUTSIDE:
        version = ip_address(address).version
        assert await pings(one, address)
        large = ("busybox", "ping", f"-{version}", "-c", "3", "-s", str(size), "-W", "1", address)
        with frames.capture(outside, "ul-node1") as capture:
            # Answers are too large until the outside was told; then they come in pieces.
            output = await asyncio.to_thread(one.run, *large)
            received = capture.until(partial(_is_icmp, told[version]))
        assert frames.icmp(received[-1])[4:8] == size.to_bytes(4, "big")
        assert re.search(r" [12] packets received", output)


async def test_a_part_that_no_node_has_is_a_dead_end(cluster: Cluster) -> None:
    """What is sent there neither leaves by the gateway nor goes round."""
    net = await routed(cluster, DEFAULT, "default")
    outside = await open_gateways(cluster)
    a = cluster.kept[0]
    one = await net.pod("one", a, 11)
    assert await pings(one, OUTSIDE[0])
    lost = "10.131.9.9"
    with frames.capture(outside, "ul-node1") as capture:
        assert not await pings(one, lost, 1)
        assert await pings(one, OUTSIDE[0])
    assert not [frame for frame in capture.received if ip_address(lost).packed in frame]


async def test_a_node_comes_and_goes_while_others_talk(cluster: Cluster) -> None:
    net = await routed(cluster, DEFAULT, "default")
    blue = await routed(cluster, BLUE, KEY)
    await open_gateways(cluster)
    a, b = cluster.kept
    one, _ = await net.pod("one", a, 11), await net.pod("two", b, 12)
    before = rows_of(a)
    async with lossless(one, net.address(b, 12, 4)), lossless(one, net.address(b, 12, 6)):
        c = await cluster.zone()
        for each in (net, blue):
            await each.join(c)
        three = await net.pod("three", c, 13)
        for version in (4, 6):
            assert await pings(one, net.address(c, 13, version))
            assert await pings(three, net.address(b, 12, version))
        await cluster.update(lambda zone: zone.set_node(c.zone.name, None))
        await cluster.gone("three")
        await a.synced()
        assert await asyncio.to_thread(one.loses, net.address(c, 13, 4))
    assert rows_of(a) == before


def rows_of(kept: Kept) -> set[tuple[str, str | None]]:
    """Which rows of ours a zone has."""
    return {
        (table.name, table.key(row))
        for table in tables.NB
        for row in kept.nb.rows(table.name).values()
        if tables.owner(row)
    }


async def test_a_node_with_another_part_is_reached_there_alone(cluster: Cluster) -> None:
    """Routes are replaced, never added to: an old one would take half of the traffic."""
    net = await routed(cluster, DEFAULT, "default")
    a, b = cluster.kept
    one, _ = await net.pod("one", a, 11), await net.pod("two", b, 12)
    assert await pings(one, net.address(b, 12, 4))
    await cluster.gone("two")
    old = net.address(b, 12, 4)
    await cluster.node(b, replace(b.info, id=9))
    await net.join(b)
    await net.pod("again", b, 12)
    assert net.address(b, 12, 4) != old
    assert await pings(one, net.address(b, 12, 4))
    prefixes = [str(r["ip_prefix"]) for r in a.nb.rows("Logical_Router_Static_Route").values()]
    assert f"{old.rpartition('.')[0]}.0/24" not in prefixes


@pytest.mark.parametrize(("declared", "key"), [(DEFAULT, "default"), (BLUE, KEY)])
async def test_one_more_pod_is_incremental_here_and_nothing_elsewhere(
    cluster: Cluster, declared: state.DeclaredNetwork, key: str
) -> None:
    net = await routed(cluster, declared, key)
    await open_gateways(cluster)
    a, b = cluster.kept
    await net.pod("one", a, 11)
    await net.pod("two", b, 12)
    before = {node: recomputes(a, node) for node in ("northd", "lflow")}
    elsewhere = (b.writer.figures.transactions, b.writer.figures.operations)
    address = net.address(a, 20, 4)
    port = await cluster.pod("more", a, key, 20, f"{address}/24")
    await a.nb.wait_for(ports.PORT, ports.port_key(port), bool, PATIENCE)
    await a.sb.wait_for("Port_Binding", ports.port_key(port), bool, PATIENCE)
    assert {node: recomputes(a, node) for node in before} == before
    assert (b.writer.figures.transactions, b.writer.figures.operations) == elsewhere


async def test_networks_stay_apart_beside_each_other(cluster: Cluster) -> None:
    """A layer-2 and two routed secondary networks of one subnet, beside the cluster's own."""
    nets: list[Routed] = [
        await routed(cluster, DEFAULT, "default"),
        await routed(cluster, BLUE, KEY),
        await routed(cluster, secondary("red", 2, "10.64.0.0/16", "fd00:64::/48"), "default/red"),
    ]
    await cluster.define("default/flat", network("flat", 3, "10.64.0.0/16"))
    a, b = cluster.kept
    guests = [await net.pod(f"p{number}", a, 11) for number, net in enumerate(nets)]
    for number, net in enumerate(nets):
        await net.pod(f"q{number}", b, 12 + number)
    flat = [
        await cluster.pod(f"f{number}", kept, "default/flat", number, f"10.64.0.{number}/16")
        for number, kept in ((11, a), (12, b))
    ]
    ends = [await cluster.guest(kept, port) for kept, port in zip((a, b), flat, strict=True)]
    for number, guest in enumerate(ends):
        guest.take(f"10.64.0.{11 + number}/16")
    assert await pings(ends[0], "10.64.0.12")
    for number, (net, guest) in enumerate(zip(nets, guests, strict=True)):
        assert await pings(guest, net.address(b, 12 + number, 4))
        assert await pings(guest, net.address(b, 12 + number, 6))
    assert not await pings(guests[1], nets[2].address(b, 14, 4), 1)
    assert not await pings(guests[2], nets[1].address(b, 13, 4), 1)
    assert not await pings(ends[0], nets[1].address(b, 13, 4), 1)
