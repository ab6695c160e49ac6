"""Which numbers do ports and networks get, that must be the same in every zone?

Port keys are one network's; network ids are the cluster's.
"""

from __future__ import annotations

from weft import errors, names
from weft.alloc import ring


class Ids:
    """The numbers `first` to `last`, given in turn; others may be held but are never given."""

    __slots__ = ("_first", "_ring")

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._ring = ring.Ring(last - first + 1)

    def peek(self) -> int | None:
        number = self._ring.peek()
        return None if number is None else self._first + number

    def take(self, number: int, *, in_turn: bool = False) -> None:
        if 0 <= number - self._first < self._ring.size:
            self._ring.take(number - self._first, in_turn=in_turn)

    def release(self, number: int) -> None:
        if 0 <= number - self._first < self._ring.size:
            self._ring.free(number - self._first)


def port_keys() -> Ids:
    """The tunnel keys of one network's pod ports."""
    return Ids(names.FIRST_POD_TUNNEL_KEY, names.LAST_TUNNEL_KEY)


class NetworkIds:
    """Network name to id, 1 to MAX_NETWORKS-1; 0 is the cluster's own network."""

    def __init__(self) -> None:
        self._ids = Ids(1, names.MAX_NETWORKS - 1)
        self._by_name: dict[str, int] = {}
        self._by_id: dict[int, str] = {}

    def get(self, name: str) -> int | None:
        return self._by_name.get(name)

    def reserve(self, name: str, number: int) -> None:
        """Note that `name` has `number`, as its definitions' annotations say."""
        if not 0 < number < names.MAX_NETWORKS:
            rule = f"must be from 1 to {names.MAX_NETWORKS - 1}"
            raise errors.InvalidInput(f"network {name}", names.NETWORK_ID, number, rule)
        if self._by_name.get(name, number) != number:
            raise errors.Conflict(
                f"network id {number}: the network has id {self._by_name[name]} already",
                where=f"network {name}",
                hint=f"remove the annotation {names.NETWORK_ID} from the definition that has it",
            )
        if self._by_id.get(number, name) != name:
            raise errors.Conflict(
                f"network id {number}: held by network {self._by_id[number]}",
                where=f"network {name}",
                hint=f"remove the annotation {names.NETWORK_ID} from the definition that has it",
            )
        self._hold(name, number)

    def allocate(self, name: str) -> int:
        """The id of `name`, a new one if it has none."""
        if (known := self._by_name.get(name)) is not None:
            return known
        number = self._ids.peek()
        if number is None:
            raise errors.Exhausted(
                f"no network id is free: {len(self._by_name)} networks are the most",
                where=f"network {name}",
                hint="remove definitions of networks that nobody uses",
            )
        self._hold(name, number, in_turn=True)
        return number

    def release(self, name: str) -> None:
        number = self._by_name.pop(name, None)
        if number is not None:
            del self._by_id[number]
            self._ids.release(number)

    def _hold(self, name: str, number: int, *, in_turn: bool = False) -> None:
        self._ids.take(number, in_turn=in_turn)
        self._by_name[name] = number
        self._by_id[number] = name
