"""Renders the Northbound rows of a NetworkQoS on a network: a port group, and a QoS row of a rule.

The rows act where the selected pods' packets come in, so each packet counts once, and carries its
mark wherever it goes. OVN enforces one row of those that match a packet (ADR 0106).
"""

from __future__ import annotations

from weft import model, names, rows
from weft.ovn import match, policy, ports, qos
from weft.ovn.sets import AddressSet
from weft.policy import netpolicy
from weft.policy.networkqos import MAX_PRIORITY, MAX_RULES, NetworkQos, QosRule

_FIRST = 1_000
assert _FIRST + (MAX_PRIORITY + 1) * MAX_RULES < qos.PRIORITY
_EGRESS = netpolicy.Direction.EGRESS


def group(declared: NetworkQos, network: str) -> policy.Group:
    """The group of the ports that it selects on a network."""
    return policy.Group(policy.GroupKind.QOS, network, declared.namespace, _EGRESS, declared.name)


def address_sets(declared: NetworkQos, network: str) -> frozenset[AddressSet]:
    """The address sets that its rows refer to on a network."""
    return frozenset(
        each for rule in declared.rules for each in policy.peer_sets(rule.peers, network)
    )


def rows_of(declared: NetworkQos, network: model.Network, switch: str) -> tuple[rows.Row, ...]:
    """All of its rows on a switch of a network: its group, without ports, and its rules."""
    own = group(declared, network.name)
    made = (_row(declared, own, network, switch, rule) for rule in declared.rules)
    return (policy.group_row(own), *(row for row in made if row is not None))


def priority(declared: NetworkQos, rule: QosRule) -> int:
    """Of its rules the last counts, before all of objects with a lower priority."""
    return _FIRST + declared.priority * MAX_RULES + rule.index


def _row(
    declared: NetworkQos, own: policy.Group, network: model.Network, switch: str, rule: QosRule
) -> rows.Row | None:
    peers = policy.peers_match(rule.peers, network, _EGRESS)
    if peers is None:
        return None
    matched = match.all_of(
        match.isolated_ports(_EGRESS, own.name),
        peers or "ip",
        match.policy_ports(rule.ports or ()) or "",
    )
    key = f"{own.id}/{rule.index}"
    return rows.Row(
        qos.QOS,
        key,
        {
            "direction": "from-lport",
            "priority": priority(declared, rule),
            "match": matched,
            "action": {"dscp": rule.dscp},
            "bandwidth": qos.bandwidth(rule.rate) if rule.rate is not None else {},
            "external_ids": {
                names.OWNER: own.owner,
                names.NETWORK: own.network,
                names.ROW_ID: key,
            },
        },
        parent=rows.Ref(ports.SWITCH, switch),
        parent_column="qos_rules",
    )
