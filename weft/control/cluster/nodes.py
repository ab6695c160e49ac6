"""Gives each node its id, its addresses between routers and its subnets of layer3 networks.

Pure. Annotated values are kept, missing ones are chosen, and all are free again when a Node goes. A
node gets its subnets of the default network at once, of another layer3 network when its first pod
asks. Subnets are used only once the informer has seen them in the Node's annotation.
`nodesubnets.py` decides which subnets a node gets.
"""

from __future__ import annotations

from collections.abc import Iterable

from weft import errors, model, names, ranges
from weft.alloc import ids, nodesubnets
from weft.api import nodeinfo
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodesubnets import NodeSubnets
from weft.control.cluster.objects import Node, eldest_first
from weft.control.cluster.outcome import NOTHING, Event, Outcome, Patch
from weft.control.cluster.physicalnetworks import PhysicalNetworks
from weft.model import ObjectKey
from weft.reasons import Reason

Subnets = tuple[model.Subnet, ...]


class Pending(errors.NotReady):
    """A node's subnets are being written; the pod is decided again when they are."""


class Nodes:
    """All nodes. `due`: the nodes to decide, and after how many seconds."""

    def __init__(self, networks: Networks, allocations: Allocations) -> None:
        self._nodes: dict[str, Node] = {}
        self._networks = networks
        self._ids = ids.NodeIds()
        self._subnets = NodeSubnets(allocations, self._nodes)
        self._no_id: dict[str, errors.Exhausted] = {}
        self._ended: set[str] = set()  # weft's former networks
        self._reported: dict[str, set[str]] = {}
        self._lacks: dict[str, set[str]] = {}  # by node: networks with an Event that none are free
        self._events: dict[str, list[Event]] = {}
        self.due: dict[ObjectKey, float] = {}
        self._changed: dict[str, None] = {}  # nodes whose subnets came or changed
        self.physical = PhysicalNetworks()

    def __len__(self) -> int:
        return len(self._nodes)

    def take_changed(self) -> tuple[str, ...]:
        """Returns the nodes whose pods must be decided again, since the last call."""
        for node in self._subnets.take_changed():
            self._wake(node)
        if not self._changed:
            return ()
        changed, self._changed = tuple(self._changed), {}
        return changed

    # What others ask

    def subnets(self, node: str, network: model.Network) -> nodesubnets.NodeSubnets:
        """Returns the node's subnets of a layer3 network.

        Raises Pending until they are written, NotReady if none are free or the Node is missing.
        """
        known = self._nodes.get(node)
        if known is None:
            raise errors.NotReady(
                "does not exist",
                where=f"Node {node}",
                hint="the pod goes on when it does; or make it anew on another node",
            )
        subnets = known.info.subnets_of(network.name)
        if subnets and subnets == self._subnets.get(node, network):
            return nodesubnets.NodeSubnets(node, subnets)
        self._subnets.ask(node, network.name)
        self.due[ObjectKey("", node)] = 0.0
        lacking = self._no_id.get(node) or self._subnets.lacking(node, network.name)
        if lacking is not None:
            raise errors.NotReady(lacking.what, where=lacking.where, hint=lacking.hint)
        raise Pending(f"has no subnet of network {network.name} yet", where=f"Node {node}")

    def known_subnets(self, node: str, network: model.Network) -> nodesubnets.NodeSubnets:
        """Returns the subnets known so far, perhaps none; for allocations made before."""
        return nodesubnets.NodeSubnets(node, self._subnets.known(node, network.name))

    def decided_subnets(self, node: str, network: model.Network) -> nodesubnets.NodeSubnets:
        """Returns the subnets as decided, whether the Node has them yet or not."""
        return nodesubnets.NodeSubnets(node, self._subnets.get(node, network))

    def let_go(self, segment: model.Segment) -> None:
        """Call when a pod has released something of a segment."""
        if not segment.node:
            return
        if segment.node not in self._nodes:
            self._subnets.forget(segment.node)
        self._subnets.let_go(segment.network)

    def eligible(self, network: model.Network) -> tuple[str, ...] | None:
        """Returns the nodes that pods of a localnet can run on; None: all, it is no localnet."""
        spec = network.spec
        is_localnet = spec.topology is model.Topology.LOCALNET
        return self.physical.nodes_of(spec.physical_network) if is_localnet else None

    def problem(self, name: str, network: model.Network | None) -> str:
        """Returns why a node does not serve its pods of a network, "" if it does."""
        node = self._nodes.get(name)
        if node is None:
            return "does not exist"
        if not node.is_ready:
            return "is not ready"
        if not node.is_announced:
            return "has not been announced by its agent"
        physical = network.spec.physical_network if network is not None else ""
        if physical and not self.physical.leads_to(name, physical):
            return f"lacks physical network {physical} in its ovn-bridge-mappings"
        return ""

    def is_lost(self, name: str) -> bool:
        """Whether nothing is heard of a node."""
        node = self._nodes.get(name)
        return node is None or not node.is_ready

    def networks(self, name: str) -> set[str]:
        """Returns the networks of which a node has or needs subnets."""
        return self._subnets.networks(name)

    def lacking(self, network: str) -> list[str]:
        """Returns which nodes have no subnets of a network, and why."""
        found = self._subnets.all_lacking(network)
        return [f"Node {name}: {error.in_full()}" for name, error in sorted(found.items())]

    # Objects in

    def reserve_ids(self, found: Iterable[Node]) -> None:
        """Takes over the ids of earlier managers. Call before the first Node is set."""
        for node in eldest_first(found):
            if node.info.id:
                self._keep_id(node)

    def set(self, name: str, new: Node | None) -> None:
        """Sets a Node; None: it is gone."""
        old = self._nodes.get(name)
        self.physical.set_node(name, new.physical_networks if new else frozenset())
        if new is None:
            if old is not None:
                self._forget(name)
            return
        self._nodes[name] = new
        if new.problem:
            self._add_event(new, new.problem)
        if old is None or old.info != new.info:
            self._subnets.settle(new.info)
            self._wake(name)
        elif old.is_ready != new.is_ready:
            self._changed[name] = None

    def end_network(self, network: str) -> None:
        """Forgets a network that ended."""
        self._ended.add(network)
        self._subnets.end(network)

    def _wake(self, node: str) -> None:
        self.due[ObjectKey("", node)] = 0.0
        self._changed[node] = None

    def _forget(self, node: str) -> None:
        del self._nodes[node]
        self._ids.release(node)
        for kept in (self._reported, self._lacks, self._no_id, self._events):
            kept.pop(node, None)
        self._subnets.forget(node)
        waiting, self._no_id = list(self._no_id), {}
        for each in waiting:
            self._wake(each)

    # Decisions out

    def decide(self, name: str) -> Outcome:
        """Returns the patch of a Node's annotations, and its Events."""
        node = self._nodes.get(name)
        if node is None:
            return NOTHING
        changed = self._changed_annotations(node)
        events = tuple(self._events.pop(name, ()))
        if not changed:
            return Outcome(events=events)
        return Outcome((Patch(node.subject, changed, version=node.version),), events)

    def _changed_annotations(self, node: Node) -> dict[str, str | None]:
        """Returns the annotations to write, None for one to remove."""
        subnets = self._decide_subnets(node)
        notes: dict[str, str | None] = {}
        is_ours = self._networks.primary is not None
        if is_ours or any(self._networks.get(name) is not None for name in subnets):
            try:
                number = self._id(node)
            except errors.Exhausted as error:
                self._no_id[node.name] = error
                self._lack(node, "", Reason.NODE_IDS_EXHAUSTED, error)
                return {}
            notes = {
                **nodeinfo.render_id(number),
                **nodeinfo.render_transit(ranges.transit(number)),
            }
        notes |= nodeinfo.render_subnets(subnets)
        changed = {k: value for k, value in notes.items() if node.annotations.get(k) != value}
        if not changed:
            self._subnets.settle(node.info)
        return changed

    def _id(self, node: Node) -> int:
        if self._ids.get(node.name) is None and node.info.id:
            self._keep_id(node)
        return self._ids.allocate(node.name)

    def _decide_subnets(self, node: Node) -> dict[str, Subnets]:
        """Returns the subnets to annotate, by network: those that the node has or needs."""
        annotated = dict(node.info.subnets)
        primary = self._networks.primary
        # The manager of another primary network writes entries too; they are left alone.
        foreign = [] if primary is not None else annotated.keys() - self._ended
        found = {name: annotated[name] for name in foreign}
        own = {primary.name} if primary is not None else set()
        for name in sorted({*annotated, *self._subnets.networks(node.name), *own}):
            network = self._networks.get(name)
            if network is None:
                continue
            found.pop(name, None)
            self._ended.discard(name)
            if network.spec.topology is not model.Topology.LAYER3:
                continue
            try:
                given = self._subnets.allocate(node.name, network)
            except errors.Exhausted as error:
                self._lack(node, name, Reason.NODE_SUBNETS_EXHAUSTED, error)
                continue
            if given:
                found[name] = given
                self._lacks.get(node.name, set()).discard(name)
                self._report_replaced(node, name, annotated.get(name, given), given)
        return found

    def _lack(self, node: Node, network: str, reason: Reason, error: errors.Exhausted) -> None:
        """Emits an Event, once for each network, that the node gets none; wakes its pods."""
        lacks = self._lacks.setdefault(node.name, set())
        if network not in lacks:
            lacks.add(network)
            self._emit(node, reason, error.in_full())
            self._changed[node.name] = None

    def _report_replaced(
        self, node: Node, network: str, annotated: Subnets, given: Subnets
    ) -> None:
        """Emits an Event if somebody else wrote other subnets to the Node: they do not count.

        An IP family more or less comes from an edit of the network, and gets no Event.
        """
        if not (set(annotated) <= set(given) or set(given) <= set(annotated)):
            listed, own = (", ".join(map(str, subnets)) for subnets in (annotated, given))
            field, rule = f"{names.NODE_SUBNETS}[{network!r}]", f"is replaced by {own}"
            where, hint = f"Node {node.name}", "leave it to weft cluster-manager"
            error = errors.InvalidInput(where, field, listed, rule, hint=hint)
            self._add_event(node, error.in_full())

    def _keep_id(self, node: Node) -> None:
        try:
            self._ids.reserve(node.name, node.info.id)
        except errors.WeftError as error:
            self._add_event(node, error.in_full())

    def _add_event(self, node: Node, message: str) -> None:
        """Emits an Event on the Node, once for each message."""
        reported = self._reported.setdefault(node.name, set())
        if message not in reported:
            reported.add(message)
            self._emit(node, Reason.INVALID_NODE_ANNOTATION, message)

    def _emit(self, node: Node, reason: Reason, message: str) -> None:
        event = Event(node.subject, reason, message)
        self._events.setdefault(node.name, []).append(event)
        self.due[ObjectKey("", node.name)] = 0.0
