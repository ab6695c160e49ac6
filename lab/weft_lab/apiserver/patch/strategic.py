"""Strategic merge: a merge patch that knows lists by the keys of their elements.

Directives (`$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`) come from
kubectl, which computes them from the schema that this server publishes.
"""

from __future__ import annotations

from collections import deque
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
    lists = {name: one for name in orders if isinstance(one := target.get(name), list)}
    former = {name: list(one) for name, one in lists.items()}
    for name, order in orders.items():
        _check_order(node.child(name), name, order, patch.get(name))
    for name, value in patch.items():
        _merge_field(node.child(name), target, name, value)
    for name, order in orders.items():
        if isinstance(target.get(name), list):
            target[name] = _in_order(node.child(name), target[name], order, former.get(name, []))
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


def _check_order(node: Node, name: str, order: list[Any], patch: Any) -> None:
    """Elements of a patch stand in the order that it sets."""
    if node.merge_key and not all(isinstance(one, dict) for one in order):
        raise status.bad_request(f"{_ORDER}{name} must name elements by {node.merge_key}")
    if not isinstance(patch, list):
        return
    expected = iter([_name(node, one) for one in order])
    named = [_name(node, one) for one in patch if not (isinstance(one, dict) and "$patch" in one)]
    if not all(each in expected for each in named):
        raise status.bad_request(f"the order of {name} in the patch is not that of {_ORDER}{name}")


def _name(node: Node, element: Any) -> bytes:
    key = node.merge_key
    return orjson.dumps(element.get(key) if key and isinstance(element, dict) else element)


def _marks(values: Iterable[Any]) -> set[bytes]:
    """Hashable keys of scalars, the same for equal ones."""
    return {orjson.dumps(one) for one in values}


def _merge_list(node: Node, target: list[Any], patch: list[Any]) -> list[Any]:
    if not node.merge_key:
        marks = _marks(target)
        both = target + [one for one in patch if orjson.dumps(one) not in marks]
        return _in_order(node, both, patch, target)
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
    found = [one for one in found if id(one) not in gone]
    return _in_order(node, found, [one for one in patch if "$patch" not in one], target)


def _in_order(node: Node, merged: list[Any], order: list[Any], former: list[Any]) -> list[Any]:
    """Elements that the patch names stand as it names them.

    One that it does not name stays before those that it stood before; any other comes after.
    """

    rank, before = _places(node, order), _places(node, former)
    named = [(_name(node, one), one) for one in merged]
    mine = sorted((pair for pair in named if pair[0] in rank), key=lambda pair: rank[pair[0]])
    rest = deque(
        sorted(
            (pair for pair in named if pair[0] not in rank),
            key=lambda pair: before.get(pair[0], -1),
        )
    )
    found = []
    for key, one in mine:
        while rest and key in before and before.get(rest[0][0], len(before)) < before[key]:
            found.append(rest.popleft()[1])
        found.append(one)
    return found + [one for _, one in rest]


def _places(node: Node, elements: list[Any]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for place, one in enumerate(elements):
        found.setdefault(_name(node, one), place)
    return found
