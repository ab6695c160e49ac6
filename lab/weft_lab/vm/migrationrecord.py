"""Records in a migration which pod is its target. Pure.

Labels, names and owners are whatever the creator of a pod writes; only the lab's controllers and
nodes write the status of a migration.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from weft_lab.vm import lifecycle, status

TARGET = "lab.weft/TargetPod"  # condition of a migration: the uid of the pod that was made for it

Object = Mapping[str, Any]


def target_uid(migration: Object) -> str:
    """The uid of the target pod that the controller has made; "" until it is known."""
    return str((status.condition(migration, TARGET) or {}).get("message") or "")


def with_target(migration: Object, uid: str, now: datetime) -> dict[str, Any]:
    """The migration's status that records its target pod."""
    conditions = (migration.get("status") or {}).get("conditions") or ()
    words = (TARGET, "True", lifecycle.stamp(now), "Created", uid)
    return {"conditions": status.with_condition(conditions, *words)}
