"""Which fields does an object set? As paths in the notation of managedFields, and back.

A path is a tuple of steps: `f:name` for a field, `k:{...}` for a list element by its keys,
`v:...` for an element of a set; a last step `.` stands for a list element itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from weft.lab.apiserver.structural import UNSET, Node

Path = tuple[str, ...]
Tree = dict[str, Any]

_SYSTEM = {"f:apiVersion", "f:kind"}
_SYSTEM_META = {
    f"f:{name}"
    for name in (
        "name",
        "generateName",
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


def owned(node: Node, obj: Any) -> set[Path]:
    """The paths of every field that an object sets, but for those that the server owns."""
    found: set[Path] = set()
    _collect(node, obj, (), found)
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


def read(node: Node, obj: Any, path: Path) -> Any:
    """The value at a path; a private marker when it is not there."""
    for step in path:
        found = _locate(node, obj, step)
        if found is None:
            return UNSET
        node, obj = found
    return obj


def _locate(node: Node, obj: Any, step: str) -> tuple[Node, Any] | None:
    if step == ".":
        return node, True
    kind, name = step[:2], step[2:]
    if kind == "f:":
        if isinstance(obj, dict) and name in obj:
            return node.child(name), obj[name]
        return None
    for element in obj if isinstance(obj, list) else ():
        if (kind == "k:" and key_step(node, element) == step) or (
            kind == "v:" and value_step(element) == step
        ):
            return node.element, element
    return None


def difference(node: Node, old: Any, new: Any) -> set[Path]:
    """Paths that `new` sets and `old` does not, or to another value."""
    return {path for path in owned(node, new) if read(node, old, path) != read(node, new, path)}


def removed(node: Node, old: Any, new: Any) -> set[Path]:
    return owned(node, old) - owned(node, new)


def erase(node: Node, obj: Any, path: Path, keep: set[Path], above: Path = ()) -> None:
    """Take the value at a path out, and what becomes empty by it, but for the paths to keep."""
    step, rest = path[0], path[1:]
    if not rest:
        _erase_last(node, obj, step)
        return
    found = _locate(node, obj, step)
    if found is None:
        return
    inner, value = found
    if rest == (".",):
        if isinstance(obj, list):
            obj.remove(value)
        return
    here = (*above, step)
    erase(inner, value, rest, keep, here)
    if value in ({}, []) and here not in keep:
        _erase_last(node, obj, step)


def _erase_last(node: Node, obj: Any, step: str) -> None:
    if step.startswith("f:") and isinstance(obj, dict):
        obj.pop(step[2:], None)
    elif isinstance(obj, list) and (found := _locate(node, obj, step)) is not None:
        obj.remove(found[1])


def to_tree(paths: Iterable[Path]) -> Tree:
    """FieldsV1 as it goes over the wire."""
    tree: Tree = {}
    for path in sorted(paths):
        place = tree
        for step in path:
            place = place.setdefault(step, {})
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
