"""Decides how long a migration's target pod may wait to be placed and to start. Pure.

Times, annotations and messages are those of KubeVirt's migration controller.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from weft_lab.vm import lifecycle, status

UNSCHEDULABLE_TIMEOUT = "kubevirt.io/migrationUnschedulablePodTimeoutSeconds"
PENDING_TIMEOUT = "kubevirt.io/migrationPendingPodTimeoutSeconds"
UNSCHEDULABLE_SECONDS, PENDING_SECONDS = 300, 900
_LONGEST = 2**31 - 1  # seconds: a migration's annotations are anybody's who may create one

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """What is decided of a pod that does not run yet.

    `warning`: the Event of a pod that no node takes. `over`: why it is given up now, "" while
    `seconds` are left.
    """

    warning: str
    over: str
    seconds: float


def decide(migration: Object, pod: Object, now: datetime) -> Wait:
    """What is to be done about a target pod that is not ready."""
    meta = pod["metadata"]
    name = f"{meta['namespace']}/{meta['name']}"
    waited = (now - (lifecycle.moment(meta.get("creationTimestamp")) or now)).total_seconds()
    warning, over = "", f"pending pod {name} timeout period exceeded"
    limit = _seconds(migration, PENDING_TIMEOUT, PENDING_SECONDS)
    if is_unschedulable(pod):
        machine = f"{meta['namespace']}/{migration['spec'].get('vmiName')}"
        warning = f"Migration target pod for VMI [{machine}] is currently unschedulable."
        sooner = _seconds(migration, UNSCHEDULABLE_TIMEOUT, UNSCHEDULABLE_SECONDS)
        if sooner <= limit:
            limit, over = sooner, f"unschedulable pod {name} timeout period exceeded"
    if waited < limit:
        return Wait(warning, "", limit - waited)
    return Wait(warning, over, 0.0)


def is_unschedulable(pod: Object) -> bool:
    scheduled = status.condition(pod, "PodScheduled") or {}
    return scheduled.get("reason") == "Unschedulable" and scheduled.get("status") == "False"


def why(pod: Object) -> str:
    """What the scheduler says of a pod that no node takes; "" of any other."""
    found = status.condition(pod, "PodScheduled") or {}
    return str(found.get("message") or "no node fits") if is_unschedulable(pod) else ""


def _seconds(migration: Object, annotation: str, default: int) -> int:
    """The time of an annotation. As on KubeVirt, a text that is no number is the default."""
    text = str((migration["metadata"].get("annotations") or {}).get(annotation, ""))
    with contextlib.suppress(ValueError):  # also more digits than int() reads
        return min(int(text), _LONGEST)
    return default
