"""Allocates the ids of networks, nodes and ports, which must be equal in every zone.

Pure. Port keys are unique in one network, ids of networks and nodes in the cluster.
"""

from __future__ import annotations

from weft import errors, names, ranges, tunnelkeys
from weft.alloc import ring


class Ids:
    """The numbers `first` to `last`, allocated in turn; others can be taken but not allocated."""

    __slots__ = ("_first", "_ring")

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._ring = ring.Ring(last - first + 1)

    def peek(self) -> int | None:
        """Returns the next free number in turn; None if all are taken."""
        number = self._ring.peek()
        return None if number is None else self._first + number

    def take(self, number: int, *, in_turn: bool = False) -> None:
        """Takes a number; one outside of the range has no effect. `in_turn`: `peek` returned it."""
        if 0 <= number - self._first < self._ring.size:
            self._ring.take(number - self._first, in_turn=in_turn)

    def release(self, number: int) -> None:
        """Frees a number."""
        if 0 <= number - self._first < self._ring.size:
            self._ring.free(number - self._first)


def port_keys() -> Ids:
    """Returns the tunnel keys for one network's pod ports, none taken."""
    return Ids(tunnelkeys.FIRST_POD_TUNNEL_KEY, tunnelkeys.LAST_POD_TUNNEL_KEY)


class NamedIds:
    """Ids by name, from `first` to `last`.

    `kind` is the kind of object, `annotation` the annotation that keeps its id; `remedy` is the
    hint when none is free.
    """

    kind: str
    annotation: str
    first: int
    last: int
    remedy: str

    def __init__(self) -> None:
        self._ids = Ids(self.first, self.last)
        self._by_name: dict[str, int] = {}
        self._by_id: dict[int, str] = {}

    def get(self, name: str) -> int | None:
        return self._by_name.get(name)

    def reserve(self, name: str, number: int) -> None:
        """Records the `number` in an object's annotation.

        Raises InvalidInput if it is out of range, Conflict if it is taken.
        """
        where = f"{self.kind} {name}"
        if not self.first <= number <= self.last:
            rule = f"must be from {self.first} to {self.last}"
            raise errors.InvalidInput(where, self.annotation, number, rule)
        what, known = f"{self.kind} id {number}", self._by_name.get(name, number)
        hint = f"remove the annotation {self.annotation} from the object that is to get another id"
        if known != number:
            raise errors.Conflict(
                f"{what}: the {self.kind} has id {known} already", where=where, hint=hint
            )
        owner = self._by_id.get(number, name)
        if owner != name:
            raise errors.Conflict(f"{what}: held by {self.kind} {owner}", where=where, hint=hint)
        self._hold(name, number)

    def allocate(self, name: str) -> int:
        """Returns the id of `name`, allocates one if it has none; raises Exhausted."""
        if (known := self._by_name.get(name)) is not None:
            return known
        number = self._ids.peek()
        if number is None:
            raise errors.Exhausted(
                f"no {self.kind} id is free: {len(self._by_name)} {self.kind}s use all of them",
                where=f"{self.kind} {name}",
                hint=self.remedy,
            )
        self._hold(name, number, in_turn=True)
        return number

    def release(self, name: str) -> None:
        """Frees the id of `name`, if it has one."""
        number = self._by_name.pop(name, None)
        if number is not None:
            del self._by_id[number]
            self._ids.release(number)

    def _hold(self, name: str, number: int, *, in_turn: bool = False) -> None:
        self._ids.take(number, in_turn=in_turn)
        self._by_name[name] = number
        self._by_id[number] = name


class NetworkIds(NamedIds):
    """Network ids: 1 to MAX_NETWORKS-1; 0 is the default network."""

    kind = "network"
    annotation = names.NETWORK_ID
    first, last = 1, tunnelkeys.MAX_NETWORKS - 1
    remedy = "delete NetworkAttachmentDefinitions that no pod uses"


class NodeIds(NamedIds):
    """Node ids, from FIRST_NODE_ID on; a node's transit switch addresses derive from its id."""

    kind = "Node"
    annotation = names.NODE_ID
    first, last = ranges.FIRST_NODE_ID, ranges.FIRST_NODE_ID + ranges.MAX_NODES - 1
    remedy = "delete Nodes that no longer exist"
