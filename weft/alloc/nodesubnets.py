"""Allocates the node subnets of a layer3 network.

Pure. The network's subnets are divided into subnets of equal length; a node gets one of each
family. The Nodes' annotations are the source of truth, and `reserve` rebuilds this from them. The
ledger allocates addresses within a node subnet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from weft import errors, model, names, ranges
from weft.alloc import ring, subnets
from weft.alloc.pool import Usage

_OWN = 2  # addresses of a node subnet that the node keeps: its router's, and the next
_MOST = (1 << 53) - 1  # the largest count that every reader of JSON keeps exactly


@dataclass(frozen=True, slots=True)
class NodeSubnets:
    """A node's subnets of a layer3 network; its pods' switch has a router port in each."""

    node: str
    subnets: tuple[model.Subnet, ...]


def check(where: str, key: str, given: NodeSubnets, allocation: model.Allocation) -> None:
    """Raises InvalidInput for an address outside the node's subnets: no route leads to it."""
    for address in allocation.addresses:
        if given.subnets and not any(address.ip in subnet for subnet in given.subnets):
            listed = ", ".join(map(str, given.subnets))
            node = given.node
            rule = f"lies outside of {listed}, the subnet of its node {node}: no route leads to it"
            field = f"{names.POD_NETWORKS}[{key!r}]"
            hint = "delete the pod; its owner creates a new one"
            raise errors.InvalidInput(where, field, str(address), rule, hint=hint)


def usage(spec: model.NetworkSpec, used: Mapping[int, int]) -> tuple[Usage, ...]:
    """Returns how full each family of a layer3 network is; `used` are the addresses by family.

    What no node has yet counts as free: `total` is what pods can have on as many nodes as fit.
    """
    first: dict[int, model.Subnet] = {}
    totals = Counter[int]()
    for subnet, length in zip(spec.subnets, spec.host_prefix, strict=True):
        family = subnet.version
        hosts = 1 << (subnet.max_prefixlen - length)
        kept = _OWN + (2 if family == 4 else 1)
        each_node = min(max(hosts - kept, 0), subnets.MAX_IPV6 if family == 6 else hosts)
        first.setdefault(family, subnet)
        totals[family] = min(totals[family] + (each_node << (length - subnet.prefixlen)), _MOST)
    return tuple(
        Usage(subnet, totals[each], used.get(each, 0), max(totals[each] - used.get(each, 0), 0))
        for each, subnet in first.items()
    )


class SubnetPool:
    """The node subnets of one network, by node."""

    def __init__(self, spec: model.NetworkSpec) -> None:
        self.spec = spec
        self._rings = {
            (subnet, length): ring.Ring(1 << (length - subnet.prefixlen))
            for subnet, length in zip(spec.subnets, spec.host_prefix, strict=True)
        }
        self._families = tuple(dict.fromkeys(subnet.version for subnet in spec.subnets))
        self._by_node: dict[str, tuple[model.Subnet, ...]] = {}
        self._by_subnet: dict[model.Subnet, str] = {}

    def get(self, node: str) -> tuple[model.Subnet, ...]:
        """Returns the node's subnets; empty while a family is missing (`allocate` adds it)."""
        known = self._by_node.get(node, ())
        return known if len(known) == len(self._families) else ()

    def nodes(self) -> tuple[str, ...]:
        return tuple(self._by_node)

    def reserve(self, node: str, subnets: tuple[model.Subnet, ...]) -> None:
        """Records an earlier allocation to `node`; raises InvalidInput or Conflict.

        Families that the network has gained or lost since are not compared.
        """
        where = f"Node {node}"
        field = f"{names.NODE_SUBNETS}[{self.spec.name!r}]"
        listed = ", ".join(map(str, subnets))
        hint = "remove the entry; the node gets another"
        subnets = tuple(subnet for subnet in subnets if subnet.version in self._families)
        if subnets == self._by_node.get(node):
            return
        if not subnets or len({subnet.version for subnet in subnets}) < len(subnets):
            rule = "must be one subnet of each family of the network"
            raise errors.InvalidInput(where, field, listed, rule, hint=hint)
        for subnet in subnets:
            if self._place(subnet) is None:
                rule = f"is not a node subnet of {', '.join(map(str, self.spec.subnets))}"
                raise errors.InvalidInput(where, field, str(subnet), rule, hint=hint)
            owner = self._by_subnet.get(subnet, node)
            if owner != node:
                raise errors.Conflict(
                    f"subnet {subnet} of network {self.spec.name}: held by Node {owner}",
                    where=where,
                    hint=hint,
                )
        self.release(node)
        self._hold(node, subnets)

    def allocate(self, node: str) -> tuple[model.Subnet, ...]:
        """Returns the node's subnets, with a new one of each missing family; raises Exhausted."""
        chosen = {subnet.version: subnet for subnet in self._by_node.get(node, ())}
        for (subnet, length), free in self._rings.items():
            number = free.peek() if subnet.version not in chosen else None
            if number is not None:
                chosen[subnet.version] = _subnet(subnet, length, number)
        for version in self._families:
            if version not in chosen:
                raise errors.Exhausted(
                    f"no IPv{version} subnet is free for another node: network "
                    f"{self.spec.name} has {len(self._by_node)} nodes, as many as it can have",
                    where=f"Node {node}",
                    hint="add subnets to the network, or give each node a smaller one",
                )
        subnets = tuple(chosen[version] for version in self._families)
        if subnets != self._by_node.get(node):
            self._hold(node, subnets, in_turn=True)
        return subnets

    def release(self, node: str) -> bool:
        """Frees the node's subnets; returns False if it has none."""
        subnets = self._by_node.pop(node, ())
        for subnet in subnets:
            del self._by_subnet[subnet]
            place = self._place(subnet)
            assert place is not None
            place[0].free(place[1])
        return bool(subnets)

    def _hold(self, node: str, subnets: tuple[model.Subnet, ...], *, in_turn: bool = False) -> None:
        self._by_node[node] = subnets
        for subnet in subnets:
            self._by_subnet[subnet] = node
            place = self._place(subnet)
            assert place is not None
            place[0].take(place[1], in_turn=in_turn)

    def _place(self, given: model.Subnet) -> tuple[ring.Ring, int] | None:
        """Returns the ring and number of a node subnet; None if it is not one of this network's."""
        for (subnet, length), numbers in self._rings.items():
            if given.version != subnet.version or given.prefixlen != length:
                continue
            offset = int(given.network_address) - int(subnet.network_address)
            number = offset >> (given.max_prefixlen - length)
            if offset >= 0 and number < numbers.size:
                return numbers, number
        return None


def _subnet(subnet: model.Subnet, length: int, number: int) -> model.Subnet:
    size = subnet.max_prefixlen - length
    return type(subnet)((int(subnet.network_address) + (number << size), length))


def gateways_and_routes(
    spec: model.NetworkSpec, node_subnets: NodeSubnets | None
) -> tuple[tuple[model.Address, ...], tuple[model.Route, ...]]:
    """Returns gateways (on the default network only), and routes to the network's subnets through
    the node's router."""
    if node_subnets is None:
        return (), ()
    routers = {subnet.version: ranges.router(subnet).ip for subnet in node_subnets.subnets}
    routes = tuple(
        model.Route(subnet, routers[subnet.version])
        for subnet in spec.subnets
        if subnet.version in routers
    )
    return tuple(routers.values()) if spec.role == "primary" else (), routes
