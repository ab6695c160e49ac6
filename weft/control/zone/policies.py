"""Decides which rows enforce the policies in one zone, and which of its ports are in which groups.

Kept incrementally, like `state`: what is told is noted, and `changes` makes rows of just what it
changed. The order in which things were told leaves no trace. A policy guards the attachments of
its pods to the networks of its NADs, never to the default network. Its rows are there while it
selects a port of this node; the addresses of its peers then, wherever those run.

A pod that comes or goes changes who is in a group or set, unless it is the first or last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from weft import model, names, rows
from weft.control import index
from weft.control.zone import groups, policyrows
from weft.control.zone.addresses import Sets
from weft.control.zone.objects import AllocatedPod, Namespace
from weft.control.zone.selectedports import SelectedPorts
from weft.ovn import policy, sets
from weft.policy import netpolicy

_UNKNOWN = Namespace()


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows as they should be and rows that should not be, as in `state`.

    `ports` have other groups now than before, with the network that they are on. `members` are the
    places in groups of these ports, and of those that were asked about.
    """

    made: tuple[rows.Row, ...]
    gone: tuple[rows.RowKey, ...]
    ports: Mapping[str, str]
    members: Mapping[str, tuple[rows.Row, ...]]


class Policies:
    """`node` is the zone's own. `pods` and `networks` are the zone's tables, which it keeps: all
    pods that hold something, and the networks that are realised here, by name."""

    def __init__(
        self, node: str, pods: Mapping[str, AllocatedPod], networks: Mapping[str, model.Network]
    ) -> None:
        self._node = node
        self._policies: dict[str, netpolicy.Policy] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._networks: dict[str, str] = {}  # definition -> its network
        self._naming: dict[str, set[str]] = {}  # definition -> policies that name it
        self._guarding: dict[tuple[str, netpolicy.PodSelector], set[str]] = {}  # -> policies
        self._endpoints = SelectedPorts(pods)
        self._groups = groups.Groups()
        self._parts = policyrows.PolicyRows(Sets(self._endpoints, networks), networks)
        # What may have changed: networks, ports and parts to be looked at.
        self._refilled: set[str] = set()
        self._doubted: set[str] = set()
        self._selected: set[str] = set()  # ports that are in other groups, if anything
        self._dirty: set[groups.Part] = set()

    def __len__(self) -> int:
        noted = (self._refilled, self._doubted, self._selected, self._dirty, self._parts)
        return sum([len(each) for each in noted])

    # Objects in

    def get(self, key: str) -> netpolicy.Policy | None:
        return self._policies.get(key)

    def set_policy(self, key: str, new: netpolicy.Policy | None) -> None:
        old = self._policies.get(key)
        if old == new:
            return
        if old is not None and new is not None and self._is_alike(old, new):
            self._policies[key] = new
            return
        if new is not None:
            self._endpoints.selection.add(new.selected_pods)
        if old is not None:
            self._unbind(key, old)
            self._endpoints.selection.remove(old.selected_pods)
            del self._policies[key]
        if new is not None:
            self._policies[key] = new
            self._bind(key, new)

    def set_namespace(self, name: str, new: Namespace | None) -> None:
        old = self._namespaces.get(name)
        if new is None:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = new
        self._doubt(self._endpoints.set_namespace(name, new.labels if new is not None else None))
        if (old or _UNKNOWN).logging != (new or _UNKNOWN).logging:
            self._dirty |= {p for p in self._groups.parts() if p.namespace == name}

    def set_nad(self, nad: str, network: str | None) -> None:
        """Which network a definition is of."""
        if self._networks.get(nad) == network:
            return
        naming = [(key, self._policies[key]) for key in self._naming.get(nad, ())]
        for key, each in naming:
            self._unbind(key, each)
        if network is None:
            del self._networks[nad]
        else:
            self._networks[nad] = network
        for key, each in naming:
            self._bind(key, each)

    def set_pod(self, key: str, old: AllocatedPod | None, new: AllocatedPod | None) -> None:
        if (known := new or old) is not None:
            namespace = known.pod.ref.namespace
            self._doubt(self._endpoints.set_pod(key, namespace, old, new))

    def add_port(self, key: str, port: model.Port) -> None:
        self._endpoints.add(key, port)
        self._doubt((key,))

    def remove_port(self, key: str) -> None:
        self._doubt((key,))
        self._endpoints.remove(key)

    def touch_network(self, network: str) -> None:
        """The zone has it now, or has it no more, or it is another."""
        self._dirty |= {p for p in self._groups.parts() if p.network == network}
        self._refilled.add(network)

    def touch(self, table: str, key: str) -> bool:
        """A row was changed by somebody else; whether it was one of these."""
        part = self._parts.touch(table, key)
        if part is None:
            return False
        if isinstance(part, sets.AddressSet | str):
            return True
        for group in self._groups.in_part(part):
            if (table, key) == (policy.GROUP, group.name):
                for port in self._groups.ports(group):
                    self._groups.touch(port)
        return True

    def wants(self, table: str, key: str) -> bool:
        """Whether a row is desired, as it was said last."""
        return self._parts.wants(table, key)

    def is_member(self, group: str, port: str) -> bool:
        """Whether a port should be in the port group of this name."""
        return any(each.name == group for each in self._groups.of(port))

    def holds(self, key: str, address: rows.Atom) -> bool:
        """Whether the address set of this key should hold an address."""
        return self._parts.holds(key, address)

    # Rows out

    def changes(self, ports: Iterable[str]) -> Changes:
        """Rows of all that was touched since the last call, and nothing else; of `ports`, whose
        rows are written anew, the places in groups."""
        self._settle()
        made, gone = self._parts.changes()
        left = self._groups.take_moved()
        moved = {key: port.network for key in left if (port := self._endpoints.get(key))}
        members = {key: tuple(self._members(key, left.get(key, ()))) for key in {*ports, *moved}}
        return Changes(made, gone, moved, members)

    def desired(self, ports: Iterable[str]) -> Changes:
        """All rows that should be there, sets with all that they hold, groups without ports; and
        the places of `ports` in groups."""
        self._settle()
        members = {key: tuple(self._members(key)) for key in ports}
        return Changes(self._parts.desired(), (), {}, members)

    def _members(self, port: str, left: Iterable[policy.Group] = ()) -> Iterator[rows.Row]:
        """A port's place in its groups, and that it is not in those that it left.

        A group of a port's name has no row while no rule with that name allows anybody. Any other
        is named, row or not: better no port than one that nobody guards.
        """
        for group in sorted(self._groups.of(port), key=lambda group: group.id):
            if group.kind is not policy.GroupKind.NAMED or self._parts.has(group):
                yield policy.membership(group, port, True)
        for group in sorted(left, key=lambda group: group.id):
            if self._parts.has(group):
                yield policy.membership(group, port, False)

    def audited(self) -> Mapping[str, policy.Group]:
        """The groups that are only watched, by what OVN's log calls their packets."""
        found = (part for part in self._groups.parts() if isinstance(part, policy.Group))
        return {policy.audit_name(g): g for g in found if g.kind is policy.GroupKind.AUDIT}

    def auditing(
        self, group: policy.Group, mac: str
    ) -> tuple[model.Port | None, list[netpolicy.Policy]]:
        """The port of an audit group that has a MAC, and the policies that have it watched."""
        for key in self._groups.ports(group):
            port = self._endpoints.get(key)
            if port is not None and port.allocation.mac == mac:
                found = self._selecting(key, port)
                return port, [each for each in found if group.direction in each.directions]
        return None, []

    # Between

    def _bind(self, key: str, new: netpolicy.Policy) -> None:
        for nad in new.nads:
            self._naming.setdefault(nad, set()).add(key)
        for network in self._guarded(new):
            self._guarding.setdefault((network, new.selected_pods), set()).add(key)
        self._touch(new)

    def _unbind(self, key: str, old: netpolicy.Policy) -> None:
        for nad in old.nads:
            index.discard(self._naming, nad, key)
        for network in self._guarded(old):
            index.discard(self._guarding, (network, old.selected_pods), key)
        self._touch(old)

    def _touch(self, changed: netpolicy.Policy) -> None:
        for network in self._guarded(changed):
            part = groups.BoundPolicy(network, changed.namespace, changed.name)
            if self._groups.in_part(part):
                self._dirty.add(part)
            for port in self._endpoints.chosen(network, changed.selected_pods):
                if self._is_own(port):
                    self._selected.add(port)

    def _doubt(self, ports: Iterable[str]) -> None:
        """Have ports looked at that may be in groups or sets, or have been."""
        for key in ports:
            is_chosen = self._is_own(key) and self._endpoints.selectors(key)
            if is_chosen or self._groups.of(key) or self._parts.concern(key):
                self._doubted.add(key)

    def _is_own(self, key: str) -> bool:
        port = self._endpoints.get(key)
        return port is not None and port.node == self._node

    def _is_alike(self, old: netpolicy.Policy, new: netpolicy.Policy) -> bool:
        """Whether a policy only remembers more than it did, which it need not now."""
        is_same = replace(old, last_networks=new.last_networks) == new
        return is_same and self._guarded(old) == self._guarded(new)

    def _guarded(self, each: netpolicy.Policy) -> frozenset[str]:
        return each.networks(self._networks) - {names.DEFAULT_NETWORK}

    def _settle(self) -> None:
        """Bring groups, sets and rows in line with what was told."""
        refilled, self._refilled = self._refilled, set()
        doubted, self._doubted = self._doubted, set()
        self._parts.refill(refilled)
        self._dirty |= self._parts.update(doubted)
        selected, self._selected = self._selected, set()
        for port in doubted | selected:
            self._dirty |= self._groups.put(port, self._wanted(port))
        dirty, self._dirty = self._dirty, set()
        for part in dirty:
            key = part.key if isinstance(part, groups.BoundPolicy) else ""
            logging = self._namespaces.get(part.namespace, _UNKNOWN).logging
            there = self._groups.in_part(part)
            rowless = [group for group in there if not self._parts.has(group)]
            self._parts.make(part, there, self._policies.get(key), logging)
            for group in filter(self._parts.has, rowless):
                for port in self._groups.ports(group):
                    self._groups.touch(port)  # no row could say so far that it is in there

    def _wanted(self, key: str) -> frozenset[policy.Group]:
        """The groups of a port: of each policy that selects it, and why it is isolated or watched.

        What an audit policy would drop is seen only where no enforced one isolates.
        """
        port = self._endpoints.get(key)
        if port is None or port.node != self._node:
            return groups.NONE
        selecting = self._selecting(key, port)
        enforced = [each for each in selecting if each.mode is netpolicy.Mode.ENFORCE]
        isolated = {direction for each in enforced for direction in each.directions}
        found: set[policy.Group] = set()
        for each in selecting:
            is_enforced = each.mode is netpolicy.Mode.ENFORCE
            kind = policy.GroupKind.DENY if is_enforced else policy.GroupKind.AUDIT
            for direction in each.directions if is_enforced else each.directions - isolated:
                found.add(policy.Group(kind, port.network, port.pod.namespace, direction))
                if each.rules(direction):
                    named = self._endpoints.named(key)
                    found |= policy.groups_of(each, port.network, direction, named)
        return frozenset(found)

    def _selecting(self, key: str, port: model.Port) -> list[netpolicy.Policy]:
        return [
            self._policies[each]
            for members in self._endpoints.selectors(key)
            for each in self._guarding.get((port.network, members), ())
        ]
