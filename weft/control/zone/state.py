"""Holds networks, pods and nodes, and computes the rows that one zone's OVN databases must have.

A function of the objects alone, kept incrementally: each `set_…` notes what it may have changed,
`changes` returns the rows of that, and `desired` returns all rows. The order of calls, and objects
that came and went, do not matter. No I/O, no Kubernetes dicts, no clock.

A network is realised here while a pod of this node is on it; the default network always is. Only
then its rows, and those of its pods and nodes as its topology has them, are desired.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from weft import model, names, rows
from weft.control import index
from weft.control.zone import dnsrecords, duplicates, moves, policies, portrows, topologies
from weft.control.zone.admission import allowed
from weft.control.zone.networks import DeclaredNetwork as DeclaredNetwork
from weft.control.zone.networks import ZoneNetworks, concerned, nad_of
from weft.control.zone.objects import AllocatedPod, Namespace
from weft.control.zone.rowchanges import RowChanges as RowChanges
from weft.control.zone.rowchanges import RowOwner, row_owner_of
from weft.migration import Connection
from weft.ovn import advertisement, interconnect, ports, router
from weft.policy import access

# Tables whose rows refer to other rows of weft.
_PARENTS = (ports.SWITCH, router.ROUTER)


@dataclass(slots=True)
class _Dirty:
    """Keys of what may have changed since the last `changes`."""

    owners: set[RowOwner] = field(default_factory=set)
    ports: dict[str, str] = field(default_factory=dict)  # port key -> network it was or is on
    chassis: set[str] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)  # whether they are realised, and as what

    def __len__(self) -> int:
        return len(self.owners) + len(self.ports) + len(self.chassis)


class Zone:
    """The objects that one zone knows, indexed so that a pod's change costs O(1)."""

    def __init__(
        self,
        node: str,
        chassis: str,
        *,
        remote_ports: ports.RemotePorts = ports.RemotePorts.PLAIN,
        physical_network: str = "",
        global_namespaces: frozenset[str] = access.GLOBAL_NAMESPACES,
    ) -> None:
        self._nodes: dict[str, model.NodeInfo] = {}
        self._here = topologies.Here(node, chassis, self._nodes, remote_ports, physical_network)
        self.networks = ZoneNetworks(global_namespaces)
        self._pods: dict[model.ObjectKey, AllocatedPod] = {}
        self._pods_of_namespace: dict[str, set[model.ObjectKey]] = {}  # see `concerned`
        self._pods_of_nad: dict[model.ObjectKey, set[model.ObjectKey]] = {}
        self._ports_of_pod: dict[model.ObjectKey, dict[str, model.Port]] = {}  # by port key
        self.duplicates, self.moves = duplicates.Duplicates(), moves.Moves(node)
        self._ports: dict[str, dict[str, model.Port]] = {}  # network -> port key -> port
        self._local: dict[str, set[str]] = {}  # network -> keys of this node's ports
        self._ports_of_node: dict[str, dict[str, str]] = {}  # node -> port key -> network
        self._chassis_nodes: dict[str, set[str]] = {}  # chassis id -> nodes that claim it
        self._last_keys: dict[RowOwner, frozenset[rows.RowKey]] = {}  # of the last `changes`
        self._beside, self._dirty = portrows.RowsBeside(self._here.stand_ins), _Dirty()
        self._realised: dict[str, model.Network] = {}  # as of the last `changes`
        self.policies = policies.PolicyEnforcement(self._here, self._pods, self._realised)
        self.dns = dnsrecords.DnsRecords(self._ports, self._pods, self.network)

    @property
    def name(self) -> str:
        """The node whose zone this is."""
        return self._here.node

    def __len__(self) -> int:
        """How many things may have changed since the last `changes`."""
        return len(self._dirty) + len(self.policies) + len(self.dns)

    # Objects in

    def set_nad(self, nad: model.ObjectKey, declared: DeclaredNetwork | None) -> None:
        """Sets the network that a NAD declares; None: it is gone, or declares nothing usable."""
        if (old := self.networks.get(nad)) == declared:
            return
        if old and declared and replace(old, marks=declared.marks) == declared:
            self._declare(nad, declared)
            return
        before, after = (each.network.name if each else None for each in (old, declared))
        touched = {name: self.networks.standing(name) for name in (before, after) if name}
        for name in touched:
            self._touch_network(name)
        self._declare(nad, declared)
        affected = {nad} if before != after else set()
        for name, standing in touched.items():
            if self.networks.standing(name) != standing:
                affected |= self.networks.of(name)
        pods = {key for each in affected for key in self._pods_of_nad.get(each, ())}
        if before != after:  # its namespace has one NAD of a network more, or less
            self.policies.set_nad(nad, after)
            pods |= self._pods_of_namespace.get(nad.namespace, set())
        for key in pods:
            self._place(key)

    def set_namespace(self, name: str, new: Namespace | None) -> None:
        """Sets a namespace's labels and logging; None: it is gone."""
        self.policies.set_namespace(name, new)
        if self.networks.set_namespace(name, new.labels if new else None):
            for key in list(self._pods_of_namespace.get(name, ())):
                self._place(key)

    def set_pod(self, key: model.ObjectKey, pod: AllocatedPod | None) -> None:
        """Sets a pod's present incarnation; None: it is gone, completed or holds nothing."""
        old = self._pods.get(key)
        if old is None and pod is None:
            return
        if old is not None and pod is not None and old.is_alike(pod):
            self._pods[key] = pod  # so that the former state is not kept beside it
            return
        for nad in {nad_of(a) for a in old.allocations} if old else ():
            index.discard(self._pods_of_nad, nad, key)
        for namespace in concerned(old.pod.ref, old.allocations) if old else ():
            index.discard(self._pods_of_namespace, namespace, key)
        if pod is None:
            del self._pods[key]
            self.policies.set_pod(key, old, None)
        else:
            self._pods[key] = pod
            self.policies.set_pod(key, old, pod)
            for attachment in pod.allocations:
                self._pods_of_nad.setdefault(nad_of(attachment), set()).add(key)
            for namespace in concerned(pod.pod.ref, pod.allocations):
                self._pods_of_namespace.setdefault(namespace, set()).add(key)
        self._place(key)

    def set_node(self, name: str, info: model.NodeInfo | None) -> None:
        """Stores what a node announces; None removes the node."""
        old = self._nodes.get(name)
        if old == info:
            return
        if info is None:
            del self._nodes[name]
        else:
            self._nodes[name] = info
        routed = [n for n in self._present() if not self._has_remote_pods(n)]
        if name == self._here.node:
            for network in routed:
                self._touch_network(network, remote=False)
            return
        self._dirty.owners.update((network, name) for network in routed)
        before, after = old.chassis if old else "", info.chassis if info else ""
        if before:
            index.discard(self._chassis_nodes, before, name)
        if after:
            self._chassis_nodes.setdefault(after, set()).add(name)
        self._dirty.chassis |= {chassis for chassis in (before, after) if chassis}
        if before != after:
            of_node = self._ports_of_node.get(name, {})
            self._dirty.ports |= {k: n for k, n in of_node.items() if self._has_remote_pods(n)}

    def set_admitted(self, port: str, known: frozenset[Connection]) -> bool:
        """Sets what goes on with a port, if policies allow; returns whether that is news."""
        if network := self._ports_of_node.get(self._here.node, {}).get(port):
            self._dirty.ports[port] = network
        return self._here.admit(port, allowed(self.policies, port, known))

    def touch(self, table: str, key: str, network: str, owner: str) -> None:
        """Puts a row of ours that somebody else changed into the next `changes`."""
        if self.policies.touch(table, key):
            return
        row_owner = row_owner_of(network, owner)
        if table == interconnect.CHASSIS:
            if key != self._here.chassis:
                self._dirty.chassis.add(key)
        elif (table, key) in self._last_keys.get(row_owner, ()):
            self._dirty.owners.add(row_owner)
            self.dns.note(network)
            if table in _PARENTS:
                self._touch_network(network, remote=self._has_remote_pods(network))
        elif (port := portrows.port_of(table, key)) in self._ports.get(network, ()):
            self._dirty.ports[port] = network

    def is_desired(self, table: str, key: str, network: str, owner: str) -> bool:
        """Whether the last `changes` desired a row with our external_ids."""
        if table == interconnect.CHASSIS:
            return key in self._chassis_nodes
        if table == ports.PORT and key in self._ports.get(network, ()):
            return True
        is_owned = (table, key) in self._last_keys.get(row_owner_of(network, owner), ())
        return is_owned or self._beside.has(table, key) or self.policies.is_desired(table, key)

    def changes(self) -> RowChanges:
        """Returns the rows of all that was touched since the last call, and nothing else."""
        dirty, self._dirty = self._dirty, _Dirty()
        nb, gone = self._changed_rows(dirty.owners)
        self._look_at_networks(dirty.networks)
        policy_rows = self.policies.changes(dirty.ports)
        nb += (*policy_rows.made, *self.dns.changes(self.realised))
        gone += policy_rows.gone
        for key, name in sorted({**dirty.ports, **policy_rows.ports}.items()):
            made = self._port_rows(key, name)
            gone += self._beside.note(key, made)
            nb += (*made, *policy_rows.members.get(key, ())) if made else ()
            gone += [] if made else [(ports.PORT, key)]
        sb: list[rows.Row] = []
        sb_gone: list[rows.RowKey] = []
        for chassis in sorted(dirty.chassis):
            made = self._chassis_rows(chassis)
            sb += made
            sb_gone += [] if made else [(interconnect.CHASSIS, chassis)]
        return RowChanges(tuple(nb), tuple(gone), tuple(sb), tuple(sb_gone))

    def forget_changes(self) -> None:
        """Drops the pending changes; for callers of `desired`, which contains them."""
        self._changed_rows(self._dirty.owners)
        self._look_at_networks(self._dirty.networks)
        self.policies.changes(())
        self.dns.forget()
        for key, name in self._dirty.ports.items():
            self._beside.note(key, self._port_rows(key, name))
        self._dirty = _Dirty()

    def desired(self) -> tuple[tuple[rows.Row, ...], tuple[rows.Row, ...]]:
        """Returns all Northbound and all Southbound rows."""
        present = self._present()
        nodes = ("", *sorted(self._nodes))
        nb = [row for name in present for node in nodes for row in self._rows_of((name, node))]
        self._look_at_networks(self._dirty.networks)
        on_networks = (key for name in present for key in self._ports.get(name, ()))
        policy_rows = self.policies.desired(on_networks)
        nb += (*policy_rows.made, *self.dns.desired(present))
        for name in present:
            for key in sorted(self._ports.get(name, ())):
                if made := self._port_rows(key, name):
                    nb += (*made, *policy_rows.members.get(key, ()))
        sb = [row for chassis in sorted(self._chassis_nodes) for row in self._chassis_rows(chassis)]
        return tuple(nb), tuple(sb)

    def advertised(self) -> dict[str, advertisement.Advertisement]:
        """Returns by network the IPv6 router advertisement for this node's guests, if any."""
        found = {}
        for name, keys in self._local.items():
            guests = [self._ports[name][key].allocation for key in sorted(keys)]
            if advert := topologies.of_guests(self.network(name), guests, self._here):
                found[name] = advert
        return found

    def node(self, name: str) -> model.NodeInfo | None:
        """Returns what a node announces, as far as it could be parsed."""
        return self._nodes.get(name)

    def ports_on(self, network: str) -> Iterable[model.Port]:
        """Returns the attachments of all pods of the cluster to a network."""
        return self._ports.get(network, {}).values()

    def network(self, name: str) -> model.Network | None:
        """Returns the network as its leading NAD declares it; None if weft cannot realise it."""
        return self.networks.network(name)

    def _network_of(self, port: model.Port) -> model.Network | None:
        return self.network(port.network)

    def realised(self, name: str) -> bool:
        network = self.network(name)
        return network is not None and (network.is_default or bool(self._local.get(name)))

    def _declare(self, nad: model.ObjectKey, declared: DeclaredNetwork | None) -> None:
        for each in self.networks.set(nad, declared):
            self.policies.set_nad_marks(each, *self.networks.marks(each))

    def _look_at_networks(self, touched: Iterable[str]) -> None:
        """Updates the table of realised networks, which `policies` reads."""
        for name in touched:
            if self.realised(name) and (network := self.network(name)):
                self._realised[name] = network
            else:
                self._realised.pop(name, None)

    def _place(self, key: model.ObjectKey) -> None:
        """Updates the indexes with the ports that a pod requests, and with those that others gain
        or lose by it."""
        held = self._pods.get(key)
        requested = {ports.port_key(port): port for port in self.networks.ports(held)}
        # Of two pods with one address, the running one has it, else the older one.
        precedence = (str(not held.pod.is_running), held.pod.created) if held else ()
        now = self.moves.set_ports(key, requested, precedence)
        touched = [pod for each in now for pod in self.duplicates.set_ports(*each)]
        self._set_ports(dict.fromkeys(touched))

    def _set_ports(self, pods: Iterable[model.ObjectKey]) -> None:
        """Updates the indexes with the ports that pods have now; one may pass to another pod."""
        now = {pod: self.duplicates.accepted(pod, self._network_of) for pod in pods}
        before = {pod: self._ports_of_pod.pop(pod, {}) for pod in now}
        for pod, new in now.items():
            for key, port in before[pod].items():
                if new.get(key) != port:
                    self._forget(key, port)
        for pod, new in now.items():
            for key, port in new.items():
                if before[pod].get(key) != port:
                    self._remember(key, port)
            if new:
                self._ports_of_pod[pod] = new
        held = (each for both in (before, now) for each in both.values())
        for name in {port.network for each in held for port in each.values()}:
            if not self._local.get(name) and name in self._local:
                del self._local[name]
                if not self.realised(name):
                    self._touch_network(name, remote=self._has_remote_pods(name))

    def _remember(self, key: str, port: model.Port) -> None:
        self.policies.add_port(key, port)
        self.dns.note(port.network)
        self._ports.setdefault(port.network, {})[key] = port
        for node in {port.node, *(port.move or ())}:
            self._ports_of_node.setdefault(node, {})[key] = port.network
        if port.node == self._here.node:
            self._dirty.ports[key] = port.network
            was_there = self.realised(port.network)
            self._local.setdefault(port.network, set()).add(key)
            if not was_there:
                self._touch_network(port.network, remote=self._has_remote_pods(port.network))
        elif self._has_remote_pods(port.network):
            self._dirty.ports[key] = port.network

    def _forget(self, key: str, port: model.Port) -> None:
        """`_local` keeps an empty set until `_set_ports` ends: a port may come back at once."""
        self.policies.remove_port(key)
        self.dns.note(port.network)
        index.drop(self._ports, port.network, key)
        for node in {port.node, *(port.move or ())}:
            index.drop(self._ports_of_node, node, key)
        if port.node == self._here.node:
            self._dirty.ports[key] = port.network
            self._local[port.network].discard(key)
        elif self._has_remote_pods(port.network):
            self._dirty.ports[key] = port.network

    def _touch_network(self, name: str, *, remote: bool = True) -> None:
        """A network appears, changes or goes: its own rows and those of its ports may change.

        Not `remote`: only this node's pods have ports here, before and after.
        """
        self.policies.touch_network(name)
        self.dns.note(name)
        self._dirty.networks.add(name)
        self._dirty.owners.update((name, node) for node in ("", *self._nodes))
        touched = self._ports.get(name, ()) if remote else self._local.get(name, ())
        self._dirty.ports.update(dict.fromkeys(touched, name))

    def _present(self) -> list[str]:
        """Returns the networks that are realised here, sorted."""
        return sorted(n for n in {*self._local, names.DEFAULT_NETWORK} if self.realised(n))

    def _has_remote_pods(self, name: str) -> bool:
        """Whether a pod of another node may have a row here."""
        network = self.network(name)
        return network is not None and topologies.KNOWN[network.spec.topology].has_remote_pods

    def _changed_rows(self, owners: Iterable[RowOwner]) -> tuple[list[rows.Row], list[rows.RowKey]]:
        """Returns the rows of these owners, and the keys of former rows that they have no more."""
        made: list[rows.Row] = []
        gone: list[rows.RowKey] = []
        for row_owner in sorted(owners):
            own = self._rows_of(row_owner)
            keys = frozenset((row.table, row.key) for row in own)
            gone += sorted(self._last_keys.pop(row_owner, frozenset()) - keys)
            if keys:
                self._last_keys[row_owner] = keys
            made += own
        return made, gone

    def _rows_of(self, row_owner: RowOwner) -> tuple[rows.Row, ...]:
        name, node = row_owner
        network = self.network(name)
        if network is None or not self.realised(name):
            return ()
        topology = topologies.KNOWN[network.spec.topology]
        if not node:
            return topology.of_network(network, self._here)
        info = self._nodes.get(node)
        return topology.of_node(network, info, self._here) if info is not None else ()

    def _port_rows(self, key: str, name: str) -> tuple[rows.Row, ...]:
        port, network = self._ports.get(name, {}).get(key), self.network(name)
        if port is None or network is None or not self.realised(name):
            return ()
        return portrows.of_port(network, port, self._here)

    def _chassis_rows(self, chassis: str) -> tuple[rows.Row, ...]:
        """Of several nodes that claim one chassis (a cloned disk), the first by name counts."""
        nodes = self._chassis_nodes.get(chassis)
        if not nodes or chassis == self._here.chassis:
            return ()
        return interconnect.chassis(self._nodes[min(nodes)])
