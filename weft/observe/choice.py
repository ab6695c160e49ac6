"""Filters a graph by networks and by the namespaces of pods.

Pure. What is left is a graph again, so every picture can be drawn of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from weft import errors
from weft.observe.graph import Graph, Port, Switch
from weft.observe.underlay import Bridge, Interface, Node, Underlay


def check(graph: Graph, networks: Collection[str], where: str) -> None:
    """Raise InvalidInput, with the networks that exist, if the graph lacks one of `networks`."""
    known = [network.name for network in (*graph.networks, *graph.absent)]
    for name in networks:
        if name not in known:
            rule = f"does not exist; networks: {', '.join(known) or 'none'}"
            raise errors.InvalidInput(where, "--network", name, rule)


def of(graph: Graph, networks: Collection[str] = (), namespaces: Collection[str] = ()) -> Graph:
    """Return the graph with these networks and the pods of these namespaces; empty means all.

    With `namespaces`, networks without a pod of these namespaces are left out, too.
    """
    switches = tuple(
        _switch(switch, namespaces)
        for switch in graph.switches
        if not networks or switch.network in networks
    )
    kept = set(networks) or {network.name for network in graph.networks}
    if namespaces:
        kept &= {one.network for one in switches if any(port.owner for port in one.ports)}
    switches = tuple(switch for switch in switches if switch.network in kept)
    routers = tuple(router for router in graph.routers if router.network in kept)
    ids = {switch.id for switch in switches} | {router.id for router in routers}
    return replace(
        graph,
        networks=tuple(network for network in graph.networks if network.name in kept),
        absent=tuple(
            network
            for network in graph.absent
            if not namespaces and (not networks or network.name in networks)
        ),
        switches=switches,
        routers=routers,
        links=tuple(link for link in graph.links if {link.switch, link.router} <= ids),
    )


def below(
    underlay: Underlay, networks: Collection[str] = (), namespaces: Collection[str] = ()
) -> Underlay:
    """Return the underlay with the interfaces of these pods; interfaces without a pod stay."""

    def chosen(one: Interface) -> bool:
        if one.owner is None:
            return True
        named = not namespaces or one.owner.namespace in namespaces
        return named and (not networks or one.network in networks)

    def bridge(one: Bridge) -> Bridge:
        return replace(one, interfaces=tuple(filter(chosen, one.interfaces)))

    def node(one: Node) -> Node:
        return replace(one, bridges=tuple(map(bridge, one.bridges)))

    return replace(underlay, nodes=tuple(map(node, underlay.nodes)))


def _switch(switch: Switch, namespaces: Collection[str]) -> Switch:
    def chosen(port: Port) -> bool:
        return not namespaces or port.owner is None or port.owner.namespace in namespaces

    return replace(switch, ports=tuple(filter(chosen, switch.ports)))
