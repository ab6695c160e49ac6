"""Names what the log entries of a task are about: the uid of a pod, the same in all processes.

The cluster manager logs it when it writes a pod's allocations, an agent for each entry of the pod's
CNI calls and when the pod's rows are in OVN's database, where they carry it, too.
"""

from __future__ import annotations

from contextvars import ContextVar

current: ContextVar[str] = ContextVar("log id", default="")


def about(uid: str) -> dict[str, str]:
    """Returns the `extra` of one log entry about a pod."""
    return {"id": uid}
