"""Merges a server-side apply into an object, with conflicts and fields that are given up."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import orjson

from weft_lab.apiserver.patch import fields, ownership
from weft_lab.apiserver.structural import Node

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that somebody else owns, with another value than the one applied.

    manager: as messages show it, with the version in which an update was written.
    """

    manager: str
    path: str


@dataclass(frozen=True, slots=True)
class Result:
    obj: dict[str, Any]
    conflicts: tuple[Conflict, ...]


def apply(
    node: Node, live: Any, applied: Any, manager: ownership.Manager, *, force: bool, now: str
) -> Result:
    """Merge what one manager wants into what is there."""
    entries = _entries(node, live, manager)
    paths = fields.owned(node, applied)
    own = next((entry for entry in entries if manager.is_of(entry)), None)
    others = [entry for entry in entries if entry is not own]
    before, after = fields.Reader(node, live), fields.Reader(node, applied)
    taken = {
        path
        for path in paths
        if _differs(fields.node_at(node, path), before.read(path), after.read(path))
    }
    conflicts = _conflicts(others, taken)
    if conflicts and not force:
        return Result({}, conflicts)
    others = [kept for entry in others if (kept := ownership.without(entry, taken)) is not None]
    merged = merge(node, deepcopy(live), applied)
    if own is not None:
        _let_go(node, merged, ownership.paths(own) - paths, paths, others)
    unchanged = own is not None and ownership.paths(own) == paths and merged == live
    mine = own if unchanged and own else ownership.entry_of(manager, paths, now)
    merged["metadata"]["managedFields"] = ownership.in_order([*others, mine] if paths else others)
    return Result(merged, ())


def _entries(node: Node, live: Any, manager: ownership.Manager) -> list[ownership.Entry]:
    """Fields that were there before the first apply belong to a manager of that name."""
    entries = live["metadata"].get("managedFields")
    if entries:
        return list(entries)
    if not live["metadata"].get("uid"):
        return []
    held = fields.owned(node, live) - _applied_before(node, live, manager)
    before = ownership.Manager("before-first-apply", "Update", live["apiVersion"])
    since = live["metadata"].get("creationTimestamp", "")
    return [ownership.entry_of(before, held, since)] if held else []


def _applied_before(node: Node, live: Any, manager: ownership.Manager) -> set[fields.Path]:
    """kubectl may take over what it set itself by client-side apply, without a conflict."""
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if manager.name != "kubectl" or not text:
        return set()
    try:
        former = orjson.loads(text)
    except orjson.JSONDecodeError:
        return set()
    annotation = ("f:metadata", "f:annotations", f"f:{LAST_APPLIED}")
    return fields.owned(node, former) | {annotation}


def _conflicts(others: list[ownership.Entry], taken: set[fields.Path]) -> tuple[Conflict, ...]:
    found = []
    for entry in others:
        for path in sorted(ownership.paths(entry) & taken):
            if path[-1] != ".":
                found.append(Conflict(ownership.shown(entry), fields.dotted(path)))
    return tuple(found)


def _differs(node: Node, before: Any, after: Any) -> bool:
    """An empty map or list with owners of its parts asks only that there be one."""
    is_whole = node.atomic or (isinstance(after, list) and node.list_type == "atomic")
    is_there = after in ({}, []) and isinstance(before, type(after))
    return before != after and (is_whole or not is_there)


def _let_go(
    node: Node,
    merged: Any,
    dropped: set[fields.Path],
    applied: set[fields.Path],
    others: list[ownership.Entry],
) -> None:
    """Remove fields that the manager no longer applies, unless another manager owns some below."""
    held = set(applied)
    for entry in others:
        held |= ownership.paths(entry)
    parents = {path[:length] for path in held for length in range(1, len(path) + 1)}
    whole = {path[:-1] for path in dropped if path[-1] == "."} - parents
    eraser = fields.Eraser(node, merged, parents)
    for path in sorted(whole, key=len, reverse=True):
        eraser.erase((*path, "."))
    for path in sorted(dropped, key=len, reverse=True):
        if path[-1] != "." and path not in parents and not fields.is_key(path):
            eraser.erase(path)
    eraser.finish()


def merge(node: Node, live: Any, applied: Any) -> Any:
    """Lay `applied` over `live`, list elements by their keys; `live` is changed."""
    if isinstance(applied, dict) and isinstance(live, dict) and not node.atomic:
        for name, value in applied.items():
            live[name] = merge(node.child(name), live.get(name), value)
        return live
    if isinstance(applied, list) and isinstance(live, list):
        if node.list_type == "map":
            return _merge_elements(node, live, applied)
        if node.list_type == "set":
            held = {fields.value_step(one) for one in live}
            return live + [one for one in applied if fields.value_step(one) not in held]
    return deepcopy(applied)


def _merge_elements(node: Node, live: list[Any], applied: list[Any]) -> list[Any]:
    places = {fields.key_of(node, element): place for place, element in enumerate(live)}
    for element in applied:
        key = fields.key_of(node, element)
        if key in places:
            place = places[key]
            live[place] = merge(node.element, live[place], element)
        else:
            places[key] = len(live)
            live.append(deepcopy(element))
    return live
