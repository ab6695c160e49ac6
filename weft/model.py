"""Defines the types that all of weft shares: frozen data, no Kubernetes, no OVN, no I/O.

The file follows the data: a NAD declares a network, a pod asks for an attachment, the cluster
manager allocates, and every zone that needs it makes a port.
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
from weft.migration import Migration, Move

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Subnet = IPv4Network | IPv6Network


class Topology(StrEnum):
    """NetConf `topology`."""

    LAYER2 = "layer2"
    LAYER3 = "layer3"
    LOCALNET = "localnet"


def within(inner: Subnet, outer: Subnet) -> bool:
    """Whether `outer` contains every address of `inner`."""
    return (
        inner.version == outer.version
        and int(outer.network_address) <= int(inner.network_address)
        and int(inner.broadcast_address) <= int(outer.broadcast_address)
    )


class DhcpOption(NamedTuple):
    """A DHCP option of a `family`; each of `values` is a text that its kind allows (dhcpcodes)."""

    family: int
    code: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dhcp:
    """The DHCP options of a network beyond address, lease and MTU.

    Not `enabled`: the network has no DHCP server. An empty tuple: the option is not sent. A router
    is sent only if configured, so a secondary network never takes a guest's default route.
    `servers`: pods and virtual machines that may be DHCP servers themselves.
    """

    enabled: bool = True
    lease_seconds: int = 3600
    routers: tuple[Address, ...] = ()
    dns: tuple[Address, ...] = ()
    domain: str = ""
    servers: tuple[ObjectKey, ...] = ()
    options: tuple[DhcpOption, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit on traffic: `rate` in bits per second, `burst` in bits (0: one second's traffic)."""

    rate: int
    burst: int = 0


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """The limits of a NIC: `ingress` to the pod, `egress` from it; None: nothing is said."""

    ingress: Rate | None = None
    egress: Rate | None = None

    def over(self, other: Bandwidth) -> Bandwidth:
        """These limits, and the `other`'s where they say nothing."""
        return Bandwidth(self.ingress or other.ingress, self.egress or other.egress)


class PortSecurity(StrEnum):
    """From which addresses a NIC may send: its own, any by its own MAC, any by any MAC."""

    STRICT = "strict"
    MAC = "mac"
    OFF = "off"

    @property
    def laxity(self) -> int:
        """0 for the strictest."""
        return list(PortSecurity).index(self)


@dataclass(frozen=True, slots=True)
class AddressPair:
    """Addresses beside its own that a NIC may send from, by this MAC ("": its own)."""

    subnet: Subnet
    mac: str = ""


# Of VRRP and CARP, for IPv4 and IPv6 (RFC 9568, 7.3).
VIRTUAL_ROUTER_MACS = ("00:00:5e:00:01:", "00:00:5e:00:02:")


@dataclass(frozen=True, slots=True)
class NicOptions:
    """What a NIC asks for beside its addresses and MAC; a network has defaults of the same kind."""

    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    port_security: PortSecurity | None = None
    address_pairs: tuple[AddressPair, ...] = ()
    dhcp: tuple[DhcpOption, ...] = ()


NO_OPTIONS = NicOptions()


@dataclass(frozen=True, slots=True)
class Permits:
    """What NICs may ask for: the laxest port security, ranges of pairs, DHCP options by code."""

    port_security: PortSecurity = PortSecurity.STRICT
    address_pairs: tuple[Subnet, ...] = ()
    dhcp: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """The namespaces that may use a network beside its owner's; None: the NAD does not say."""

    namespaces: tuple[str, ...] | None = None
    selector: Selector | None = None

    @property
    def is_set(self) -> bool:
        return self.namespaces is not None or self.selector is not None


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network as the configuration of a NAD declares it.

    All NADs with one `name` are one network and must agree on every field but `access`, which the
    network's owner (the first of them) decides.
    `subnets` has at most one of each family for flat topologies; empty: weft assigns no addresses,
    the pod or guest brings its own.
    `reserved_subnets` are given only to pods that ask for an address in them; `exclude_subnets` to
    nobody.
    `host_prefix` (layer3 only): prefix length of a node subnet, in the order of `subnets`.
    `mtu` is in bytes, as the guest sees it.
    `dns_records`: OVN answers for the names of its members; `dns_servers` are the addresses of the
    server where the network names none in `dhcp.dns`.
    `physical_network` (localnet only) is a name in nodes' bridge mappings.
    `vlan_id` None: untagged. `persistent_ips` "vm": each NIC of a virtual machine has a claim.
    `routers`: pods and virtual machines that may act as routers.
    `trunk` (localnet only): the VLANs whose tags NICs carry, 0 for packets without one; empty: all
    of them; None: only what has no tag.
    `nic`: what each NIC has that does not ask for anything else; `permits`: what NICs may ask for.
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
    persistent_ips: str = ""
    vlan_id: int | None = None
    trunk: tuple[int, ...] | None = None
    physical_network: str = ""
    dns_records: bool = False
    dns_servers: tuple[Address, ...] = ()
    dhcp: Dhcp = field(default_factory=Dhcp)
    routers: tuple[ObjectKey, ...] = ()
    access: Access = field(default_factory=Access)
    nic: NicOptions = NO_OPTIONS
    permits: Permits = field(default_factory=Permits)

    @property
    def default_security(self) -> PortSecurity:
        """The port security of a NIC that asks for none."""
        return self.nic.port_security or PortSecurity.STRICT

    def allows(self, security: PortSecurity) -> bool:
        """Whether a NIC may ask for this port security."""
        known = self.permits.port_security, self.default_security
        return security.laxity <= max(each.laxity for each in known)

    def allows_pair(self, pair: AddressPair) -> bool:
        """Whether a NIC may ask for this pair."""
        permitted = any(within(pair.subnet, each) for each in self.permits.address_pairs)
        return permitted and self.allows_mac(pair.mac)

    def allows_mac(self, mac: str) -> bool:
        """Whether a pair may have this MAC: "", a virtual router's, or any if no port is checked.

        Whoever sends from the MAC of another host gets what is sent to that host.
        """
        return not mac or mac.startswith(VIRTUAL_ROUTER_MACS) or self.allows(PortSecurity.OFF)


@dataclass(frozen=True, slots=True)
class Network:
    """A network with the id from the cluster manager (0 is the default network).

    `owner` is the NAD that declared it first, None if that is unknown.
    """

    spec: NetworkSpec
    id: int
    owner: ObjectKey | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def is_default(self) -> bool:
        """Whether this is the default network, which every pod is on."""
        return self.id == 0


class Segment(NamedTuple):
    """What addresses are taken from: a layer2 network, or a node's subnets of a layer3 network."""

    network: str
    node: str = ""


class ObjectKey(NamedTuple):
    """An object of a kind by name, in any incarnation; `namespace` is "" where its kind has none.

    Its text in messages and annotations is "<namespace>/<name>", or "<name>"."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @classmethod
    def parse(cls, text: str) -> ObjectKey:
        """Reads the text of a key."""
        namespace, _, name = text.rpartition("/")
        return cls(namespace, name)


@dataclass(frozen=True, slots=True)
class PodRef:
    """One incarnation of a pod: a recreated pod has the same name and another uid."""

    key: ObjectKey
    uid: str

    @property
    def namespace(self) -> str:
        return self.key.namespace

    @property
    def name(self) -> str:
        return self.key.name


@dataclass(frozen=True, slots=True)
class Attachment:
    """One selection element of a pod.

    `nad` is None for the default network. `key` names the attachment among allocations: `nad`, or
    "<nad>/<n>" for its n-th repetition in one pod. `interface` is the name in the pod, "net<i+1>"
    if the element names none (`by_place`). `identity` names its owner, of which the MAC is derived.
    """

    nad: ObjectKey | None
    key: str
    interface: str
    mac: str = ""
    addresses: tuple[Interface | Address, ...] = ()
    default_route: tuple[Address, ...] = ()
    ipam_claim: str = ""
    identity: str = ""
    nic: NicOptions = NO_OPTIONS
    by_place: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Route:
    """A route to `dest` through `next_hop`."""

    dest: Subnet
    next_hop: Address


@dataclass(frozen=True, slots=True)
class Allocation:
    """What the cluster manager allocated to one attachment: one entry of the annotation.

    `tunnel_id`: the port's key in every zone. `nic`: as asked for. `migration`: another has it too.
    `interface`, `logical_port`: if the key is no clue. `given`: after how many losses (ADR 0130).
    """

    mac: str  # in lower case with colons
    addresses: tuple[Interface, ...] = ()
    tunnel_id: int = 0
    gateways: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    role: str = "secondary"
    nic: NicOptions = NO_OPTIONS
    migration: Migration | None = None
    interface: str = ""
    logical_port: str = ""
    given: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an IPAMClaim asks for: at most one address of each family, and a MAC; else any."""

    addresses: tuple[Interface | Address, ...] = ()
    mac: str = ""


@dataclass(frozen=True, slots=True)
class IpamClaim:
    """An IPAMClaim: it keeps a VM's addresses on one network beyond the life of a pod.

    `network` is the network's name, `addresses` what it holds, `owner_pod` the pod that uses it.
    `reservation`: it asks for addresses before a pod uses it."""

    key: ObjectKey
    network: str
    interface: str
    addresses: tuple[Interface, ...] = ()
    owner_pod: str = ""
    reservation: Reservation | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """A node's gateway router: how the node's pods reach addresses outside the cluster.

    `addresses` and `mac` are the gateway router's on the physical network, `next_hops` its default
    routes; `interface_id` names the external switch's port to that network.
    """

    mac: str
    addresses: tuple[Interface, ...]
    next_hops: tuple[Address, ...] = ()
    interface_id: str = ""
    mode: str = "shared"


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node as other zones need it: OVN chassis name and tunnel endpoints.

    `id` starts at 2; addresses and keys of the node are computed from it; 0: not allocated yet.
    `transit` are the node's addresses on every transit switch. `subnets` has sorted pairs of a
    layer3 network's name and its node subnets (`subnets_of` looks one up).
    """

    name: str
    chassis: str = ""
    encap_ips: tuple[str, ...] = ()
    id: int = 0
    transit: tuple[Interface, ...] = ()
    subnets: tuple[tuple[str, tuple[Subnet, ...]], ...] = ()
    gateway: Gateway | None = None

    def subnets_of(self, network: str) -> tuple[Subnet, ...]:
        """The node subnets of a layer3 network; empty while none is allocated."""
        return next((subnets for name, subnets in self.subnets if name == network), ())


@dataclass(frozen=True, slots=True)
class Port:
    """One attachment of a pod on `node`; `hostname`: what DHCP tells it, `move`: where it goes."""

    pod: PodRef
    key: str
    nad: ObjectKey
    network: str
    node: str
    allocation: Allocation
    hostname: str = ""
    move: Move | None = None
