"""Computes the CIDRs of an `ipBlock` without its exceptions.

OVN expands a match that excludes addresses one by one; the CIDRs that this computes are few.
`weft.api` decides which blocks are valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from itertools import islice

from weft import model
from weft.policy import netpolicy


def cidrs(blocks: Iterable[netpolicy.IPBlock]) -> tuple[model.Subnet, ...]:
    """All addresses of `blocks` in the fewest CIDRs; IPv4 before IPv6, ascending."""
    found = [part for block in blocks for part in difference(block)]
    v4 = [part for part in found if isinstance(part, IPv4Network)]
    v6 = [part for part in found if isinstance(part, IPv6Network)]
    return (*collapse_addresses(v4), *collapse_addresses(v6))


def count(block: netpolicy.IPBlock, most: int) -> int:
    """How many CIDRs make up `block`; counting stops above `most`."""
    return sum(1 for _ in islice(difference(block), most + 1))


def difference(block: netpolicy.IPBlock) -> Iterator[model.Subnet]:
    """The CIDRs of `subnet` without `excepts`, ascending; none if the exceptions cover all of it.

    It is lazy: a few IPv6 exceptions leave a hundred CIDRs each, and callers take what they need.
    """
    whole = block.subnet
    at, end = _ends(whole)
    holes = [_ends(hole) for hole in block.excepts if hole.version == whole.version]
    for first, last in sorted(holes):
        yield from _cover(whole, at, min(first - 1, end))
        at = max(at, last + 1)
    yield from _cover(whole, at, end)


def _ends(subnet: model.Subnet) -> tuple[int, int]:
    return int(subnet.network_address), int(subnet.broadcast_address)


def _cover(whole: model.Subnet, first: int, last: int) -> Iterator[model.Subnet]:
    """The fewest subnets that cover exactly the addresses from `first` to `last`."""
    while first <= last:
        aligned = (first & -first).bit_length() - 1 if first else whole.max_prefixlen
        free = min(aligned, (last - first + 1).bit_length() - 1)
        yield type(whole)((first, whole.max_prefixlen - free))
        first += 1 << free
