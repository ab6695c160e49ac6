"""Lists the addresses of a subnet that pods may have.

Pure arithmetic on integer ranges: the cost depends on the number of ranges, not of addresses.
`pool.py` keeps which addresses are taken.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from weft import model

# How many addresses of an IPv6 subnet are allocated in turn: the first ones.
MAX_IPV6 = 65536

Range = tuple[int, int]  # first and last, inclusive


class Ranges:
    """Sorted, disjoint ranges; their members have the numbers 0 to count-1."""

    __slots__ = ("_befores", "_firsts", "_spans", "count")

    def __init__(self, spans: Iterable[Range]) -> None:
        self._spans = list(spans)
        self._firsts = [first for first, _ in self._spans]
        sizes = [last - first + 1 for first, last in self._spans]
        *self._befores, self.count = accumulate(sizes, initial=0)

    def at(self, number: int) -> int:
        """Returns the member with this number."""
        index = bisect_right(self._befores, number) - 1
        return self._firsts[index] + number - self._befores[index]

    def number(self, value: int) -> int | None:
        """Returns the number of the member `value`; None if it is no member."""
        index = bisect_right(self._firsts, value) - 1
        if index < 0 or value > self._spans[index][1]:
            return None
        return self._befores[index] + value - self._firsts[index]


def hosts(subnet: model.Subnet) -> Range:
    """Returns the first and last host address: without network and IPv4 broadcast address."""
    first, last = int(subnet.network_address), int(subnet.broadcast_address)
    return first + 1, last - 1 if subnet.version == 4 else last


def available(subnet: model.Subnet, withheld: Iterable[model.Subnet]) -> Ranges:
    """Returns the addresses of `subnet` that are allocated in turn: all but `withheld` ranges, of
    an IPv6 subnet the first MAX_IPV6 of these."""
    first, last = hosts(subnet)
    holes = sorted(
        (int(part.network_address), int(part.broadcast_address))
        for part in withheld
        if part.version == subnet.version
    )
    spans = _without(first, last, holes)
    return Ranges(_cut(spans, MAX_IPV6) if subnet.version == 6 else spans)


def _without(first: int, last: int, holes: Iterable[Range]) -> Iterator[Range]:
    """Yields the parts of a range outside of `holes`, which are sorted and may overlap."""
    for hole_first, hole_last in holes:
        if first < hole_first and first <= last:
            yield first, min(last, hole_first - 1)
        first = max(first, hole_last + 1)
    if first <= last:
        yield first, last


def _cut(spans: Iterable[Range], most: int) -> Iterator[Range]:
    for first, last in spans:
        if most <= 0:
            return
        yield first, min(last, first + most - 1)
        most -= last - first + 1
