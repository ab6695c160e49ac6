"""Finds the networks that an edit of policies or NADs touches, and their pairs. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from weft.observe import members, reachchanges
from weft.observe.members import Objects
from weft.observe.reachchanges import PairChange, Rules


def find(before: Objects, after: Objects) -> Iterator[PairChange]:
    """The pairs that gain and lose reach.

    A network counts if a policy guards it in one version alone or in another wording: the policy
    may differ, or which network a NAD that it names declares.
    """
    old, new = (Rules(members.in_force(each), members.networks(each)) for each in (before, after))
    guarded = [
        {(one, network) for one in rules.policies for network in one.networks(rules.networks)}
        for rules in (old, new)
    ]
    for network in sorted({network for _, network in guarded[0] ^ guarded[1]}):
        yield from reachchanges.changes(network, members.on(network, after), old, new)
