"""Renders the Northbound rows of policies on a network: port groups, ACLs and address sets.

It renders one policy, or one namespace, at a time. `weft.control.zone` decides which ports are in a
group and writes them into existing rows (`membership`). `sets` renders the rows of address sets.

A port that an enforced policy selects is in the deny group of its namespace; the group's ACL drops
what no rule allows, and each policy that selects the port adds ACLs that allow (ADR 0050).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from weft import model, names, rows
from weft.ovn import acl, dhcp, match, ports
from weft.ovn.sets import AddressSet, names_by_field
from weft.policy import blocks, netpolicy

GROUP = acl.GROUP
_OVN = {netpolicy.Direction.INGRESS: "to-lport", netpolicy.Direction.EGRESS: "from-lport"}


class GroupKind(StrEnum):
    """Why ports form a group: isolated, audited, selected by a policy, selected with one number
    for a port name, or selected by a NetworkQoS."""

    DENY = "deny"
    AUDIT = "audit"
    POLICY = "policy"
    NAMED = "named"
    QOS = "qos"


@dataclass(frozen=True, slots=True)
class Group:
    """A port group. `policy` is set for the kinds policy and named, and is the NetworkQoS for the
    kind qos; the port's name and number for the kind named, whose direction is always Ingress."""

    kind: GroupKind
    network: str
    namespace: str
    direction: netpolicy.Direction
    policy: str = ""
    protocol: netpolicy.Protocol | None = None
    port: str = ""
    number: int = 0

    @property
    def id(self) -> str:
        """The row's ROW_ID, unique among groups."""
        rest: tuple[object, ...] = (self.namespace,)
        if self.policy:
            rest += (self.policy,)
        if self.kind is GroupKind.NAMED:
            rest += (self.protocol, self.port, self.number)
        return names.group_id(self.kind, self.direction, self.network, *rest)

    @property
    def name(self) -> str:
        """The name of the Port_Group row."""
        return names.identifier(self.id)

    @property
    def owner(self) -> str:
        """The row's OWNER: the policy, the NetworkQoS, or the namespace."""
        if self.kind is GroupKind.QOS:
            return names.networkqos_owner(self.namespace, self.policy)
        if self.policy:
            return names.policy_owner(self.namespace, self.policy)
        return names.namespace_owner(self.namespace)


NO_LOGGING = netpolicy.Logging()

# The numbers of a port name. Ingress: by protocol and name, for the pods that the policy selects.
# Egress: by the AddressSet of the peers (with number 0) that have the name, over all those peers.
PortName = AddressSet | tuple[netpolicy.Protocol, str]
PortNumbers = Mapping[PortName, frozenset[int]]


# Groups


def isolation_rows(
    group: Group, network: model.Network, logging: netpolicy.Logging = NO_LOGGING
) -> tuple[rows.Row, ...]:
    """The rows of a deny or audit group, without ports: what always passes, and the default.

    Its first ACL is `allow-related`, which makes OVN track connections on the whole switch: replies
    pass even in an isolated direction, whichever other ports the switch has.
    """
    isolated = match.isolated_ports(group.direction, group.name)
    always = match.always_allowed(group.direction, dhcp.served_families(network.spec))
    always = match.all_of(isolated, always)
    if group.kind is GroupKind.AUDIT:
        # One log entry for each connection: a busy one would otherwise use up the meter's rate.
        rest, action = match.all_of(isolated, match.NEW_CONNECTION), acl.ALLOW
        log = acl.Log("info", audit_name(group))
    else:
        rest, action = isolated, acl.DROP
        log = acl.Log(logging.deny, names.acl_name(f"NP:{group.namespace}", group.direction))
    return (
        group_row(group),
        _acl(group, "always", acl.ALLOWED, always, acl.ALLOW),
        _acl(group, "rest", acl.OTHERWISE, rest, action, log),
    )


def audit_name(group: Group) -> str:
    """The ACL name in OVN's log that only packets of an audit group have."""
    return names.acl_name(f"audit:{group.namespace}", group.direction, group.name[1:11])


def policy_rows(
    policy: netpolicy.Policy,
    network: model.Network,
    direction: netpolicy.Direction,
    logging: netpolicy.Logging,
    numbers: PortNumbers,
) -> tuple[rows.Row, ...]:
    """A policy's port groups on a network, without ports, and the ACLs of its rules."""
    own = Group(GroupKind.POLICY, network.name, policy.namespace, direction, policy.name)
    made = [group_row(own)]
    seen: set[Group] = set()
    for rule in policy.rules(direction):
        name = names.acl_name(f"NP:{policy.namespace}:{policy.name}", direction, rule.index)
        log = acl.Log(logging.allow, name)
        for target, matched in _matches(policy, network, direction, rule, numbers):
            if target != own and target not in seen:
                made.append(group_row(target))
                seen.add(target)
            text = match.all_of(match.isolated_ports(direction, target.name), matched)
            made.append(_acl(target, rule.index, acl.ALLOWED, text, acl.ALLOW, log))
    return tuple(made)


def groups_of(
    policy: netpolicy.Policy,
    network: str,
    direction: netpolicy.Direction,
    named: netpolicy.NamedPorts,
) -> frozenset[Group]:
    """The policy's groups for a port that it selects, given the named ports of its pod."""
    own = Group(GroupKind.POLICY, network, policy.namespace, direction, policy.name)
    if direction is netpolicy.Direction.EGRESS:
        return frozenset({own})
    used = {(s.protocol, str(s.port)) for rule in policy.ingress for s in _named(rule)}
    return frozenset(
        {own, *(_named_group(policy, network, *key, named[key]) for key in used if key in named)}
    )


def port_names(
    policy: netpolicy.Policy, network: str, direction: netpolicy.Direction
) -> frozenset[PortName]:
    """The port names whose numbers the policy's rows depend on."""
    found: set[PortName] = set()
    for rule in policy.rules(direction):
        for entry in _named(rule):
            if direction is netpolicy.Direction.INGRESS:
                found.add((entry.protocol, str(entry.port)))
            else:
                found.update(_peer_port_names(rule, network, entry))
    return frozenset(found)


def membership(group: Group, port_key: str, present: bool) -> rows.Row:
    """Add a port to a group or remove it. OVSDB itself removes a deleted port from its groups."""
    port = frozenset({rows.Ref(ports.PORT, port_key)})
    value = rows.SetMembers(present=port) if present else rows.SetMembers(absent=port)
    return rows.Row(GROUP, group.name, {"ports": value}, is_part=True)


def address_sets(
    policy: netpolicy.Policy, network: model.Network, numbers: PortNumbers
) -> frozenset[AddressSet]:
    """The address sets that the policy's ACLs refer to on a network, in all directions."""
    found: set[AddressSet] = set()
    for direction in policy.directions:
        for rule in policy.rules(direction):
            if _has_plain(rule):
                found.update(AddressSet(network.name, peer) for peer in _selectors(rule))
            for entry in _named(rule):
                if direction is netpolicy.Direction.EGRESS:
                    for key in _peer_port_names(rule, network.name, entry):
                        found.update(_numbered(key, numbers))
                elif numbers.get((entry.protocol, str(entry.port))):
                    found.update(AddressSet(network.name, peer) for peer in _selectors(rule))
    return frozenset(found)


# Rules


def _matches(
    policy: netpolicy.Policy,
    network: model.Network,
    direction: netpolicy.Direction,
    rule: netpolicy.Rule,
    numbers: PortNumbers,
) -> Iterator[tuple[Group, str]]:
    """The matches that a rule allows, each with the group whose ports it applies to."""
    own = Group(GroupKind.POLICY, network.name, policy.namespace, direction, policy.name)
    peers = peers_match(rule.peers, network, direction)
    found: list[str] = []
    if peers is not None and _has_plain(rule):
        found.append(match.all_of(peers, match.policy_ports(rule.ports or ()) or ""))
    for entry in _named(rule):
        name = str(entry.port)
        if direction is netpolicy.Direction.INGRESS and peers is not None:
            for number in sorted(numbers.get((entry.protocol, name), ())):
                target = _named_group(policy, network.name, entry.protocol, name, number)
                yield target, match.all_of(peers, match.policy_port(entry.protocol, number))
        elif direction is netpolicy.Direction.EGRESS:
            found += _named_peers(rule, network, entry, numbers)
    if found:
        yield own, found[0] if len(found) == 1 else match.any_of([f"({each})" for each in found])


def _named_peers(
    rule: netpolicy.Rule, network: model.Network, entry: netpolicy.PolicyPort, numbers: PortNumbers
) -> Iterator[str]:
    """The peers that have a number for a port name, with that number."""
    by_number: dict[int, list[AddressSet]] = {}
    for key in _peer_port_names(rule, network.name, entry):
        for numbered in _numbered(key, numbers):
            by_number.setdefault(numbered.number, []).append(numbered)
    for number, found in sorted(by_number.items()):
        text = match.peers(netpolicy.Direction.EGRESS, names_by_field(found, network), ())
        yield match.all_of(text or "", match.policy_port(entry.protocol, number))


def peers_match(
    peers: tuple[netpolicy.Peer, ...] | None,
    network: model.Network,
    direction: netpolicy.Direction,
) -> str | None:
    """The match of a rule's peers: "" for every peer, None for no peer."""
    if peers is None:
        return ""
    chosen = peer_sets(peers, network.name)
    subnets = blocks.cidrs(peer for peer in peers if isinstance(peer, netpolicy.IPBlock))
    return match.peers(direction, names_by_field(chosen, network), subnets)


def peer_sets(peers: tuple[netpolicy.Peer, ...] | None, network: str) -> list[AddressSet]:
    """The address sets of the pods among a rule's peers."""
    return [
        AddressSet(network, peer) for peer in peers or () if isinstance(peer, netpolicy.PodSelector)
    ]


def _selectors(rule: netpolicy.Rule) -> list[netpolicy.PodSelector]:
    return [peer for peer in rule.peers or () if isinstance(peer, netpolicy.PodSelector)]


def _named(rule: netpolicy.Rule) -> list[netpolicy.PolicyPort]:
    return [entry for entry in rule.ports or () if isinstance(entry.port, str)]


def _has_plain(rule: netpolicy.Rule) -> bool:
    """Whether the rule allows some port by number, or all ports."""
    return rule.ports is None or any(not isinstance(s.port, str) for s in rule.ports)


def _peer_port_names(
    rule: netpolicy.Rule, network: str, entry: netpolicy.PolicyPort
) -> list[AddressSet]:
    """The peers that an egress rule allows on a named port; IP blocks have no port names."""
    chosen = [netpolicy.PodSelector()] if rule.peers is None else _selectors(rule)
    return [AddressSet(network, peer, entry.protocol, str(entry.port)) for peer in chosen]


def _numbered(key: AddressSet, numbers: PortNumbers) -> list[AddressSet]:
    return [
        AddressSet(key.network, key.selector, key.protocol, key.port, number)
        for number in numbers.get(key, ())
    ]


def _named_group(
    policy: netpolicy.Policy, network: str, protocol: netpolicy.Protocol, name: object, number: int
) -> Group:
    direction = netpolicy.Direction.INGRESS
    return Group(
        GroupKind.NAMED,
        network,
        policy.namespace,
        direction,
        policy.name,
        protocol,
        str(name),
        number,
    )


# Rows


def group_row(group: Group) -> rows.Row:
    """The row of a group, without ports."""
    return rows.Row(GROUP, group.name, {"name": group.name, "external_ids": _ids(group, group.id)})


_NOT_LOGGED = acl.Log()


def _acl(
    group: Group, which: object, priority: int, text: str, action: str, log: acl.Log = _NOT_LOGGED
) -> rows.Row:
    return acl.row(
        group.name,
        _ids(group, f"{group.id}/{which}"),
        direction=_OVN[group.direction],
        priority=priority,
        match=text,
        action=action,
        log=log,
    )


def _ids(group: Group, key: str) -> dict[str, rows.Atom]:
    return {names.OWNER: group.owner, names.NETWORK: group.network, names.ROW_ID: key}
