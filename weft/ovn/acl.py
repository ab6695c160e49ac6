"""The Northbound rows of ACLs on port groups and switches, and of their logging.

The shapes alone; which ACLs there are is for `policy` and `gateway` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weft import names, rows
from weft.ovn import ports
from weft.ovn.switches import Owner
from weft.policy import netpolicy

ACL, GROUP = "ACL", "Port_Group"
METER, BAND = "Meter", "Meter_Band"

ALLOW, DROP = "allow-related", "drop"
ALLOWED, OTHERWISE = 1001, 1000  # priorities: what is let through, what becomes of the rest

LOG_METER = "acl-logging"
_LOG_RATE = 20  # packets a second of each ACL


@dataclass(frozen=True, slots=True)
class Log:
    """What OVN logs of the packets that meet an ACL: nothing unless it has a severity."""

    severity: str = ""
    name: str = ""


def row(
    group: str,
    ids: Mapping[str, rows.Atom],
    *,
    direction: str,
    priority: int,
    match: str,
    action: str,
    log: Log,
) -> rows.Row:
    """An ACL of a port group; `ids` hold its owner and its ROW_ID."""
    logs = log.severity in netpolicy.SEVERITIES
    return rows.Row(
        ACL,
        str(ids[names.ROW_ID]),
        {
            "direction": direction,
            "priority": priority,
            "match": match,
            "action": action,
            "name": log.name or frozenset(),
            "log": logs,
            "severity": log.severity if logs else frozenset(),
            "meter": LOG_METER if logs else frozenset(),
            "external_ids": ids,
        },
        parent=rows.Ref(GROUP, group),
        parent_column="acls",
    )


def meter() -> tuple[rows.Row, ...]:
    """The limit on what is logged, of each ACL for itself; there while any ACL logs."""
    owner = {names.OWNER: f"Meter//{LOG_METER}"}
    return (
        rows.Row(
            METER,
            LOG_METER,
            {"name": LOG_METER, "unit": "pktps", "fair": True, "external_ids": owner},
        ),
        rows.Row(
            BAND,
            LOG_METER,
            {
                "action": "drop",
                "rate": _LOG_RATE,
                "external_ids": {**owner, names.ROW_ID: LOG_METER},
            },
            parent=rows.Ref(METER, LOG_METER),
            parent_column="bands",
        ),
    )


def drop(of: str, owner: Owner, key: str, priority: int, match: str) -> rows.Row:
    """What a switch does not take in."""
    return rows.Row(
        ACL,
        key,
        {
            "direction": "from-lport",
            "priority": priority,
            "match": match,
            "action": "drop",
            "external_ids": owner.ids(key),
        },
        parent=rows.Ref(ports.SWITCH, of),
        parent_column="acls",
    )
