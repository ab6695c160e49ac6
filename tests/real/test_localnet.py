"""Localnet networks across real OVN zones, judged by packets on the wire.

The zones' physical bridge carries their tunnels, too; hosts on it are the nodes themselves, one
outside, and machines on access ports of a VLAN.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from tests.support import frames
from tests.support.realised import Cluster, Kept, network
from tests.support.routed import OUTSIDE, default, open_gateways, routed
from tests.support.zones import Guest, Space
from weft import model, names
from weft.control.zone import state
from weft.ovn import ports

pytestmark = pytest.mark.real

LOCALNET = model.Topology.LOCALNET
FAMILIES = (4, 6)


def localnet(
    name: str, number: int, *subnets: str, vlan: int | None = None
) -> state.DeclaredNetwork:
    return network(name, number, *subnets, mtu=1500, topology=LOCALNET, vlan=vlan)


@dataclass
class Localnet:
    """A network with pods of their own numbers; `prefixes` has its subnets by family."""

    cluster: Cluster
    name: str
    prefixes: tuple[str, str]
    guests: dict[str, Guest] = field(default_factory=dict)
    ports: dict[str, model.Port] = field(default_factory=dict)

    def address(self, number: int, family: int) -> str:
        return f"{self.prefixes[0 if family == 4 else 1]}{number}"

    def assigned(self, number: int) -> tuple[str, str]:
        return f"{self.address(number, 4)}/24", f"{self.address(number, 6)}/64"

    async def pod(self, name: str, kept: Kept, number: int, *, with_ipam: bool = True) -> Guest:
        key = f"default/{self.name}"
        given = self.assigned(number) if with_ipam else ()
        port = await self.cluster.pod(name, kept, key, number, *given)
        guest = await self.cluster.guest(kept, port)
        for address in self.assigned(number):
            guest.take(address)
        self.guests[name], self.ports[name] = guest, port
        return guest


async def pings(guest: Guest, address: str, count: int = 3) -> bool:
    return await asyncio.to_thread(guest.pings, address, count)


async def answers(space: Space, address: str, count: int = 3) -> bool:
    """Whether pings from a space without a device of a guest are answered."""
    return await pings(Guest(space, "", ""), address, count)


async def test_untagged_every_pair_on_one_node_and_across(cluster: Cluster) -> None:
    """Pods, the nodes themselves, pods of the default network, and the outside."""
    net = await routed(cluster, default("10.128.0.0/14", "fd00:10::/48"), "default")
    outside = await open_gateways(cluster)
    a, b = cluster.kept
    for number, kept in ((1, a), (2, b)):
        command = ("busybox", "ip", "-6", "addr", "add", f"fd00:2::{number}/64", "dev", "br-phy")
        await asyncio.to_thread(kept.zone.run, *command)
    flat = Localnet(cluster, "flat", ("192.0.2.", "fd00:2::"))
    await cluster.define("default/flat", localnet("flat", 3, "192.0.2.0/24", "fd00:2::/64"))
    for name, kept, number in (("one", a, 50), ("near", a, 51), ("far", b, 52)):
        await flat.pod(name, kept, number)
    onto = {"one": 50, "near": 51, "far": 52, "host a": 1, "host b": 2, "outside": 253}
    inner = {"pod a": await net.pod("inner-a", a, 11), "pod b": await net.pod("inner-b", b, 12)}
    spaces = {"host a": a.zone.space, "host b": b.zone.space, "outside": outside}
    everyone = {**flat.guests, **inner, **{k: Guest(s, "", "") for k, s in spaces.items()}}
    fails = []
    for family in FAMILIES:
        for source, guest in everyone.items():
            for to, number in onto.items():
                address = flat.address(number, family)
                if to == "outside":
                    address = OUTSIDE[0 if family == 4 else 1]
                is_of_pods = source in flat.guests or to in flat.guests
                if source != to and is_of_pods and not await pings(guest, address):
                    fails.append(f"{source} > {to}, IPv{family}")
    assert not fails
    for kept, remote in ((a, "far"), (b, "one")):
        assert kept.nb.get(ports.PORT, ports.port_key(flat.ports[remote])) is None


@pytest.mark.parametrize("with_ipam", [True, False], ids=["subnets", "no subnets"])
async def test_vlans_on_one_mapping_stay_apart(cluster: Cluster, with_ipam: bool) -> None:
    """Pods and a machine of the VLAN reach each other; nobody without the tag does."""
    a, b = await cluster.zone(), await cluster.zone()
    made = {}
    for number, (name, vlan) in enumerate({"red": 20, "green": 30, "plain": None}.items(), 1):
        subnets = ("192.168.20.0/24", "fd00:20::/64") if with_ipam else ()
        await cluster.define(f"default/{name}", localnet(name, number, *subnets, vlan=vlan))
        made[name] = Localnet(cluster, name, ("192.168.20.", "fd00:20::"))
    red = made["red"]
    one = await red.pod("one", a, 11, with_ipam=with_ipam)
    await red.pod("near", a, 12, with_ipam=with_ipam)
    far = await red.pod("far", b, 13, with_ipam=with_ipam)
    await made["green"].pod("green", a, 14, with_ipam=with_ipam)
    await made["plain"].pod("plain", b, 15, with_ipam=with_ipam)
    host = await asyncio.to_thread(a.zone.host, "host", "02:00:00:00:20:fd", vlan=20)
    stranger = await asyncio.to_thread(a.zone.host, "stranger", "02:00:00:00:00:fe")
    for number, each in ((16, host), (17, stranger)):
        for address in red.assigned(number):
            each.take(address)
    for family in FAMILIES:
        for guest in (one, far, host):
            for number in {11, 12, 13, 16}:
                assert await pings(guest, red.address(number, family)), (guest.port, number)
        for number in (14, 15, 17):  # other networks, and a host without the tag
            assert not await pings(one, red.address(number, family), 1)
            assert not await pings(host, red.address(number, family), 1)
        assert not await pings(stranger, red.address(11, family), 1)


async def test_a_pod_cannot_speak_geneve_to_the_nodes(cluster: Cluster) -> None:
    """A chassis believes what arrives in a tunnel; other UDP to the node arrives."""
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define("default/flat", localnet("flat", 1, "192.0.2.0/24", "fd00:2::/64"))
    flat = Localnet(cluster, "flat", ("192.0.2.", "fd00:2::"))
    one = await flat.pod("one", a, 50)
    assert await pings(one, b.zone.address)
    mac, to = flat.ports["one"].allocation.mac, "33:33:00:00:00:01"
    read = ("ovs-vsctl", "get", "Interface", "br-phy", "mac_in_use")
    node_mac = (await asyncio.to_thread(b.zone.run, *read)).strip().strip('"')
    with frames.capture(cluster.wire.space, "ul-node2") as wire:
        for number, port in enumerate((frames.GENEVE, 9999)):
            words = (b"unicast %d" % number, b"multicast %d" % number, b"end %d" % number)
            sent = (
                frames.udp(mac, node_mac, "192.0.2.50", b.zone.address, words[0], port=port),
                frames.udp(mac, to, "fd00:2::50", "ff02::1", words[1], port=port),
                frames.udp(mac, node_mac, "192.0.2.50", b.zone.address, words[2], port=9999),
            )
            for frame in sent:
                await asyncio.to_thread(frames.send, one.space, frame)
            heard = b"".join(wire.until(frames.with_all(words[2])))
            assert [word in heard for word in words[:2]] == [bool(number)] * 2


async def test_what_is_sent_with_anothers_address_does_not_leave(cluster: Cluster) -> None:
    a = await cluster.zone()
    await cluster.define(
        "default/red", localnet("red", 1, "192.168.20.0/24", "fd00:20::/64", vlan=20)
    )
    red = Localnet(cluster, "red", ("192.168.20.", "fd00:20::"))
    one = await red.pod("one", a, 11)
    mac = red.ports["one"].allocation.mac
    host = await asyncio.to_thread(a.zone.host, "host", "02:00:00:00:20:fd", vlan=20)
    host.take("192.168.20.16/24")
    assert await pings(one, "192.168.20.16")
    sent = (
        frames.udp(mac, host.mac, "192.168.20.99", "192.168.20.16", b"invented"),
        frames.udp("0a:58:00:00:00:99", host.mac, "192.168.20.11", "192.168.20.16", b"stolen mac"),
        frames.udp(mac, host.mac, "192.168.20.11", "192.168.20.16", b"the end"),
    )
    with frames.capture(host.space) as capture:
        for frame in sent:
            await asyncio.to_thread(frames.send, one.space, frame)
        heard = b"".join(capture.until(frames.with_all(b"the end")))
    assert b"invented" not in heard
    assert b"stolen" not in heard


async def test_the_switch_takes_the_rows_and_keys_that_weft_wants(cluster: Cluster) -> None:
    """northd's own copy of the VLAN is not fought over."""
    a = await cluster.zone()
    await cluster.define("default/red", localnet("red", 7, vlan=20))
    await Localnet(cluster, "red", ("192.168.20.", "fd00:20::")).pod("one", a, 11, with_ipam=False)
    port = names.localnet_switch_port("red")
    listed = ("ovn-sbctl", "--bare", "--columns=tag,type", "find", "Port_Binding")
    found = await asyncio.to_thread(a.zone.run, *listed, f"logical_port={port}")
    assert found.split() == ["20", "localnet"]
    assert names.patch_port(port) in await asyncio.to_thread(
        a.zone.run, "ovs-vsctl", "list-ports", "br-phy"
    )
    await a.synced()
    before = a.writer.figures.transactions
    await cluster.node(a, a.info)
    assert a.writer.figures.transactions == before


async def test_one_network_by_another_bridge_on_another_node(cluster: Cluster) -> None:
    """The mapping of a node says which bridge leads to the physical network there."""
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define(
        "default/red", localnet("red", 1, "192.168.20.0/24", "fd00:20::/64", vlan=20)
    )
    red = Localnet(cluster, "red", ("192.168.20.", "fd00:20::"))
    other = "add-br br-rack -- set Bridge br-rack datapath_type=netdev"
    for port, peer, bridge in (("down", "up", "br-phy"), ("up", "down", "br-rack")):
        other += f" -- add-port {bridge} {port} -- set Interface {port} type=patch"
        other += f" options:peer={peer}"
    mapped = "set Open_vSwitch . external_ids:ovn-bridge-mappings=physnet:br-rack"
    for line in (other, mapped):
        await asyncio.to_thread(b.zone.run, "ovs-vsctl", *line.split())
    one = await red.pod("one", a, 11)
    await red.pod("far", b, 12)
    patch = names.patch_port(names.localnet_switch_port("red"))
    for kept, bridge in ((a, "br-phy"), (b, "br-rack")):
        found = await asyncio.to_thread(kept.zone.run, "ovs-vsctl", "port-to-br", patch)
        assert found.strip() == bridge
    for family in FAMILIES:
        assert await pings(one, red.address(12, family))
    await asyncio.to_thread(b.zone.run, "ovs-vsctl", "del-port", "br-rack", "up")
    for family in FAMILIES:
        assert not await pings(one, red.address(12, family), 1)
