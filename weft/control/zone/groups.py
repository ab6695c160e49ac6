"""Keeps which ports are in which port groups, and which groups have ports.

Bookkeeping only: `policies` decides why a port is in a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

from weft.control import index
from weft.model import ObjectKey
from weft.ovn import policy


class BoundPolicy(NamedTuple):
    """A MultiNetworkPolicy on one of the networks that it guards, or a NetworkQoS on one of its."""

    network: str
    namespace: str
    name: str
    is_qos: bool = False

    @property
    def policy(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)


# What groups are made for: one deny or audit group for itself, all groups of a policy for it.
GroupOwner = policy.Group | BoundPolicy
NONE: frozenset[policy.Group] = frozenset()


def owner_of(group: policy.Group) -> GroupOwner:
    """Returns what a group is made for."""
    if group.policy:
        is_qos = group.kind is policy.GroupKind.QOS
        return BoundPolicy(group.network, group.namespace, group.policy, is_qos)
    return group


def qos(of: Iterable[policy.Group]) -> set[BoundPolicy]:
    """Returns the NetworkQoS that groups are made for."""
    owners = map(owner_of, of)
    return {each for each in owners if isinstance(each, BoundPolicy) and each.is_qos}


class Groups:
    """The groups that have ports, indexed by port and by group."""

    def __init__(self) -> None:
        self._of: dict[str, frozenset[policy.Group]] = {}
        self._in: dict[policy.Group, set[str]] = {}
        self._groups_of: dict[GroupOwner, set[policy.Group]] = {}
        self._left: dict[str, set[policy.Group]] = {}

    def of(self, port: str) -> frozenset[policy.Group]:
        """Returns the groups of a port."""
        return self._of.get(port, NONE)

    def ports(self, group: policy.Group) -> Set[str]:
        """Returns the ports in a group."""
        return self._in.get(group, frozenset())

    def owners(self) -> Iterator[GroupOwner]:
        """Yields the owners of groups with ports."""
        return iter(self._groups_of)

    def groups_of(self, owner: GroupOwner) -> Set[policy.Group]:
        """Returns the groups of an owner that have ports."""
        return self._groups_of.get(owner, NONE)

    def put(self, port: str, groups: frozenset[policy.Group]) -> set[GroupOwner]:
        """Puts a port in these groups alone; returns the owners that got or lost a group by it."""
        before = self.of(port)
        if groups == before:
            return set()
        left = self._left.setdefault(port, set())
        left |= before - groups
        left -= groups
        changed = {owner_of(group) for group in groups - before if self._join(port, group)}
        changed |= {owner_of(group) for group in before - groups if self._leave(port, group)}
        if groups:
            self._of[port] = groups
        else:
            del self._of[port]
        return changed

    def touch(self, port: str) -> None:
        """Has `take_moved` return the port although it stayed."""
        self._left.setdefault(port, set())

    def take_moved(self) -> dict[str, set[policy.Group]]:
        """Returns the ports that changed groups since the last call, and the groups they left."""
        moved, self._left = self._left, {}
        return moved

    def _join(self, port: str, group: policy.Group) -> bool:
        inside = self._in.setdefault(group, set())
        inside.add(port)
        if len(inside) > 1:
            return False
        self._groups_of.setdefault(owner_of(group), set()).add(group)
        return True

    def _leave(self, port: str, group: policy.Group) -> bool:
        is_last = index.discard(self._in, group, port)
        if is_last:
            index.discard(self._groups_of, owner_of(group), group)
        return is_last
