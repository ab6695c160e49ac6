"""Tells which of a machine's connections the policies would let begin now.

What goes on with a machine that has moved passes untracked for some seconds (ADR 0114). A policy
that has forbidden a connection since it began forbids it then, too. This reads what the zone's
groups and address sets are made of. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from ipaddress import ip_network

from weft import model
from weft.control.zone.policies import PolicyEnforcement
from weft.control.zone.selectedports import SelectedPorts
from weft.migration import Connection
from weft.policy import netpolicy

_PROTOCOLS = {"tcp": netpolicy.Protocol.TCP, "udp": netpolicy.Protocol.UDP}


_Named = tuple[tuple[netpolicy.Protocol, str], int]  # a named port
# Of all who hold an address: the selectors that choose any of them, and the named ports of those.
_Chosen = dict[netpolicy.PodSelector, set[_Named]]


class _Holders:
    """Who has which address on a network, of those that are asked for.

    Looks at each port once, and answers for all connections and rules of one look at a machine.
    """

    def __init__(self, endpoints: SelectedPorts, network: str, asked: Set[model.Address]) -> None:
        self._endpoints = endpoints
        self._ports: dict[model.Address | model.Subnet, list[str]] = {}
        self._lengths: set[tuple[int, int]] = set()  # of subnets in it, with the IP version
        self._chosen: dict[model.Address | model.Subnet, _Chosen] = {}
        for key, port in endpoints.on(network):
            for each in port.allocation.addresses:
                if each.ip in asked:
                    self._ports.setdefault(each.ip, []).append(key)
            for pair in port.allocation.nic.address_pairs:
                self._ports.setdefault(pair.subnet, []).append(key)
                self._lengths.add((pair.subnet.version, pair.subnet.prefixlen))

    def chosen(self, address: model.Address) -> Iterator[_Chosen]:
        """Yields the selectors that choose holders of an address."""
        yield self._of(address)
        for version, length in self._lengths:
            if version == address.version:
                yield self._of(ip_network((address, length), strict=False))

    def _of(self, place: model.Address | model.Subnet) -> _Chosen:
        found = self._chosen.get(place)
        if found is None:
            found = self._chosen[place] = {}
            for key in self._ports.get(place, ()):
                named = self._endpoints.named(key).items()
                for selector in self._endpoints.selectors(key):
                    found.setdefault(selector, set()).update(named)
        return found


def allowed(
    policies: PolicyEnforcement, port: str, known: Iterable[Connection]
) -> frozenset[Connection]:
    """Returns those of a local port's connections that its policies would let begin."""
    asked = frozenset(known)
    held = policies.endpoints.get(port) if asked else None
    if held is None:
        return frozenset()
    holders = _Holders(policies.endpoints, held.network, {each.peer for each in asked})
    own = policies.endpoints.named(port)
    enforced = [
        each for each in policies.selecting(port, held) if each.mode is netpolicy.Mode.ENFORCE
    ]
    rules: dict[bool, list[netpolicy.Rule]] = {}  # of outgoing ones, if any policy isolates these
    for each in enforced:
        for direction in each.directions:
            is_outgoing = direction is netpolicy.Direction.EGRESS
            rules.setdefault(is_outgoing, []).extend(each.rules(direction))
    return frozenset(
        each
        for each in asked
        if each.is_outgoing not in rules
        or any(_allows(rule, each, own, holders) for rule in rules[each.is_outgoing])
    )


def _allows(
    rule: netpolicy.Rule, asked: Connection, own: netpolicy.NamedPorts, holders: _Holders
) -> bool:
    """Whether a rule's peers and ports allow a connection; `own`: the named ports of this end."""
    named = [each for each in rule.ports or () if isinstance(each.port, str)]
    number = asked.peer_port if asked.is_outgoing else asked.port
    numbered = rule.ports is None or any(
        _is_number(each, asked, number) for each in rule.ports if each not in named
    )
    if numbered and _is_among(rule.peers, asked.peer, holders):
        return True
    if not asked.is_outgoing:
        is_named = any(_is_name(each, own.items(), asked, number) for each in named)
        return is_named and _is_among(rule.peers, asked.peer, holders)
    # Only pods have names for their ports.
    selectors = (netpolicy.PodSelector(),) if rule.peers is None else rule.peers
    return any(
        _is_name(each, chosen.get(selector, frozenset()), asked, number)
        for chosen in (holders.chosen(asked.peer) if named else ())
        for selector in selectors
        if isinstance(selector, netpolicy.PodSelector)
        for each in named
    )


def _is_among(
    peers: tuple[netpolicy.Peer, ...] | None, address: model.Address, holders: _Holders
) -> bool:
    if peers is None:
        return True
    blocks = (each for each in peers if isinstance(each, netpolicy.IPBlock))
    return any(_is_in(each, address) for each in blocks) or any(
        each in chosen
        for chosen in holders.chosen(address)
        for each in peers
        if isinstance(each, netpolicy.PodSelector)
    )


def _is_in(block: netpolicy.IPBlock, address: model.Address) -> bool:
    return address in block.subnet and not any(address in each for each in block.excepts)


def _is_number(each: netpolicy.PolicyPort, asked: Connection, number: int) -> bool:
    if each.protocol is not _PROTOCOLS[asked.protocol]:
        return False
    return each.port is None or int(each.port) <= number <= (each.end or int(each.port))


def _is_name(
    each: netpolicy.PolicyPort,
    names: Set[_Named],
    asked: Connection,
    number: int,
) -> bool:
    is_protocol = each.protocol is _PROTOCOLS[asked.protocol]
    return is_protocol and ((each.protocol, str(each.port)), number) in names
