"""Two zones on a routed network: each node with its part of it, pods with their way to the others,
and an outside on the nodes' own network."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface, ip_network

from tests.support.realised import Cluster, Kept, network
from tests.support.zones import Guest, Space
from weft import model, names, ranges
from weft.control.zone import state
from weft.ovn import ports, router

OUTSIDE = ("192.0.2.253", "fd00:2::fd")
_AS_WIRES_DO = "from weft_lab.runtime import links; links.Links().send_as_wires_do('underlay')"


@dataclass
class Routed:
    """One network, known by the key of its pods' attachments; `guests`, `ports` by pod's name."""

    cluster: Cluster
    declared: state.DeclaredNetwork
    key: str
    guests: dict[str, Guest] = field(default_factory=dict)
    ports: dict[str, model.Port] = field(default_factory=dict)

    @property
    def network(self) -> model.Network:
        return self.declared.network

    def subnets(self, kept: Kept) -> tuple[model.Subnet, ...]:
        """The node's part: the one that its id counts to."""
        lengths = {4: 24, 6: 64}
        return tuple(
            ip_network((int(whole[0]) + (kept.info.id << (whole.max_prefixlen - length)), length))
            for whole in self.network.spec.subnets
            for length in (lengths[whole.version],)
        )

    async def join(self, kept: Kept) -> None:
        """Give a node its part of the network."""
        held = dict(kept.info.subnets) | {self.network.name: self.subnets(kept)}
        info = replace(kept.info, subnets=tuple(sorted(held.items())))
        await self.cluster.node(kept, info)

    async def pod(self, name: str, kept: Kept, number: int) -> Guest:
        """A pod with the address of this number in its node's part, wired as the CNI would."""
        addresses = [ranges.numbered(subnet, number) for subnet in self.subnets(kept)]
        port = await self.cluster.pod(name, kept, self.key, number, *map(str, addresses))
        guest = await self.cluster.guest(kept, port)
        for subnet, address in zip(self.subnets(kept), addresses, strict=True):
            guest.take(str(address))
            for dest in self.reached(subnet.version):
                hop = str(ranges.router(subnet).ip)
                family = "-6" if subnet.version == 6 else "-4"
                guest.run("busybox", "ip", family, "route", "add", dest, "via", hop)
        self.guests[name], self.ports[name] = guest, port
        return guest

    def reached(self, version: int) -> Iterator[str]:
        """What a pod sends to its gateway."""
        if self.network.is_default:
            yield "default"
            return
        yield from (str(s) for s in self.network.spec.subnets if s.version == version)

    def gateway_mac(self, kept: Kept) -> str:
        """Of the router port that a node's pods send to."""
        return router.mac([ranges.router(subnet) for subnet in self.subnets(kept)])

    def address(self, kept: Kept, number: int, version: int) -> str:
        subnet = next(s for s in self.subnets(kept) if s.version == version)
        return str(ranges.numbered(subnet, number).ip)


def default(*subnets: str) -> state.DeclaredNetwork:
    made = network(names.DEFAULT_NETWORK, 0, *subnets, topology=model.Topology.LAYER3)
    return replace(
        made, network=replace(made.network, spec=replace(made.network.spec, role="primary"))
    )


def secondary(name: str, number: int, *subnets: str) -> state.DeclaredNetwork:
    return network(name, number, *subnets, topology=model.Topology.LAYER3)


def gateway(number: int) -> model.Gateway:
    """A node's, on the network of the nodes."""
    v4, v6 = ip_interface(f"192.0.2.{100 + number}/24"), ip_interface(f"fd00:2::{100 + number}/64")
    return model.Gateway(
        mac=names.address_mac(str(v4.ip)),
        addresses=(v4, v6),
        next_hops=tuple(ip_address(address) for address in OUTSIDE),
        interface_id=names.localnet_port(f"node{number}", "physnet"),
    )


async def routed(
    cluster: Cluster,
    declared: state.DeclaredNetwork,
    key: str,
    *,
    zones: int = 2,
    style: ports.RemotePorts = ports.RemotePorts.PLAIN,
) -> Routed:
    """The network on new zones, or on those that are there already."""
    while len(cluster.kept) < zones:
        await cluster.zone(style)
    made = Routed(cluster, declared, key)
    await cluster.define(key, declared)
    for kept in cluster.kept:
        await made.join(kept)
    return made


async def open_gateways(cluster: Cluster) -> Space:
    """Every node gets its gateway; gives the outside, a host on the nodes' own network."""
    space = cluster.wire.space
    for address, length in zip(OUTSIDE, (24, 64), strict=True):
        command = ("busybox", "ip", "addr", "add", f"{address}/{length}", "dev", "underlay")
        await asyncio.to_thread(space.run, *command)
    await asyncio.to_thread(space.run, sys.executable, "-c", _AS_WIRES_DO)
    for number, kept in enumerate(cluster.kept, start=1):
        await cluster.node(kept, replace(kept.info, gateway=gateway(number)))
    return space
