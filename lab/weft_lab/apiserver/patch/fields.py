"""Lists the fields that an object sets, in the notation of managedFields, and reads it back.

A path is a tuple of steps: `f:name` for a field, `k:{...}` for a list element by its keys,
`v:...` for an element of a set; a last step `.` stands for a list element itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson

from weft.decode.budget import Exceeded
from weft_lab.apiserver.structural import UNSET, Node

Path = tuple[str, ...]
Tree = dict[str, Any]

_SYSTEM = {"f:apiVersion", "f:kind"}
_SYSTEM_META = {
    f"f:{name}"
    for name in (
        "name",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    )
}


MAX_STEPS = 400_000  # of the paths of one object: two hundred times what a large pod has


def owned(node: Node, obj: Any) -> set[Path]:
    """The paths of every field that an object sets, but for those that the server owns."""
    found: set[Path] = set()
    _collect(node, obj, (), found)
    if sum(map(len, found)) > MAX_STEPS:
        raise Exceeded(f"sets fields whose names have more than {MAX_STEPS} steps in all")
    return {path for path in found if not _is_system(path)}


def _is_system(path: Path) -> bool:
    return path[0] in _SYSTEM or (
        path[0] == "f:metadata" and (len(path) < 2 or path[1] in _SYSTEM_META)
    )


def _collect(node: Node, value: Any, path: Path, found: set[Path]) -> None:
    if isinstance(value, dict) and value and not node.atomic:
        for name, below in value.items():
            _collect(node.child(name), below, (*path, f"f:{name}"), found)
    elif isinstance(value, list) and value and node.list_type == "map":
        for below in value:
            step = (*path, key_step(node, below))
            found.add((*step, "."))
            _collect(node.element, below, step, found)
    elif isinstance(value, list) and value and node.list_type == "set":
        found.update((*path, value_step(below)) for below in value)
    else:
        found.add(path)


def key_of(node: Node, element: Any) -> tuple[Any, ...]:
    """The values of an element's keys, with the defaults that the schema gives."""
    if not isinstance(element, dict):
        return (element,)
    return tuple(
        element.get(name, _default_of(node.element.child(name), name)) for name in node.list_keys
    )


def _default_of(node: Node, name: str) -> Any:
    if node.default is not UNSET:
        return node.default
    return "TCP" if name == "protocol" else None


def key_step(node: Node, element: Any) -> str:
    keys = dict(zip(sorted(node.list_keys), _sorted_key(node, element), strict=False))
    return "k:" + orjson.dumps(keys).decode()


def _sorted_key(node: Node, element: Any) -> list[Any]:
    pairs = sorted(zip(node.list_keys, key_of(node, element), strict=False))
    return [value for _, value in pairs]


def is_key(path: Path) -> bool:
    """Whether a path is a key of a list element: it goes with the element, never alone."""
    return (
        len(path) > 1
        and path[-2].startswith("k:")
        and path[-1][:2] == "f:"
        and path[-1][2:] in orjson.loads(path[-2][2:])
    )


def value_step(value: Any) -> str:
    return "v:" + orjson.dumps(value).decode()


class Reader:
    """Reads values of one object at many paths; elements of lists are found by their keys."""

    def __init__(self, node: Node, obj: Any) -> None:
        self._node = node
        self._obj = obj
        self._elements: dict[int, dict[str, Any]] = {}

    def read(self, path: Path) -> Any:
        """The value at a path; a private marker when it is not there."""
        node, obj = self._node, self._obj
        for step in path:
            if step[:2] in ("k:", "v:") and isinstance(obj, list):
                found = self._index(node, obj, step[:2]).get(step, UNSET)
                if found is UNSET:
                    return UNSET
                node, obj = node.element, found
                continue
            if step == ".":
                obj = True
            elif isinstance(obj, dict) and step[:2] == "f:" and step[2:] in obj:
                node, obj = node.child(step[2:]), obj[step[2:]]
            else:
                return UNSET
        return obj

    def _index(self, node: Node, elements: list[Any], kind: str) -> dict[str, Any]:
        """Steps to elements; the first of those that are alike counts."""
        known = self._elements.get(id(elements))
        if known is None:
            known = {_step_of(node, one, kind): one for one in reversed(elements)}
            self._elements[id(elements)] = known
        return known


def node_at(node: Node, path: Path) -> Node:
    for step in path:
        if step.startswith("f:"):
            node = node.child(step[2:])
        elif step != ".":
            node = node.element
    return node


def repeated(node: Node, value: Any, path: str = "") -> str:
    """The first list in which two elements have one key, worded; empty when none."""
    if isinstance(value, dict) and not node.atomic:
        pairs = [(node.child(name), below, f"{path}.{name}") for name, below in value.items()]
    elif isinstance(value, list) and node.list_type in ("map", "set"):
        is_map = node.list_type == "map"
        steps = [key_step(node, one) if is_map else value_step(one) for one in value]
        if twice := [step for step, times in Counter(steps).items() if times > 1]:
            return f"{path}: duplicate entries for key {dotted((twice[0],))}"
        pairs = [
            (node.element, one, f"{path}{dotted((step,))}")
            for step, one in zip(steps, value, strict=True)
        ]
    else:
        return ""
    return next((why for pair in pairs if (why := repeated(*pair))), "")


def difference(node: Node, old: Any, new: Any) -> set[Path]:
    """Paths that `new` sets and `old` does not, or to another value; and maps that are new."""
    before, after = Reader(node, old), Reader(node, new)
    changed = {path for path in owned(node, new) if before.read(path) != after.read(path)}
    return changed | (_maps(node, new) - _maps(node, old))


def removed(node: Node, old: Any, new: Any) -> set[Path]:
    """Paths and maps that `old` has and `new` has not."""
    before, after = (owned(node, obj) | _maps(node, obj) for obj in (old, new))
    return before - after


def _maps(node: Node, obj: Any) -> set[Path]:
    """The paths of maps with entries: who makes one owns it beside its entries.

    A part of a built-in type is always there, and so nobody makes it.
    """
    found: set[Path] = set()
    _collect_maps(node, obj, (), found)
    kept = {path for path in found if not _is_system(path)}
    return {path for path in kept if len(path) > 1} if node.typed else kept


def _collect_maps(node: Node, value: Any, path: Path, found: set[Path]) -> None:
    if isinstance(value, dict) and value and not node.atomic:
        if path and not path[-1].startswith("k:"):
            found.add(path)
        for name, below in value.items():
            _collect_maps(node.child(name), below, (*path, f"f:{name}"), found)
    elif isinstance(value, list) and node.list_type == "map":
        for below in value:
            _collect_maps(node.element, below, (*path, key_step(node, below)), found)


class Eraser:
    """Takes values out of one object at many paths, and what becomes empty by it.

    keep: paths that stay even when they are empty. Lists are rewritten once, by `finish`.
    """

    def __init__(self, node: Node, obj: Any, keep: set[Path]) -> None:
        self._node = node
        self._obj = obj
        self._keep = keep
        self._lists: dict[int, _Elements] = {}

    def erase(self, path: Path) -> None:
        self._erase(self._node, self._obj, path, ())

    def finish(self) -> None:
        for elements in self._lists.values():
            elements.rewrite()

    def _erase(self, node: Node, obj: Any, path: Path, above: Path) -> None:
        step, rest = path[0], path[1:]
        if not rest:
            self._drop(node, obj, step)
            return
        if isinstance(obj, list):
            found = self._elements(node, obj, step).first(step)
            inner = node.element
        else:
            found = obj.get(step[2:], UNSET) if isinstance(obj, dict) else UNSET
            inner = node.child(step[2:])
        if found is UNSET:
            return
        if rest == (".",):
            if isinstance(obj, list):
                self._drop(node, obj, step)
            return
        here = (*above, step)
        self._erase(inner, found, rest, here)
        if self._is_empty(found) and here not in self._keep:
            self._drop(node, obj, step)

    def _drop(self, node: Node, obj: Any, step: str) -> None:
        if step.startswith("f:") and isinstance(obj, dict):
            obj.pop(step[2:], None)
        elif isinstance(obj, list):
            self._elements(node, obj, step).drop(step)

    def _is_empty(self, value: Any) -> bool:
        known = self._lists.get(id(value)) if isinstance(value, list) else None
        return known.is_empty if known is not None else value in ({}, [])

    def _elements(self, node: Node, obj: list[Any], step: str) -> _Elements:
        known = self._lists.get(id(obj))
        if known is None:
            known = self._lists[id(obj)] = _Elements(node, obj, step[:2])
        return known


class _Elements:
    """A list whose elements are found by their steps, and leave it together at the end."""

    def __init__(self, node: Node, elements: list[Any], kind: str) -> None:
        self._list = elements
        self._gone: set[int] = set()
        self._places: dict[str, list[int]] = {}
        for place in reversed(range(len(elements))):
            step = _step_of(node, elements[place], kind)
            self._places.setdefault(step, []).append(place)

    @property
    def is_empty(self) -> bool:
        return len(self._gone) == len(self._list)

    def first(self, step: str) -> Any:
        places = self._places.get(step)
        return self._list[places[-1]] if places else UNSET

    def drop(self, step: str) -> None:
        if places := self._places.get(step):
            self._gone.add(places.pop())

    def rewrite(self) -> None:
        if self._gone:
            kept = [one for place, one in enumerate(self._list) if place not in self._gone]
            self._list[:] = kept


def _step_of(node: Node, element: Any, kind: str) -> str:
    return value_step(element) if kind == "v:" else key_step(node, element)


def to_tree(paths: Iterable[Path]) -> Tree:
    """FieldsV1 as it goes over the wire."""
    tree: Tree = {}
    ends = []
    for path in sorted(paths):
        place = tree
        for step in path:
            place = place.setdefault(step, {})
        ends.append(place)
    for place in ends:
        if place:  # a map that is owned beside some of its entries
            place["."] = {}
    return tree


def from_tree(tree: Tree) -> set[Path]:
    found: set[Path] = set()
    _walk(tree, (), found)
    return found


def _walk(tree: Tree, path: Path, found: set[Path]) -> None:
    for step, below in tree.items():
        if below:
            _walk(below, (*path, step), found)
        elif step == "." and not path[-1].startswith("k:"):
            found.add(path)
        else:
            found.add((*path, step))


def dotted(path: Path) -> str:
    """A path as messages show it: .spec.containers[name="web"].image."""
    text = ""
    for step in path:
        kind, name = step[:2], step[2:]
        if kind == "f:":
            text += f".{name}"
        elif kind == "k:":
            keys = orjson.loads(name)
            shown = ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items())
            text += f"[{shown}]"
        elif kind == "v:":
            text += f"[={name}]"
    return text
