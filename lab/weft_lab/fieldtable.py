"""Finds the fields of an object that have a value but no effect, by a table of known fields.

Pure. A path names fields by their keys with dots between; `[]` stands for any element of a list.
All below a known path is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


class Table:
    """The paths that the lab applies, or that have no effect anywhere.

    `usual`: by path, values that equal the default. `bare`: the object whose
    fields have a meaning by their presence, whatever empty value they have.
    """

    def __init__(
        self,
        known: Iterable[str],
        usual: Mapping[str, Sequence[Any]] | None = None,
        bare: str | None = None,
    ) -> None:
        self._known = frozenset(known)
        self._usual = usual or {}
        self._bare = bare
        self._leading = frozenset(
            path[:place].removesuffix("[]")
            for path in (*self._known, *self._usual)
            for place, letter in enumerate(path)
            if letter == "."
        )

    def leads_on(self, path: str) -> bool:
        """Whether some field below this one is known."""
        return path.removesuffix("[]") in self._leading

    def without_effect(self, obj: Mapping[str, Any]) -> Iterator[str]:
        """The fields that nothing reads, elements of lists by name.

        Empty values do not count, but for an object `{}` that no path leads on from: many fields
        are switched on by it, as `devices.tpm` is.
        """
        yield from self._within(obj, "", "")

    def _within(self, value: Any, path: str, shown: str) -> Iterator[str]:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                below = f"{path}.{key}" if path else str(key)
                there = f"{shown}.{key}" if shown else str(key)
                if below in self._known or self._is_silent(path, below, inner):
                    continue
                if self.leads_on(below):
                    yield from self._within(inner, below, there)
                else:
                    yield there
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._within(item, f"{path}[]", f"{shown}{element(index, item)}")

    def _is_silent(self, path: str, below: str, value: Any) -> bool:
        empty: tuple[Any, ...] = (None,) if path == self._bare else (None, [], "")
        is_parent = value == {} and path != self._bare and self.leads_on(below)
        return is_parent or value in empty or value in self._usual.get(below, ())


def element(index: int, item: Any) -> str:
    """How an element of a list is shown: by its name where it has one."""
    return f"[{item.get('name', index) if isinstance(item, Mapping) else index}]"
