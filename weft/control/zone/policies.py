"""Decides which rows enforce policies and NetworkQoS in a zone, and who is in their groups.

Kept incrementally, like `state`: the setters note what may have changed, and `changes` makes rows
of that alone; the order of calls does not matter. A policy guards the attachments of its pods to
the networks of its NADs, never to the default network. Its rows, and the addresses of its peers on
all nodes, exist while it selects a port of this node.

A NetworkQoS has a group as a policy does, and isolates nobody. A pod that comes or goes only
changes members of groups and sets, unless it is the first or last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from weft import model, names, rows
from weft.control import index
from weft.control.zone import groups, policyrows, qosbindings, topologies
from weft.control.zone.addresses import Sets
from weft.control.zone.objects import AllocatedPod, Namespace
from weft.control.zone.selectedports import SelectedPorts
from weft.model import ObjectKey
from weft.ovn import networkqos, policy, sets
from weft.policy import netpolicy
from weft.policy.networkqos import NadMarks, NetworkQos

_UNKNOWN = Namespace()
_MAY_LACK_ROWS = (policy.GroupKind.NAMED, policy.GroupKind.QOS)


@dataclass(frozen=True, slots=True)
class PolicyChanges:
    """Rows to write (`made`) and to delete (`gone`).

    `ports` are those whose groups changed, with their networks. `members` are the group memberships
    of these ports, and of those that were asked about.
    """

    made: tuple[rows.Row, ...]
    gone: tuple[rows.RowKey, ...]
    ports: Mapping[str, str]
    members: Mapping[str, tuple[rows.Row, ...]]


class PolicyEnforcement:
    """The policies `here`. The zone owns `pods` (all that hold an allocation) and `networks`
    (those realised here, by name), and keeps them up to date."""

    def __init__(
        self,
        here: topologies.Here,
        pods: Mapping[ObjectKey, AllocatedPod],
        networks: Mapping[str, model.Network],
    ) -> None:
        self._here, self._realised = here, networks
        self._qos = qosbindings.QosBindings()
        self._policies: dict[ObjectKey, netpolicy.Policy] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._networks: dict[ObjectKey, str] = {}  # NAD -> its network
        self._policies_of_nad: dict[ObjectKey, set[ObjectKey]] = {}  # NAD -> policies that name it
        self._policies_of_selector: dict[
            tuple[str, netpolicy.PodSelector], set[ObjectKey]
        ] = {}  # -> policies
        self.endpoints = SelectedPorts(pods)
        self._groups = groups.Groups()
        self._rows = policyrows.PolicyRows(Sets(self.endpoints, networks), networks)
        # What may have changed.
        self._dirty_networks: set[str] = set()
        self._dirty_ports: set[str] = set()
        self._regrouped: set[str] = set()  # ports whose groups alone may have changed
        self._dirty: set[groups.GroupOwner] = set()
        self._made_qos: dict[groups.BoundPolicy, NetworkQos] = {}  # as their rows were made
        self._stale: set[groups.BoundPolicy] = set()  # for `take_qos`

    def __len__(self) -> int:
        dirty = (self._dirty_networks, self._dirty_ports, self._regrouped, self._dirty, self._rows)
        return sum([len(each) for each in dirty])

    # Objects in

    def get(self, key: ObjectKey) -> netpolicy.Policy | None:
        return self._policies.get(key)

    def set_policy(self, key: ObjectKey, new: netpolicy.Policy | None) -> None:
        """Sets a policy; None: it is gone."""
        old = self._policies.get(key)
        if old == new:
            return
        if old is not None and new is not None and self._is_alike(old, new):
            self._policies[key] = new
            return
        if new is not None:
            self.endpoints.selection.add(new.selected_pods)
        if old is not None:
            self._unbind(key, old)
            self.endpoints.selection.remove(old.selected_pods)
            del self._policies[key]
        if new is not None:
            self._policies[key] = new
            self._bind(key, new)

    def get_qos(self, key: ObjectKey) -> NetworkQos | None:
        return self._qos.get(key)

    def set_qos(self, key: ObjectKey, new: NetworkQos | None) -> None:
        """Sets a NetworkQoS; None: it is gone, or not valid."""
        for each, declared in self._qos.rank(key, new):
            self._put_qos(each, declared)

    def _put_qos(self, key: ObjectKey, new: NetworkQos | None) -> None:
        old = self._qos.get(key)
        if old == new:
            return
        if new is not None:
            self.endpoints.selection.add(new.selected_pods)
        if old is not None:
            self._touch(key, old.selected_pods, self._qos.networks(key), is_qos=True)
        self._qos.put(key, new)
        if old is not None:
            self.endpoints.selection.remove(old.selected_pods)
        if new is not None:
            self._touch(key, new.selected_pods, self._qos.networks(key), is_qos=True)

    def _move(self, moved: qosbindings.Moved) -> None:
        for key, networks in moved.items():
            if (declared := self._qos.get(key)) is not None:
                self._touch(key, declared.selected_pods, networks, is_qos=True)

    def set_nad_marks(self, nad: ObjectKey, network: str, marks: NadMarks) -> None:
        """Sets by what a NAD is selected, and its network; "": it has none."""
        self._move(self._qos.set_nad(nad, network, marks))

    def set_namespace(self, name: str, new: Namespace | None) -> None:
        """Sets a namespace's labels and logging; None: it is gone."""
        old = self._namespaces.get(name)
        if new is None:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = new
        labels = new.labels if new is not None else None
        self._mark(self.endpoints.set_namespace(name, labels))
        self._move(self._qos.set_namespace(name, labels))
        if (old or _UNKNOWN).logging != (new or _UNKNOWN).logging:
            self._dirty |= {p for p in self._groups.owners() if p.namespace == name}

    def set_nad(self, nad: ObjectKey, network: str | None) -> None:
        """Sets the network of a NAD."""
        if self._networks.get(nad) == network:
            return
        affected = [(key, self._policies[key]) for key in self._policies_of_nad.get(nad, ())]
        for key, each in affected:
            self._unbind(key, each)
        if network is None:
            del self._networks[nad]
        else:
            self._networks[nad] = network
        for key, each in affected:
            self._bind(key, each)

    def set_pod(self, key: ObjectKey, old: AllocatedPod | None, new: AllocatedPod | None) -> None:
        """Takes in a pod that is new, changed, or gone (None)."""
        if (known := new or old) is not None:
            namespace = known.pod.ref.namespace
            self._mark(self.endpoints.set_pod(key, namespace, old, new))

    def add_port(self, key: str, port: model.Port) -> None:
        """Adds a port of any node, by port key."""
        self.endpoints.add(key, port)
        if self._is_own(key):
            self._qos.add_port(port.pod.namespace, port.network)
        self._mark((key,))

    def remove_port(self, key: str) -> None:
        """Removes a port."""
        self._mark((key,))
        if self._is_own(key) and (port := self.endpoints.get(key)):
            self._qos.remove_port(port.pod.namespace, port.network)
        self.endpoints.remove(key)

    def touch_network(self, network: str) -> None:
        """The zone has got or lost the network, or it has changed."""
        self._dirty |= {p for p in self._groups.owners() if p.network == network}
        self._dirty_networks.add(network)

    def touch(self, table: str, key: str) -> bool:
        """Has a row that somebody else changed written again; returns whether it is a policy's."""
        owner = self._rows.touch(table, key)
        if owner is None:
            return False
        if isinstance(owner, sets.AddressSet | str):
            return True
        for group in self._groups.groups_of(owner):
            if (table, key) == (policy.GROUP, group.name):
                for port in self._groups.ports(group):
                    self._groups.touch(port)
        return True

    def is_desired(self, table: str, key: str) -> bool:
        """Whether the last `changes` desired a row."""
        return self._rows.is_desired(table, key)

    def is_member(self, group: str, port: str) -> bool:
        """Whether a port should be in the port group of this name."""
        return any(each.name == group for each in self._groups.of(port))

    def is_in_set(self, key: str, address: rows.Atom) -> bool:
        """Whether the address set of this key should hold an address."""
        return self._rows.is_in_set(key, address)

    # Rows out

    def changes(self, ports: Iterable[str]) -> PolicyChanges:
        """Returns the rows of what changed since the last call, and the group memberships of
        `ports`, whose own rows are written again."""
        self._settle()
        made, gone = self._rows.changes()
        left = self._groups.take_moved()
        moved = {key: port.network for key in left if (port := self.endpoints.get(key))}
        members = {key: tuple(self._members(key, left.get(key, ()))) for key in {*ports, *moved}}
        return PolicyChanges(made, gone, moved, members)

    def desired(self, ports: Iterable[str]) -> PolicyChanges:
        """Returns all rows: sets with their addresses, groups without ports, and the group
        memberships of `ports`."""
        self._settle()
        members = {key: tuple(self._members(key)) for key in ports}
        return PolicyChanges(self._rows.desired(), (), {}, members)

    def _members(self, port: str, left: Iterable[policy.Group] = ()) -> Iterator[rows.Row]:
        """Yields a port's memberships in its groups, and its removal from those that it left.

        The group of a named port has no row while no rule with that name allows anybody, that of a
        NetworkQoS while its switch is missing. Any other group is named even without a row: then
        the write fails, and no port stays unguarded.
        """
        for group in sorted(self._groups.of(port), key=lambda group: group.id):
            if group.kind not in _MAY_LACK_ROWS or self._rows.has(group):
                yield policy.membership(group, port, True)
        for group in sorted(left, key=lambda group: group.id):
            if self._rows.has(group):
                yield policy.membership(group, port, False)

    def audited(self) -> Mapping[str, policy.Group]:
        """Returns the audit groups by the name that OVN's log gives their packets."""
        found = (owner for owner in self._groups.owners() if isinstance(owner, policy.Group))
        return {policy.audit_name(g): g for g in found if g.kind is policy.GroupKind.AUDIT}

    def auditing(
        self, group: policy.Group, mac: str
    ) -> tuple[model.Port | None, list[netpolicy.Policy]]:
        """Returns the port with a MAC in an audit group, and the policies that audit it."""
        for key in self._groups.ports(group):
            port = self.endpoints.get(key)
            if port is not None and port.allocation.mac == mac:
                found = self.selecting(key, port)
                return port, [each for each in found if group.direction in each.directions]
        return None, []

    def _bind(self, key: ObjectKey, new: netpolicy.Policy) -> None:
        for nad in new.nads:
            self._policies_of_nad.setdefault(nad, set()).add(key)
        for network in self._networks_of(new):
            self._policies_of_selector.setdefault((network, new.selected_pods), set()).add(key)
        self._touch(key, new.selected_pods, self._networks_of(new))

    def _unbind(self, key: ObjectKey, old: netpolicy.Policy) -> None:
        for nad in old.nads:
            index.discard(self._policies_of_nad, nad, key)
        for network in self._networks_of(old):
            index.discard(self._policies_of_selector, (network, old.selected_pods), key)
        self._touch(key, old.selected_pods, self._networks_of(old))

    def _touch(
        self,
        key: ObjectKey,
        selected: netpolicy.PodSelector,
        networks: Iterable[str],
        *,
        is_qos: bool = False,
    ) -> None:
        for network in networks:
            owner = groups.BoundPolicy(network, *key, is_qos)
            if self._groups.groups_of(owner):
                self._dirty.add(owner)
            for port in self.endpoints.chosen(network, selected):
                if self._is_own(port):
                    self._regrouped.add(port)

    def _mark(self, ports: Iterable[str]) -> None:
        """Marks those of these ports that are or were in groups or sets, or may be now."""
        for key in ports:
            is_chosen = self._is_own(key) and self.endpoints.selectors(key)
            if is_chosen or self._groups.of(key) or self._rows.is_in_sets(key):
                self._dirty_ports.add(key)

    def _is_own(self, key: str) -> bool:
        port = self.endpoints.get(key)
        return port is not None and port.node == self._here.node

    def _is_alike(self, old: netpolicy.Policy, new: netpolicy.Policy) -> bool:
        """Whether only the remembered networks of a policy changed, and it guards the same."""
        is_same = replace(old, last_networks=new.last_networks) == new
        return is_same and self._networks_of(old) == self._networks_of(new)

    def _networks_of(self, each: netpolicy.Policy) -> frozenset[str]:
        return each.networks(self._networks) - {names.DEFAULT_NETWORK}

    def _settle(self) -> None:
        """Updates groups, sets and rows for all that was marked."""
        networks, self._dirty_networks = self._dirty_networks, set()
        ports, self._dirty_ports = self._dirty_ports, set()
        self._rows.refill(networks)
        self._dirty |= self._rows.update(ports)
        regrouped, self._regrouped = self._regrouped, set()
        for port in ports | regrouped:
            before = self._groups.of(port)
            self._dirty |= self._groups.put(port, self._groups_of(port))
            self._stale.update(groups.qos(before | self._groups.of(port)))
        dirty, self._dirty = self._dirty, set()
        for owner in dirty:
            if isinstance(owner, groups.BoundPolicy) and owner.is_qos:
                self._make_qos(owner)
                continue
            bound = owner.policy if isinstance(owner, groups.BoundPolicy) else None
            declared = self._policies.get(bound) if bound is not None else None
            logging = self._namespaces.get(owner.namespace, _UNKNOWN).logging
            with_ports = self._groups.groups_of(owner)
            without_rows = [group for group in with_ports if not self._rows.has(group)]
            self._rows.make(owner, with_ports, declared, logging)
            for group in filter(self._rows.has, without_rows):
                for port in self._groups.ports(group):
                    self._groups.touch(port)  # the group had no row to hold it so far

    def _make_qos(self, owner: groups.BoundPolicy) -> None:
        """Makes the rows of a NetworkQoS on a network that has ports which it selects."""
        network = self._realised.get(owner.network)
        with_ports = self._groups.groups_of(owner)
        switch = topologies.switch(network, self._here) if network and with_ports else ""
        before = [group for group in with_ports if self._rows.has(group)]
        declared = self._qos.get(owner.policy)
        self._rows.make_qos(owner, declared, switch)
        self._stale.add(owner)
        self._made_qos.pop(owner, None)
        if declared is not None and switch:
            self._made_qos[owner] = declared
        for group in with_ports:
            if self._rows.has(group) and group not in before:
                for port in self._groups.ports(group):
                    self._groups.touch(port)

    def take_qos(self) -> dict[groups.BoundPolicy, tuple[NetworkQos, int] | None]:
        """Returns the NetworkQoS whose rows or ports changed since the last call: as which its rows
        were made (None: it has none), and for how many ports a limit of their own counts."""
        stale, self._stale = self._stale, set()
        return {owner: self._standing(owner) for owner in stale}

    def _standing(self, owner: groups.BoundPolicy) -> tuple[NetworkQos, int] | None:
        ports = (port for g in self._groups.groups_of(owner) for port in self._groups.ports(g))
        made = self._made_qos.get(owner)
        return (made, sum(map(self._is_limited, ports))) if made is not None else None

    def _is_limited(self, key: str) -> bool:
        port = self.endpoints.get(key)
        network = self._realised.get(port.network) if port is not None else None
        if port is None or network is None:
            return False
        return port.allocation.nic.bandwidth.over(network.spec.nic.bandwidth).egress is not None

    def _groups_of(self, key: str) -> frozenset[policy.Group]:
        """Returns the groups of a port: of each policy that selects it, and deny and audit groups.

        A port is audited only in directions in which no enforced policy isolates it.
        """
        port = self.endpoints.get(key)
        if port is None or port.node != self._here.node:
            return groups.NONE
        selecting = self.selecting(key, port)
        enforced = [each for each in selecting if each.mode is netpolicy.Mode.ENFORCE]
        isolated = {direction for each in enforced for direction in each.directions}
        found: set[policy.Group] = set()
        for each in selecting:
            is_enforced = each.mode is netpolicy.Mode.ENFORCE
            kind = policy.GroupKind.DENY if is_enforced else policy.GroupKind.AUDIT
            for direction in each.directions if is_enforced else each.directions - isolated:
                found.add(policy.Group(kind, port.network, port.pod.namespace, direction))
                if each.rules(direction):
                    named = self.endpoints.named(key)
                    found |= policy.groups_of(each, port.network, direction, named)
        marking = self._qos.selecting(port.network, self.endpoints.selectors(key))
        found.update(networkqos.group(each, port.network) for each in marking)
        return frozenset(found)

    def selecting(self, key: str, port: model.Port) -> list[netpolicy.Policy]:
        return [
            self._policies[each]
            for members in self.endpoints.selectors(key)
            for each in self._policies_of_selector.get((port.network, members), ())
        ]
