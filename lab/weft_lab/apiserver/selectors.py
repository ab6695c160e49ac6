"""Parses field selectors, and combines the terms of any selector.

A selector becomes a list of terms over a plain mapping, so that labels and fields share code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from weft_lab.apiserver import labelselectors, status

Predicate = Callable[[Mapping[str, str]], bool]


def parse_labels(text: str) -> Predicate | None:
    """None when nothing is asked, else a predicate over an object's labels."""
    return _all_of(labelselectors.parse(text))


def parse_fields(text: str, known: Iterable[str], *, custom: bool = False) -> Predicate | None:
    """Like labels, but only `=`, `==`, `!=`, and only over fields that the type offers."""
    offered = tuple(known)
    parts = [part for part in _split(text) if part not in ("", "=")]
    terms = [_term(part, text, offered, custom=custom) for part in _few(parts)]
    return _all_of(terms)


def _few(parts: list[str]) -> list[str]:
    """Each term once."""
    found, most = list(dict.fromkeys(parts)), labelselectors.MOST
    if len(found) > most:
        raise status.bad_request(f"the selector has {len(found)} terms; at most {most} are taken")
    return found


def exact_field(text: str, name: str) -> str | None:
    """The value that a selector pins `name` to, so that a lookup can replace a scan."""
    for part in _split(text):
        key, operator, value = _parts(part)
        if operator in ("=", "==") and key == name:
            return _unescaped(value)
    return None


def _split(text: str) -> list[str]:
    """At the commas that no backslash escapes."""
    parts, escaped = [""], False
    for char in text:
        if char == "," and not escaped:
            parts.append("")
        else:
            parts[-1] += char
        escaped = char == "\\" and not escaped
    return parts


def _all_of(terms: list[Predicate]) -> Predicate | None:
    if not terms:
        return None
    if len(terms) == 1:
        return terms[0]
    return lambda found: all(term(found) for term in terms)


def _parts(part: str) -> tuple[str, str, str]:
    """Field, operator and value; an empty operator where there is none."""
    for place in range(len(part)):
        for operator in ("!=", "==", "="):
            if part.startswith(operator, place):
                return part[:place], operator, part[place + len(operator) :]
    return part, "", ""


def _unescaped(value: str) -> str:
    found, chars = "", iter(value)
    for char in chars:
        if char == "\\":
            char = next(chars, "")
            if char not in ("\\", ",", "="):
                raise status.bad_request(
                    f"invalid field selector: invalid escape sequence: \\{char}"
                )
        elif char in ",=":
            why = f"unescaped character in value: {ord(char)}"
            raise status.bad_request(f"invalid field selector: {why}")
        found += char
    return found


def _term(part: str, whole: str, offered: tuple[str, ...], *, custom: bool) -> Predicate:
    key, operator, value = _parts(part)
    if not operator:
        raise status.bad_request(f"invalid selector: '{whole}'; can't understand '{part}'")
    value = _unescaped(value)
    if key not in offered:
        raise status.bad_request(_not_offered(key, offered, custom=custom))
    if operator == "!=":
        return lambda fields: fields.get(key, "") != value
    return lambda fields: fields.get(key, "") == value


_EVERYWHERE = ("metadata.name", "metadata.namespace")


def _not_offered(key: str, offered: tuple[str, ...], *, custom: bool) -> str:
    """Custom types and those with fields of their own word it in another way than the others."""
    if set(offered) <= set(_EVERYWHERE) and not custom:
        listed = ", ".join(f'"{name}"' for name in _EVERYWHERE)
        return f'"{key}" is not a known field selector: only {listed}'
    return f"field label not supported: {key}"
