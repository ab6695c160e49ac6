"""Makes rows of the Network objects of a cluster: addresses, forecast, what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from weft import errors
from weft.alloc import forecast
from weft.api import networkstatus
from weft.observe.chassis import natural_key

Object = Mapping[str, Any]

_COUNTS = ("sizeAddresses", "usedAddresses", "freeAddresses")
_YEAR, _LONGEST = 365, 10  # days; years

_HEADS = ("NETWORK", "TOPOLOGY", "SUBNETS", "OWNER", "MEMBERS", "NODES")
ADDRESSES = ("SIZE", "USED", "FREE", "LASTS")
HEADS = (*_HEADS, *ADDRESSES, "STATE")


def rows(objects: Iterable[Object], today: str) -> list[tuple[str, ...]]:
    """Returns a row of text for each network, under HEADS; `today` is a day, as in 2026-02-01."""
    return [_row(each.get("status") or {}, each["metadata"]["name"], today) for each in objects]


def chosen(objects: Iterable[Object], networks: Collection[str], where: str) -> list[Object]:
    """Returns the objects of some networks, all if none is named; raises InvalidInput."""
    found = list(objects)
    by_name = {name_of(each): each for each in found}
    check(networks, by_name, where)
    return [by_name[name] for name in dict.fromkeys(networks)] if networks else found


def check(networks: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raises InvalidInput, with the `known` networks, for one that is not among them."""
    there = sorted({*known}, key=natural_key)
    for name in networks:
        if name not in there:
            rule = f"is no network of this cluster; networks: {', '.join(there) or 'none'}"
            raise errors.InvalidInput(where, "--network", name, rule)


def with_forecasts(objects: Iterable[Object], today: str) -> list[dict[str, Any]]:
    """Returns the objects with a field `forecast`: `allocationsPerDay`, and `daysLeft` until no
    address is free, at the earliest (null: no more are in use than before)."""
    found = []
    for each in objects:
        status = each.get("status") or {}
        days = networkstatus.allocations_by_day(status)
        left = days_left(status, today)
        per_day = round(forecast.per_day(days, today), 3)
        known = {
            "allocationsPerDay": per_day,
            "daysLeft": round(left, 3) if left is not None else None,
        }
        found.append({**each, "forecast": known})
    return found


def days_left(status: Object, today: str) -> float | None:
    """Returns in how many days a network has no free address, at the earliest.

    None if it has no subnets, or no more addresses are in use than before.
    """
    if not status.get("addresses"):
        return None
    days = networkstatus.allocations_by_day(status)
    return forecast.days_left(int(status.get("freeAddresses", 0)), days, today)


def lasts(left: float | None) -> str:
    """Returns a duration as kubectl shows ages: "12h", "83d", "3y"."""
    if left is None:
        return "-"
    if left >= 2 * _YEAR:
        return f"{int(left / _YEAR)}y" if left < _LONGEST * _YEAR else f">{_LONGEST}y"
    return f"{int(left)}d" if left >= 2 else f"{int(left * 24)}h"


def name_of(each: Object) -> str:
    return str((each.get("status") or {}).get("network") or each["metadata"]["name"])


def _row(status: Object, name: str, today: str) -> tuple[str, ...]:
    wrong = [str(each.get("reason")) for each in _false(status)]
    has_subnets = bool(status.get("subnets"))
    return (
        str(status.get("network") or name),
        str(status.get("topology") or "-"),
        str(status.get("subnets") or "-"),
        str(status.get("owner") or "-"),
        str(status.get("members", 0)),
        str(status.get("servingNodes", 0)),
        *(str(status.get(each, 0)) if has_subnets else "-" for each in _COUNTS),
        lasts(days_left(status, today)),
        ",".join(wrong) or ("ok" if status else "unknown"),
    )


def troubles(objects: Iterable[Object]) -> Iterator[tuple[str, str]]:
    """Yields the name of a network, and what is wrong with it."""
    for each in objects:
        status, name = each.get("status") or {}, name_of(each)
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


def eligible(objects: Iterable[Object]) -> Iterator[tuple[str, str]]:
    """Yields the name of each localnet, and the nodes that its pods can run on."""
    for each in objects:
        status = each.get("status") or {}
        if found := status.get("eligibleNodes"):
            listed = ", ".join(sorted(map(str, found), key=natural_key))
            yield name_of(each), f"runs on {listed}, which lead to its physical network"


def reasons(objects: Iterable[Object]) -> dict[str, tuple[str, ...]]:
    """Returns the reasons of the false conditions of each network that has some."""
    found = {}
    for each in objects:
        status, name = each.get("status") or {}, name_of(each)
        if wrong := tuple(str(one.get("reason")) for one in _false(status)):
            found[name] = wrong
    return found


def _false(status: Object) -> Iterator[Object]:
    return (each for each in status.get("conditions") or () if each.get("status") == "False")
