"""Bounds the cost of untrusted text, and defines the errors that name the bound it exceeds.

A few bytes can stand for gigabytes: YAML aliases multiply, and deep nesting overflows the stack.
Every decoder counts the values that it makes and stops at a bound.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
# orjson's own limit is 254 levels; this leaves room for an enclosing list and managedFields.
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


# An annotation, or the config of a NetworkAttachmentDefinition: the most that an object can hold.
ANNOTATION = Budget(size=2 * MIB, values=50_000)
# A user's file: as large as the output of `kubectl get -A -o yaml` on a large cluster.
FILE = Budget(size=64 * MIB, values=2_000_000)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that occurs twice in one map: its path from the top, and the line of the second."""

    path: str
    line: int


class Malformed(ValueError):
    """Text that cannot be decoded. `line` counts from 1; 0 if it is unknown."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(f"{why} at line {line}" if line else why)
        self.why = why
        self.line = line


class Exceeded(Malformed):
    """Text that exceeds its budget."""


class TooDeep(Exceeded):
    """Text that nests maps and lists too deep."""


def check_size(text: bytes | str, budget: Budget) -> None:
    """Raises Exceeded for a text of more bytes (characters for a str) than the budget."""
    if len(text) > budget.size:
        raise Exceeded(f"has {len(text)} bytes; at most {budget.size} are accepted")


def too_many(budget: Budget, line: int = 0) -> Exceeded:
    return Exceeded(f"holds more than {budget.values} values", line)


def too_deep(budget: Budget, line: int = 0) -> TooDeep:
    return TooDeep(f"is nested more than {budget.depth} deep", line)
