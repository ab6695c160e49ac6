"""Tells which of a machine's connections the policies would let begin now.

What goes on with a machine that has moved passes untracked for some seconds (ADR 0114). A policy
that has forbidden a connection since it began forbids it then, too. This reads what the zone's
groups and address sets are made of. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from weft import model
from weft.control.zone.policies import PolicyEnforcement
from weft.migration import Connection
from weft.policy import netpolicy

_PROTOCOLS = {"tcp": netpolicy.Protocol.TCP, "udp": netpolicy.Protocol.UDP}


def allowed(
    policies: PolicyEnforcement, port: str, known: Iterable[Connection]
) -> frozenset[Connection]:
    """Returns those of a local port's connections that its policies would let begin."""
    return frozenset(each for each in known if may_begin(policies, port, each))


def may_begin(policies: PolicyEnforcement, key: str, asked: Connection) -> bool:
    """Whether the policies of a local port let a connection begin at this end."""
    port = policies.endpoints.get(key)
    if port is None:
        return False
    egress, ingress = netpolicy.Direction.EGRESS, netpolicy.Direction.INGRESS
    direction = egress if asked.is_outgoing else ingress
    isolating = [
        each
        for each in policies.selecting(key, port)
        if each.mode is netpolicy.Mode.ENFORCE and direction in each.directions
    ]
    rules = (rule for each in isolating for rule in each.rules(direction))
    return not isolating or any(_allows(policies, key, port.network, rule, asked) for rule in rules)


def _allows(
    policies: PolicyEnforcement, key: str, network: str, rule: netpolicy.Rule, asked: Connection
) -> bool:
    """Whether a rule's peers and ports allow a connection."""
    named = [each for each in rule.ports or () if isinstance(each.port, str)]
    number = asked.peer_port if asked.is_outgoing else asked.port
    numbered = rule.ports is None or any(
        _is_number(each, asked, number) for each in rule.ports if each not in named
    )
    if numbered and _is_among(policies, network, rule.peers, asked.peer):
        return True
    if not asked.is_outgoing:
        own = policies.endpoints.named(key)
        is_named = any(_is_name(each, own, asked, number) for each in named)
        return is_named and _is_among(policies, network, rule.peers, asked.peer)
    # Only pods have names for their ports.
    return any(
        _is_name(each, policies.endpoints.named(peer), asked, number)
        for peer in _holders(policies, network, rule.peers, asked.peer)
        for each in named
    )


def _is_among(
    policies: PolicyEnforcement,
    network: str,
    peers: tuple[netpolicy.Peer, ...] | None,
    address: model.Address,
) -> bool:
    if peers is None:
        return True
    blocks = (each for each in peers if isinstance(each, netpolicy.IPBlock))
    return any(_is_in(each, address) for each in blocks) or any(
        _holders(policies, network, peers, address)
    )


def _is_in(block: netpolicy.IPBlock, address: model.Address) -> bool:
    return address in block.subnet and not any(address in each for each in block.excepts)


def _holders(
    policies: PolicyEnforcement,
    network: str,
    peers: tuple[netpolicy.Peer, ...] | None,
    address: model.Address,
) -> Iterator[str]:
    """Yields the ports of an address among the pods that a rule's peers select."""
    selectors = (netpolicy.PodSelector(),) if peers is None else peers
    for each in selectors:
        if isinstance(each, netpolicy.PodSelector):
            for key in policies.endpoints.chosen(network, each):
                port = policies.endpoints.get(key)
                if port is not None and _has(port.allocation, address):
                    yield key


def _has(allocation: model.Allocation, address: model.Address) -> bool:
    return any(each.ip == address for each in allocation.addresses) or any(
        address in each.subnet for each in allocation.nic.address_pairs
    )


def _is_number(each: netpolicy.PolicyPort, asked: Connection, number: int) -> bool:
    if each.protocol is not _PROTOCOLS[asked.protocol]:
        return False
    return each.port is None or int(each.port) <= number <= (each.end or int(each.port))


def _is_name(
    each: netpolicy.PolicyPort, names: netpolicy.NamedPorts, asked: Connection, number: int
) -> bool:
    is_protocol = each.protocol is _PROTOCOLS[asked.protocol]
    return is_protocol and names.get((each.protocol, str(each.port))) == number
