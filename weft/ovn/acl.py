"""Renders the Northbound rows of ACLs on port groups and switches, and of their logging.

`policy` and `gateway` decide which ACLs exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weft import names, rows
from weft.ovn import ports
from weft.ovn.switches import RowOwner
from weft.policy import netpolicy

ACL, GROUP = "ACL", "Port_Group"
METER, BAND = "Meter", "Meter_Band"

ALLOW, DROP = "allow-related", "drop"
ALLOWED, OTHERWISE = 1001, 1000  # priorities: packets that a rule allows, and all others

LOG_METER = "acl-logging"
_LOG_RATE = 20  # packets a second for each ACL


@dataclass(frozen=True, slots=True)
class Log:
    """How OVN logs the packets that match an ACL: not at all without a severity."""

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
    """An ACL of a port group; `ids` are the external_ids with its owner and ROW_ID."""
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
    """The meter that limits logging, for each ACL separately; needed while any ACL logs."""
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


def drop(
    of: str,
    owner: RowOwner,
    key: str,
    priority: int,
    match: str,
    *,
    direction: str = "from-lport",
) -> rows.Row:
    """An ACL by which a switch drops packets that match."""
    return rows.Row(
        ACL,
        key,
        {
            "direction": direction,
            "priority": priority,
            "match": match,
            "action": "drop",
            "external_ids": owner.ids(key),
        },
        parent=rows.Ref(ports.SWITCH, of),
        parent_column="acls",
    )
