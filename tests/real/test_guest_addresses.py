"""What a guest gets that only follows the standards: DHCPv4, router advertisement, DHCPv6.

The agent runs as on a node; the guest is a kernel and busybox, given nothing but a NIC.
"""

from __future__ import annotations

import asyncio
import sys
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.support import frames
from tests.support import routes as routing
from tests.support.addressed import Cluster
from tests.support.forged import link_local
from tests.support.objects import nad
from tests.support.patience import PATIENCE
from tests.support.zones import Guest
from weft import names
from weft.kube import resources
from weft.ovn import policy
from weft.policy import netpolicy

pytestmark = pytest.mark.real


@pytest.fixture
def cluster(addressed: Cluster) -> Cluster:
    return addressed


def lease(guest: Guest, folder: Path, client: str, *options: str) -> dict[str, str]:
    """What busybox's client was given, by its own names."""
    script = folder / "script"
    script.write_text('#!/bin/sh\n[ "$1" = bound ] && env > "$LEASE" || true\n')
    script.chmod(0o755)
    kept = folder / f"{guest.port}.lease"
    guest.run(
        *("env", f"LEASE={kept}", "busybox", client, "-f", "-n", "-q", "-i", "eth0", "-t", "20"),
        *("-s", str(script), *options),
        timeout=2 * PATIENCE,
    )
    return dict(line.split("=", 1) for line in kept.read_text().splitlines() if "=" in line)


async def routes(guest: Guest, family: str) -> list[str]:
    output = await asyncio.to_thread(guest.run, "busybox", "ip", family, "route", "show")
    return [" ".join(line.split()) for line in output.splitlines()]


async def received_prefix(guest: Guest, prefix: str = "fd00:1::/64") -> list[str]:
    """The guest's IPv6 routes once its kernel has made this one of an advertisement."""
    await asyncio.to_thread(
        guest.run, sys.executable, "-I", routing.__file__, prefix, str(PATIENCE)
    )
    return await routes(guest, "-6")


async def test_dhcp_v4_gives_address_and_mtu_and_no_router(
    cluster: Cluster, tmp_path: Path
) -> None:
    guest = await cluster.guest("one", cluster.zones[0])
    given = await asyncio.to_thread(lease, guest, tmp_path, "udhcpc", "-O", "mtu")
    assert given["ip"] == "10.1.0.1"
    assert given["mask"] == "24"
    assert given["mtu"] == "1300"
    assert given["lease"] == "3600"
    assert given["serverid"] == "169.254.1.1"
    assert "router" not in given
    assert "staticroutes" not in given


async def test_a_guest_that_follows_the_standards_gets_ipv6(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Address by DHCPv6, prefix on the link by advertisement, and no default route."""
    one = await cluster.guest("one", cluster.zones[0])
    two = await cluster.guest("two", cluster.zones[1])
    for guest, address in ((one, "fd00:1::1"), (two, "fd00:1::2")):
        found = await received_prefix(guest)
        assert [route for route in found if route.startswith("fd00:1::/64 dev eth0")]
        assert not [route for route in found if "default" in route or "via" in route]
        given = await asyncio.to_thread(lease, guest, tmp_path, "udhcpc6")
        assert IPv6Address(given["ipv6"]) == IPv6Address(address)
        guest.take(f"{given['ipv6']}/128")
        mtu = await asyncio.to_thread(guest.run, "cat", "/proc/sys/net/ipv6/conf/eth0/mtu")
        assert mtu.strip() == "1300"
    assert await asyncio.to_thread(one.pings, "fd00:1::2")
    for guest in (one, two):
        assert not [route for route in await routes(guest, "-6") if "default" in route]
        assert not [route for route in await routes(guest, "-4") if "default" in route]


async def test_a_guest_that_policies_shut_off_is_served_all_the_same(
    cluster: Cluster, tmp_path: Path
) -> None:
    """In both directions; nothing else of the network reaches it."""
    zone = cluster.zones[0]
    other = await cluster.guest("other", zone)
    shut = {
        "apiVersion": resources.MULTINETWORKPOLICIES.api_version,
        "kind": resources.MULTINETWORKPOLICIES.kind,
        "metadata": {
            "name": "shut",
            "namespace": "default",
            "annotations": {names.POLICY_FOR: "blue"},
        },
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }
    await cluster.api.create(resources.MULTINETWORKPOLICIES, shut)
    deny = [
        policy.Group(policy.GroupKind.DENY, "blue", "default", d).name for d in netpolicy.Direction
    ]
    for group in deny:
        wait = ("ovn-nbctl", "--timeout=60", "wait-until", "Port_Group", group, "ports!=[]")
        await asyncio.to_thread(zone.run, *wait)
    await asyncio.to_thread(zone.synced)
    one = await cluster.guest("one", zone)
    await received_prefix(one)
    for client, key, address in (
        ("udhcpc", "ip", "10.1.0.2"),
        ("udhcpc6", "ipv6", "fd00:1::2"),
    ):
        given = await asyncio.to_thread(lease, one, tmp_path, client)
        assert ip_address(given[key]) == ip_address(address)
        one.take(f"{address}/{24 if key == 'ip' else 64}")
    other.take("fd00:1::1/64")
    assert not await asyncio.to_thread(other.pings, "fd00:1::2", 1)


async def take_routes(guest: Guest) -> None:
    """Have the kernel take routes of advertisements, as guests do whose system reads them."""
    conf = "net.ipv6.conf.eth0.accept_ra_rt_info_max_plen=128"
    await asyncio.to_thread(guest.run, "busybox", "sysctl", "-w", conf)
    for state in ("down", "up"):  # it asks again then
        await asyncio.to_thread(guest.run, "busybox", "ip", "link", "set", "eth0", state)


async def test_a_guest_on_a_routed_network_learns_the_way_to_the_others(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Its node's part on the link, all of the network by the node's router, and nothing else."""
    config = nad("red", "10.64.0.0/16/24,fd00:64::/48/64", topology="layer3", mtu=1300)
    await cluster.api.create(resources.NADS, config)
    guests = [await cluster.guest(f"g{n}", zone, "red") for n, zone in enumerate(cluster.zones)]
    addresses = []
    for guest in guests:
        await take_routes(guest)
        found = await received_prefix(guest, "fd00:64::/48")
        (way,) = [route for route in found if " via " in route]
        assert way.startswith("fd00:64::/48 via fe80::858:aff:fe40:")
        assert not [route for route in found if route.startswith("default")]
        given = await asyncio.to_thread(lease, guest, tmp_path, "udhcpc6")
        guest.take(f"{given['ipv6']}/128")
        addresses.append(IPv6Address(given["ipv6"]))
    assert await asyncio.to_thread(guests[0].pings, str(addresses[1]))


@pytest.mark.parametrize(
    "whole",
    [("--allow-primary", "--cluster-subnets", "10.128.0.0/14/23,fd00:10:128::/48/64")],
    indirect=True,
)
async def test_a_guest_on_the_clusters_own_network_has_its_router_as_default(
    cluster: Cluster, tmp_path: Path
) -> None:
    guests = [await cluster.guest(f"g{n}", zone, "") for n, zone in enumerate(cluster.zones)]
    addresses = []
    for guest in guests:
        (way,) = [r for r in await received_prefix(guest, "::/0") if r.startswith("default")]
        assert way.startswith("default via fe80::858:aff:fe80:")
        given = await asyncio.to_thread(lease, guest, tmp_path, "udhcpc6")
        guest.take(f"{given['ipv6']}/128")
        addresses.append(given["ipv6"])
    assert await asyncio.to_thread(guests[0].pings, addresses[1])


SOLICIT = "ff02::2", "33:33:00:00:00:02"


def solicitation(mac: str, source: str) -> bytes:
    """A router solicitation as RFC 4861 has it, with the source's own MAC as option."""
    body = b"\x85\0\0\0\0\0\0\0\x01\x01" + bytes.fromhex(mac.replace(":", ""))
    to = IPv6Address(SOLICIT[0])
    pseudo = IPv6Address(source).packed + to.packed + len(body).to_bytes(4, "big") + b"\0\0\0\x3a"
    body = body[:2] + frames.checksum(pseudo + body).to_bytes(2, "big") + body[4:]
    head = b"\x60\0\0\0" + len(body).to_bytes(2, "big") + b"\x3a\xff"
    macs = bytes.fromhex((SOLICIT[1] + mac).replace(":", ""))
    return macs + b"\x86\xdd" + head + IPv6Address(source).packed + to.packed + body


async def test_a_solicitation_is_answered_once_and_to_nobody_else(cluster: Cluster) -> None:
    """By this node's advertiser alone; nothing that it says crosses to another node."""
    one = await cluster.guest("one", cluster.zones[0])
    near = await cluster.guest("near", cluster.zones[0])
    far = await cluster.guest("far", cluster.zones[1])
    for guest in (one, near, far):
        await received_prefix(guest)
    assert await asyncio.to_thread(one.pings, link_local(far.mac) + "%eth0")
    end = frames.udp(one.mac, far.mac, link_local(one.mac), link_local(far.mac), b"the end")
    asked = solicitation(one.mac, link_local(one.mac))
    with (
        frames.capture(cluster.whole.wire.space, f"ul-{cluster.zones[1].name}") as tunnel,
        frames.capture(one.space) as own,
        frames.capture(near.space) as beside,
        frames.capture(far.space) as beyond,
    ):
        frames.send(one.space, asked)
        answered = own.until(lambda frame: frames.icmpv6_type(frame) == 134)
        frames.send(one.space, end)
        frames.send(
            one.space,
            frames.udp(one.mac, near.mac, link_local(one.mac), link_local(near.mac), b"the end"),
        )
        elsewhere = beside.until(lambda frame: b"the end" in frame)
        elsewhere += beyond.until(lambda frame: b"the end" in frame)
        crossed = [frames.inner(f) for f in tunnel.until(lambda frame: b"the end" in frame)]
    assert frames.icmpv6_type(answered[-1]) == 134
    assert answered[-1][:6] == bytes.fromhex(one.mac.replace(":", ""))
    assert not [frame for frame in elsewhere if frames.icmpv6_type(frame) == 134]
    assert not [frame for frame in crossed if frames.icmpv6_type(frame) == 134]
    assert [frame for frame in crossed if frames.icmpv6_type(frame) == 133]  # the ear works


async def test_the_node_is_not_reached_through_the_advertiser(cluster: Cluster) -> None:
    one = await cluster.guest("one", cluster.zones[0])
    await received_prefix(one)
    zone = cluster.zones[0]
    assert not await asyncio.to_thread(one.pings, "fe80::858:a9ff:fefe:101%eth0", 1)
    one.take("192.0.2.77/24")
    assert not await asyncio.to_thread(one.pings, zone.address, 1)
    inside = await asyncio.to_thread(
        zone.run, "nsenter", "--net=/run/netns/weft-advertiser", "busybox", "ip", "addr"
    )
    assert "wra1" in inside
    assert "inet6 fe80" not in inside


async def test_an_agent_that_is_restarted_speaks_again(cluster: Cluster) -> None:
    one = await cluster.guest("one", cluster.zones[0])
    await received_prefix(one)
    agent = cluster.whole.agent(cluster.zones[0])
    assert await asyncio.to_thread(cluster.whole.stop, agent) == 0
    with frames.capture(one.space) as own:
        cluster.whole.start_agent(cluster.zones[0])
        received: list[Any] = await asyncio.to_thread(
            own.until, lambda frame: frames.icmpv6_type(frame) == 134
        )
    assert received[-1][:6] == bytes.fromhex("333300000001")


async def test_a_switch_that_is_restarted_is_spoken_through_again(cluster: Cluster) -> None:
    """Its devices are new ones then; a guest that comes later hears the prefix as ever."""
    zone = cluster.zones[0]
    await received_prefix(await cluster.guest("one", zone))
    await asyncio.to_thread(zone.stop, "ovs-vswitchd")
    await asyncio.to_thread(zone.start, "ovs-vswitchd")
    await asyncio.to_thread(cluster.whole.wire.plug, zone)
    await received_prefix(await cluster.guest("late", zone))
