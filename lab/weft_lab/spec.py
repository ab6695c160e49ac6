"""Defines the lab that the user wants, as data: its name, its nodes, their addresses.

Pure: no path of the host, no process, no clock. plan.py makes the services of a spec.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from weft import errors
from weft.api import defaultnetwork, notation
from weft.app import settings
from weft_lab.vm import disks

DEFAULT_NAME = "weft"
DEFAULT_NODES = 3
MAX_NODES = 64

# Both subnets exist inside the lab's own network namespaces alone.
MANAGEMENT = ipaddress.IPv4Network("172.31.0.0/24")  # API server and node addresses
UNDERLAY = ipaddress.IPv4Network("172.31.1.0/24")  # Geneve end points, gateways, the outside host
UNDERLAY_6 = ipaddress.IPv6Network("fd00:172:31:1::/64")  # gateways and the outside host alone
PODS = ipaddress.IPv4Network("10.244.0.0/16")  # the pods' own network where weft's is not: a bridge
API_PORT = 6443  # of the API server on the management network
FIRST_NODE_HOST = 10  # node1 is .11
FIRST_GATEWAY_HOST = 100  # node1's gateway is .101
OUTSIDE = "outside"  # a host that is no node, at .1 of the underlay: the way to all else
OUTSIDE_HOST = 1
MAX_VLAN = 254  # its number is in the addresses of its host

PRIMARIES = ("weft", "none")
CLUSTER_SUBNETS = "10.128.0.0/14/23"
PHYSICAL_NETWORK = "physnet"
TUNNEL_OVERHEAD = 58

MIN_MTU = 1338  # an overlay of 1280 (IPv6's minimum) and Geneve's 58 bytes
MAX_MTU = 9000
DATAPATHS = ("netdev", "system")

_CHASSIS = uuid.UUID("5a0c1f5e-6f0b-4c57-9c1c-0d9e7a8f6b21")  # name space of chassis ids


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the lab; everything follows from the lab's name and the node's number."""

    lab: str
    number: int  # from 1

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def chassis(self) -> str:
        """OVS system-id, the same each time the lab comes up."""
        return str(uuid.uuid5(_CHASSIS, f"{self.lab}/{self.name}"))

    @property
    def address(self) -> ipaddress.IPv4Address:
        """The node's own address, on the management network."""
        return MANAGEMENT[FIRST_NODE_HOST + self.number]

    @property
    def underlay(self) -> ipaddress.IPv4Address:
        """Geneve end point."""
        return UNDERLAY[FIRST_NODE_HOST + self.number]

    @property
    def gateways(self) -> tuple[ipaddress.IPv4Interface, ipaddress.IPv6Interface]:
        """The gateway router's addresses on the underlay, beside the node's own."""
        return on_underlay(FIRST_GATEWAY_HOST + self.number)

    @property
    def underlay_mac(self) -> str:
        return "0a:58:" + ":".join(f"{byte:02x}" for byte in self.underlay.packed)


def on_underlay(host: int) -> tuple[ipaddress.IPv4Interface, ipaddress.IPv6Interface]:
    """The addresses of host number `host` of the underlay."""
    return (
        ipaddress.IPv4Interface((UNDERLAY[host], UNDERLAY.prefixlen)),
        ipaddress.IPv6Interface((UNDERLAY_6[host], UNDERLAY_6.prefixlen)),
    )


@dataclass(frozen=True, slots=True)
class Vlan:
    """A VLAN of the physical network. A host that is no node is in it, without a tag of its own."""

    number: int

    @property
    def host(self) -> str:
        return f"vlan{self.number}"

    @property
    def subnets(self) -> tuple[ipaddress.IPv4Network, ipaddress.IPv6Network]:
        return (
            ipaddress.IPv4Network(f"192.168.{self.number}.0/24"),
            ipaddress.IPv6Network(f"fd00:{self.number}::/64"),
        )

    @property
    def addresses(self) -> tuple[ipaddress.IPv4Interface, ipaddress.IPv6Interface]:
        """The host's. Its IPv6 address is none of the first, which weft assigns."""
        return (
            ipaddress.IPv4Interface(f"192.168.{self.number}.1/24"),
            ipaddress.IPv6Interface(f"fd00:{self.number}::fe/64"),
        )

    @property
    def mac(self) -> str:
        """The host's, always the same: others remember it."""
        return f"0a:58:c0:a8:{self.number:02x}:01"

    @property
    def leases(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """First and last address that the host leases, of both families."""
        old, new = f"192.168.{self.number}.", f"fd00:{self.number}::"
        return (f"{old}64", f"{old}127"), (f"{new}40", f"{new}7f")


@dataclass(frozen=True, slots=True)
class Lab:
    """`mtu` is the underlay's; `port` the API server's on the host's loopback, 0 = not chosen.

    `disks` are [FORMAT:]FOLDERs of this machine that virtual machines may have disks from.
    `global_namespaces`: whose networks are for everybody, as weft's own setting says it.
    `webhook`: whether NADs and policies are judged at admission.
    `primary`: whether weft is the cluster's primary network, with `cluster_subnets`, or none is.
    `vlans`: those of the physical network with a host; 0 among them is left out.
    """

    name: str = DEFAULT_NAME
    nodes: int = DEFAULT_NODES
    mtu: int = 1500
    datapath: str = "netdev"
    port: int = 0
    primary: str = "weft"
    cluster_subnets: str = CLUSTER_SUBNETS
    global_namespaces: str = ""
    disks: tuple[str, ...] = ()
    webhook: bool = False
    vlans: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        where = f"lab {self.name!r}"
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", self.name):
            raise errors.InvalidInput(
                "lab",
                "name",
                self.name,
                "must be 1 to 32 small letters, digits and dashes, with no dash at either end",
            )
        if not 1 <= self.nodes <= MAX_NODES:
            raise errors.InvalidInput(where, "nodes", self.nodes, f"must be from 1 to {MAX_NODES}")
        if not MIN_MTU <= self.mtu <= MAX_MTU:
            raise errors.InvalidInput(
                where, "mtu", self.mtu, f"must be from {MIN_MTU} to {MAX_MTU}"
            )
        if self.datapath not in DATAPATHS:
            raise errors.InvalidInput(
                where, "datapath", self.datapath, f"must be one of {', '.join(DATAPATHS)}"
            )
        if not 0 <= self.port <= 65535:
            raise errors.InvalidInput(where, "port", self.port, "must be from 0 to 65535")
        if self.primary not in PRIMARIES:
            raise errors.InvalidInput(
                where, "primary", self.primary, f"must be one of {', '.join(PRIMARIES)}"
            )
        for vlan in self.vlans:
            if not 0 <= vlan <= MAX_VLAN:
                rule = f"must be from 1 to {MAX_VLAN}, or 0 for none"
                raise errors.InvalidInput(where, "vlans", vlan, rule)
        object.__setattr__(self, "vlans", tuple(sorted({*self.vlans} - {0})))
        object.__setattr__(self, "disks", tuple(str(disks.parse(one)) for one in self.disks))
        settings.namespaces(where, self.global_namespaces)
        network = defaultnetwork.parse(self.cluster_subnets, mtu=self.pod_mtu)
        if network is None:
            rule = "must name a subnet; without one: --primary none"
            raise errors.InvalidInput(where, "cluster_subnets", self.cluster_subnets, rule)
        for subnet in network.spec.subnets:
            physical = (each for vlan in self.tagged for each in vlan.subnets)
            for taken in (MANAGEMENT, UNDERLAY, UNDERLAY_6, *physical):
                if notation.overlap(subnet, taken):
                    rule = f"overlaps {taken} of the lab's own networks"
                    raise errors.InvalidInput(where, "cluster_subnets", str(subnet), rule)

    @property
    def pod_mtu(self) -> int:
        """What a network of pods carries where its NAD does not say."""
        return min(1400, self.mtu - TUNNEL_OVERHEAD)

    @property
    def reserved(self) -> tuple[ipaddress.IPv4Network, ...]:
        """What no overlay may overlap, beside weft's own network."""
        return (MANAGEMENT,) if self.is_primary else (PODS, MANAGEMENT)

    @property
    def is_primary(self) -> bool:
        return self.primary == "weft"

    @property
    def members(self) -> tuple[Node, ...]:
        return tuple(Node(self.name, number) for number in range(1, self.nodes + 1))

    @property
    def tagged(self) -> tuple[Vlan, ...]:
        return tuple(map(Vlan, self.vlans))

    @property
    def api(self) -> ipaddress.IPv4Address:
        """The API server's address on the management network."""
        return MANAGEMENT[1]


def render(lab: Lab) -> dict[str, object]:
    return asdict(lab)


def parse(stored: Mapping[str, object]) -> Lab:
    """The inverse of `render`; fields of an older or newer version are left out."""
    known = {key: value for key, value in stored.items() if key in Lab.__slots__}
    return Lab(**known)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose for a lab; None: nothing."""

    nodes: int | None = None
    mtu: int | None = None
    datapath: str | None = None
    port: int | None = None
    primary: str | None = None
    cluster_subnets: str | None = None
    global_namespaces: str | None = None
    disks: tuple[str, ...] | None = None
    webhook: bool | None = None
    vlans: tuple[int, ...] | None = None


def change(current: Lab, options: Options, *, running: bool) -> Lab:
    """`current` with what the user asked for.

    A running lab may have nodes added and its last ones removed, and other VLANs; all else waits
    for a stop.
    """
    given = {name: value for name, value in asdict(options).items() if value is not None}
    changed = replace(current, **given)
    if running:
        for field in (
            *("mtu", "datapath", "port", "primary", "cluster_subnets"),
            *("global_namespaces", "disks", "webhook"),
        ):
            if getattr(changed, field) != getattr(current, field):
                raise _fixed(
                    current, changed, field, f"the running lab has {getattr(current, field)}"
                )
    return changed


def _fixed(current: Lab, desired: Lab, field: str, rule: str) -> errors.InvalidInput:
    return errors.InvalidInput(
        f"lab {current.name!r}",
        field,
        getattr(desired, field),
        rule,
        hint=f"weft lab stop --name {current.name}; then bring it up again",
    )
