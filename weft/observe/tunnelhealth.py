"""Judges each tunnel at both of its nodes, and lists those that fail.

Pure. From `MANY` nodes on, pictures show this as a grid, since lines between so many nodes cross.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from weft.observe.chassis import natural_key
from weft.observe.underlay import TUNNELS, Node, Tunnel, Underlay

MANY = 6  # nodes


class Health(StrEnum):
    """The state of a tunnel at one of its nodes."""

    UP = "up"
    DOWN = "no carrier"
    SILENT = "no answer"
    MISSING = "no tunnel"
    UNREAD = "node not read"

    @property
    def is_fault(self) -> bool:
        return self in (Health.DOWN, Health.SILENT, Health.MISSING)


def grid(underlay: Underlay) -> Mapping[tuple[int, int], Health]:
    """The health of tunnels by (node, other node), as numbers from 0 in the underlay's order."""
    number = {node.name: place for place, node in enumerate(underlay.nodes)}
    read = {node.name for node in underlay.nodes if node.zone.read}
    found: dict[tuple[int, int], Health] = {}
    for tunnel in underlay.tunnels:
        for here, there in (tunnel.nodes, tunnel.nodes[::-1]):
            found[number[here], number[there]] = _at(tunnel, here, read)
    return found


def _at(tunnel: Tunnel, node: str, read: set[str]) -> Health:
    if node not in read:
        return Health.UNREAD
    end = next((end for end in tunnel.ends if end.node == node), None)
    if end is None:
        return Health.MISSING
    if not end.carrier:
        return Health.DOWN
    return Health.UP if end.answers else Health.SILENT


def faults(underlay: Underlay) -> tuple[str, ...]:
    """One sentence for each node at which tunnels fail, those with most first."""
    by_pair = grid(underlay)
    names = [node.name for node in underlay.nodes]
    found = []
    for row, name in enumerate(names):
        for health in (Health.MISSING, Health.DOWN, Health.SILENT):
            others = [names[at[1]] for at, one in by_pair.items() if (at[0], one) == (row, health)]
            if others:
                listed = _listed(others, len(names) - 1)
                found.append((-len(others), f"{name}: {health} to {listed}"))
    return tuple(sentence for _, sentence in sorted(found, key=lambda one: one[0]))


def _listed(names: list[str], most: int) -> str:
    if len(names) == most > 1:
        return "any other node"
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def summary(underlay: Underlay) -> str:
    """The numbers of nodes, tunnels and broken tunnels, in one line."""
    nodes, tunnels = len(underlay.nodes), len(underlay.tunnels)
    broken = sum(not tunnel.state.works for tunnel in underlay.tunnels)
    summary = (
        f"{nodes} node{'' if nodes == 1 else 's'}, {tunnels} tunnel{'' if tunnels == 1 else 's'}"
    )
    return summary + (f", {broken} of them broken" if broken else "")


def pods(node: Node) -> list[tuple[str, int]]:
    """(network, number of pod interfaces) of a node, by name; "" if an interface names none."""
    counted = Counter(
        one.network
        for bridge in node.bridges
        for one in bridge.interfaces
        if one.owner is not None and one.type not in TUNNELS
    )
    return sorted(counted.items(), key=lambda one: natural_key(one[0]))
