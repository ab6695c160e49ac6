"""Keeps which ports are in which port groups, and which groups have ports.

Bookkeeping only: `policies` decides why a port is in a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import NamedTuple

from weft.control import index
from weft.ovn import policy


class BoundPolicy(NamedTuple):
    """A MultiNetworkPolicy on one of the networks that it guards."""

    network: str
    namespace: str
    name: str

    @property
    def key(self) -> str:
        """The policy, as "<namespace>/<name>"."""
        return f"{self.namespace}/{self.name}"


# Groups whose rows are made together: one deny or audit group, or all groups of a policy.
Part = policy.Group | BoundPolicy
NONE: frozenset[policy.Group] = frozenset()


def part_of(group: policy.Group) -> Part:
    """Returns the part that makes a group's rows."""
    if group.kind in (policy.GroupKind.POLICY, policy.GroupKind.NAMED):
        return BoundPolicy(group.network, group.namespace, group.policy)
    return group


class Groups:
    """The groups that have ports, indexed by port and by group."""

    def __init__(self) -> None:
        self._of: dict[str, frozenset[policy.Group]] = {}
        self._in: dict[policy.Group, set[str]] = {}
        self._parts: dict[Part, set[policy.Group]] = {}
        self._left: dict[str, set[policy.Group]] = {}

    def of(self, port: str) -> frozenset[policy.Group]:
        """Returns the groups of a port."""
        return self._of.get(port, NONE)

    def ports(self, group: policy.Group) -> Set[str]:
        """Returns the ports in a group."""
        return self._in.get(group, frozenset())

    def parts(self) -> Iterator[Part]:
        """Yields the parts that have groups with ports."""
        return iter(self._parts)

    def in_part(self, part: Part) -> Set[policy.Group]:
        """Returns the groups of a part that have ports."""
        return self._parts.get(part, NONE)

    def put(self, port: str, groups: frozenset[policy.Group]) -> set[Part]:
        """Puts a port in these groups alone; returns the parts that got or lost a group by it."""
        before = self.of(port)
        if groups == before:
            return set()
        left = self._left.setdefault(port, set())
        left |= before - groups
        left -= groups
        changed = {part_of(group) for group in groups - before if self._join(port, group)}
        changed |= {part_of(group) for group in before - groups if self._leave(port, group)}
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
        self._parts.setdefault(part_of(group), set()).add(group)
        return True

    def _leave(self, port: str, group: policy.Group) -> bool:
        is_last = index.discard(self._in, group, port)
        if is_last:
            index.discard(self._parts, part_of(group), group)
        return is_last
