"""What guests of a localnet get of weft, what of the physical network, and what policies admit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from tests.real.test_guest_addresses import lease, received_prefix
from tests.support import frames
from tests.support.addressed import Cluster
from tests.support.objects import nad, policy
from tests.support.zones import Guest
from weft.kube import resources

pytestmark = pytest.mark.real

SUBNETS = "192.168.20.0/24,fd00:20::/64"
HOST = "192.168.20.253"
MAC = "02:00:00:00:20:fd"
ADVERTISEMENT = 134


def localnet(subnets: str | None, **config: Any) -> dict[str, Any]:
    return nad("red", subnets, topology="localnet", physicalNetworkName="physnet", **config)


@contextmanager
def server(host: Guest, folder: Path, address: str) -> Iterator[None]:
    """A DHCP server on the physical network that leases one address."""
    leases, config = folder / "leases", folder / "udhcpd.conf"
    leases.touch()
    config.write_text(
        f"start {address}\nend {address}\ninterface eth0\nlease_file {leases}\n"
        f"pidfile {folder}/pid\noption subnet 255.255.255.0\n"
    )
    process = host.space.popen("busybox", "udhcpd", "-f", str(config))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def is_dhcpv6(frame: bytes) -> bool:
    """A client's, without a tag."""
    return (frame[12:14], frame[20:21], frame[56:58]) == (b"\x86\xdd", b"\x11", b"\x02\x23")


async def test_without_dhcp_of_weft_a_guests_dhcpv6_reaches_the_wire(
    addressed: Cluster, tmp_path: Path
) -> None:
    network = localnet(SUBNETS, vlanID=20, dhcp={"enabled": False})
    await addressed.api.create(resources.NADS, network)
    host = await on_vlan(addressed)
    one = await addressed.guest("one", addressed.zones[0], "red")
    ask = "busybox udhcpc6 -f -n -q -i eth0 -t 1 -T 1 -s /bin/true"
    with frames.capture(host.space) as wire:
        await asyncio.to_thread(one.space.run, "sh", "-c", f"{ask} || true")
        wire.until(is_dhcpv6)


async def on_vlan(cluster: Cluster) -> Guest:
    host = await asyncio.to_thread(cluster.zones[0].host, "host", MAC, vlan=20)
    host.take(f"{HOST}/24")
    return host


async def test_with_subnets_weft_serves_its_guests_and_nobody_on_the_wire(
    addressed: Cluster, tmp_path: Path
) -> None:
    await addressed.api.create(resources.NADS, localnet(SUBNETS, vlanID=20))
    host = await on_vlan(addressed)
    one = await addressed.guest("one", addressed.zones[0], "red")
    with server(host, tmp_path, "192.168.20.77"), frames.capture(host.space) as wire:
        given = await asyncio.to_thread(lease, one, tmp_path, "udhcpc", "-O", "mtu")
        assert (given["ip"], given["mtu"]) == ("192.168.20.1", "1500")
        assert given["serverid"] == "169.254.1.1"
        assert await received_prefix(one, "fd00:20::/64")
        given = await asyncio.to_thread(lease, one, tmp_path, "udhcpc6")
        assert IPv6Address(given["ipv6"]) == IPv6Address("fd00:20::1")
        one.take("192.168.20.1/24")
        assert await asyncio.to_thread(one.pings, HOST)
        heard = wire.until(lambda frame: frames.icmp(frame)[:1] == b"\x08")
    assert not [f for f in heard if frames.icmpv6_type(f) == ADVERTISEMENT]
    assert not [f for f in heard if is_dhcpv6(f)], "another server would answer it, too"
    assert not [f for f in heard if f[12:14] == b"\x08\x00" and f[23] == 17 and f[36:38] == b"\0C"]
    ask = (
        "busybox",
        "udhcpc",
        "-f",
        "-n",
        "-q",
        "-i",
        "eth0",
        "-t",
        "2",
        "-T",
        "1",
        "-s",
        "/bin/true",
    )
    said = await asyncio.to_thread(host.run, "sh", "-c", f"{' '.join(ask)} 2>&1", check=False)
    assert "no lease" in said


@pytest.mark.parametrize(
    ("subnets", "config", "address"),
    [
        (None, {}, "192.168.20.77"),
        ("192.168.20.0/24", {"dhcp": {"enabled": False}}, "192.168.20.1"),
    ],
    ids=["no subnets", "dhcp off"],
)
async def test_the_physical_networks_own_server_is_heard(
    addressed: Cluster, tmp_path: Path, subnets: str | None, config: Any, address: str
) -> None:
    """From another node, and what it leased can be used."""
    await addressed.api.create(resources.NADS, localnet(subnets, vlanID=20, **config))
    host = await on_vlan(addressed)
    far = await addressed.guest("far", addressed.zones[1], "red")
    with server(host, tmp_path, address):
        given = await asyncio.to_thread(lease, far, tmp_path, "udhcpc")
    assert (given["ip"], given["serverid"]) == (address, HOST)
    far.take(f"{address}/24")
    assert await asyncio.to_thread(far.pings, HOST)


async def test_policies_judge_pods_of_other_nodes_and_hosts_outside(addressed: Cluster) -> None:
    """A selector means pods that have no rows here; a block means hosts that weft does not know."""
    await addressed.api.create(resources.NADS, localnet("192.168.20.0/24", vlanID=20))
    a, b = addressed.zones
    web = await addressed.guest("web", a, "red", app="web")
    friend = await addressed.guest("friend", b, "red", app="friend")
    rival = await addressed.guest("rival", b, "red", app="rival")
    near = await addressed.guest("near", a, "red", app="rival")
    hosts = [
        await asyncio.to_thread(a.host, f"host{number}", f"02:00:00:00:20:{number}", vlan=20)
        for number in (40, 41)
    ]
    everyone = (web, friend, rival, near, *hosts)
    for guest, number in zip(everyone, (1, 2, 3, 4, 140, 141), strict=True):
        guest.take(f"192.168.20.{number}/24")

    async def reach() -> list[bool]:
        found = []
        for guest in (friend, rival, near, *hosts):
            found.append(await asyncio.to_thread(guest.pings, "192.168.20.1", 1))
        return found

    for guest in (friend, rival, near, *hosts):
        assert await asyncio.to_thread(guest.pings, "192.168.20.1")
    peers = [
        {"podSelector": {"matchLabels": {"app": "friend"}}},
        {"ipBlock": {"cidr": "192.168.20.140/32"}},
    ]
    rules: dict[str, Any] = {"policyTypes": ["Ingress"], "ingress": [{"from": peers}]}
    guard = policy("guard", "red", app="web", **rules)
    await addressed.api.create(resources.MULTINETWORKPOLICIES, guard)
    assert await asyncio.to_thread(rival.loses, "192.168.20.1")
    assert await reach() == [True, False, False, True, False]
    assert await asyncio.to_thread(web.pings, "192.168.20.3"), "replies pass"
