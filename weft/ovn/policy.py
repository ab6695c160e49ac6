"""The Northbound rows of policies on a network: port groups, ACLs, and the sets that they need.

Answered for one policy, one namespace at a time; who is in a group is for `weft.control.zone` to
say, and is written into rows that are there anyway (`member`). What a set's rows say is `sets`'.

A port that an enforced policy selects is in the deny group of its namespace, whose ACL drops what
nothing allows; each policy that selects it allows more (ADR 0050).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from weft import model, names, rows
from weft.ovn import acl, dhcp, match, ports
from weft.ovn.sets import Set, by_field
from weft.policy import blocks, netpolicy

GROUP = acl.GROUP
_OVN = {netpolicy.Direction.INGRESS: "to-lport", netpolicy.Direction.EGRESS: "from-lport"}


class Kind(StrEnum):
    """Why ports are together: isolated, watched only, selected by a policy, or that and having
    one number under the name of a port."""

    DENY = "deny"
    AUDIT = "audit"
    POLICY = "policy"
    NAMED = "named"


@dataclass(frozen=True, slots=True)
class Group:
    """A port group. `policy` for the kinds policy and named; the port's name and number for the
    latter, which is of direction Ingress always."""

    kind: Kind
    network: str
    namespace: str
    direction: netpolicy.Direction
    policy: str = ""
    protocol: netpolicy.Protocol | None = None
    port: str = ""
    number: int = 0

    @property
    def id(self) -> str:
        rest: tuple[object, ...] = (self.namespace,)
        if self.kind in (Kind.POLICY, Kind.NAMED):
            rest += (self.policy,)
        if self.kind is Kind.NAMED:
            rest += (self.protocol, self.port, self.number)
        return names.group_id(self.kind, self.direction, self.network, *rest)

    @property
    def name(self) -> str:
        return names.identifier(self.id)

    @property
    def owner(self) -> str:
        if self.policy:
            return names.policy_owner(self.namespace, self.policy)
        return names.namespace_owner(self.namespace)


SILENT = netpolicy.Logging()

# Which numbers stand behind a port's name. Ingress: by protocol and name, among the pods that the
# policy selects. Egress: by the Set of the peers with that name (number 0), among all of those.
Asked = Set | tuple[netpolicy.Protocol, str]
Numbers = Mapping[Asked, frozenset[int]]


# Groups


def group(
    group: Group, network: model.Network, logging: netpolicy.Logging = SILENT
) -> tuple[rows.Row, ...]:
    """A deny or audit group, without its ports: what passes always, and what becomes of the rest.

    The first of its ACLs is stateful, which makes the switch so: replies pass in the direction
    that is closed, whoever else is on the switch.
    """
    isolated = match.ports(group.direction, group.name)
    always = match.always(group.direction, dhcp.families(network.spec))
    always = match.both(isolated, always)
    if group.kind is Kind.AUDIT:
        # Once for each connection: a busy one would else use up all that the meter lets be told.
        rest, action = match.both(isolated, match.FIRST), acl.ALLOW
        log = acl.Log("info", audit_name(group))
    else:
        rest, action = isolated, acl.DROP
        log = acl.Log(logging.deny, names.acl_name(f"NP:{group.namespace}", group.direction))
    return (
        _group(group),
        _acl(group, "always", acl.ALLOWED, always, acl.ALLOW),
        _acl(group, "rest", acl.OTHERWISE, rest, action, log),
    )


def audit_name(group: Group) -> str:
    """What OVN's log calls the packets of an audit group, and of no other."""
    return names.acl_name(f"audit:{group.namespace}", group.direction, group.name[1:11])


def policy(
    policy: netpolicy.Policy,
    network: model.Network,
    direction: netpolicy.Direction,
    logging: netpolicy.Logging,
    numbers: Numbers,
) -> tuple[rows.Row, ...]:
    """A policy's groups on a network, without their ports, and an ACL for each of its rules."""
    own = Group(Kind.POLICY, network.name, policy.namespace, direction, policy.name)
    made = [_group(own)]
    seen: set[Group] = set()
    for rule in policy.rules(direction):
        name = names.acl_name(f"NP:{policy.namespace}:{policy.name}", direction, rule.index)
        log = acl.Log(logging.allow, name)
        for target, said in _matches(policy, network, direction, rule, numbers):
            if target != own and target not in seen:
                made.append(_group(target))
                seen.add(target)
            text = match.both(match.ports(direction, target.name), said)
            made.append(_acl(target, rule.index, acl.ALLOWED, text, acl.ALLOW, log))
    return tuple(made)


def groups_of(
    policy: netpolicy.Policy,
    network: str,
    direction: netpolicy.Direction,
    named: netpolicy.NamedPorts,
) -> frozenset[Group]:
    """The policy's groups that a port it selects is in, given the named ports of its pod."""
    own = Group(Kind.POLICY, network, policy.namespace, direction, policy.name)
    if direction is netpolicy.Direction.EGRESS:
        return frozenset({own})
    wanted = {(s.protocol, str(s.port)) for rule in policy.ingress for s in _named(rule)}
    return frozenset(
        {own, *(_named_group(policy, network, *key, named[key]) for key in wanted if key in named)}
    )


def asked(
    policy: netpolicy.Policy, network: str, direction: netpolicy.Direction
) -> frozenset[Asked]:
    """The names of ports whose numbers the rows of this policy depend on: keys of Numbers."""
    found: set[Asked] = set()
    for rule in policy.rules(direction):
        for entry in _named(rule):
            if direction is netpolicy.Direction.INGRESS:
                found.add((entry.protocol, str(entry.port)))
            else:
                found.update(_asked(rule, network, entry))
    return frozenset(found)


def member(group: Group, port_key: str, present: bool) -> rows.Row:
    """One port in or out of a group. A port that is gone is in none, by OVSDB's own doing."""
    port = frozenset({rows.Ref(ports.PORT, port_key)})
    wish = rows.SetMembers(present=port) if present else rows.SetMembers(absent=port)
    return rows.Row(GROUP, group.name, {"ports": wish}, is_part=True)


def sets(policy: netpolicy.Policy, network: model.Network, numbers: Numbers) -> frozenset[Set]:
    """The sets that the policy's ACLs name on a network, of all its directions."""
    found: set[Set] = set()
    for direction in policy.directions:
        for rule in policy.rules(direction):
            if _has_plain(rule):
                found.update(Set(network.name, peer) for peer in _selectors(rule))
            for entry in _named(rule):
                if direction is netpolicy.Direction.EGRESS:
                    for key in _asked(rule, network.name, entry):
                        found.update(_numbered(key, numbers))
                elif numbers.get((entry.protocol, str(entry.port))):
                    found.update(Set(network.name, peer) for peer in _selectors(rule))
    return frozenset(found)


# Rules


def _matches(
    policy: netpolicy.Policy,
    network: model.Network,
    direction: netpolicy.Direction,
    rule: netpolicy.Rule,
    numbers: Numbers,
) -> Iterator[tuple[Group, str]]:
    """What a rule lets pass, and for the ports of which group."""
    own = Group(Kind.POLICY, network.name, policy.namespace, direction, policy.name)
    peers = _peers(rule, network, direction)
    found: list[str] = []
    if peers is not None and _has_plain(rule):
        found.append(match.both(peers, match.policy_ports(rule.ports or ()) or ""))
    for entry in _named(rule):
        name = str(entry.port)
        if direction is netpolicy.Direction.INGRESS and peers is not None:
            for number in sorted(numbers.get((entry.protocol, name), ())):
                target = _named_group(policy, network.name, entry.protocol, name, number)
                yield target, match.both(peers, match.policy_port(entry.protocol, number))
        elif direction is netpolicy.Direction.EGRESS:
            found += _named_peers(rule, network, entry, numbers)
    if found:
        yield own, found[0] if len(found) == 1 else match.either([f"({each})" for each in found])


def _named_peers(
    rule: netpolicy.Rule, network: model.Network, entry: netpolicy.PolicyPort, numbers: Numbers
) -> Iterator[str]:
    """Peers that have a number under the name of a port, and that number."""
    by_number: dict[int, list[Set]] = {}
    for key in _asked(rule, network.name, entry):
        for numbered in _numbered(key, numbers):
            by_number.setdefault(numbered.number, []).append(numbered)
    for number, found in sorted(by_number.items()):
        said = match.peers(netpolicy.Direction.EGRESS, by_field(found, network), ())
        yield match.both(said or "", match.policy_port(entry.protocol, number))


def _peers(
    rule: netpolicy.Rule, network: model.Network, direction: netpolicy.Direction
) -> str | None:
    """Empty for anybody, None for nobody."""
    if rule.peers is None:
        return ""
    chosen = [Set(network.name, peer) for peer in _selectors(rule)]
    subnets = blocks.cidrs(peer for peer in rule.peers if isinstance(peer, netpolicy.IPBlock))
    return match.peers(direction, by_field(chosen, network), subnets)


def _selectors(rule: netpolicy.Rule) -> list[netpolicy.PodSelector]:
    return [peer for peer in rule.peers or () if isinstance(peer, netpolicy.PodSelector)]


def _named(rule: netpolicy.Rule) -> list[netpolicy.PolicyPort]:
    return [entry for entry in rule.ports or () if isinstance(entry.port, str)]


def _has_plain(rule: netpolicy.Rule) -> bool:
    """Whether the rule allows anything without the name of a port."""
    return rule.ports is None or any(not isinstance(s.port, str) for s in rule.ports)


def _asked(rule: netpolicy.Rule, network: str, entry: netpolicy.PolicyPort) -> list[Set]:
    """The peers that an egress rule allows on a port by its name. A block has no names."""
    chosen = [netpolicy.PodSelector()] if rule.peers is None else _selectors(rule)
    return [Set(network, peer, entry.protocol, str(entry.port)) for peer in chosen]


def _numbered(key: Set, numbers: Numbers) -> list[Set]:
    return [
        Set(key.network, key.members, key.protocol, key.port, number)
        for number in numbers.get(key, ())
    ]


def _named_group(
    policy: netpolicy.Policy, network: str, protocol: netpolicy.Protocol, name: object, number: int
) -> Group:
    direction = netpolicy.Direction.INGRESS
    return Group(
        Kind.NAMED, network, policy.namespace, direction, policy.name, protocol, str(name), number
    )


# Rows


def _group(group: Group) -> rows.Row:
    return rows.Row(GROUP, group.name, {"name": group.name, "external_ids": _ids(group, group.id)})


_QUIET = acl.Log()


def _acl(
    group: Group, which: object, priority: int, text: str, action: str, log: acl.Log = _QUIET
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
