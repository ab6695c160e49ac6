"""Finds networks of one pod whose subnets overlap: its packets go to only one of them.

Pure. The pod still gets all its networks: a virtual machine may tell them apart by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from weft import errors, model, names


def find(subject: str, networks: Iterable[model.NetworkSpec]) -> errors.InvalidInput | None:
    """Returns the error of the first two networks that overlap, None if none do.

    Two interfaces on one network are fine.
    """
    distinct = {spec.name: spec for spec in networks}.values()
    for one, other in combinations(distinct, 2):
        for mine in one.subnets:
            for theirs in other.subnets:
                if mine.version == theirs.version and mine.overlaps(theirs):
                    rule = (
                        f"subnet {mine} of network {errors.as_written(one.name)} and {theirs} of "
                        f"network {errors.as_written(other.name)} overlap: packets for the "
                        "addresses that both have leave by only one of the interfaces"
                    )
                    hint = "give the networks different subnets, or attach the pod to one of them"
                    return errors.InvalidInput(subject, names.NETWORKS, None, rule, hint=hint)
    return None
