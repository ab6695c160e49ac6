"""Parses label and field selectors and matches objects with them.

A selector becomes a list of terms over a plain mapping, so that labels and fields share code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from weft_lab.apiserver import status

Predicate = Callable[[Mapping[str, str]], bool]

# No two neighbours of these can match the same character, so that none tries two ways.
_SET = re.compile(r"([A-Za-z0-9._/-]+)\s+(in|notin)\s*\(([^()]*)\)\Z")
_EQUAL = re.compile(r"([A-Za-z0-9._/-]+)\s*(==|!=|=)\s*([A-Za-z0-9._:/-]*)\Z")
_EXISTS = re.compile(r"(!?)\s*([A-Za-z0-9._/-]+)\Z")
_ORDER = re.compile(r"([A-Za-z0-9._/-]+)\s*([<>])\s*(-?[0-9]{1,19})\Z")
_FIELD = re.compile(r"([^=!\s]+)\s*(==|!=|=)(.*)\Z", re.DOTALL)
MOST = 500  # terms of one selector: each is asked of every object


def parse_labels(text: str) -> Predicate | None:
    """None when nothing is asked, else a predicate over an object's labels."""
    terms = [_label_term(part.strip(), text) for part in _few(_split(text))]
    return _all_of(terms)


def parse_fields(text: str, known: Iterable[str]) -> Predicate | None:
    """Like labels, but only `=`, `==`, `!=`, and only over fields that the type offers."""
    offered = set(known)
    parts = [part for part in text.split(",") if part.strip()]
    terms = [_field_term(part.strip(), offered) for part in _few(parts)]
    return _all_of(terms)


def _few(parts: list[str]) -> list[str]:
    """Each term once."""
    found = list(dict.fromkeys(parts))
    if len(found) > MOST:
        raise status.bad_request(f"the selector has {len(found)} terms; at most {MOST} are taken")
    return found


def exact_field(text: str, name: str) -> str | None:
    """The value that a selector pins `name` to, so that a lookup can replace a scan."""
    for part in text.split(","):
        key, mark, value = part.partition("=")
        if mark and key.strip() == name:
            return value.lstrip("=").strip()
    return None


def _split(text: str) -> list[str]:
    """Commas part terms, but not inside the parentheses of a set."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(text):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


def _all_of(terms: list[Predicate]) -> Predicate | None:
    if not terms:
        return None
    if len(terms) == 1:
        return terms[0]
    return lambda found: all(term(found) for term in terms)


def _label_term(part: str, whole: str) -> Predicate:
    if match := _SET.match(part):
        key, operator, listed = match.groups()
        values = frozenset(value.strip() for value in listed.split(","))
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUAL.match(part):
        return _equality(*match.groups())
    if match := _EXISTS.match(part):
        absent, key = match.groups()
        return (lambda labels: key not in labels) if absent else (lambda labels: key in labels)
    if match := _ORDER.match(part):
        return _order(*match.groups())
    raise status.bad_request(
        f"unable to parse requirement {status.quote(part)} of label selector"
        f" {status.quote(whole)}: write key,"
        " !key, key=value, key!=value, key in (a,b) or key notin (a,b)"
    )


def _equality(key: str, operator: str, value: str) -> Predicate:
    if operator == "!=":
        return lambda found: found.get(key) != value
    return lambda found: found.get(key) == value


def _order(key: str, operator: str, bound: str) -> Predicate:
    limit = int(bound)

    def matches(labels: Mapping[str, str]) -> bool:
        try:
            value = int(labels.get(key, ""))
        except ValueError:
            return False
        return value > limit if operator == ">" else value < limit

    return matches


def _field_term(part: str, offered: set[str]) -> Predicate:
    match = _FIELD.match(part)
    if not match:
        raise status.bad_request(
            f"invalid selector: {status.quote(part)}; a field selector is field=value or"
            " field!=value"
        )
    key, operator, value = match.group(1), match.group(2), match.group(3).strip()
    if key not in offered:
        raise status.bad_request(
            f'Unable to find "{key}" among the selectable fields: field label not supported: {key};'
            f" offered are {', '.join(sorted(offered))}"
        )
    if operator == "!=":
        return lambda fields: fields.get(key, "") != value
    return lambda fields: fields.get(key, "") == value
