"""Holds what was collected about the way from one end to another, as frozen data.

Collectors fill it in; `steps` judges it. What could not be had is an `Unseen` with the reason, so
that nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from weft import model
from weft.observe.reach import Member, ProbeResult
from weft.policy import netpolicy


class EndKind(StrEnum):
    """What an end is. ADDRESS: nobody on the network holds it. OUTSIDE: outside of the cluster."""

    POD = "pod"
    MACHINE = "virtual machine"
    ADDRESS = "address"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be had, and why, in words that follow "not seen: "."""

    reason: str


@dataclass(frozen=True, slots=True)
class UsedAddresses:
    """The addresses that an interface has inside the guest or pod.

    `source`: who says so. `prefixes`: whether the prefix lengths are the interface's own.
    `is_up`: whether the interface is up there; None if unknown.
    """

    addresses: tuple[model.Interface, ...]
    source: str
    prefixes: bool = True
    is_up: bool | None = None


@dataclass(frozen=True, slots=True)
class End:
    """One end: what the user named, and what Kubernetes says of it.

    `name` is "<namespace>/<name>", an address or "outside". `networks` are all secondary networks
    that it is on, or asks for; `hidden` are NADs that it names and the user may not read. `member`
    is its attachment to the network in question, None without an allocation. `port` is its logical
    port. `others` are further interfaces on the network, of which the user chose none. `moves`:
    from where to where it migrates. `trouble`: why it does not run or is not attached, with
    `remedy`. `blind`: why it is not known who holds the address.
    """

    name: str
    kind: EndKind
    node: str = ""
    networks: tuple[str, ...] = ()
    member: Member | None = None
    allocated: tuple[model.Interface, ...] = ()
    port: str = ""
    security: tuple[str, ...] = ()
    address: model.Address | None = None
    trouble: str = ""
    remedy: str = ""
    link_state: str = ""
    hidden: tuple[str, ...] = ()
    blind: str = ""
    others: tuple[str, ...] = ()
    moves: str = ""

    @property
    def is_member(self) -> bool:
        return self.kind in (EndKind.POD, EndKind.MACHINE)

    @property
    def interface(self) -> str:
        """The interface's name in the pod."""
        return self.member.interface if self.member else ""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """The network in question. `mapped` are the nodes that lead to its physical network."""

    name: str
    topology: str = ""
    subnets: tuple[model.Subnet, ...] = ()
    mtu: int = 0
    vlan: int | None = None
    physical: str = ""
    mapped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeState:
    """A Node as Kubernetes has it. `tunnels` is the message of its condition about tunnels that are
    down, empty if all are up; None: the agent does not say."""

    ready: bool
    chassis: str = ""
    tunnels: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """A place in a policy: the field's path, and its line in `kubectl get -o yaml`, 0 if unknown.

    `text` is that line.
    """

    path: str
    number: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class PolicyFinding:
    """What the policies of one direction say at one end.

    `allowed`: the rule that allows it, with its line. Otherwise `policies` isolate the end, and
    `nearest` is the place where a change would allow it, `change` what to change. `unseen`: why
    policies cannot be judged; then the rest says nothing.
    """

    direction: netpolicy.Direction
    policies: tuple[str, ...] = ()
    passes: bool = True
    allowed: str = ""
    line: PolicyLine | None = None
    change: str = ""
    audited: tuple[str, ...] = ()
    unseen: str = ""


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """The OVS interface of a port. `is_installed`: OVN reports its flows as in place. `rival`: one
    that has the port's id, too, or instead, and is not weft's."""

    name: str
    ofport: int = 0
    is_installed: bool = False
    is_current: bool = True
    error: str = ""
    rival: str = ""


@dataclass(frozen=True, slots=True)
class PortFacts:
    """A port as one zone has it. `requested` and `bound` are chassis, "" for none."""

    exists: bool = False
    is_enabled: bool = True
    security: tuple[str, ...] = ()
    has_binding: bool = False
    requested: str = ""
    bound: str = ""
    interface: InterfaceFacts | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """What OVN says that a zone does with the packet. `reaches`: it is output to the target.

    `stage` is where it ended otherwise, `match` the match of that flow, `acl` what made it.
    """

    reaches: bool
    stage: str = ""
    match: str = ""
    acl: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True)
class DropCount:
    """A flow that drops packets, and how many it dropped while the probe ran.

    `stage` is OVN's name of the stage; empty for a flow that is not OVN's. `is_weft`: weft's guard.
    """

    flow: str
    packets: int
    stage: str = ""
    match: str = ""
    is_weft: bool = False
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One zone: the two ports, tunnels by the other end's address, and what OVN says.

    `tunnels`: whether each answers. `chassis`: those that the zone knows. `keys`: the tunnel keys
    of the ports' datapaths. `datapath`: whether Open vSwitch lets the packet go on from the
    source's port.
    """

    chassis: frozenset[str] = frozenset()
    own: str = ""
    keys: frozenset[int] = frozenset()
    ports: Mapping[str, PortFacts] = field(default_factory=dict)
    tunnels: Mapping[str, bool] = field(default_factory=dict)
    trace: Trace | Unseen | None = None
    datapath: Trace | Unseen | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of packets that were sent. `left`, `arrived`: whether the packet was seen at the
    source's pod, and at the target's; None if nobody looked. `full`: what came of a ping of `size`
    bytes, the network's MTU, where a small ping was answered; None if it was not sent. `by`: who
    sent it, if not the source itself."""

    result: ProbeResult
    left: bool | None = None
    arrived: bool | None = None
    full: ProbeResult | Unseen | None = None
    size: int = 0
    by: str = ""


@dataclass(frozen=True, slots=True)
class PortAnswer:
    """What a guest or pod does when the switch asks it at its own port for an address.

    `answered`: the MACs that say they have it. `senders`: other addresses from which it sent
    meanwhile, with the MAC. `by_dhcp`: whether it asked for an address. `echoed`: the MAC to which
    it answered a ping from the other end, "" for no answer; None if none was sent. `sought`: whose
    MAC it asked for then.
    """

    address: model.Address
    answered: tuple[str, ...] = ()
    senders: tuple[tuple[str, model.Address], ...] = ()
    by_dhcp: bool = False
    echoed: str | None = None
    sought: tuple[model.Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was collected. `used` and `asked` by "source" and "target"; `nodes` by name.

    `beside`: networks of the ends on one physical network, where they share none.
    `encaps`: the tunnel addresses of each node; `routers`: the MAC of its routers on transit
    switches."""

    source: End
    target: End
    connection: netpolicy.Connection
    network: NetworkFacts | Unseen
    beside: tuple[NetworkFacts, NetworkFacts] | None = None
    policies: tuple[PolicyFinding, ...] = ()
    states: Mapping[str, NodeState | Unseen] = field(default_factory=dict)
    used: Mapping[str, UsedAddresses | Unseen] = field(default_factory=dict)
    asked: Mapping[str, PortAnswer | Unseen] = field(default_factory=dict)
    nodes: Mapping[str, NodeFacts | Unseen] = field(default_factory=dict)
    encaps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routers: Mapping[str, str] = field(default_factory=dict)
    probe: Probe | Unseen = Unseen("nothing was sent")
    drops: Mapping[str, tuple[DropCount, ...]] = field(default_factory=dict)
