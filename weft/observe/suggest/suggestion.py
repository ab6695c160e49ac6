"""Makes the policies that admit what was seen on a network, and nothing else. Pure.

A policy selects the group of a workload, and isolates it in the directions that were asked for. Its
rules admit every connection that was seen of any pod that it selects: labels that two workloads
share make no pod lose what it had. Peers are groups, or addresses that no pod has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from weft.model import ObjectKey, Subnet
from weft.observe.reach import Member
from weft.observe.suggest.groups import Group
from weft.observe.suggest.seen import Seen
from weft.policy import blocks, netpolicy
from weft.policy.netpolicy import Direction

NAMESPACE_NAME = "kubernetes.io/metadata.name"  # Kubernetes' own label on each namespace
_TCP_UDP_SCTP = tuple(netpolicy.Protocol)

# A set of ports: protocol, first and last; None for all of the protocol, if that is asked for.
Ports = tuple[netpolicy.Protocol, tuple[int, int] | None]


@dataclass(frozen=True, slots=True)
class Peer:
    """Members of a group, from the policy's point of view; or the addresses of a subnet.

    `namespace_labels` select the group's namespace; None where it is the policy's own.
    """

    group: Group | None = None
    namespace_labels: tuple[tuple[str, str], ...] | None = None
    subnet: Subnet | None = None

    @property
    def order(self) -> tuple[bool, str, str]:
        return self.subnet is not None, str(self.group), str(self.subnet)


@dataclass(frozen=True, slots=True)
class Rule:
    """`ports` None: everything, ICMP too. `seen`: what it admits."""

    peers: tuple[Peer, ...]
    ports: tuple[Ports, ...] | None
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One policy. `rules` by direction; a direction without rules admits nothing."""

    name: str
    group: Group
    nad: ObjectKey
    directions: tuple[Direction, ...]
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        return self.ingress if direction is Direction.INGRESS else self.egress


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. `groups`: those to guard. `everything`: admit all between ends
    whose connections no port describes (ICMP, other protocols, ports that nobody looked at)."""

    groups: tuple[Group, ...]
    directions: tuple[Direction, ...] = (Direction.INGRESS, Direction.EGRESS)
    everything: bool = False


def selected(
    seen: Iterable[Seen], by_member: Mapping[str, Group], namespaces: Collection[str] = ()
) -> tuple[Group, ...]:
    """The groups of all members that were seen, in these namespaces or in all."""
    found = {
        by_member[member.id]
        for each in seen
        for member in (each.source, each.target)
        if member is not None and (not namespaces or member.endpoint.namespace in namespaces)
    }
    return tuple(sorted(found))


def suggest(
    request: Request,
    seen: Sequence[Seen],
    by_member: Mapping[str, Group],
    nads: Collection[ObjectKey],
) -> tuple[Suggestion, ...]:
    """The policies; `nads` are those of the network, of which each policy names one."""
    made: list[Suggestion] = []
    taken: set[tuple[str, str]] = set()
    for group in request.groups:
        nad = _nad(group.namespace, nads)
        name = _name(group, nad, taken)
        taken.add((group.namespace, name))
        rules = {
            direction: _rules(group, direction, request, seen, by_member)
            for direction in request.directions
        }
        made.append(
            Suggestion(
                name,
                group,
                nad,
                tuple(request.directions),
                ingress=rules.get(Direction.INGRESS, ()),
                egress=rules.get(Direction.EGRESS, ()),
            )
        )
    return tuple(made)


def _nad(namespace: str, nads: Collection[ObjectKey]) -> ObjectKey:
    """One of the policy's own namespace, if there is one."""
    return min(nads, key=lambda each: (each.namespace != namespace, each))


def _name(group: Group, nad: ObjectKey, taken: Collection[tuple[str, str]]) -> str:
    base = f"{group.name or 'all'}-on-{nad.name}"[:240].strip("-.")
    name, number = base, 2
    while (group.namespace, name) in taken:
        name, number = f"{base}-{number}", number + 1
    return name


def _rules(
    group: Group,
    direction: Direction,
    request: Request,
    seen: Sequence[Seen],
    by_member: Mapping[str, Group],
) -> tuple[Rule, ...]:
    by_peer: dict[Peer, list[Seen]] = {}
    for each in seen:
        subject, other, address = each.source, each.target, each.addresses[1]
        if direction is Direction.INGRESS:
            subject, other, address = each.target, each.source, each.addresses[0]
        if subject is None or not group.has(subject):
            continue
        if not each.is_sayable and not request.everything:
            continue
        if other is not None:
            peer = _pods(group, by_member[other.id], other)
        elif address is not None:
            peer = Peer(subnet=ip_network(address))
        else:
            continue
        by_peer.setdefault(peer, []).append(each)
    by_ports: dict[tuple[Ports, ...] | None, list[Peer]] = {}
    for peer, listed in by_peer.items():
        by_ports.setdefault(_ports(listed), []).append(peer)
    made = []
    for ports, peers in by_ports.items():
        admitted = tuple(one for peer in peers for one in by_peer[peer])
        made.append(Rule(_collapsed(peers), ports, admitted))
    return tuple(sorted(made, key=lambda each: (each.ports is not None, each.peers[0].order)))


def _collapsed(peers: Iterable[Peer]) -> tuple[Peer, ...]:
    """The peers in order; addresses that fill a subnet are that subnet."""
    pods = [each for each in peers if each.subnet is None]
    subnets = blocks.cidrs(netpolicy.IPBlock(each.subnet) for each in peers if each.subnet)
    return (*sorted(pods, key=lambda each: each.order), *(Peer(subnet=one) for one in subnets))


def _pods(subject: Group, group: Group, member: Member) -> Peer:
    if group.namespace == subject.namespace:
        return Peer(group)
    labels = member.endpoint.namespace_labels
    if labels.get(NAMESPACE_NAME) == group.namespace:
        return Peer(group, ((NAMESPACE_NAME, group.namespace),))
    return Peer(group, tuple(sorted(labels.items())))


def _ports(listed: Iterable[Seen]) -> tuple[Ports, ...] | None:
    """The fewest ranges that are exactly what was seen; all, where `everything` is asked for and no
    port is known."""
    numbers: dict[netpolicy.Protocol, set[int]] = {}
    whole: set[netpolicy.Protocol] = set()
    for each in listed:
        if each.protocol is None:
            return None
        if each.port is None:
            whole.add(each.protocol)
        else:
            numbers.setdefault(each.protocol, set()).add(each.port)
    found: list[Ports] = []
    for protocol in _TCP_UDP_SCTP:
        if protocol in whole:
            found.append((protocol, None))
            continue
        for first, last in _ranges(numbers.get(protocol, set())):
            found.append((protocol, (first, last)))
    return tuple(found)


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
