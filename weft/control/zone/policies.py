"""Which rows make the policies hold in one zone, and which of its ports are in which groups?

Kept incrementally, like `state` whose part this is: what is told is noted, `changes` turns just
what it changed into rows, and how it came to be leaves no trace. A policy guards the attachments
of its pods to the networks of its definitions, never the cluster's own network. Its rows are there
while a port of this node is selected; the addresses of its peers then, wherever they run.

A pod that comes or goes changes who is in a group or set, unless it is the first or last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from weft import model, names, rows
from weft.control.zone import groups, index
from weft.control.zone.addresses import Sets
from weft.control.zone.endpoints import Endpoints, Labelled
from weft.ovn import acl, policy
from weft.policy import words

Part = groups.Part | policy.Set | str
# The part that limits what all ACLs log.
METER = "meter"
_SILENT = words.Logging()


@dataclass(frozen=True, slots=True)
class Namespace:
    """What policies ask of a namespace."""

    labels: Mapping[str, str] = field(default_factory=dict)
    logging: words.Logging = _SILENT


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows as they should be and rows that should not be, as in `state`.

    `ports` have other groups now than before, with the network that they are on; `left` are
    groups that they are in no more. `Policies.members` has the rows.
    """

    made: tuple[rows.Row, ...]
    gone: tuple[rows.Ident, ...]
    ports: Mapping[str, str]
    left: Mapping[str, Iterable[policy.Group]]


class Policies:
    """`network_of` gives a network that the zone has, by its name; `node` is the zone's own."""

    def __init__(self, node: str, network_of: Callable[[str], model.Network | None]) -> None:
        self._node = node
        self._network_of = network_of
        self._policies: dict[str, words.Policy] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._networks: dict[str, str] = {}  # definition -> its network
        self._naming: dict[str, set[str]] = {}  # definition -> policies that name it
        self._guarding: dict[tuple[str, words.Members], set[str]] = {}  # -> policies
        self._endpoints = Endpoints()
        self._sets = Sets(self._endpoints, network_of)
        self._groups = groups.Groups()
        self._needs: dict[groups.Bound, frozenset[policy.Set]] = {}
        self._asking: dict[policy.Set, set[groups.Bound]] = {}  # sets of number 0
        self._made: dict[Part, tuple[rows.Row, ...]] = {}
        self._shown: dict[Part, frozenset[rows.Ident]] = {}  # as `changes` said last
        self._home: dict[rows.Ident, Part] = {}  # of what is shown
        self._logging: set[Part] = set()
        self._there: set[str] = set()  # the groups that have rows
        # What may have changed: networks, ports and parts to be looked at, parts to be said again.
        self._refilled: set[str] = set()
        self._doubted: set[str] = set()
        self._dirty: set[groups.Part] = set()
        self._due: set[Part] = set()

    def __len__(self) -> int:
        noted = (self._refilled, self._doubted, self._dirty, self._due)
        return sum([len(each) for each in noted])

    # Objects in

    def get(self, key: str) -> words.Policy | None:
        return self._policies.get(key)

    def set_policy(self, key: str, new: words.Policy | None) -> None:
        old = self._policies.get(key)
        if old == new:
            return
        if new is not None:
            self._endpoints.selection.ask(new.subjects)
        if old is not None:
            self._unbind(key, old)
            self._endpoints.selection.drop(old.subjects)
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
        if (old.logging if old else _SILENT) != (new.logging if new else _SILENT):
            self._dirty |= {p for p in self._groups.parts() if groups.scope_of(p)[1] == name}

    def set_definition(self, nad: str, network: str | None) -> None:
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

    def set_pod(self, key: str, pod: Labelled | None) -> None:
        self._doubt(self._endpoints.set_pod(key, pod))

    def add_port(self, key: str, port: model.Port) -> None:
        self._endpoints.add(key, port)
        self._doubt((key,))

    def remove_port(self, key: str) -> None:
        self._doubt((key,))
        self._endpoints.remove(key)

    def touch_network(self, network: str) -> None:
        """The zone has it now, or has it no more, or it is another."""
        self._dirty |= {p for p in self._groups.parts() if groups.scope_of(p)[0] == network}
        self._refilled.add(network)

    def touch(self, table: str, key: str) -> bool:
        """A row was changed by somebody else; whether it was one of these."""
        part = self._home.get((table, key))
        if part is None:
            return False
        self._due.add(part)
        if table == policy.GROUP and not isinstance(part, policy.Set | str):
            for group in self._groups.in_part(part):
                if group.name == key:
                    for port in self._groups.ports(group):
                        self._groups.touch(port)
        return True

    # Rows out

    def changes(self) -> Changes:
        """Rows of all that was touched since the last call, and nothing else."""
        self._settle()
        due, self._due = self._due, set()
        made: list[rows.Row] = []
        gone: list[rows.Ident] = []
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
        left = self._groups.take_moved()
        moved = {key: port.network for key in left if (port := self._endpoints.get(key))}
        return Changes(tuple(made), tuple(sorted(gone, reverse=True)), moved, left)

    def desired(self) -> tuple[rows.Row, ...]:
        """All rows that should be there, sets with all that they hold, groups without ports."""
        self._settle()
        sets = {each for needs in self._needs.values() for each in needs}
        parts = sorted((*sets, *self._made), key=_order)
        return tuple(row for part in parts for row in self._rows(part))

    def members(self, port: str, left: Iterable[policy.Group] = ()) -> Iterator[rows.Row]:
        """A port's place in its groups, and that it is not in those that it left.

        A group of a port's name has no row while no rule with that name allows anybody.
        """
        for group in sorted(self._groups.of(port), key=lambda group: group.id):
            if group.name in self._there:
                yield policy.member(group, port, True)
        for group in sorted(left, key=lambda group: group.id):
            if group.name in self._there:
                yield policy.member(group, port, False)

    def audited(self) -> Mapping[str, policy.Group]:
        """The groups that are only watched, by what OVN's log calls their packets."""
        found = (part for part in self._groups.parts() if isinstance(part, policy.Group))
        return {policy.audit_name(g): g for g in found if g.kind is policy.Kind.AUDIT}

    def auditing(
        self, group: policy.Group, mac: str
    ) -> tuple[model.Port | None, list[words.Policy]]:
        """The port of an audit group that has a MAC, and the policies that have it watched."""
        for key in self._groups.ports(group):
            port = self._endpoints.get(key)
            if port is not None and port.allocation.mac == mac:
                found = self._selecting(key, port)
                return port, [each for each in found if group.direction in each.directions]
        return None, []

    # Between

    def _bind(self, key: str, new: words.Policy) -> None:
        for nad in new.definitions:
            self._naming.setdefault(nad, set()).add(key)
        for network in self._guarded(new):
            self._guarding.setdefault((network, new.subjects), set()).add(key)
        self._touch(key, new)

    def _unbind(self, key: str, old: words.Policy) -> None:
        for nad in old.definitions:
            index.discard(self._naming, nad, key)
        for network in self._guarded(old):
            index.discard(self._guarding, (network, old.subjects), key)
        self._touch(key, old)

    def _touch(self, key: str, changed: words.Policy) -> None:
        for network in self._guarded(changed):
            if self._groups.in_part((network, key)):
                self._dirty.add((network, key))
            self._doubt(self._endpoints.chosen(network, changed.subjects))

    def _doubt(self, ports: Iterable[str]) -> None:
        """Have ports looked at that may be in groups or sets, or have been."""
        for key in ports:
            port = self._endpoints.get(key)
            is_own = port is not None and port.node == self._node and self._endpoints.queries(key)
            if is_own or self._groups.of(key) or self._sets.concern(key):
                self._doubted.add(key)

    def _guarded(self, each: words.Policy) -> set[str]:
        found = {self._networks[nad] for nad in each.definitions if nad in self._networks}
        return found - {names.DEFAULT_NETWORK}

    def _settle(self) -> None:
        """Bring groups, sets and rows in line with what was told."""
        for network in self._refilled:
            self._due.update(self._sets.refill(network))
        self._refilled = set()
        doubted, self._doubted = self._doubted, set()
        for asked in self._sets.update(doubted):
            self._dirty |= self._asking.get(asked, set())
        for port in doubted:
            self._dirty |= self._groups.put(port, self._wanted(port))
        dirty, self._dirty = self._dirty, set()
        for part in dirty:
            self._keep(part, self._make(part))

    def _keep(self, part: groups.Part, made: tuple[rows.Row, ...]) -> None:
        """Rows to be said; the meter among them while anything is logged."""
        self._there -= {row.key for row in self._made.pop(part, ()) if row.table == policy.GROUP}
        self._there |= {row.key for row in made if row.table == policy.GROUP}
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

    def _wanted(self, key: str) -> frozenset[policy.Group]:
        """The groups of a port: of each policy that selects it, and why it is isolated or watched.

        What an audit policy would drop is seen only where no enforced one isolates.
        """
        port = self._endpoints.get(key)
        if port is None or port.node != self._node:
            return groups.NONE
        selecting = self._selecting(key, port)
        enforced = [each for each in selecting if each.mode is words.Mode.ENFORCE]
        isolated = {direction for each in enforced for direction in each.directions}
        found: set[policy.Group] = set()
        for each in selecting:
            is_enforced = each.mode is words.Mode.ENFORCE
            kind = policy.Kind.DENY if is_enforced else policy.Kind.AUDIT
            for direction in each.directions if is_enforced else each.directions - isolated:
                found.add(policy.Group(kind, port.network, port.pod.namespace, direction))
                if each.rules(direction):
                    named = self._endpoints.named(key)
                    found |= policy.groups_of(each, port.network, direction, named)
        return frozenset(found)

    def _selecting(self, key: str, port: model.Port) -> list[words.Policy]:
        return [
            self._policies[each]
            for members in self._endpoints.queries(key)
            for each in self._guarding.get((port.network, members), ())
        ]

    def _make(self, part: groups.Part) -> tuple[rows.Row, ...]:
        """The rows of a part as it is now; what a policy needs is there then, too."""
        name, namespace = groups.scope_of(part)
        network, there = self._network_of(name), self._groups.in_part(part)
        logging = self._namespaces[namespace].logging if namespace in self._namespaces else _SILENT
        if isinstance(part, policy.Group):
            return policy.group(part, logging) if there and network is not None else ()
        each = self._policies.get(part[1])
        if not there or each is None or network is None:
            self._need(part, frozenset())
            return ()
        asked = {
            key
            for direction in each.directions
            for key in policy.asked(each, name, direction)
            if isinstance(key, policy.Set)
        }
        self._need(part, self._needs.get(part, frozenset()) | asked)
        numbers: dict[policy.Asked, frozenset[int]] = {
            key: self._sets.numbers(key) for key in asked
        }
        for group in there:
            if group.protocol is not None:
                key = (group.protocol, group.port)
                numbers[key] = numbers.get(key, frozenset()) | {group.number}
        self._need(part, policy.sets(each, network, numbers) | asked)
        return tuple(
            row
            for direction in sorted(each.directions)
            for row in policy.policy(each, network, direction, logging, numbers)
        )

    def _need(self, bound: groups.Bound, wanted: frozenset[policy.Set]) -> None:
        """Have the sets that a policy's rows name, and no others for it."""
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

    def _rows(self, part: Part) -> tuple[rows.Row, ...]:
        if not isinstance(part, policy.Set):
            return self._made.get(part, ())
        is_gathering = part.port and not part.number
        return () if is_gathering or part not in self._sets else self._sets.filled(part)


def _order(part: Part) -> tuple[int, str]:
    """Sets before the groups whose ACLs name them."""
    if isinstance(part, policy.Set):
        return 0, part.id
    if isinstance(part, policy.Group):
        return 1, part.id
    return (2, "/".join(part)) if isinstance(part, tuple) else (3, part)
