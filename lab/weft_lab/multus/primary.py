"""Provides the default network where weft is not the primary CNI: a bridge for each node.

It leases an address of the node's range to each sandbox, and reaches pods of the same node only;
a cluster has a primary CNI plugin of its own instead.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_interface
from pathlib import Path
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from weft import errors
from weft.host import netlink, netns, routing
from weft_lab.multus import plugin

NAME = "lab-primary"
BRIDGE = "cni0"
MTU = 1500


@dataclass(frozen=True, slots=True)
class Primary:
    """`leases` is a folder with one file per address, which names its sandbox."""

    subnet: IPv4Network
    leases: Path

    @property
    def gateway(self) -> IPv4Interface:
        return IPv4Interface(f"{self.subnet.network_address + 1}/{self.subnet.prefixlen}")

    async def add(self, sandbox: plugin.Sandbox, interface: str) -> dict[str, Any]:
        """Attach the sandbox; the CNI result."""
        address = self._lease(sandbox.id)
        mac = "0a:58:" + ":".join(f"{byte:02x}" for byte in address.ip.packed)
        await asyncio.to_thread(self._wire, sandbox, interface, address, mac)
        return {
            "cniVersion": "1.1.0",
            "interfaces": [
                {"name": BRIDGE},
                {"name": device(sandbox.id)},
                {"name": interface, "mac": mac, "mtu": MTU, "sandbox": sandbox.netns},
            ],
            "ips": [{"address": str(address), "gateway": str(self.gateway.ip), "interface": 2}],
            "routes": [{"dst": "0.0.0.0/0", "gw": str(self.gateway.ip)}],
            "dns": {},
        }

    async def delete(self, sandbox: plugin.Sandbox, interface: str) -> None:
        """Detach it; does nothing if it is not attached."""
        await asyncio.to_thread(netlink.remove, device(sandbox.id))
        for lease in self._leased():
            if lease.read_text() == sandbox.id:
                lease.unlink(missing_ok=True)

    def _leased(self) -> list[Path]:
        return list(self.leases.iterdir()) if self.leases.is_dir() else []

    def _lease(self, sandbox: str) -> IPv4Interface:
        self.leases.mkdir(parents=True, exist_ok=True, mode=0o700)
        taken = {path.name: path.read_text() for path in self._leased()}
        mine = [IPv4Address(text) for text, owner in taken.items() if owner == sandbox]
        address = mine[0] if mine else choose(self.subnet, map(IPv4Address, taken))
        (self.leases / str(address)).write_text(sandbox)
        return IPv4Interface(f"{address}/{self.subnet.prefixlen}")

    def _wire(
        self, sandbox: plugin.Sandbox, interface: str, address: IPv4Interface, mac: str
    ) -> None:
        name = device(sandbox.id)
        ensure_bridge(self.gateway)
        netlink.remove(name)
        with netns.opened(sandbox.netns) as target:
            netlink.make_veth(name, interface, target, mtu=MTU, mac=mac)
        with netlink.opened(f"device {name}") as route:
            route.link("set", index=netlink.find(route, name), master=netlink.find(route, BRIDGE))
        with netns.entered(sandbox.netns):
            netlink.configure(
                interface,
                mac=mac,
                mtu=MTU,
                addresses=[ip_interface(address)],
                sysctls=[(f"net/ipv6/conf/{interface}/accept_dad", "0", True)],
            )
            routing.ensure(
                interface, routing.Routing(routes=(("0.0.0.0/0", str(self.gateway.ip)),))
            )


def choose(subnet: IPv4Network, taken: Iterable[IPv4Address]) -> IPv4Address:
    """The lowest free address; the first host is the node's."""
    used = set(taken)
    first = int(subnet.network_address) + 2
    last = int(subnet.broadcast_address)
    for number in range(first, last):
        if IPv4Address(number) not in used:
            return IPv4Address(number)
    raise errors.Exhausted(
        f"all {last - first} addresses of {subnet} are taken",
        where="the node's pod range",
        hint="delete pods of this node",
    )


def device(sandbox: str) -> str:
    """The node's end of a sandbox's eth0."""
    return "ve" + hashlib.sha256(sandbox.encode()).hexdigest()[:13]


def ensure_bridge(gateway: IPv4Interface) -> None:
    """Make the bridge if it is missing; several pods may do so at the same time."""
    with netlink.opened(f"bridge {BRIDGE}") as route:
        if netlink.find(route, BRIDGE):
            return
        try:
            route.link("add", ifname=BRIDGE, kind="bridge", mtu=MTU)
            index = netlink.find(route, BRIDGE)
            route.addr(
                "add", index=index, address=str(gateway.ip), prefixlen=gateway.network.prefixlen
            )
            route.link("set", index=index, state="up")
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise
    netlink.set_sysctl("net/ipv4/ip_forward", "1", optional=True)
