"""Knows which nodes lead to which physical network, by the bridge mappings on their Nodes.

Pure. What an agent reports decides nothing but what users are told.
"""

from __future__ import annotations

from weft.control import index

_NONE: frozenset[str] = frozenset()


class PhysicalNetworks:
    """The nodes of each physical network."""

    def __init__(self) -> None:
        self._of_node: dict[str, frozenset[str]] = {}
        self._nodes: dict[str, set[str]] = {}  # physical network -> nodes
        self._changed: set[str] = set()

    def set_node(self, node: str, now: frozenset[str]) -> None:
        """Sets the physical networks that a node leads to; none: also for a node that is gone."""
        before = self._of_node.pop(node, _NONE)
        if now:
            self._of_node[node] = now
        for each in before - now:
            index.discard(self._nodes, each, node)
        for each in now - before:
            self._nodes.setdefault(each, set()).add(node)
        self._changed |= before ^ now

    def take_changed(self) -> set[str]:
        """Returns the physical networks whose nodes changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def nodes_of(self, physical_network: str) -> tuple[str, ...]:
        """Returns the nodes that lead to a physical network, sorted."""
        return tuple(sorted(self._nodes.get(physical_network, ())))

    def leads_to(self, node: str, physical_network: str) -> bool:
        return physical_network in self._of_node.get(node, _NONE)
