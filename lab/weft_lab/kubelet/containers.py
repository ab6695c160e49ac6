"""Decides which containers of a pod start now, and which wait.

Pure: computed from the pod's specification, the report of its first process, and the time.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

FIRST_BACKOFF = 10.0
LONGEST_BACKOFF = 300.0
# A container that ran this long has recovered: its next crash counts as the first.
RECOVERED = 600.0
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)")


@dataclass(frozen=True, slots=True)
class State:
    """A container as the pod's first process reports it; its `status` is None while it runs."""

    attempt: int
    started: float
    status: int | None = None
    ended: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Start this container now, for the `attempt`-th time (from 0)."""

    container: Object
    attempt: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Start nothing before this time."""

    until: float


def killed(state: State, now: float) -> State:
    """The state of a container that was running when its sandbox ended."""
    return State(state.attempt, state.started, -signal.SIGKILL, now)


def parse(reported: Mapping[str, Any]) -> dict[str, State]:
    return {
        name: State(
            attempt=entry["attempt"],
            started=entry["started"],
            status=entry.get("status"),
            ended=entry.get("ended", 0.0),
            error=entry.get("error", ""),
        )
        for name, entry in reported.items()
    }


def policy(pod: Object) -> str:
    return str(pod["spec"].get("restartPolicy") or "Always")


def restarts(pod: Object, state: State, *, init: bool = False) -> bool:
    """Whether the pod's restartPolicy starts a container again that has ended."""
    rule = policy(pod)
    if init:
        return state.status != 0 and rule != "Never"
    return rule == "Always" or (rule == "OnFailure" and state.status != 0)


def backoff(state: State) -> float:
    """Seconds between the end of this attempt and the next start."""
    if state.ended - state.started >= RECOVERED or state.attempt == 0:
        return 0.0 if state.attempt == 0 else FIRST_BACKOFF
    return min(FIRST_BACKOFF * 2.0 ** (state.attempt - 1), LONGEST_BACKOFF)


def due(pod: Object, states: Mapping[str, State], now: float) -> list[Start | Wait]:
    """What to start, and when to decide again. Init containers run first, one by one."""
    for container in pod["spec"].get("initContainers") or ():
        state = states.get(container["name"])
        if state is not None and state.status == 0:
            continue
        if state is None:
            return [Start(container, 0)]
        if state.status is None:
            return []
        return _again(pod, container, state, now, init=True)
    found: list[Start | Wait] = []
    for container in pod["spec"]["containers"]:
        state = states.get(container["name"])
        if state is None:
            found.append(Start(container, 0))
        elif state.status is not None:
            found += _again(pod, container, state, now, init=False)
    for container in pod["spec"].get("ephemeralContainers") or ():  # once, whatever becomes of it
        if container["name"] not in states:
            found.append(Start(container, 0))
    return found


def _again(
    pod: Object, container: Object, state: State, now: float, *, init: bool
) -> list[Start | Wait]:
    if not restarts(pod, state, init=init):
        return []
    when = state.ended + backoff(state)
    return [Start(container, state.attempt + 1)] if now >= when else [Wait(when)]


def is_finished(pod: Object, states: Mapping[str, State]) -> bool:
    """Whether all containers have ended for good, or an init container has failed for good."""
    for container in pod["spec"].get("initContainers") or ():
        state = states.get(container["name"])
        if state is not None and state.status and not restarts(pod, state, init=True):
            return True
    ended = [states.get(container["name"]) for container in pod["spec"]["containers"]]
    return all(s is not None and s.status is not None and not restarts(pod, s) for s in ended)


def environment(container: Object, pod: Object, base: Mapping[str, str]) -> dict[str, str]:
    """The container's variables; references to earlier ones are replaced by their values."""
    env = dict(base)
    for entry in container.get("env") or ():
        value = entry.get("value")
        if value is None:
            source = (entry.get("valueFrom") or {}).get("fieldRef") or {}
            value = field(str(source.get("fieldPath", "")), pod)
        env[entry["name"]] = expand(str(value), env)
    return env


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value and `$$` by `$`; unknown names stay as they are."""

    def replace(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        return env.get(match.group(1), match.group())

    return _REFERENCE.sub(replace, text)


def field(path: str, pod: Object) -> str:
    """The value of a `fieldRef`; empty if the pod has no such field."""
    key = re.fullmatch(r"metadata\.(annotations|labels)\['([^']*)'\]", path)
    if key:
        return str((pod["metadata"].get(key.group(1)) or {}).get(key.group(2), ""))
    value: Any = pod
    for part in path.split(".") if path else ():
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None or isinstance(value, dict | list) else str(value)
