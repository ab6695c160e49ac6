"""Which CIDRs make up an `ipBlock` without its exceptions?

Matches that exclude are expanded by OVN address by address; these few are not. Pure arithmetic:
what a block may be is for `weft.api` to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from weft import model
from weft.policy import words


def cidrs(blocks: Iterable[words.Block]) -> tuple[model.Subnet, ...]:
    """The addresses of all blocks, in the fewest CIDRs; IPv4 before IPv6, in order."""
    found = [part for block in blocks for part in difference(block)]
    v4 = [part for part in found if isinstance(part, IPv4Network)]
    v6 = [part for part in found if isinstance(part, IPv6Network)]
    return (*collapse_addresses(v4), *collapse_addresses(v6))


def difference(block: words.Block) -> tuple[model.Subnet, ...]:
    """The block's subnet without what it excepts; nothing where that is all of it."""
    left: list[model.Subnet] = [block.subnet]
    # The widest first: what lies in it is gone then, and needs no splitting.
    for hole in sorted(block.excepts, key=lambda hole: hole.prefixlen):
        left = [part for each in left for part in _without(each, hole)]
    return tuple(left)


def _without(whole: model.Subnet, hole: model.Subnet) -> Iterable[model.Subnet]:
    if isinstance(whole, IPv4Network) and isinstance(hole, IPv4Network):
        if hole.subnet_of(whole):
            return whole.address_exclude(hole)
        return () if whole.subnet_of(hole) else (whole,)
    if isinstance(whole, IPv6Network) and isinstance(hole, IPv6Network):
        if hole.subnet_of(whole):
            return whole.address_exclude(hole)
        return () if whole.subnet_of(hole) else (whole,)
    return (whole,)
