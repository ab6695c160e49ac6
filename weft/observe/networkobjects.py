"""Makes rows of the Network objects of a cluster, with what is wrong with each network. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]

HEADS = ("NETWORK", "TOPOLOGY", "SUBNETS", "OWNER", "MEMBERS", "NODES", "USED", "FREE", "STATE")


def rows(objects: Iterable[Object]) -> list[tuple[str, ...]]:
    """Returns a row of text for each network, under HEADS."""
    return [_row(each.get("status") or {}, each["metadata"]["name"]) for each in objects]


def _row(status: Object, name: str) -> tuple[str, ...]:
    wrong = [str(each.get("reason")) for each in _false(status)]
    has_subnets = bool(status.get("subnets"))
    return (
        str(status.get("network") or name),
        str(status.get("topology") or "-"),
        str(status.get("subnets") or "-"),
        str(status.get("owner") or "-"),
        str(status.get("members", 0)),
        str(status.get("servingNodes", 0)),
        str(status.get("usedAddresses", 0)) if has_subnets else "-",
        str(status.get("freeAddresses", 0)) if has_subnets else "-",
        ",".join(wrong) or ("ok" if status else "unknown"),
    )


def troubles(objects: Iterable[Object]) -> Iterator[tuple[str, str]]:
    """Yields the name of a network, and what is wrong with it."""
    for each in objects:
        status = each.get("status") or {}
        name = str(status.get("network") or each["metadata"]["name"])
        known = [str(one.get("message")) for one in _false(status)]
        yield from ((name, message) for message in known)
        for edit in status.get("edits") or ():
            old, new = edit.get("podsWithOld", 0), edit.get("podsWithNew", 0)
            listed = ", ".join(map(str, edit.get("oldPods") or ()))
            edited = edit.get("networkAttachmentDefinition")
            summary = f"{edited}: {old} pods have the old configuration, {new} the new"
            yield name, f"{summary} ({listed})" if listed else summary
        for nad in status.get("networkAttachmentDefinitions") or ():
            message = str(nad.get("message"))
            if not nad.get("accepted") and not any(message in each for each in known):
                yield name, f"{nad.get('name')} does not count: {message}"


def reasons(objects: Iterable[Object]) -> dict[str, tuple[str, ...]]:
    """Returns the reasons of the false conditions of each network that has some."""
    found = {}
    for each in objects:
        status = each.get("status") or {}
        name = str(status.get("network") or each["metadata"]["name"])
        if wrong := tuple(str(one.get("reason")) for one in _false(status)):
            found[name] = wrong
    return found


def _false(status: Object) -> Iterator[Object]:
    return (each for each in status.get("conditions") or () if each.get("status") == "False")
