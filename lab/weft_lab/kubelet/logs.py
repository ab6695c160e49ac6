"""Finds a container's log and reads its termination message.

Containers write to their files themselves; nothing is copied or rotated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weft_lab.apiserver import logfiles
from weft_lab.kubelet.containers import State

LONGEST_WORDS = 2048  # bytes that a status may carry
FALLBACK = "FallbackToLogsOnError"  # a terminationMessagePolicy


def path(folder: Path, namespace: str, pod: str, container: str) -> Path:
    return folder / logfiles.name(namespace, pod, container)


def last_words(folder: Path, pod: Mapping[str, Any], states: Mapping[str, State]) -> dict[str, str]:
    """The end of the log of each failed container whose terminationMessagePolicy asks for it."""
    meta, found = pod["metadata"], {}
    for container in pod["spec"]["containers"]:
        name = container["name"]
        state = states.get(name)
        if (
            state is not None
            and state.status
            and container.get("terminationMessagePolicy") == (FALLBACK)
        ):
            found[name] = tail(path(folder, meta["namespace"], meta["name"], name))
    return found


def tail(log: Path) -> str:
    """The end of a log; empty if there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, 2) - LONGEST_WORDS, 0))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
