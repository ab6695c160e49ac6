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

    def __contains__(self, address_set: sets.AddressSet) -> bool:
        return address_set in self._needed

    def is_in_sets(self, port: str) -> bool:
        """Whether a port has entries in a set, or may have some now."""
        held = self._endpoints.get(port)
        return port in self._of_port or (
            held is not None
            and any((held.network, m) in self._of_query for m in self._endpoints.selectors(port))
        )

    def need(self, address_set: sets.AddressSet) -> bool:
        """Counts a user of a set, and fills it for the first; returns whether it is new."""
        self._needed[address_set] = self._needed.get(address_set, 0) + 1
        if self._needed[address_set] > 1:
            return False
        self._endpoints.selection.add(address_set.selector)
        self._of_query.setdefault((address_set.network, address_set.selector), set()).add(
            address_set
        )
        self._contents[address_set] = _Contents()
        self._fill(address_set)
        return True

    def release(self, address_set: sets.AddressSet) -> bool:
        """Ends one use of a set; returns whether it was the last."""
        self._needed[address_set] -= 1
        if self._needed[address_set]:
            return False
        del self._needed[address_set]
        self._empty(address_set)
        del self._contents[address_set]
        self._entries.pop(address_set, None)
        index.discard(self._of_query, (address_set.network, address_set.selector), address_set)
        self._endpoints.selection.remove(address_set.selector)
        return True

    def refill(self, network: str) -> list[sets.AddressSet]:
        """Fills the sets of a changed network again; returns those sets."""
        found = [address_set for address_set in self._needed if address_set.network == network]
        for address_set in found:
            self._empty(address_set)
            self._contents[address_set] = _Contents()
            self._fill(address_set)
        return found

    def update(self, ports: Iterable[str]) -> Iterator[sets.AddressSet]:
        """Updates the entries of these ports; yields the sets of number 0 that changed."""
        for port in ports:
            held = self._endpoints.get(port)
            sets_now: set[sets.AddressSet] = set()
            if held is not None:
                for members in self._endpoints.selectors(port):
                    sets_now |= self._of_query.get((held.network, members), set())
            for address_set in sets_now | self._of_port.get(port, set()):
                entries = (
                    self._entries_of_port(address_set, port)
                    if address_set in sets_now
                    else _NOTHING
                )
                changed = self._put(address_set, port, entries)
                if changed and address_set.port and not address_set.number:
                    yield address_set
                elif changed:
                    # An entry that came and went again did not change.
                    self._entries.setdefault(address_set, set()).symmetric_difference_update(
                        changed
                    )

    def numbers(self, address_set: sets.AddressSet) -> frozenset[int]:
        """Returns the port numbers that a set of number 0 has collected."""
        return frozenset(int(number) for _, number in self._contents[address_set].counts)

    def filled(self, address_set: sets.AddressSet) -> tuple[rows.Row, ...]:
        """Returns the rows of a set with all of its addresses."""
        network = self._networks.get(address_set.network)
        if network is None:
            return ()
        by_suffix: dict[str, set[rows.Atom]] = {}
        for suffix, address in self._contents[address_set].counts:
            by_suffix.setdefault(suffix, set()).add(address)
        return tuple(
            replace(row, columns={**row.columns, "addresses": frozenset(by_suffix.get(suffix, ()))})
            for row in sets.rows_of(address_set, network)
            for suffix in [row.key.removeprefix(address_set.name)]
        )

    def is_in_set(self, address_set: sets.AddressSet, suffix: str, address: rows.Atom) -> bool:
        """Whether a set's row of this suffix should hold an address."""
        return (
            address_set in self._contents
            and (suffix, address) in self._contents[address_set].counts
        )

    def take_entries(self) -> dict[sets.AddressSet, tuple[rows.Row, ...]]:
        """Returns partial rows, by set, of the addresses that changed since the last call."""
        entries, self._entries = self._entries, {}
        return {
            address_set: tuple(self._entry_rows(address_set, changed))
            for address_set, changed in entries.items()
        }

    def _entry_rows(self, address_set: sets.AddressSet, changed: set[Entry]) -> Iterator[rows.Row]:
        counts = self._contents[address_set].counts
        for suffix in sorted({suffix for suffix, _ in changed}):
            mine = {entry for entry in changed if entry[0] == suffix}
            present = frozenset([address for _, address in mine & counts.keys()])
            absent = frozenset([address for _, address in mine - counts.keys()])
            members = rows.SetMembers(present, absent)
            yield rows.Row(
                sets.SET, address_set.name + suffix, {"addresses": members}, is_part=True
            )

    def _fill(self, address_set: sets.AddressSet) -> None:
        for port in self._endpoints.chosen(address_set.network, address_set.selector):
            self._put(address_set, port, self._entries_of_port(address_set, port))

    def _empty(self, address_set: sets.AddressSet) -> None:
        for port in list(self._contents[address_set].by_port):
            self._put(address_set, port, _NOTHING)

    def _put(
        self, address_set: sets.AddressSet, port: str, entries: frozenset[Entry]
    ) -> set[Entry]:
        changed = self._contents[address_set].put(port, entries)
        if entries:
            self._of_port.setdefault(port, set()).add(address_set)
        else:
            index.discard(self._of_port, port, address_set)
        return changed

    def _entries_of_port(self, address_set: sets.AddressSet, port: str) -> frozenset[Entry]:
        """Returns the entries of a port in a set."""
        number = 0
        if address_set.port and address_set.protocol is not None:
            number = self._endpoints.named(port).get((address_set.protocol, address_set.port), 0)
            if not address_set.number:
                return frozenset({("", number)}) if number else _NOTHING
            if number != address_set.number:
                return _NOTHING
        network, held = self._networks.get(address_set.network), self._endpoints.get(port)
        if network is None or held is None:
            return _NOTHING
        return frozenset(
            (suffix, address)
            for suffix, entries in sets.addresses(network, held.allocation).items()
            for address in entries
        )
