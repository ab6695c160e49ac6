"""Strategic merge: a merge patch that knows lists by the keys of their elements.

Directives (`$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`) come from
kubectl, which computes them from the schema that this server publishes.
"""

from __future__ import annotations

from typing import Any

from weft.lab.apiserver import status
from weft.lab.apiserver.structural import Node

_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def merge(node: Node, target: Any, patch: Any) -> Any:
    """The patched value; `target` is changed where it is an object."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    patch = dict(patch)
    directive = patch.pop("$patch", None)
    if directive == "delete":
        return {}
    if directive == "replace":
        return patch
    if directive not in (None, "merge"):
        raise status.bad_request(f"Unknown patch type: {directive}")
    retained = patch.pop("$retainKeys", None)
    if retained is not None:
        for name in [name for name in target if name not in retained]:
            del target[name]
    orders = {k[len(_ORDER) :]: patch.pop(k) for k in list(patch) if k.startswith(_ORDER)}
    for key in [key for key in patch if key.startswith(_DELETE)]:
        name, gone = key[len(_DELETE) :], patch.pop(key)
        if isinstance(target.get(name), list):
            target[name] = [one for one in target[name] if one not in gone]
    for name, value in patch.items():
        _merge_field(node.child(name), target, name, value)
    for name, order in orders.items():
        if isinstance(target.get(name), list):
            target[name] = _in_order(node.child(name), target[name], order)
    return target


def _merge_field(node: Node, target: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        target.pop(name, None)
    elif isinstance(value, dict):
        target[name] = merge(node, target.get(name), value)
    elif isinstance(value, list) and "merge" in node.strategies:
        target[name] = _merge_list(node, target.get(name) or [], value)
    else:
        target[name] = value


def _merge_list(node: Node, target: list[Any], patch: list[Any]) -> list[Any]:
    if not node.merge_key:
        return target + [one for one in patch if one not in target]
    if any(isinstance(one, dict) and one.get("$patch") == "replace" for one in patch):
        return [one for one in patch if "$patch" not in one]
    for element in patch:
        if not isinstance(element, dict) or element.get(node.merge_key) is None:
            if element == {"$patch": "delete"}:
                return []
            raise status.bad_request(
                f"map: {element} does not contain declared merge key: {node.merge_key}"
            )
        key = element[node.merge_key]
        same = [one for one in target if one.get(node.merge_key) == key]
        if element.get("$patch") == "delete":
            target = [one for one in target if one.get(node.merge_key) != key]
        elif same:
            merge(node.element, same[0], element)
        else:
            target = [*target, merge(node.element, {}, element)]
    return target


def _in_order(node: Node, target: list[Any], order: list[Any]) -> list[Any]:
    """Elements that the order names stand in it; the rest stay behind their neighbour."""
    key = node.merge_key

    def name(one: Any) -> Any:
        return one.get(key) if key and isinstance(one, dict) else one

    rank: dict[Any, int] = {}
    for place, wanted in enumerate(order):
        rank.setdefault(name(wanted), place)
    placed: list[tuple[tuple[int, int], Any]] = []
    last = -1
    for place, element in enumerate(target):
        found = rank.get(name(element))
        if found is None:
            placed.append(((last, place + 1), element))
        else:
            last = found
            placed.append(((found, 0), element))
    return [element for _, element in sorted(placed, key=lambda pair: pair[0])]
