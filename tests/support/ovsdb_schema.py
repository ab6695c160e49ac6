"""A schema with one of each: roots and children, strong and weak sets, maps, optional columns."""

from __future__ import annotations

from typing import Any

from weft import rows

STRINGS = {"key": "string", "min": 0, "max": "unlimited"}
MAP = {"key": "string", "value": "string", "min": 0, "max": "unlimited"}


def _refs(table: str, kind: str, most: object = "unlimited") -> dict[str, Any]:
    return {"key": {"type": "uuid", "refTable": table, "refType": kind}, "min": 0, "max": most}


SCHEMA: dict[str, Any] = {
    "name": "Toy",
    "tables": {
        "Switch": {
            "isRoot": True,
            "columns": {
                "name": {"type": "string"},
                "ports": {"type": _refs("Port", "strong")},
                "config": {"type": MAP},
            },
        },
        "Port": {
            "indexes": [["name"]],
            "columns": {
                "name": {"type": "string"},
                "addresses": {"type": STRINGS},
                "options": {"type": MAP},
                "tag": {"type": {"key": "integer", "min": 0, "max": 1}},
                "enabled": {"type": "boolean"},
                "dhcp": {"type": _refs("Dhcp", "weak", 1)},
            },
        },
        "Group": {
            "isRoot": True,
            "indexes": [["name"]],
            "columns": {
                "name": {"type": "string"},
                "ports": {"type": _refs("Port", "weak")},
                "weight": {"type": "real"},
            },
        },
        "Dhcp": {
            "isRoot": True,
            "columns": {"ids": {"type": MAP}, "cidr": {"type": "string"}},
        },
        "Global": {
            "isRoot": True,
            "maxRows": 1,
            "columns": {"options": {"type": MAP}},
        },
    },
}

QUIET = {"Port"}
TABLES = (
    rows.Table("Switch", ("name", "ports", "config")),
    rows.Table(
        "Port", ("name", "addresses", "options", "tag", "enabled", "dhcp"), report_inserts=False
    ),
    rows.Table("Group", ("name", "ports", "weight")),
    rows.Table("Dhcp", ("ids", "cidr"), rows.ByEntry("ids", "id")),
    rows.Table("Global", ("options",), rows.SINGLE_ROW),
)
