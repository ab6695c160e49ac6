"""Evaluates simple JSONPaths, as the printer columns of definitions use them.

Fields, `['quoted fields']`, `[0]`, `[*]` and filters such as `[?(@.type=="Ready")]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_STEP = re.compile(
    r"""\.?(?:
        (?P<field>(?:[^.\[\](){}'"\s*?@=!<>\\]|\\.)+)
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*(?P<all>\*)\s*\]
      | \.?(?P<star>\*)
      | \[\s*(?P<quote>['"])(?P<name>.*?)(?P=quote)\s*\]
      | \[\?\(\s*@\.?(?P<left>[^=!<>]*?)\s*(?P<operator>==|!=)\s*(?P<right>.*?)\s*\)\]
    )""",
    re.VERBOSE,
)
Step = Callable[[list[Any]], list[Any]]


def compile(path: str) -> Callable[[Any], list[Any]]:
    """All values that `path` finds in an object; ValueError when it cannot be read."""
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[Step] = []
    place = 0
    while place < len(text):
        match = _STEP.match(text, place)
        if match is None or match.end() == place:
            raise ValueError(f"JSONPath {path!r} cannot be read from {text[place:]!r} on")
        steps.append(_step(match))
        place = match.end()

    def find(obj: Any) -> list[Any]:
        found = [obj]
        for step in steps:
            found = step(found)
        return found

    return find


def _step(match: re.Match[str]) -> Step:
    parts = match.groupdict()
    if parts["field"] is not None:
        return _field(re.sub(r"\\(.)", r"\1", parts["field"]))
    if parts["name"] is not None:
        return _field(parts["name"])
    if parts["index"] is not None:
        return _index(int(parts["index"]))
    if parts["left"] is not None:
        return _filter(parts["left"], parts["operator"], parts["right"])
    return _children


def _field(name: str) -> Step:
    return lambda found: [one[name] for one in found if isinstance(one, dict) and name in one]


def _index(number: int) -> Step:
    return lambda found: [
        one[number] for one in found if isinstance(one, list) and -len(one) <= number < len(one)
    ]


def _children(found: list[Any]) -> list[Any]:
    values: list[Any] = []
    for one in found:
        values.extend(
            one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        )
    return values


def _filter(left: str, operator: str, right: str) -> Step:
    find = compile(f".{left}" if left else "")
    literal = _literal(right)

    def matches(one: Any) -> bool:
        values = find(one)
        return (literal in values) == (operator == "==")

    return lambda found: [one for one in _children(found) if matches(one)]


def _literal(text: str) -> Any:
    if text[:1] in {"'", '"'}:
        return text[1:-1]
    if text in {"true", "false"}:
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return text
