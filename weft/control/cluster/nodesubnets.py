"""Records which node has which subnets of each layer3 network, and which lack or give back some.

Pure. A node keeps its subnets while pods hold addresses of them, whatever happens to the Node or
its annotation. After those, the Nodes' annotations count, the oldest Node first. Where none are
free, subnets that no pod uses are taken back, and given on once their Node's annotation lacks them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from weft import errors, model, names
from weft.alloc.nodesubnets import SubnetPool
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.objects import Node, eldest_first

log = logging.getLogger(__name__)


class NodeSubnets:
    """The subnets of all nodes; `nodes`, by name, is the caller's table, which it keeps."""

    def __init__(self, allocations: Allocations, nodes: Mapping[str, Node]) -> None:
        self._allocations, self._nodes = allocations, nodes
        self._changed: dict[str, None] = {}
        self._pools: dict[str, SubnetPool] = {}  # by network, as all below
        self._requested: dict[str, set[str]] = {}  # nodes whose pods asked
        self._lacking: dict[str, dict[str, errors.Exhausted]] = {}  # nodes that go without
        self._awaiting: dict[str, dict[str, None]] = {}  # nodes for which some are taken back
        self._leaving: dict[str, set[str]] = {}  # nodes that give theirs back

    def take_changed(self) -> tuple[str, ...]:
        """Returns the nodes whose subnets must be decided again, since the last call."""
        if not self._changed:
            return ()
        changed, self._changed = tuple(self._changed), {}
        return changed

    # What is asked

    def known(self, node: str, network: str) -> tuple[model.Subnet, ...]:
        """Returns a node's subnets, as far as they were needed yet; else none."""
        pool = self._pools.get(network)
        return pool.get(node) if pool is not None else ()

    def get(self, node: str, network: model.Network) -> tuple[model.Subnet, ...]:
        """Returns a node's subnets; none while they are being taken back."""
        if node in self._leaving.get(network.name, ()):
            return ()
        return self._of(network).get(node)

    def lacking(self, node: str, network: str) -> errors.Exhausted | None:
        """Returns why a node has no subnets of a network; None if it has, or needs none."""
        return self._lacking.get(network, {}).get(node)

    def all_lacking(self, network: str) -> Mapping[str, errors.Exhausted]:
        """Returns why nodes have no subnets of a network, by node."""
        return self._lacking.get(network, {})

    def networks(self, node: str) -> set[str]:
        """Returns the networks of which a node has or needs subnets."""
        held = {name for name, pool in self._pools.items() if pool.get(node)}
        return held | {name for name, nodes in self._requested.items() if node in nodes}

    # What changes it

    def ask(self, node: str, network: str) -> None:
        """A pod of the node waits for subnets."""
        self._requested.setdefault(network, set()).add(node)

    def allocate(self, node: str, network: model.Network) -> tuple[model.Subnet, ...]:
        """Returns the subnets to annotate; none while its own, or another's, are taken back.

        Raises Exhausted if all are in use.
        """
        name = network.name
        if node in self._leaving.get(name, ()):
            return ()
        try:
            found = self._of(network).allocate(node)
        except errors.Exhausted as error:
            if self._take_back(name, node):
                return ()
            self._lacking.setdefault(name, {})[node] = error
            raise
        for table in (self._lacking, self._awaiting):
            table.get(name, {}).pop(node, None)
        return found

    def settle(self, info: model.NodeInfo) -> None:
        """Takes in a Node's annotation: ends requests that it meets, frees what it gave back."""
        annotated = {name for name, subnets in info.subnets if subnets}
        for name in annotated:
            if info.subnets_of(name) == self.known(info.name, name):
                self._requested.get(name, set()).discard(info.name)
        for name, nodes in list(self._leaving.items()):
            if info.name in nodes and name not in annotated:
                nodes.discard(info.name)
                self._release(name, info.name)
                self._wake(info.name)

    def forget(self, node: str) -> None:
        """Frees the subnets of a deleted Node that no pod uses."""
        for table in (self._requested, self._leaving):
            for nodes in table.values():
                nodes.discard(node)
        for name in list(self._pools):
            self._lacking.get(name, {}).pop(node, None)
            self._awaiting.get(name, {}).pop(node, None)
            if not self._allocations.ledgers.is_held(model.Segment(name, node)):
                self._release(name, node)

    def let_go(self, network: str) -> None:
        """Retries the nodes without subnets, after a pod has released something."""
        if self._lacking.get(network):
            self._retry(network)

    def end(self, network: str) -> None:
        """Forgets a network that ended."""
        pool = self._pools.pop(network, None)
        for table in (self._requested, self._lacking, self._awaiting, self._leaving):
            table.pop(network, None)
        for node in pool.nodes() if pool else ():
            self._wake(node)

    def _release(self, network: str, node: str) -> None:
        self._allocations.ledgers.drop_node(network, node)
        if self._pools[network].release(node):
            self._retry(network)

    def _retry(self, network: str) -> None:
        """Wakes the nodes without subnets; they ask again if their pods still need some."""
        waiting = {**self._awaiting.pop(network, {}), **self._lacking.pop(network, {})}
        for node in waiting:
            self._requested.get(network, set()).discard(node)
            self._wake(node)

    def _take_back(self, network: str, node: str) -> bool:
        """Takes back idle subnets, one node's for each that waits; returns whether any come."""
        leaving = self._leaving.setdefault(network, set())
        awaiting = self._awaiting.setdefault(network, {})
        awaiting[node] = None
        if len(leaving) >= len(awaiting):
            return True
        idle = next((each for each in self._idle(network) if each not in leaving), None)
        if idle is None:
            del awaiting[node]
            return False
        log.info("network %s: Node %s gives its subnets back to Node %s", network, idle, node)
        leaving.add(idle)
        self._wake(idle)
        return True

    def _idle(self, network: str) -> Iterator[str]:
        """Yields nodes whose subnets no pod uses or asks for; never of the default network."""
        if network == names.DEFAULT_NETWORK:
            return
        nodes = self._requested.get(network, ())
        for node in self._pools[network].nodes():
            if node not in nodes and not self._allocations.ledgers.is_held(
                model.Segment(network, node)
            ):
                yield node

    def _of(self, network: model.Network) -> SubnetPool:
        """Returns the pool of a network; fills a new one from pods and Nodes."""
        known = self._pools.get(network.name)
        if known is not None and known.spec == network.spec:
            return known
        fresh = self._pools[network.name] = SubnetPool(network.spec)
        for node, subnets in self._claims(network.name):
            try:
                fresh.reserve(node, subnets)
            except errors.WeftError as error:
                log.warning("%s; the node gets another", error)
                self._wake(node)
        return fresh

    def _claims(self, network: str) -> Iterator[tuple[str, tuple[model.Subnet, ...]]]:
        """Yields each node with its subnets, in the order in which claims count."""
        infos = {node.name: node.info for node in eldest_first(self._nodes.values())}
        held = self._allocations.ledgers.node_subnets(network)
        for name in (*(name for name in infos if name in held), *sorted(held.keys() - infos)):
            annotated = infos[name].subnets_of(network) if name in infos else ()
            is_held = any(set(each) <= set(annotated) for each in held[name])
            yield name, annotated if is_held else held[name].most_common(1)[0][0]
        for name, info in infos.items():
            if name not in held and info.subnets_of(network):
                yield name, info.subnets_of(network)

    def _wake(self, node: str) -> None:
        self._changed[node] = None
