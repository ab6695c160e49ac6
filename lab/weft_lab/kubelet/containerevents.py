"""Emits Events about containers that fail: once for each start, and while they wait for another."""

from __future__ import annotations

from typing import Any

from weft.kube import events
from weft_lab.kubelet import containers, sandbox
from weft_lab.reasons import Reason

Object = dict[str, Any]


def failed(
    recorder: events.Recorder,
    pod: Object,
    box: sandbox.Sandbox,
    states: dict[str, containers.State],
) -> None:
    """Emit an Event once for each start that failed, such as for a missing program."""
    for name, state in states.items():
        if state.error and box.reported.get(name, -1) < state.attempt:
            box.reported[name] = state.attempt
            what = f"Error: failed to start container {name}: {state.error}"
            recorder.emit(pod, Reason.FAILED, what)


def backoff(
    recorder: events.Recorder,
    pod: Object,
    box: sandbox.Sandbox,
    states: dict[str, containers.State],
) -> None:
    """Emit an Event for each container that waits for its next start."""
    for name, state in states.items():
        if state.status is not None and containers.restarts(pod, state):
            what = (
                f"Back-off restarting failed container {name} in pod "
                f"{box.about.pod}_{box.about.namespace}({box.about.uid})"
            )
            recorder.emit(pod, Reason.BACK_OFF, what)
