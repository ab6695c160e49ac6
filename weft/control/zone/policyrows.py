"""Makes the rows of a zone's port groups with their ACLs, and keeps the address sets they name.

A part is a unit of rows that are made together: a deny or audit group, a policy on a network with
all its groups, an address set, the meter. Rows are kept, so that `desired` costs little.
`policies` decides which ports are in a group, `ovn/policy` what an ACL matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from weft import model, rows
from weft.control import index
from weft.control.zone import groups
from weft.control.zone.addresses import Sets
from weft.ovn import acl, policy, sets
from weft.policy import netpolicy

Part = groups.Part | sets.AddressSet | str
# The part of the meter that limits the log of all ACLs.
METER = "meter"


class PolicyRows:
    """The rows of all parts; `networks` are those that the zone has, by name."""

    def __init__(self, addresses: Sets, networks: Mapping[str, model.Network]) -> None:
        self._sets = addresses
        self._networks = networks
        self._made: dict[Part, tuple[rows.Row, ...]] = {}  # without sets
        self._groups: set[str] = set()  # that have rows
        self._logging: set[Part] = set()
        self._needs: dict[groups.BoundPolicy, frozenset[sets.AddressSet]] = {}
        self._asking: dict[sets.AddressSet, set[groups.BoundPolicy]] = {}  # of number 0
        self._shown: dict[Part, frozenset[rows.RowKey]] = {}  # of the last `changes`
        self._home: dict[rows.RowKey, Part] = {}  # the part of each shown row
        self._due: set[Part] = set()  # for the next `changes`

    def __len__(self) -> int:
        return len(self._due)

    def has(self, group: policy.Group) -> bool:
        """Whether a group has its row."""
        return group.name in self._groups

    def concern(self, port: str) -> bool:
        """Whether a port has entries in a set, or may have some now."""
        return self._sets.concern(port)

    # What changes

    def refill(self, networks: Iterable[str]) -> None:
        """Fills the sets of changed networks again."""
        for network in networks:
            self._due.update(self._sets.refill(network))

    def update(self, ports: Iterable[str]) -> set[groups.BoundPolicy]:
        """Updates the entries of these ports in sets; returns the policies to make again."""
        asked = self._sets.update(ports)
        return {bound for each in asked for bound in self._asking.get(each, ())}

    def make(
        self,
        part: groups.Part,
        there: Set[policy.Group],
        each: netpolicy.Policy | None,
        logging: netpolicy.Logging,
    ) -> None:
        """Makes the rows of a part.

        `there` are its groups that have ports; `each` is its policy, None for a deny or audit
        group.
        """
        network = self._networks.get(part.network) if there else None
        if isinstance(part, policy.Group):
            self._keep(part, policy.isolation_rows(part, network, logging) if network else ())
        elif each is None or network is None:
            self._need(part, frozenset())
            self._keep(part, ())
        else:
            numbers = self._numbers(part, there, each)
            asked = {key for key in numbers if isinstance(key, sets.AddressSet)}
            self._need(part, policy.address_sets(each, network, numbers) | asked)
            made = [
                row
                for direction in sorted(each.directions)
                for row in policy.policy_rows(each, network, direction, logging, numbers)
            ]
            self._keep(part, tuple(made))

    def touch(self, table: str, key: str) -> Part | None:
        """Puts the part of a row into the next `changes`; returns it, None for another's row."""
        part = self._home.get((table, key))
        if part is not None:
            self._due.add(part)
        return part

    def wants(self, table: str, key: str) -> bool:
        """Whether the last `changes` desired a row."""
        return (table, key) in self._home

    def holds(self, key: str, address: rows.Atom) -> bool:
        """Whether the address set of this key should hold an address."""
        part = self._home.get((sets.SET, key))
        if not isinstance(part, sets.AddressSet):
            return False
        return self._sets.holds(part, key.removeprefix(part.name), address)

    # Rows out

    def changes(self) -> tuple[tuple[rows.Row, ...], tuple[rows.RowKey, ...]]:
        """Returns the rows to write and the keys to delete of what changed since the last call."""
        due, self._due = self._due, set()
        made: list[rows.Row] = []
        gone: list[rows.RowKey] = []
        for part in sorted(due, key=_order):
            own = self._rows(part)
            shown = frozenset((row.table, row.key) for row in own)
            for ident in self._shown.pop(part, frozenset()) - shown:
                del self._home[ident]
                gone.append(ident)
            if shown:
                self._shown[part] = shown
                self._home.update(dict.fromkeys(shown, part))
            made += own
        for each, entries in self._sets.take_entries().items():
            if each not in due:
                made += entries
        # Groups before the sets that their ACLs name.
        return tuple(made), tuple(sorted(gone, reverse=True))

    def desired(self) -> tuple[rows.Row, ...]:
        """Returns all rows, sets with all of their addresses."""
        needed = {each for needs in self._needs.values() for each in needs}
        return tuple(
            row for part in sorted((*needed, *self._made), key=_order) for row in self._rows(part)
        )

    def _rows(self, part: Part) -> tuple[rows.Row, ...]:
        if not isinstance(part, sets.AddressSet):
            return self._made.get(part, ())
        is_gathering = part.port and not part.number
        return () if is_gathering or part not in self._sets else self._sets.filled(part)

    def _keep(self, part: groups.Part, made: tuple[rows.Row, ...]) -> None:
        """Stores the rows of a part; adds the meter while any ACL logs."""
        self._groups -= _groups(self._made.pop(part, ()))
        self._groups |= _groups(made)
        if made:
            self._made[part] = made
        self._due.add(part)
        had = bool(self._logging)
        if any(row.columns.get("log") is True for row in made):
            self._logging.add(part)
        else:
            self._logging.discard(part)
        if had != bool(self._logging):
            self._due.add(METER)
            self._made[METER] = acl.meter() if self._logging else ()

    def _numbers(
        self, part: groups.BoundPolicy, there: Set[policy.Group], each: netpolicy.Policy
    ) -> policy.PortNumbers:
        """Returns the numbers of the named ports in a policy's rules."""
        asked = {
            key
            for direction in each.directions
            for key in policy.port_names(each, part.network, direction)
            if isinstance(key, sets.AddressSet)
        }
        self._need(part, self._needs.get(part, frozenset()) | asked)
        numbers: dict[policy.PortName, frozenset[int]] = {
            key: self._sets.numbers(key) for key in asked
        }
        for group in there:
            if group.protocol is not None:
                name = (group.protocol, group.port)
                numbers[name] = numbers.get(name, frozenset()) | {group.number}
        return numbers

    def _need(self, bound: groups.BoundPolicy, wanted: frozenset[sets.AddressSet]) -> None:
        """Keeps exactly the sets that a policy's rows name."""
        had = self._needs.pop(bound, frozenset())
        if wanted:
            self._needs[bound] = wanted
        for each in wanted - had:
            if self._sets.need(each):
                self._due.add(each)
            if each.port and not each.number:
                self._asking.setdefault(each, set()).add(bound)
        for each in had - wanted:
            if self._sets.release(each):
                self._due.add(each)
            index.discard(self._asking, each, bound)


def _groups(made: Iterable[rows.Row]) -> set[str]:
    return {row.key for row in made if row.table == policy.GROUP}


def _order(part: Part) -> tuple[int, str]:
    """Sets before the groups whose ACLs name them."""
    if isinstance(part, sets.AddressSet):
        return 0, part.id
    if isinstance(part, policy.Group):
        return 1, part.id
    return (2, "/".join(part)) if isinstance(part, tuple) else (3, part)
