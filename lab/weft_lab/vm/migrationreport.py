"""Says how a migration stands, and whether it kept a budget. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from weft import errors
from weft_lab.vm import migrationcost

Object = Mapping[str, Any]
_UNITS = {"ms": 1, "s": 1000}


def budget(text: str) -> int:
    """Milliseconds of `200ms` or `1.5s`. Raises InvalidInput."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s)", text)
    if found is None:
        rule = "must be a time, such as 200ms or 1.5s"
        raise errors.InvalidInput("command line", "--budget", text, rule)
    return round(float(found[1]) * _UNITS[found[2]])


def refusal(message: str) -> str:
    """Why a migration may not be made, without the name of the webhook that says so."""
    return message.partition("denied the request: ")[2] or message


def standstill(migration: Object) -> int | None:
    """Milliseconds that the guest stood still, as its peers saw it; else by QEMU; None: unknown."""
    cost = (migration.get("status") or {}).get(migrationcost.FIELD) or {}
    found = cost.get("standstillMilliseconds", cost.get("downtimeMilliseconds"))
    return int(found) if isinstance(found, int) else None


def result(migration: Object, limit: int | None) -> dict[str, Any]:
    """What `weft vm migrate` answers: for scripts, and for `lines`."""
    meta, status = migration["metadata"], migration.get("status") or {}
    state = status.get("migrationState") or {}
    found: dict[str, Any] = {
        "namespace": meta["namespace"],
        "name": migration["spec"].get("vmiName", ""),
        "migration": meta["name"],
        "phase": status.get("phase", ""),
        "sourceNode": state.get("sourceNode", ""),
        "targetNode": state.get("targetNode", ""),
        "cost": status.get(migrationcost.FIELD) or {},
    }
    if state.get("failureReason"):
        found["failureReason"] = state["failureReason"]
    if limit is not None:
        still = standstill(migration)
        kept = still is not None and still <= limit
        found["budget"] = {"milliseconds": limit, "spent": still, "kept": kept}
    return found


def lines(found: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    key = f"{found['namespace']}/{found['name']}"
    text = [f"{key}: moved from {found['sourceNode']} to {found['targetNode']}"]
    if found["cost"]:
        text.append(f"  {migrationcost.summary(found['cost'])}")
    if "budget" in found:
        limit, spent = found["budget"]["milliseconds"], found["budget"]["spent"]
        if spent is None:
            text.append(f"  budget of {limit} ms: nobody measured how long the guest stood still")
        elif found["budget"]["kept"]:
            text.append(f"  budget of {limit} ms: kept")
        else:
            text.append(f"  budget of {limit} ms: exceeded by {spent - limit} ms")
    return text
