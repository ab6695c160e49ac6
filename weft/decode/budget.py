"""How much may a text from outside cost? The bounds, and the errors that name the one that broke.

A few bytes can stand for gigabytes: YAML aliases multiply, and deep nesting ends a program's
stack. So every reader of such text counts what it makes, and stops where a budget ends.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
# Of what orjson writes at all (254), with room for a list around it and for managedFields.
DEPTH = 200


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds on one text.

    size: bytes of the text, and characters of all scalars once aliases are written out.
    values: maps, lists and scalars, aliases written out.
    depth: maps and lists around one value.
    """

    size: int
    values: int
    depth: int = DEPTH


# An annotation, or the config of a NetworkAttachmentDefinition: what one object can hold.
ANNOTATION = Budget(size=2 * MIB, values=50_000)
# One file of the user's own: as much as `kubectl get -A -o yaml` prints of a large cluster.
FILE = Budget(size=64 * MIB, values=2_000_000)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that stands twice in one map: its path from the top, and the line of the later one."""

    path: str
    line: int


class Malformed(ValueError):
    """Text that is not what it should be. `line` counts from 1; 0 where it is not known."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(f"{why} at line {line}" if line else why)
        self.why = why
        self.line = line


class Exceeded(Malformed):
    """Text that would cost more than its budget."""


class TooDeep(Exceeded):
    """Text whose maps and lists stand too deep in one another."""


def check_size(text: bytes | str, budget: Budget) -> None:
    """Raises Exceeded for a text that is too long to be looked at."""
    if len(text) > budget.size:
        raise Exceeded(f"holds {len(text)} bytes; at most {budget.size} are taken")


def too_many(budget: Budget, line: int = 0) -> Exceeded:
    return Exceeded(f"holds more than {budget.values} values", line)


def too_deep(budget: Budget, line: int = 0) -> TooDeep:
    return TooDeep(f"is nested more than {budget.depth} deep", line)
