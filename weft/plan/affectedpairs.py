"""Finds the networks that an edit of policies or NADs touches, and their pairs. Pure."""

from __future__ import annotations

from weft.observe import members, reachchanges
from weft.observe.members import Objects
from weft.observe.reachchanges import PairChange, Rules

_MAX_NAMED = 5  # pairs


def find(
    before: Objects, after: Objects, most_pairs: int | None = None
) -> tuple[list[PairChange], list[str]]:
    """The pairs that gain and lose reach, and what could not be judged.

    A network counts if a policy guards it in one version alone or in another wording: the policy
    may differ, or which network a NAD that it names declares. Networks that would take the pairs
    above `most_pairs` are among what could not be judged.
    """
    old, new = (Rules(members.in_force(each), members.networks(each)) for each in (before, after))
    guarded = [
        {(one, network) for one in rules.policies for network in one.networks(rules.networks)}
        for rules in (old, new)
    ]
    pairs: list[PairChange] = []
    unjudged = []
    judged = 0
    for network in sorted({network for _, network in guarded[0] ^ guarded[1]}):
        there = members.on(network, after)
        judged += len(there) ** 2
        if most_pairs is not None and judged > most_pairs:
            what = "pairs are too many to judge here: weft plan -f FILE judges them"
            unjudged.append(f"network {network}: its {len(there)} members' {what}")
            judged -= len(there) ** 2
            continue
        found = reachchanges.changes(network, there, old, new)
        pairs += found.pairs
        if found.unjudged:
            listed = ", ".join(found.unjudged[:_MAX_NAMED])
            more = len(found.unjudged) - _MAX_NAMED
            listed += f" and {more} more" if more > 0 else ""
            what = "whether an ipBlock admits a pair, whose addresses are not known"
            unjudged.append(f"network {network}: {what}: {listed}")
    return pairs, unjudged
