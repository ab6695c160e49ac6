"""Finds the flows that drop packets for policies, and sums what a switch counts at them. Pure.

northd notes at a logical flow the ACL that it is made of, and ovn-controller gives a switch's flows
the first 32 bits of the logical flow's UUID as cookie. So an ACL leads to cookies, and a cookie to
packets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from weft import names, rows
from weft.ovn import acl, tables
from weft.policy.netpolicy import Direction

# What northd adds to an ACL's priority (OVN_ACL_PRI_OFFSET in its lib/acl.h).
_OFFSET = 1000
# Flows that are gone and remembered: northd keeps a logical flow, and with it the counters, if its
# ACL is made anew soon enough.
_REMEMBERED = 1000
_DIRECTIONS = {"to-lport": Direction.INGRESS, "from-lport": Direction.EGRESS}


class DropLabels(NamedTuple):
    """Whose packets are dropped: those from or to pods that policies of a namespace isolate."""

    network: str
    namespace: str
    direction: str


def of_acls(found: Mapping[str, rows.Columns]) -> dict[str, DropLabels]:
    """Returns the ACLs that drop what no policy allows, by the hint that northd notes of them.

    `found`: the ACLs of the Northbound database by UUID.
    """
    made = {}
    for uuid, columns in found.items():
        kind, _, namespace = names.owner_parts(tables.owner(columns) or "//")
        if kind == "Namespace" and columns["action"] == acl.DROP:
            network = tables.external_id(columns, names.NETWORK)
            direction = _DIRECTIONS[str(columns["direction"])]
            made[uuid[:8]] = DropLabels(network, namespace, direction.lower())
    return made


def request() -> dict[str, Any]:
    """Returns the operation that selects the logical flows of such ACLs."""
    return {
        "op": "select",
        "table": "Logical_Flow",
        "where": [["priority", "==", acl.OTHERWISE + _OFFSET]],
        "columns": ["_uuid", "external_ids"],
    }


def cookies(result: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    """Returns the cookies of flows by ACL hint, from the result of `request`."""
    made: defaultdict[str, set[int]] = defaultdict(set)
    for row in result.get("rows", ()):
        hint = dict(row["external_ids"][1]).get("stage-hint")
        if hint:
            made[str(hint)].add(int(row["_uuid"][1][:8], 16))
    return {hint: frozenset(found) for hint, found in made.items()}


class DropTotals:
    """Packets by labels since the first look; never fewer than before, and none twice.

    A switch's sum gets smaller when a flow goes, as its port leaves. What the others counted since
    the last look is then not known, and not added.
    """

    def __init__(self) -> None:
        self._last: dict[int, int] | None = None  # by cookie
        self._totals: defaultdict[DropLabels, int] = defaultdict(int)

    def add(self, counted: Iterable[tuple[DropLabels, int, int]]) -> None:
        """Takes in all present flows: labels, cookie, and packets that the switch counts.

        What the switch counted before the first look is an earlier agent's.
        """
        last, now = self._last or {}, dict[int, int]()
        for labels, cookie, packets in counted:
            before = packets if self._last is None else last.get(cookie, 0)
            self._totals[labels] += max(packets - before, 0)
            now[cookie] = packets
        gone = [cookie for cookie in last if cookie not in now][-_REMEMBERED:]
        self._last = {**{cookie: last[cookie] for cookie in gone}, **now}

    def series(self) -> dict[tuple[str, ...], float]:
        """Returns the totals by label values."""
        return {tuple(labels): float(packets) for labels, packets in self._totals.items()}
