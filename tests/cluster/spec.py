"""What a cluster is: its machines and their addresses. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

CONTROL = "control"
UNDERLAY = ipaddress.IPv4Network("172.30.0.0/24")
TUNNELS = ipaddress.IPv4Network("172.31.0.0/24")
PODS = ipaddress.IPv4Network("10.244.0.0/16")
SERVICES = ipaddress.IPv4Network("10.96.0.0/16")
API_PORT = 6443
FIRST_NODE = 10


class Multus(StrEnum):
    THICK = "thick"
    THIN = "thin"


@dataclass(frozen=True, slots=True)
class Node:
    """One machine with kubelet and containerd; `number` counts from 1."""

    number: int

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def address(self) -> ipaddress.IPv4Interface:
        """Of eth0: kubelet's, and what Kubernetes calls InternalIP."""
        return ipaddress.IPv4Interface((UNDERLAY[FIRST_NODE + self.number], UNDERLAY.prefixlen))

    @property
    def tunnel_address(self) -> ipaddress.IPv4Interface:
        """Of eth1, which is there for a userspace switch to take, with its address."""
        return ipaddress.IPv4Interface((TUNNELS[FIRST_NODE + self.number], TUNNELS.prefixlen))

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """The addresses that the primary CNI has for this node's pods."""
        return list(PODS.subnets(new_prefix=24))[self.number]


@dataclass(frozen=True, slots=True)
class Cluster:
    """`release`: "newest" or "oldest" of the supported ones; see goparts.py."""

    name: str = "weft"
    nodes: int = 2
    release: str = "newest"
    multus: Multus = Multus.THICK

    @property
    def members(self) -> tuple[Node, ...]:
        return tuple(Node(number) for number in range(1, self.nodes + 1))

    @property
    def machines(self) -> tuple[str, ...]:
        return (CONTROL, *(node.name for node in self.members))

    @property
    def control_address(self) -> ipaddress.IPv4Interface:
        return ipaddress.IPv4Interface((UNDERLAY[1], UNDERLAY.prefixlen))

    @property
    def api(self) -> str:
        """Where machines and pods reach the API server."""
        return f"https://{self.control_address.ip}:{API_PORT}"
