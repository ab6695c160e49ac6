"""Makes the change to a VirtualMachine that starts, stops or restarts it. Pure.

The same changes that `virtctl` causes on a cluster: of the run strategy where that suffices, else a
request in the status, which the controller serves and removes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from weft import errors
from weft_lab.vm import lifecycle

Object = Mapping[str, Any]


class Action(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Change:
    """A merge patch, of the object or of its status."""

    body: Mapping[str, Any]
    subresource: str = ""


def change(vm: Object, vmi: Object | None, action: Action) -> Change:
    """The patch for an action. Raises Conflict where it has no effect now."""
    meta = vm["metadata"]
    key = f"{meta['namespace']}/{meta['name']}"
    where = f"VirtualMachine {key}"
    strategy = lifecycle.strategy(vm)
    runs = vmi is not None and not lifecycle.is_final(vmi)
    if action is Action.START:
        if runs:
            raise errors.Conflict("it runs already", where=where, hint=f"weft vm restart {key}")
        if strategy == "Halted":
            return _strategy(vm, "Always")
        return _requests([*_stops(vmi), {"action": "Start"}])
    if action is Action.STOP:
        if not runs and strategy in ("Halted", "Manual", "Once"):
            raise errors.Conflict("it does not run", where=where, hint=f"weft vm start {key}")
        if strategy in ("Always", "RerunOnFailure"):
            return _strategy(vm, "Halted")
        return _requests(_stops(vmi))
    if not runs or vmi is None:
        raise errors.Conflict("it does not run", where=where, hint=f"weft vm start {key}")
    return _requests([*_stops(vmi), {"action": "Start"}])


def _strategy(vm: Object, strategy: str) -> Change:
    """In the field that the manifest uses, so that it does not end up with both."""
    if "running" in (vm.get("spec") or {}):
        return Change({"spec": {"running": strategy == "Always"}})
    return Change({"spec": {"runStrategy": strategy}})


def _requests(requests: list[dict[str, str]]) -> Change:
    return Change({"status": {"stateChangeRequests": requests}}, subresource="status")


def _stops(vmi: Object | None) -> list[dict[str, str]]:
    return [] if vmi is None else [{"action": "Stop", "uid": vmi["metadata"]["uid"]}]
