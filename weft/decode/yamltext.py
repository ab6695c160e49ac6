"""Decodes YAML documents within a budget, and finds duplicate keys.

Parser events become values one at a time, and each is counted: an alias counts as much as its
anchor, so a few lines cannot stand for gigabytes. The dialect decides which values are valid:
Kubernetes converts YAML to JSON, cloud-init accepts all that PyYAML's safe loader accepts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import yaml

from weft.decode import budget as budgets
from weft.decode.budget import Budget, Duplicate, Exceeded, Malformed

_TAG = "tag:yaml.org,2002:"
_TEXT, _MERGE, _NUMBERS = f"{_TAG}str", f"{_TAG}merge", (f"{_TAG}int", f"{_TAG}float")
_AS_JSON = {_TEXT, *_NUMBERS, f"{_TAG}bool", f"{_TAG}null", "!"}
_COLLECTIONS = {None, "!", f"{_TAG}map", f"{_TAG}seq"}


class Dialect(Enum):
    """The dialect of YAML."""

    KUBERNETES = "kubernetes"
    CLOUD_INIT = "cloud-init"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a stream, the line where it begins, and its duplicate keys."""

    value: Any
    line: int
    duplicates: tuple[Duplicate, ...] = ()


def parse(
    text: bytes | str, budget: Budget, dialect: Dialect = Dialect.KUBERNETES
) -> Iterator[Document]:
    """The documents of a stream, in order; the budget covers all of them together.

    Of a duplicate key the last value counts. Raises Malformed with the line, Exceeded if the
    stream exceeds the budget.
    """
    budgets.check_size(text, budget)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        source = loader(text)
        try:
            yield from _Composer(source, budget, dialect).documents()
        finally:
            source.dispose()
    except yaml.YAMLError as error:
        raise _malformed(error) from None
    except UnicodeError:
        raise Malformed("contains characters that are not text") from None


def parse_one(text: bytes | str, budget: Budget, dialect: Dialect = Dialect.KUBERNETES) -> Document:
    """The only document of a text; an empty text is null. Raises Malformed for a second one."""
    documents = parse(text, budget, dialect)
    first = next(documents, Document(None, 1))
    for second in documents:
        raise Malformed("holds more than one document", second.line)
    return first


def _malformed(error: yaml.YAMLError) -> Malformed:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    why = str(problem or "cannot be read")
    return Malformed(why, mark.line + 1 if mark is not None else 0)


@dataclass(slots=True)
class _Anchored:
    value: Any
    values: int
    size: int


@dataclass(slots=True)
class _Composer:
    """Composes values from parser events, and counts them."""

    source: Any
    budget: Budget
    dialect: Dialect
    values: int = 0
    size: int = 0
    path: list[str] = field(default_factory=list)
    anchors: dict[str, _Anchored | None] = field(default_factory=dict)
    found: list[Duplicate] = field(default_factory=list)

    def documents(self) -> Iterator[Document]:
        self.source.get_event()  # the stream's beginning
        while not self.source.check_event(yaml.StreamEndEvent):
            line = self.source.get_event().start_mark.line + 1
            self.anchors, self.found = {}, []
            value = self._value()
            self.source.get_event()  # the document's end
            yield Document(value, line, tuple(self.found))

    def _value(self) -> Any:
        event = self.source.get_event()
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._spend(event, 1, 0)
        before = self.values - 1, self.size
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # defined, but incomplete: an alias to it is an error
        if isinstance(event, yaml.ScalarEvent):
            self._spend(event, 0, len(event.value))
            value = self._scalar(event)
        elif len(self.path) >= self.budget.depth:
            raise budgets.too_deep(self.budget, _line(event))
        elif event.tag not in _COLLECTIONS:
            raise Malformed(f"has a tag that is not known here: {event.tag}", _line(event))
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._map()
        else:
            value = self._list()
        if event.anchor is not None:
            cost = self.values - before[0], self.size - before[1]
            self.anchors[event.anchor] = _Anchored(value, *cost)
        return value

    def _spend(self, event: Any, values: int, size: int) -> None:
        self.values += values
        self.size += size
        if self.values > self.budget.values:
            raise budgets.too_many(self.budget, _line(event))
        if self.size > self.budget.size:
            why = f"holds more than {self.budget.size} characters with its aliases written out"
            raise Exceeded(why, _line(event))

    def _alias(self, event: Any) -> Any:
        held = self.anchors.get(event.anchor)
        if held is None:
            why = "is part of its own anchor" if event.anchor in self.anchors else "is not known"
            raise Malformed(f"has an alias that {why}: *{event.anchor}", _line(event))
        self._spend(event, held.values, held.size)
        return held.value

    def _list(self) -> list[Any]:
        found: list[Any] = []
        self.path.append("")
        while not self.source.check_event(yaml.SequenceEndEvent):
            self.path[-1] = f"[{len(found)}]"
            found.append(self._value())
        self.source.get_event()
        self.path.pop()
        return found

    def _map(self) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        is_merged = False
        self.path.append("")
        while not self.source.check_event(yaml.MappingEndEvent):
            event = self.source.peek_event()
            is_merge = self._is_merge(event)
            key = self._key(event)
            self.path[-1] = f".{key}"
            if key in found or (is_merge and is_merged):
                self.found.append(Duplicate("".join(self.path).lstrip("."), _line(event)))
            if is_merge:
                is_merged = True
                merged = self._merge(event, self._value())
            else:
                found[key] = self._value()
        self.source.get_event()
        self.path.pop()
        return {**merged, **found} if merged else found

    def _is_merge(self, event: Any) -> bool:
        return (
            isinstance(event, yaml.ScalarEvent)
            and event.value == "<<"
            and event.implicit[0]
            and event.tag is None
        )

    def _key(self, event: Any) -> Any:
        if not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
            raise Malformed("has a map or a list as a key", _line(event))
        key = "<<" if self._is_merge(event) and self.source.get_event() else self._value()
        if isinstance(key, dict | list) or (key is None and self._is_json):
            raise Malformed("has a key that is no text", _line(event))
        if not self._is_json or isinstance(key, str):
            return key
        return str(key).lower() if isinstance(key, bool) else str(key)

    def _merge(self, event: Any, value: Any) -> dict[Any, Any]:
        """The map that `<<` merges; of several maps the first one with a key wins."""
        maps = value if isinstance(value, list) else [value]
        found: dict[Any, Any] = {}
        for one in reversed(maps):
            if not isinstance(one, dict):
                raise Malformed("has a << that is neither a map nor a list of maps", _line(event))
            found.update(one)
        return found

    @property
    def _is_json(self) -> bool:
        return self.dialect is Dialect.KUBERNETES

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag in (None, "!"):
            tag = self.source.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag in (_TEXT, "!") or (
            self._is_json and event.tag is None and _is_only_text(tag, event)
        ):
            return event.value
        if tag == _MERGE or tag == f"{_TAG}value":
            return event.value
        if self._is_json and tag not in _AS_JSON:
            raise Malformed(f"has a tag that is not known here: {tag}", _line(event))
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            value = self.source.construct_object(node)
        except (ValueError, TypeError, OverflowError, AttributeError) as error:
            raise Malformed(
                f"has {event.value[:40]!r}, which is not a valid {tag}: {error}"
            ) from None
        return self._number(event, value) if self._is_json else value

    def _number(self, event: Any, value: Any) -> Any:
        """The number as JSON holds it: approximate beyond 64 bits, never infinite or NaN."""
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            try:
                value = float(value)
            except OverflowError:
                value = math.inf
        if isinstance(value, float) and not math.isfinite(value):
            raise Malformed(f"has {event.value[:40]!r}, which is no number in JSON", _line(event))
        return value


def _is_only_text(tag: str, event: Any) -> bool:
    """Dates and base-60 numbers exist in YAML 1.1 only: Kubernetes reads them as strings."""
    return tag == f"{_TAG}timestamp" or (tag in _NUMBERS and ":" in event.value)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
