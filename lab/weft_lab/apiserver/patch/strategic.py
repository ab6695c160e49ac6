"""Strategic merge: a merge patch that knows lists by the keys of their elements.

Directives (`$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`) come from
kubectl, which computes them from the schema that this server publishes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from weft_lab.apiserver import status
from weft_lab.apiserver.structural import Node

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
    for key, value in patch.items():
        if key == "$retainKeys" or key.startswith((_ORDER, _DELETE)):
            _check_list(key, value)
    retained = patch.pop("$retainKeys", None)
    if retained is not None:
        kept = {name for name in retained if isinstance(name, str)}
        for name in [name for name in target if name not in kept]:
            del target[name]
    orders = {k[len(_ORDER) :]: patch.pop(k) for k in list(patch) if k.startswith(_ORDER)}
    for key in [key for key in patch if key.startswith(_DELETE)]:
        name, gone = key[len(_DELETE) :], patch.pop(key)
        if isinstance(target.get(name), list):
            marks = _marks(gone)
            target[name] = [one for one in target[name] if orjson.dumps(one) not in marks]
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


def _check_list(key: str, value: Any) -> None:
    if not isinstance(value, list):
        raise status.bad_request(f"{key} must be a list, not {status.quote(value)}")


def _marks(values: Iterable[Any]) -> set[bytes]:
    """Hashable keys of scalars, the same for equal ones."""
    return {orjson.dumps(one) for one in values}


def _merge_list(node: Node, target: list[Any], patch: list[Any]) -> list[Any]:
    if not node.merge_key:
        marks = _marks(target)
        return target + [one for one in patch if orjson.dumps(one) not in marks]
    if any(isinstance(one, dict) and one.get("$patch") == "replace" for one in patch):
        return [one for one in patch if "$patch" not in one]
    # By key, so that long lists merge in linear time; elements of one key stay together.
    held: dict[bytes, list[Any]] = {}
    for one in target:
        held.setdefault(orjson.dumps(one.get(node.merge_key)), []).append(one)
    gone: set[int] = set()
    found = list(target)
    for element in patch:
        if not isinstance(element, dict) or element.get(node.merge_key) is None:
            if element == {"$patch": "delete"}:
                return []
            raise status.bad_request(
                f"map: {status.quote(element)} does not contain declared merge key:"
                f" {node.merge_key}"
            )
        key = orjson.dumps(element[node.merge_key])
        if element.get("$patch") == "delete":
            gone.update(id(one) for one in held.pop(key, ()))
        elif key in held:
            merge(node.element, held[key][0], element)
        else:
            held[key] = [merge(node.element, {}, element)]
            found += held[key]
    return [one for one in found if id(one) not in gone]


def _in_order(node: Node, target: list[Any], order: list[Any]) -> list[Any]:
    """Elements that the order names stand in it; the rest stay behind their neighbour."""
    key = node.merge_key

    def name(one: Any) -> bytes:
        return orjson.dumps(one.get(key) if key and isinstance(one, dict) else one)

    rank: dict[bytes, int] = {}
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
