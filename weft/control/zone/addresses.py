"""Keeps the address sets that a zone's policies need, and the addresses in each.

A set exists while a policy's rows name it. It holds the addresses of all pods that its selector
matches, on all nodes. A change of one pod costs only what it changes: see `take_entries`.

A set of number 0 (`policy.PortName`) has no row: it collects the numbers of a named port, not
addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from weft import model, rows
from weft.control import index
from weft.control.zone.selectedports import SelectedPorts
from weft.ovn import sets
from weft.policy import netpolicy

# A row's suffix and an address in it; of a set of number 0: nothing, and a number.
Entry = tuple[str, str | int]
Query = tuple[str, netpolicy.PodSelector]
_NOTHING: frozenset[Entry] = frozenset()


@dataclass(slots=True)
class _Contents:
    """The entries of each port. Two ports may have one address, as while a VM migrates."""

    by_port: dict[str, frozenset[Entry]] = field(default_factory=dict)
    counts: dict[Entry, int] = field(default_factory=dict)

    def put(self, port: str, entries: frozenset[Entry]) -> set[Entry]:
        """Sets the entries of a port; returns those that the set gained or lost by it."""
        before = self.by_port.get(port, _NOTHING)
        changed: set[Entry] = set()
        for entry in entries - before:
            self.counts[entry] = self.counts.get(entry, 0) + 1
            if self.counts[entry] == 1:
                changed.add(entry)
        for entry in before - entries:
            self.counts[entry] -= 1
            if not self.counts[entry]:
                del self.counts[entry]
                changed.add(entry)
        if entries:
            self.by_port[port] = entries
        else:
            self.by_port.pop(port, None)
        return changed


class Sets:
    """The address sets in use, filled from the ports of `endpoints`; `networks` by name."""

    def __init__(self, endpoints: SelectedPorts, networks: Mapping[str, model.Network]) -> None:
        self._endpoints = endpoints
        self._networks = networks
        self._needed: dict[sets.AddressSet, int] = {}
        self._contents: dict[sets.AddressSet, _Contents] = {}
        self._of_query: dict[Query, set[sets.AddressSet]] = {}
        self._of_port: dict[str, set[sets.AddressSet]] = {}  # the sets that hold entries of it
        self._entries: dict[sets.AddressSet, set[Entry]] = {}  # changed since `take_entries`

    def __contains__(self, made: sets.AddressSet) -> bool:
        return made in self._needed

    def concern(self, port: str) -> bool:
        """Whether a port has entries in a set, or may have some now."""
        held = self._endpoints.get(port)
        return port in self._of_port or (
            held is not None
            and any((held.network, m) in self._of_query for m in self._endpoints.selectors(port))
        )

    def need(self, made: sets.AddressSet) -> bool:
        """Counts a user of a set, and fills it for the first; returns whether it is new."""
        self._needed[made] = self._needed.get(made, 0) + 1
        if self._needed[made] > 1:
            return False
        self._endpoints.selection.add(made.selector)
        self._of_query.setdefault((made.network, made.selector), set()).add(made)
        self._contents[made] = _Contents()
        self._fill(made)
        return True

    def release(self, made: sets.AddressSet) -> bool:
        """Ends one use of a set; returns whether it was the last."""
        self._needed[made] -= 1
        if self._needed[made]:
            return False
        del self._needed[made]
        self._empty(made)
        del self._contents[made]
        self._entries.pop(made, None)
        index.discard(self._of_query, (made.network, made.selector), made)
        self._endpoints.selection.remove(made.selector)
        return True

    def refill(self, network: str) -> list[sets.AddressSet]:
        """Fills the sets of a changed network again; returns those sets."""
        found = [made for made in self._needed if made.network == network]
        for made in found:
            self._empty(made)
            self._contents[made] = _Contents()
            self._fill(made)
        return found

    def update(self, ports: Iterable[str]) -> Iterator[sets.AddressSet]:
        """Updates the entries of these ports; yields the sets of number 0 that changed."""
        for port in ports:
            held = self._endpoints.get(port)
            wanted: set[sets.AddressSet] = set()
            if held is not None:
                for members in self._endpoints.selectors(port):
                    wanted |= self._of_query.get((held.network, members), set())
            for made in wanted | self._of_port.get(port, set()):
                brought = self._brought(made, port) if made in wanted else _NOTHING
                changed = self._put(made, port, brought)
                if changed and made.port and not made.number:
                    yield made
                elif changed:
                    # An entry that came and went again did not change.
                    self._entries.setdefault(made, set()).symmetric_difference_update(changed)

    def numbers(self, made: sets.AddressSet) -> frozenset[int]:
        """Returns the port numbers that a set of number 0 has collected."""
        return frozenset(int(number) for _, number in self._contents[made].counts)

    def filled(self, made: sets.AddressSet) -> tuple[rows.Row, ...]:
        """Returns the rows of a set with all of its addresses."""
        network = self._networks.get(made.network)
        if network is None:
            return ()
        holds: dict[str, set[rows.Atom]] = {}
        for suffix, address in self._contents[made].counts:
            holds.setdefault(suffix, set()).add(address)
        return tuple(
            replace(row, columns={**row.columns, "addresses": frozenset(holds.get(suffix, ()))})
            for row in sets.rows_of(made, network)
            for suffix in [row.key.removeprefix(made.name)]
        )

    def holds(self, made: sets.AddressSet, suffix: str, address: rows.Atom) -> bool:
        """Whether a set's row of this suffix should hold an address."""
        return made in self._contents and (suffix, address) in self._contents[made].counts

    def take_entries(self) -> dict[sets.AddressSet, tuple[rows.Row, ...]]:
        """Returns partial rows, by set, of the addresses that changed since the last call."""
        entries, self._entries = self._entries, {}
        return {made: tuple(self._parts(made, changed)) for made, changed in entries.items()}

    def _parts(self, made: sets.AddressSet, changed: set[Entry]) -> Iterator[rows.Row]:
        there = self._contents[made].counts
        for suffix in sorted({suffix for suffix, _ in changed}):
            mine = {entry for entry in changed if entry[0] == suffix}
            present = frozenset([address for _, address in mine & there.keys()])
            absent = frozenset([address for _, address in mine - there.keys()])
            wish = rows.SetMembers(present, absent)
            yield rows.Row(sets.SET, made.name + suffix, {"addresses": wish}, is_part=True)

    def _fill(self, made: sets.AddressSet) -> None:
        for port in self._endpoints.chosen(made.network, made.selector):
            self._put(made, port, self._brought(made, port))

    def _empty(self, made: sets.AddressSet) -> None:
        for port in list(self._contents[made].by_port):
            self._put(made, port, _NOTHING)

    def _put(self, made: sets.AddressSet, port: str, brought: frozenset[Entry]) -> set[Entry]:
        changed = self._contents[made].put(port, brought)
        if brought:
            self._of_port.setdefault(port, set()).add(made)
        else:
            index.discard(self._of_port, port, made)
        return changed

    def _brought(self, made: sets.AddressSet, port: str) -> frozenset[Entry]:
        """Returns the entries of a port in a set."""
        number = 0
        if made.port and made.protocol is not None:
            number = self._endpoints.named(port).get((made.protocol, made.port), 0)
            if not made.number:
                return frozenset({("", number)}) if number else _NOTHING
            if number != made.number:
                return _NOTHING
        network, held = self._networks.get(made.network), self._endpoints.get(port)
        if network is None or held is None:
            return _NOTHING
        return frozenset(
            (suffix, address)
            for suffix, brought in sets.addresses(network, held.allocation).items()
            for address in brought
        )
