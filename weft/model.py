"""The words that all of weft speaks: frozen data, no Kubernetes, no OVN, no I/O.

Read from top to bottom, this is the way of the data: a network is declared, a pod asks to be
attached, the cluster manager allocates, every zone that needs it makes a port of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import NamedTuple

from weft.labels import Selector

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Subnet = IPv4Network | IPv6Network


class Topology(StrEnum):
    """NetConf `topology`."""

    LAYER2 = "layer2"
    LAYER3 = "layer3"
    LOCALNET = "localnet"


@dataclass(frozen=True, slots=True)
class Dhcp:
    """What OVN's DHCP servers say on a network beyond address, lease and MTU.

    `enabled` False serves nothing. Empty tuples mean: do not send the option. No router is
    ever sent unless configured, so that an overlay never steals a guest's default route.
    `servers`: pods and virtual machines, "<namespace>/<name>", that may serve DHCP themselves.
    """

    enabled: bool = True
    lease_seconds: int = 3600
    routers: tuple[Address, ...] = ()
    dns: tuple[Address, ...] = ()
    domain: str = ""
    servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """Which namespaces may use a network beside its owner's; None: nothing is said of it."""

    namespaces: tuple[str, ...] | None = None
    selector: Selector | None = None

    @property
    def is_said(self) -> bool:
        return self.namespaces is not None or self.selector is not None


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What a NetworkAttachmentDefinition's config says about its network.

    All definitions that share `name` must agree on every field but `access`: they are one network,
    and who may use it is for the first of them to say, which owns it.
    `subnets` holds at most one of each family for weft's own topologies; empty means that
    weft assigns no addresses (the pod or guest brings its own).
    `reserved_subnets` are given only to who asks for an address in them; `exclude_subnets` are
    somebody else's and given to nobody.
    `host_prefix` (layer3 only): length of the subnet that each node gets, by subnet position.
    `mtu` is in bytes, as the guest sees it.
    `routers`: pods and virtual machines, "<namespace>/<name>", that may be routers of the network.
    """

    name: str
    topology: Topology
    mtu: int
    subnets: tuple[Subnet, ...] = ()
    exclude_subnets: tuple[Subnet, ...] = ()
    reserved_subnets: tuple[Subnet, ...] = ()
    host_prefix: tuple[int, ...] = ()
    role: str = "secondary"
    allow_persistent_ips: bool = False
    vlan_id: int | None = None
    physical_network: str = ""
    dhcp: Dhcp = field(default_factory=Dhcp)
    routers: tuple[str, ...] = ()
    access: Access = field(default_factory=Access)


@dataclass(frozen=True, slots=True)
class Network:
    """A network with the id that the cluster manager gave it (0 is the default network).

    `owner` is the key of the definition that declared it first; "" while that is not known.
    """

    spec: NetworkSpec
    id: int
    owner: str = ""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def is_default(self) -> bool:
        """Whether this is the cluster's own network, which every pod is on."""
        return self.id == 0


class Segment(NamedTuple):
    """What addresses are taken from: a layer2 network, or a node's subnets of a layer3 network."""

    network: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class PodRef:
    """One incarnation of a pod: a pod that is made again under its name has another uid."""

    namespace: str
    name: str
    uid: str

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One element of a pod's network selection annotation.

    `nad` is "<namespace>/<name>". `key` is what names this attachment in the pod's allocation
    annotation: the same as `nad`, or "<nad>/<n>" for the n-th repetition of it in one pod
    (n counts from 1 at the second). `interface` is the name in the pod, "net<i+1>" unless asked.
    `identity` says whose NIC it is beyond the life of a pod: a machine's, or the next pod's of the
    same name. A NIC without addresses has its MAC of it.
    """

    nad: str
    key: str
    interface: str
    mac: str = ""
    addresses: tuple[Interface | Address, ...] = ()
    default_route: tuple[Address, ...] = ()
    ipam_claim: str = ""
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """`dest` through `next_hop`."""

    dest: Subnet
    next_hop: Address


@dataclass(frozen=True, slots=True)
class Allocation:
    """What the cluster manager decided for one attachment: the annotation's entry.

    `mac` in lower case with colons. `tunnel_id` is the port's key on the network's datapath
    (1..32767), the same in every zone.
    """

    mac: str
    addresses: tuple[Interface, ...] = ()
    tunnel_id: int = 0
    gateways: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    role: str = "secondary"


@dataclass(frozen=True, slots=True)
class IpamClaim:
    """A claim that keeps a VM's addresses on one network beyond the life of a pod.

    `network` is the network's name, `addresses` what it holds, `owner_pod` who uses it now.
    """

    namespace: str
    name: str
    network: str
    interface: str
    addresses: tuple[Interface, ...] = ()
    owner_pod: str = ""


@dataclass(frozen=True, slots=True)
class Gateway:
    """How a node's pods leave the cluster: the node's own addresses towards the outside.

    `addresses` with `mac` are the gateway router's on the physical network, `next_hops` its
    default routes; `interface_id` names the port of the external switch to that network.
    """

    mac: str
    addresses: tuple[Interface, ...]
    next_hops: tuple[Address, ...] = ()
    interface_id: str = ""
    mode: str = "shared"


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What a zone must know of a node to reach it: OVN chassis name and tunnel endpoints.

    `id` (from 2) is what node-derived addresses and keys count from; 0 while not allocated.
    `transit` are the node's addresses on every transit switch; `subnets` is the node's part of
    each layer3 network, as sorted pairs of network name and subnets (`subnets_of` looks it up).
    """

    name: str
    chassis: str = ""
    encap_ips: tuple[str, ...] = ()
    id: int = 0
    transit: tuple[Interface, ...] = ()
    subnets: tuple[tuple[str, tuple[Subnet, ...]], ...] = ()
    gateway: Gateway | None = None

    def subnets_of(self, network: str) -> tuple[Subnet, ...]:
        """The node's subnets of a layer3 network; none while not allocated."""
        return next((subnets for name, subnets in self.subnets if name == network), ())


@dataclass(frozen=True, slots=True)
class Port:
    """One attachment of one pod as a zone sees it; `node` says where the pod runs."""

    pod: PodRef
    key: str
    nad: str
    network: str
    node: str
    allocation: Allocation
