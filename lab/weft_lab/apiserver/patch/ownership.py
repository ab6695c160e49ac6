"""Keeps an object's managedFields: who owns which fields after each write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from weft_lab.apiserver.patch import fields

Entry = dict[str, Any]
MOST = 10  # managers that update, as the reference server keeps them
ANCIENT = "ancient-changes"


@dataclass(frozen=True, slots=True)
class Manager:
    """Whoever writes: a name, Apply or Update, in which version, to which subresource."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def is_of(self, entry: Entry) -> bool:
        return (
            entry.get("manager") == self.name
            and entry.get("operation") == self.operation
            and entry.get("subresource", "") == self.subresource
            and (self.operation == "Apply" or entry.get("apiVersion") == self.api_version)
        )


def paths(entry: Entry) -> set[fields.Path]:
    return fields.from_tree(entry.get("fieldsV1") or {})


def shown(entry: Entry) -> str:
    """A manager as messages about conflicts name it."""
    found = f'"{entry["manager"]}"'
    if entry.get("subresource"):
        found += f' with subresource "{entry["subresource"]}"'
    return f"{found} using {entry['apiVersion']}" if entry["operation"] == "Update" else found


def entry_of(manager: Manager, owned: Iterable[fields.Path], now: str) -> Entry:
    entry = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields.to_tree(owned),
    }
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def without(entry: Entry, lost: set[fields.Path]) -> Entry | None:
    """An entry less some paths; None when nothing is left of it."""
    held = paths(entry)
    kept = held - lost
    if kept == held:
        return entry
    return {**entry, "fieldsV1": fields.to_tree(kept)} if kept else None


def after_update(
    entries: list[Entry],
    changed: set[fields.Path],
    removed: set[fields.Path],
    manager: Manager,
    now: str,
) -> list[Entry]:
    """A plain write takes what it changed from everybody else."""
    if not changed and not removed:
        return entries
    own = next((entry for entry in entries if manager.is_of(entry)), None)
    found = []
    for entry in entries:
        if entry is own:
            continue
        kept = without(entry, changed | removed)
        if kept is not None:
            found.append(kept)
    held = (paths(own) if own else set()) - removed | changed
    if held:
        found.append(entry_of(manager, held, now))
    return in_order(_within_bounds(found))


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Those who apply before those who update, each by time."""
    parts = ("operation", "time", "manager", "apiVersion", "subresource")
    return sorted(entries, key=lambda entry: [str(entry.get(part, "")) for part in parts])


def _within_bounds(entries: list[Entry]) -> list[Entry]:
    """Merges the oldest of many update managers into one: clients choose names freely."""
    plain = [entry for entry in entries if entry["operation"] == "Update"]
    old = sorted(plain, key=lambda entry: str(entry.get("time", "")))[: max(0, len(plain) - MOST)]
    if not old:
        return entries
    old = sorted(plain, key=lambda entry: str(entry.get("time", "")))[: len(old) + 1]
    gone = {id(entry) for entry in old}
    held = set().union(*(paths(entry) for entry in old))
    ancient = Manager(ANCIENT, "Update", old[-1]["apiVersion"])
    merged = entry_of(ancient, held, str(old[-1].get("time", "")))
    return [merged, *(entry for entry in entries if id(entry) not in gone)]
