"""Names of a network's members across real OVN zones, asked by guests; and multicast to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from tests.support import frames
from tests.support.allocated import allocated_pod
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster, Kept, network
from tests.support.routed import routed, secondary
from tests.support.zones import Guest
from weft import model, names, ranges
from weft.api import podendpoint
from weft.control.zone import state
from weft.ovn import dns

pytestmark = pytest.mark.real

SUBNETS = ("10.1.0.0/24", "fd00:1::/64")
SERVERS = ("10.1.0.254", "fd00:1::ffff:ffff:ffff:ffff")


def named(name: str = "blue", number: int = 1) -> state.DeclaredNetwork:
    declared = network(name, number, *SUBNETS)
    servers = ranges.dns_servers(tuple(map(ip_network, SUBNETS)))
    spec = replace(
        declared.network.spec,
        dns_records=True,
        dns_servers=servers,
        dhcp=model.Dhcp(dns=servers, domain=name),
    )
    return state.DeclaredNetwork(replace(declared.network, spec=spec))


async def member(
    cluster: Cluster, name: str, zone: Kept, number: int, nad: str = "default/blue"
) -> Guest:
    addresses = (f"10.1.0.{number}/24", f"fd00:1::{number}/64")
    port = await cluster.pod(name, zone, nad, number, *addresses)
    guest = await cluster.guest(zone, port)
    for address in addresses:
        guest.take(address)
    return guest


async def asks(guest: Guest, name: str, server: str, kind: str = "a", within: int = 30) -> str:
    """The output of one question. It is sent again if nobody answers for a while; `within` so many
    seconds it ends."""
    of_kind = (f"-type={kind}",) if kind else ()
    command = ("timeout", str(within), "busybox", "nslookup", *of_kind, name, server)
    return await asyncio.to_thread(guest.run, *command, check=False)


async def unanswered(guest: Guest, name: str, server: str) -> str:
    """The output of a question that nobody should answer."""
    return await asks(guest, name, server, within=2)


async def has_records(zone: Kept, network: str, *expected: str) -> None:
    """Returns when the zone's records have these names, and its ovn-controller answers by them."""

    def there(row: object) -> bool:
        return isinstance(row, dict) and set(expected) <= set(row["records"])

    await zone.nb.wait_for(dns.DNS, names.dns_records(network), there, timeout=PATIENCE)
    await zone.synced()


async def test_guests_find_each_other_by_name_in_both_families(cluster: Cluster) -> None:
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define("default/blue", named())
    one, _ = await member(cluster, "one", a, 11), await member(cluster, "two", b, 12)
    for zone in (a, b):
        await has_records(zone, "blue", "one.blue", "two.blue", "two.default.blue", "two")
    for server in SERVERS:
        for name in ("two.blue", "TWO.Blue", "two.default.blue", "two"):
            assert "10.1.0.12" in await asks(one, name, server), (name, server)
            assert "fd00:1::12" in await asks(one, name, server, "aaaa"), (name, server)
    assert "two.blue" in await asks(one, "10.1.0.12", SERVERS[0], "")
    # Nobody is called so; the same question for another network's member finds nothing either.
    for name in ("three.blue", "two.red"):
        assert "10.1.0.12" not in await unanswered(one, name, SERVERS[0])


async def test_a_host_name_finds_its_guest_on_another_node(cluster: Cluster) -> None:
    """What a PodEndpoint says is enough: machine and host name of pods elsewhere are in it."""
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define("default/blue", named())
    one = await member(cluster, "one", a, 11)
    addresses = ("10.1.0.12/24", "fd00:1::12/64")
    port = await cluster.pod("virt-launcher-vm-2", b, "default/blue", 12, *addresses)
    held = allocated_pod(port.pod, b.zone.name, {port.key: port.allocation})
    whole = replace(held.pod, machine="vm-2", hostname="db")
    seen = podendpoint.read(podendpoint.render(podendpoint.of(whole, ("{}", "")))).pod
    await cluster.update(lambda zone: zone.set_pod(port.pod.key, replace(held, pod=seen)))
    await has_records(a, "blue", "vm-2.blue", "db.blue", "db.default.blue", "db")
    for name in ("vm-2", "db", "db.blue"):
        assert "10.1.0.12" in await asks(one, name, SERVERS[0]), name
    assert "10.1.0.12" not in await unanswered(one, "virt-launcher-vm-2", SERVERS[0])


async def test_a_member_that_goes_has_no_name(cluster: Cluster) -> None:
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define("default/blue", named())
    one, _ = await member(cluster, "one", a, 11), await member(cluster, "two", b, 12)
    await has_records(a, "blue", "two.blue")
    assert "10.1.0.12" in await asks(one, "two.blue", SERVERS[0])
    await cluster.gone("two")
    await a.nb.wait_for(
        dns.DNS,
        names.dns_records("blue"),
        lambda row: row is not None and "two.blue" not in row["records"],  # type: ignore[operator]
        timeout=PATIENCE,
    )
    await a.synced()
    assert "10.1.0.12" not in await unanswered(one, "two.blue", SERVERS[0])


async def test_without_the_key_nobody_answers(cluster: Cluster) -> None:
    a = await cluster.zone()
    await cluster.define("default/blue", network("blue", 1, *SUBNETS))
    one, _ = await member(cluster, "one", a, 11), await member(cluster, "two", a, 12)
    await a.synced()
    assert "10.1.0.12" not in await unanswered(one, "two.blue", SERVERS[0])
    assert not a.nb.rows(dns.DNS)


async def test_a_pod_does_not_wait_for_names_and_writes_them_once(cluster: Cluster) -> None:
    a = await cluster.zone()
    await cluster.define("default/blue", named())
    await member(cluster, "one", a, 11)
    await has_records(a, "blue", "one.blue")
    await a.writer.settled()  # what it wrote is counted
    before = a.writer.figures.operations
    a.writer.reset()
    await a.writer.settled()
    assert a.writer.figures.operations == before, "twice changes nothing"


@pytest.mark.parametrize("group", ["239.1.2.3", "ff05::1:3"])
async def test_multicast_reaches_all_members_on_all_nodes_and_nobody_else(
    cluster: Cluster, group: str
) -> None:
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define("default/blue", network("blue", 1, *SUBNETS))
    await cluster.define("default/red", network("red", 2, *SUBNETS))
    one = await member(cluster, "one", a, 11)
    receivers = {
        "near": await member(cluster, "near", a, 12),
        "far": await member(cluster, "far", b, 13),
        "farther": await member(cluster, "farther", b, 14),
    }
    stranger = await member(cluster, "stranger", b, 15, "default/red")
    herald = await member(cluster, "herald", a, 16, "default/red")
    assert await asyncio.to_thread(one.pings, "10.1.0.13", 3)
    assert await asyncio.to_thread(herald.pings, "10.1.0.15", 3)
    source = "fd00:1::11" if ":" in group else "10.1.0.11"
    mac = "33:33:00:01:00:03" if ":" in group else "01:00:5e:01:02:03"
    mine, heralds = (f"0a:58:00:00:00:{number:02x}" for number in (11, 16))
    with (
        frames.capture(receivers["near"].space) as near,
        frames.capture(receivers["far"].space) as far,
        frames.capture(receivers["farther"].space) as farther,
        frames.capture(stranger.space) as apart,
    ):
        # One after the other: frames of one burst overtake each other while their flows are made.
        for word in (b"first of the group", b"second of the group"):
            frames.send(one.space, frames.udp(mine, mac, source, group, word))
            for capture in (near, far, farther):
                received = capture.until(frames.with_all(word))
        for capture in (near, far, farther):
            received = capture.received
            assert sum(b"of the group" in each for each in received) == 2, "one copy of each"
        end = frames.udp(heralds, mac, source.replace("11", "16"), group, b"the end")
        frames.send(herald.space, end)
        received = apart.until(frames.with_all(b"the end"))
        assert not [each for each in received if b"of the group" in each]


def with_server(declared: state.DeclaredNetwork, server: str) -> state.DeclaredNetwork:
    """Names on a network whose own server is a member."""
    dhcp = model.Dhcp(dns=(ip_address(server),), domain="blue")
    spec = replace(declared.network.spec, dns_records=True, dhcp=dhcp)
    return replace(declared, network=replace(declared.network, spec=spec))


async def test_on_a_localnet_ovn_answers_on_behalf_of_its_server(cluster: Cluster) -> None:
    a, b = await cluster.zone(), await cluster.zone()
    declared = network("blue", 1, *SUBNETS, mtu=1500, topology=model.Topology.LOCALNET)
    await cluster.define("default/blue", with_server(declared, "10.1.0.13"))
    one = await member(cluster, "one", a, 11)
    await member(cluster, "server", a, 13)
    await member(cluster, "two", b, 12)
    for zone in (a, b):
        await has_records(zone, "blue", "one.blue", "two.blue", "two.default.blue")
    assert "10.1.0.12" in await asks(one, "two.blue", "10.1.0.13")
    assert "fd00:1::12" in await asks(one, "two.blue", "10.1.0.13", "aaaa")
    assert "10.1.0.12" not in await unanswered(one, "three.blue", "10.1.0.13")


async def test_on_a_routed_network_names_lead_to_other_nodes(cluster: Cluster) -> None:
    declared = secondary("blue", 1, "10.64.0.0/16", "fd00:64::/48")
    net = await routed(cluster, declared, "default/blue")
    a, b = cluster.kept
    one = await net.pod("one", a, 11)
    await net.pod("two", b, 12)
    server, address = net.address(b, 13, 4), net.address(b, 12, 4)
    await cluster.define("default/blue", with_server(declared, server))
    await has_records(a, "blue", "one.blue", "two.blue")
    assert address in await asks(one, "two.blue", server)
    assert address not in await unanswered(one, "three.blue", server)
