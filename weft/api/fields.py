"""Reads JSON from users and other programs; reports every problem instead of failing on one.

`decode` parses text, `Fields` reads typed fields of a JSON object. A field of the wrong type is
reported and then reads as absent, so one pass finds all problems.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from weft import errors
from weft.decode import budget, jsontext

_Read = TypeVar("_Read")


def kind_of(value: object) -> str:
    """JSON's name for the type of `value`."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "a number"
        case float():
            return "a number with a fraction"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
    return type(value).__name__


def decode(subject: str, field: str, text: str) -> object:
    """The JSON value in `text`, within the budget of an annotation; raises InvalidInput."""
    try:
        budget.check_size(text, budget.ANNOTATION)
        value: object = json.loads(text, parse_constant=_refuse_constant)
        jsontext.measure(value, budget.ANNOTATION)
        return value
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        rule = f"is not valid JSON: {_lowered(error.msg)} at {place}: {_excerpt(text, error.pos)}"
        hint = "look there for a missing or extra comma, quote or bracket"
        raise errors.InvalidInput(subject, field, None, rule, hint=hint) from None
    except RecursionError:
        rule = str(budget.too_deep(budget.ANNOTATION))
        raise errors.InvalidInput(subject, field, None, rule) from None
    except budget.Exceeded as error:
        raise errors.InvalidInput(subject, field, None, str(error)) from None
    except ValueError as error:
        rule = f"is not usable JSON: {_lowered(str(error))}"
        raise errors.InvalidInput(subject, field, None, rule) from None


def as_object(subject: str, field: str, value: object) -> Mapping[str, object]:
    """`value`, if it is a JSON object; else raises InvalidInput."""
    if not isinstance(value, Mapping):
        rule = f"must hold a JSON object, not {kind_of(value)}"
        raise errors.InvalidInput(subject, field, value, rule)
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"there is no number {name} in JSON")


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _excerpt(text: str, position: int) -> str:
    """The text around `position` on one line, with a mark at it."""
    before = " ".join(text[max(0, position - 40) : position].split())
    after = " ".join(text[position : position + 40].split())
    return f"{before} <here> {after}".encode("unicode_escape").decode("ascii").strip()


class Fields:
    """An untrusted JSON object, read field by field.

    `subject` and `path` locate it in messages; `problems` collects what is wrong. null reads as
    absent. A name that does not occur as written matches in any case, as in Go's JSON decoder,
    which other readers of these objects use.
    """

    def __init__(
        self,
        subject: str,
        path: str,
        raw: Mapping[str, object],
        problems: list[errors.InvalidInput],
    ) -> None:
        self.subject = subject
        self.path = path
        self.raw = raw
        self.problems = problems
        self._folded = {key.lower(): value for key, value in raw.items()}

    def refuse(self, name: str, value: object, rule: str, *, hint: str = "") -> None:
        """Report that field `name` ("": the object itself) breaks `rule`; `value` None: missing."""
        field = ".".join(filter(None, (self.path, name)))
        self.problems.append(errors.InvalidInput(self.subject, field, value, rule, hint=hint))

    def value(self, name: str) -> object:
        """The raw value; None if the field is absent."""
        if name in self.raw:
            return self.raw[name]
        return self._folded.get(name.lower())

    def has(self, name: str) -> bool:
        """Whether the field is present and not null."""
        return self.value(name) is not None

    def missing(self, name: str) -> bool:
        """Whether the field is absent or an empty string; a wrong type is not missing."""
        value = self.value(name)
        return value is None or (isinstance(value, str) and not value.strip())

    def _mistyped(self, name: str, value: object, expected: str, hint: str = "") -> None:
        self.refuse(name, value, f"must be {expected}, not {kind_of(value)}", hint=hint)

    def text(self, name: str) -> str:
        """A string without blanks around it; "" if it is absent or of another type."""
        value = self.value(name)
        if value is None or isinstance(value, str):
            return (value or "").strip()
        self._mistyped(name, value, "a string")
        return ""

    def number(self, name: str) -> int | None:
        """An integer; None if it is absent or of another type."""
        value = self.value(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        digits = isinstance(value, str) and value.strip().isdecimal()
        hint = "write the number without quotes" if digits else ""
        self._mistyped(name, value, "a whole number", hint)
        return None

    def flag(self, name: str) -> bool | None:
        """A boolean; None if it is absent or of another type."""
        value = self.value(name)
        if value is None or isinstance(value, bool):
            return value
        quoted = isinstance(value, str) and value.strip().lower() in ("true", "false")
        self._mistyped(name, value, "true or false", "write it without quotes" if quoted else "")
        return None

    def strings(self, name: str) -> Iterator[tuple[str, str]]:
        """(name with index, string) for each item of a list of strings."""
        value = self.value(name)
        if value is None:
            return
        if not isinstance(value, list):
            self._mistyped(name, value, "a list of strings", "put it into [ ]")
            return
        for index, item in enumerate(value):
            if isinstance(item, str):
                yield f"{name}[{index}]", item.strip()
            else:
                self._mistyped(f"{name}[{index}]", item, "a string")

    def each(
        self, listed: Iterable[tuple[str, str]], read: Callable[[str], _Read]
    ) -> Iterator[_Read]:
        """The results of `read` for each (name, text); its ValueErrors are reported as problems."""
        for name, text in listed:
            try:
                yield read(text)
            except ValueError as error:
                self.refuse(name, text, str(error))

    def nested(self, name: str) -> Fields | None:
        """The fields of an object; None if it is absent or of another type."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self._mistyped(name, value, "an object")
            return None
        path = f"{self.path}.{name}" if self.path else name
        return Fields(self.subject, path, value, self.problems)

    def objects(self, name: str) -> Iterator[tuple[int, Fields]]:
        """(index, fields) for each item of a list of objects."""
        value = self.value(name)
        if value is None:
            return
        if not isinstance(value, list):
            self._mistyped(name, value, "a list of objects", "put it into [ ]")
            return
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                path = f"{self.path}.{name}[{index}]" if self.path else f"{name}[{index}]"
                yield index, Fields(self.subject, path, item, self.problems)
            else:
                self._mistyped(f"{name}[{index}]", item, "an object")

    def only(self, *names: str) -> None:
        """Report each field other than `names`. For objects where an absent field allows more than
        a present one, so that a misspelt name must not pass as absent."""
        known = {name.lower(): name for name in names}
        for name, value in self.raw.items():
            if name.lower() not in known and value is not None:
                close = difflib.get_close_matches(name.lower(), known, 1)
                hint = f"did you mean {known[close[0]]}?" if close else "remove it"
                self.refuse(
                    name, None, f"is not a field here; the fields are {', '.join(names)}", hint=hint
                )

    def expect(self, names: Mapping[str, type]) -> None:
        """Report each of `names` with a value of another JSON type; for ignored fields."""
        for name, expected in names.items():
            if expected is str:
                self.text(name)
            elif expected is int:
                self.number(name)
            elif expected is bool:
                self.flag(name)
            elif expected is dict:
                self.nested(name)
            elif self.has(name) and not isinstance(self.value(name), expected):
                self._mistyped(name, self.value(name), "a list")
