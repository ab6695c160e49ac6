"""Makes the rows of a zone's port groups with their ACLs, and keeps the address sets they name.

The owner of rows is what they are made for: a deny or audit group, a policy on a network with all
its groups, an address set, the meter. Rows are kept, so that `desired` costs little.
`policies` decides which ports are in a group, `ovn/policy` what an ACL matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from weft import model, rows
from weft.control import index
from weft.control.zone import groups
from weft.control.zone.addresses import Sets
from weft.ovn import acl, networkqos, policy, sets
from weft.policy import netpolicy
from weft.policy.networkqos import NetworkQos

RowOwner = groups.GroupOwner | sets.AddressSet | str
# The owner of the meter that limits the log of all ACLs.
METER = "meter"


class PolicyRows:
    """The rows of all owners; `networks` are those that the zone has, by name."""

    def __init__(self, addresses: Sets, networks: Mapping[str, model.Network]) -> None:
        self._sets = addresses
        self._networks = networks
        self._made: dict[RowOwner, tuple[rows.Row, ...]] = {}  # without sets
        self._groups: set[str] = set()  # that have rows
        self._logging: set[RowOwner] = set()
        self._sets_of: dict[groups.BoundPolicy, frozenset[sets.AddressSet]] = {}
        self._using: dict[sets.AddressSet, set[groups.BoundPolicy]] = {}  # of number 0
        self._last_keys: dict[RowOwner, frozenset[rows.RowKey]] = {}  # of the last `changes`
        self._owner_of: dict[rows.RowKey, RowOwner] = {}  # of each row of the last `changes`
        self._dirty: set[RowOwner] = set()  # for the next `changes`

    def __len__(self) -> int:
        return len(self._dirty)

    def has(self, group: policy.Group) -> bool:
        """Whether a group has its row."""
        return group.name in self._groups

    def is_in_sets(self, port: str) -> bool:
        """Whether a port has entries in a set, or may have some now."""
        return self._sets.is_in_sets(port)

    # What changes

    def refill(self, networks: Iterable[str]) -> None:
        """Fills the sets of changed networks again."""
        for network in networks:
            self._dirty.update(self._sets.refill(network))

    def update(self, ports: Iterable[str]) -> set[groups.BoundPolicy]:
        """Updates the entries of these ports in sets; returns the policies to make again."""
        unnumbered = self._sets.update(ports)
        return {bound for each in unnumbered for bound in self._using.get(each, ())}

    def make(
        self,
        owner: groups.GroupOwner,
        with_ports: Set[policy.Group],
        each: netpolicy.Policy | None,
        logging: netpolicy.Logging,
    ) -> None:
        """Makes the rows of an owner.

        `with_ports` are its groups that have ports; `each` is its policy, None for a deny or audit
        group.
        """
        network = self._networks.get(owner.network) if with_ports else None
        if isinstance(owner, policy.Group):
            self._keep(owner, policy.isolation_rows(owner, network, logging) if network else ())
        elif each is None or network is None:
            self._need(owner, frozenset())
            self._keep(owner, ())
        else:
            numbers = self._numbers(owner, with_ports, each)
            unnumbered = {key for key in numbers if isinstance(key, sets.AddressSet)}
            self._need(owner, policy.address_sets(each, network, numbers) | unnumbered)
            made = [
                row
                for direction in sorted(each.directions)
                for row in policy.policy_rows(each, network, direction, logging, numbers)
            ]
            self._keep(owner, tuple(made))

    def make_qos(self, owner: groups.BoundPolicy, each: NetworkQos | None, switch: str) -> None:
        """Makes the rows of a NetworkQoS on a network's `switch`; None or "": it has none."""
        network = self._networks.get(owner.network)
        if each is None or network is None or not switch:
            self._need(owner, frozenset())
            self._keep(owner, ())
        else:
            self._need(owner, networkqos.address_sets(each, owner.network))
            self._keep(owner, networkqos.rows_of(each, network, switch))

    def touch(self, table: str, key: str) -> RowOwner | None:
        """Puts the owner of a row into the next `changes`; returns it, None for a foreign row."""
        owner = self._owner_of.get((table, key))
        if owner is not None:
            self._dirty.add(owner)
        return owner

    def is_desired(self, table: str, key: str) -> bool:
        """Whether the last `changes` desired a row."""
        return (table, key) in self._owner_of

    def is_in_set(self, key: str, address: rows.Atom) -> bool:
        """Whether the address set of this key should hold an address."""
        owner = self._owner_of.get((sets.SET, key))
        if not isinstance(owner, sets.AddressSet):
            return False
        return self._sets.is_in_set(owner, key.removeprefix(owner.name), address)

    # Rows out

    def changes(self) -> tuple[tuple[rows.Row, ...], tuple[rows.RowKey, ...]]:
        """Returns the rows to write and the keys to delete of what changed since the last call."""
        dirty, self._dirty = self._dirty, set()
        made: list[rows.Row] = []
        gone: list[rows.RowKey] = []
        for owner in sorted(dirty, key=_order):
            own = self._rows(owner)
            keys = frozenset((row.table, row.key) for row in own)
            for key in self._last_keys.pop(owner, frozenset()) - keys:
                del self._owner_of[key]
                gone.append(key)
            if keys:
                self._last_keys[owner] = keys
                self._owner_of.update(dict.fromkeys(keys, owner))
            made += own
        for each, entries in self._sets.take_entries().items():
            if each not in dirty:
                made += entries
        # Groups before the sets that their ACLs name.
        return tuple(made), tuple(sorted(gone, reverse=True))

    def desired(self) -> tuple[rows.Row, ...]:
        """Returns all rows, sets with all of their addresses."""
        needed = {each for needs in self._sets_of.values() for each in needs}
        return tuple(
            row for owner in sorted((*needed, *self._made), key=_order) for row in self._rows(owner)
        )

    def _rows(self, owner: RowOwner) -> tuple[rows.Row, ...]:
        if not isinstance(owner, sets.AddressSet):
            return self._made.get(owner, ())
        is_gathering = owner.port and not owner.number
        return () if is_gathering or owner not in self._sets else self._sets.filled(owner)

    def _keep(self, owner: groups.GroupOwner, made: tuple[rows.Row, ...]) -> None:
        """Stores the rows of an owner; adds the meter while any ACL logs."""
        self._groups -= _groups(self._made.pop(owner, ()))
        self._groups |= _groups(made)
        if made:
            self._made[owner] = made
        self._dirty.add(owner)
        had = bool(self._logging)
        if any(row.columns.get("log") is True for row in made):
            self._logging.add(owner)
        else:
            self._logging.discard(owner)
        if had != bool(self._logging):
            self._dirty.add(METER)
            self._made[METER] = acl.meter() if self._logging else ()

    def _numbers(
        self, owner: groups.BoundPolicy, with_ports: Set[policy.Group], each: netpolicy.Policy
    ) -> policy.PortNumbers:
        """Returns the numbers of the named ports in a policy's rules."""
        unnumbered = {
            key
            for direction in each.directions
            for key in policy.port_names(each, owner.network, direction)
            if isinstance(key, sets.AddressSet)
        }
        self._need(owner, self._sets_of.get(owner, frozenset()) | unnumbered)
        numbers: dict[policy.PortName, frozenset[int]] = {
            key: self._sets.numbers(key) for key in unnumbered
        }
        for group in with_ports:
            if group.protocol is not None:
                name = (group.protocol, group.port)
                numbers[name] = numbers.get(name, frozenset()) | {group.number}
        return numbers

    def _need(self, bound: groups.BoundPolicy, needed: frozenset[sets.AddressSet]) -> None:
        """Keeps exactly the sets that a policy's rows name."""
        had = self._sets_of.pop(bound, frozenset())
        if needed:
            self._sets_of[bound] = needed
        for each in needed - had:
            if self._sets.need(each):
                self._dirty.add(each)
            if each.port and not each.number:
                self._using.setdefault(each, set()).add(bound)
        for each in had - needed:
            if self._sets.release(each):
                self._dirty.add(each)
            index.discard(self._using, each, bound)


def _groups(made: Iterable[rows.Row]) -> set[str]:
    return {row.key for row in made if row.table == policy.GROUP}


def _order(owner: RowOwner) -> tuple[int, str]:
    """Sets before the groups whose ACLs name them."""
    if isinstance(owner, sets.AddressSet):
        return 0, owner.id
    if isinstance(owner, policy.Group):
        return 1, owner.id
    return (2, "/".join(map(str, owner))) if isinstance(owner, tuple) else (3, owner)
