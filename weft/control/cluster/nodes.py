"""Which id, addresses between routers and parts of layer3 networks does each node have?

Joins the cache of Nodes with weft.alloc: what is annotated is kept, what is missing is chosen and
written with one patch, and free again when a Node goes. A node gets its part of the cluster's own
network at once, of another layer3 network when the first pod there asks. What Kubernetes says is
what counts: a part is used only when the Node's annotation has come back. `parts` says whose.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from weft import errors, model, names, ranges
from weft.alloc import ids
from weft.alloc.shares import Share
from weft.api import nodeinfo
from weft.control.cluster.holdings import Holdings
from weft.control.cluster.networks import Networks
from weft.control.cluster.parts import Parts
from weft.kube import cache, events, queue, resources
from weft.kube.client import ApiError, Client, NotFound, Object

log = logging.getLogger(__name__)

Listener = Callable[[str], None]

_NOTES = (names.NODE_ID, names.NODE_TRANSIT, names.NODE_SUBNETS)


class Pending(errors.NotReady):
    """A node's part is being written: nothing is wrong, and who waits is called again."""


def keep(node: Object) -> Object:
    """The annotations that count; a Node's status is large and changes with every heartbeat."""
    meta = node["metadata"]
    kept = {key: meta[key] for key in ("name", "uid", "resourceVersion")}
    kept["creationTimestamp"] = meta.get("creationTimestamp", "")
    notes = meta.get("annotations") or {}
    kept["annotations"] = {key: notes[key] for key in _NOTES if key in notes}
    res = resources.NODES
    return {"apiVersion": res.api_version, "kind": res.kind, "metadata": kept}


def watch(client: Client) -> cache.Cache:
    return cache.Cache(client, resources.NODES, keep=keep)


class Nodes:
    """`listen(function)`: function(node) is called when a node's parts are there, or changed."""

    def __init__(
        self,
        client: Client,
        nodes: cache.Cache,
        networks: Networks,
        holdings: Holdings,
        recorder: events.Recorder,
    ) -> None:
        self._client, self._nodes = client, nodes
        self._networks, self._recorder = networks, recorder
        self._ids = ids.NodeIds()
        self._parts = Parts(holdings, self._infos, self._wake)
        self._no_id: dict[str, errors.Exhausted] = {}
        self._ended: set[str] = set()  # networks that were weft's and are no more
        self._told: dict[str, set[str]] = {}
        self._lacks: dict[str, set[str]] = {}  # by node: networks of which it was told so
        self._listeners: list[Listener] = []
        self.queue = queue.Queue("Node", on_error=self._on_error)

    def __len__(self) -> int:
        return len(self._nodes)

    def listen(self, function: Listener) -> None:
        self._listeners.append(function)

    def start(self) -> None:
        """Once, when Nodes and NADs are synced and the networks started."""
        for node in self._eldest_first():
            number = self._info(node).id
            if number:
                self._keep_id(node, number)
        self._networks.listen_end(self._on_network_end)
        self._nodes.subscribe(self._on_node)

    async def run(self) -> None:
        await self.queue.run(self._reconcile, workers=8)

    # What others ask

    def share(self, node: str, network: model.Network) -> Share:
        """The node's part of a layer3 network; NotReady until it is written, or if none is left."""
        obj = self._nodes.get(node)
        if obj is None:
            raise errors.NotReady(
                "does not exist",
                where=f"Node {node}",
                hint="the pod goes on when it does; or make it anew on another node",
            )
        subnets = self._info(obj).subnets_of(network.name)
        if subnets and subnets == self._parts.get(node, network):
            return Share(node, subnets)
        self._parts.ask(node, network.name)
        self.queue.add(node)
        lacking = self._no_id.get(node) or self._parts.lacking(node, network.name)
        if lacking is not None:
            raise errors.NotReady(lacking.what, where=lacking.where, hint=lacking.hint)
        raise Pending(f"has no subnet of network {network.name} yet", where=f"Node {node}")

    def known_share(self, node: str, network: model.Network) -> Share:
        """The same for what was given before: without subnets where none are known."""
        return Share(node, self._parts.known(node, network.name))

    def decided_share(self, node: str, network: model.Network) -> Share:
        """The same as it is decided, whether the Node says it yet or not."""
        return Share(node, self._parts.get(node, network))

    def let_go(self, scope: str) -> None:
        """A pod holds something of a `names.scope` no more."""
        network, node = names.scope_network(scope), names.scope_node(scope)
        if not node:
            return
        if self._nodes.get(node) is None:
            self._parts.forget(node)
        self._parts.let_go(network)

    # What happened: notes it, at once

    def _on_node(self, key: str, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._forget(key)
            return
        before = self._info(old) if old is not None else None
        after = self._info(new)
        if before != after or old is None:
            self._parts.settle(after)
            self._wake(key)

    def _wake(self, node: str) -> None:
        self.queue.add(node)
        for listener in self._listeners:
            listener(node)

    def _forget(self, node: str) -> None:
        self._ids.release(node)
        for kept in (self._told, self._lacks, self._no_id):
            kept.pop(node, None)
        self._parts.forget(node)
        waiting, self._no_id = list(self._no_id), {}
        for each in waiting:
            self._wake(each)

    def _on_network_end(self, network: str) -> None:
        self._ended.add(network)
        self._parts.end(network)

    # What is to be done about it

    async def _reconcile(self, key: str) -> None:
        """Brings a Node's annotations up to what is decided."""
        obj = self._nodes.get(key)
        if obj is None:
            return
        info = self._info(obj)
        subnets = self._subnets(obj, info)
        notes: dict[str, str | None] = {}
        is_ours = self._networks.primary is not None
        if is_ours or any(self._networks.get(name) is not None for name in subnets):
            try:
                number = self._number(obj, info)
            except errors.Exhausted as error:
                self._lack_id(obj, error)
                return
            notes = {
                **nodeinfo.render_id(number),
                **nodeinfo.render_transit(ranges.transit(number)),
            }
        notes |= nodeinfo.render_subnets(subnets)
        there = obj["metadata"]["annotations"]
        changed = {name: value for name, value in notes.items() if there.get(name) != value}
        if not changed:
            self._parts.settle(info)
            return
        meta = obj["metadata"]
        kept = {field: meta[field] for field in ("uid", "resourceVersion")}
        body = {"metadata": {**kept, "annotations": changed}}
        try:
            await self._client.patch(resources.NODES, key, "", body)
        except NotFound:
            log.debug("Node %s went before it was annotated", key)

    def _number(self, obj: Object, info: model.NodeInfo) -> int:
        name = info.name
        if self._ids.get(name) is None and info.id:
            self._keep_id(obj, info.id)
        return self._ids.allocate(name)

    def _subnets(self, obj: Object, info: model.NodeInfo) -> dict[str, tuple[model.Subnet, ...]]:
        """The node's part of each network: what it has, and what is wanted and to be had."""
        node = info.name
        annotated = dict(info.subnets)
        primary = self._networks.primary
        # Beside another primary network its manager writes entries too; they are left alone.
        foreign = [] if primary is not None else annotated.keys() - self._ended
        found = {name: annotated[name] for name in foreign}
        for name in sorted({*annotated, *self._parts.networks(node), *_names(primary)}):
            network = self._networks.get(name)
            if network is None:
                continue
            found.pop(name, None)
            self._ended.discard(name)
            if network.spec.topology is not model.Topology.LAYER3:
                continue
            try:
                part = self._parts.allocate(node, network)
            except errors.Exhausted as error:
                self._lack(obj, name, "NodeSubnetsExhausted", error)
                continue
            if part:
                found[name] = part
                self._lacks.get(node, set()).discard(name)
                self._tell_replaced(obj, name, annotated.get(name, part), part)
        return found

    def _lack_id(self, obj: Object, error: errors.Exhausted) -> None:
        self._no_id[obj["metadata"]["name"]] = error
        self._lack(obj, "", "NodeIdsExhausted", error)

    def _lack(self, obj: Object, network: str, reason: str, error: errors.Exhausted) -> None:
        """The node goes without; its pods hear why, everybody else is served."""
        node = obj["metadata"]["name"]
        lacks = self._lacks.setdefault(node, set())
        if network not in lacks:
            lacks.add(network)
            self._recorder.emit(obj, "Warning", reason, error.in_full())
            for listener in self._listeners:
                listener(node)

    def _tell_replaced(
        self,
        obj: Object,
        network: str,
        said: tuple[model.Subnet, ...],
        part: tuple[model.Subnet, ...],
    ) -> None:
        """Somebody else wrote another part to the Node: it does not count.

        A family more or less is the network's doing.
        """
        if not (set(said) <= set(part) or set(part) <= set(said)):
            listed, own = (", ".join(map(str, subnets)) for subnets in (said, part))
            field, rule = f"{names.NODE_SUBNETS}[{network!r}]", f"is replaced by {own}"
            where, hint = f"Node {obj['metadata']['name']}", "leave it to weft cluster-manager"
            self._tell(obj, errors.InvalidInput(where, field, listed, rule, hint=hint))

    # How it is read

    def _infos(self) -> Iterable[model.NodeInfo]:
        return [self._info(obj) for obj in self._eldest_first()]

    def _eldest_first(self) -> Iterable[Object]:
        """In an order that every run has: of two that claim one thing, the elder keeps it."""

        def age(node: Object) -> tuple[str, str]:
            return node["metadata"]["creationTimestamp"], node["metadata"]["name"]

        return sorted(self._nodes.objects(), key=age)

    def _info(self, obj: Object) -> model.NodeInfo:
        """What the Node says; what cannot be understood is as if it were not there."""
        try:
            return nodeinfo.parse(obj)
        except errors.InvalidInput as error:
            self._tell(obj, error)
            return model.NodeInfo(obj["metadata"]["name"])

    def _keep_id(self, obj: Object, number: int) -> None:
        try:
            self._ids.reserve(obj["metadata"]["name"], number)
        except errors.WeftError as error:
            self._tell(obj, error)

    def _tell(self, obj: Object, error: errors.WeftError) -> None:
        """An Event on the Node, once for each message."""
        said = self._told.setdefault(obj["metadata"]["name"], set())
        message = error.in_full()
        if message not in said:
            said.add(message)
            self._recorder.emit(obj, "Warning", "InvalidNodeAnnotation", message)

    def _on_error(self, key: str, error: errors.WeftError) -> None:
        obj: Any = self._nodes.get(key)
        if isinstance(error, ApiError):
            level = logging.DEBUG if error.status == 409 else logging.WARNING
            log.log(level, "Node %s could not be annotated: %s", key, error)
        elif obj is not None:
            self._tell(obj, error)


def _names(network: model.Network | None) -> tuple[str, ...]:
    return (network.name,) if network is not None else ()
