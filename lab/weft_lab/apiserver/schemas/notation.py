"""Reads the short notation of built-in types into OpenAPI schemas.

    = io.k8s.api.core.v1            the package of the definitions that follow
    Pod | A group of containers.    a definition, with its description
      spec PodSpec | What to run.   a field: name, type, flags, description

Types: string int bool num any bytes, a definition's name, [T] for lists, {T} for maps. A `!` after
the name makes it required. Flags: `key=F` merges list elements by field F (`keys=F,G` where
server-side apply uses several), `set` and `merge` are for lists of scalars, `retain` is for unions,
`atomic` marks a value that is replaced as a whole.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
PREFIX = "#/components/schemas/"

_SCALARS: dict[str, Schema] = {
    "string": {"type": "string"},
    "int": {"type": "integer", "format": "int64"},
    "bool": {"type": "boolean"},
    "num": {"type": "number"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "value": {},
    "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "int-or-string": {
        "oneOf": [{"type": "integer"}, {"type": "string"}],
        "format": "int-or-string",
    },
}


def read(*texts: str) -> dict[str, Schema]:
    """The OpenAPI schemas that the texts define, by full name."""
    names = _collect_names(texts)
    found: dict[str, Schema] = {}
    package = ""
    current: Schema = {}
    for line in (line for text in texts for line in text.splitlines()):
        if not line.strip():
            continue
        if line.startswith("= "):
            package = line[2:].strip()
            continue
        words, _, description = line.partition(" | ")
        if not line.startswith(" "):
            name, *rest = words.split()
            current = _definition(rest)
            if description:
                current["description"] = description.strip()
            found[f"{package}.{name}"] = current
        else:
            _add_field(current, words.split(), description.strip(), names)
    return found


def _definition(words: list[str]) -> Schema:
    if words == ["atomic"]:
        return {"type": "object", "x-kubernetes-map-type": "atomic"}
    return dict(_SCALARS[words[0]]) if words else {"type": "object"}


def _collect_names(texts: tuple[str, ...]) -> dict[str, str]:
    names: dict[str, str] = {}
    package = ""
    for line in (line for text in texts for line in text.splitlines()):
        if line.startswith("= "):
            package = line[2:].strip()
        elif line and not line.startswith(" "):
            name = line.split()[0]
            names[name] = f"{package}.{name}"
    return names


def _add_field(owner: Schema, words: list[str], description: str, names: dict[str, str]) -> None:
    name, kind, *flags = words
    if name.endswith("!"):
        name = name[:-1]
        owner.setdefault("required", []).append(name)
    schema = _type(kind, names)
    schema.update(_flags(flags))
    if description:
        schema["description"] = description
    owner.setdefault("properties", {})[name] = schema


def _type(text: str, names: dict[str, str]) -> Schema:
    if text.startswith("["):
        return {"type": "array", "items": _type(text[1:-1], names)}
    if text.startswith("{"):
        return {"type": "object", "additionalProperties": _type(text[1:-1], names)}
    scalar = _SCALARS.get(text)
    if scalar is not None:
        return dict(scalar)
    return {"allOf": [{"$ref": PREFIX + names[text]}]}


def _flags(flags: list[str]) -> Schema:
    found: Schema = {}
    strategies: list[str] = []
    for flag in flags:
        word, _, value = flag.partition("=")
        if word == "key":
            strategies.append("merge")
            found["x-kubernetes-patch-merge-key"] = value
            found.setdefault("x-kubernetes-list-map-keys", [value])
            found["x-kubernetes-list-type"] = "map"
        elif word == "keys":
            found["x-kubernetes-list-map-keys"] = value.split(",")
            found["x-kubernetes-list-type"] = "map"
        elif word == "retain":
            strategies.append("retainKeys")
        elif word == "merge":
            strategies.append("merge")
        elif word == "set":
            found["x-kubernetes-list-type"] = "set"
        elif word == "atomic":
            found["x-kubernetes-list-type"] = "atomic"
        elif word == "atomicmap":
            found["x-kubernetes-map-type"] = "atomic"
        else:
            raise ValueError(f"unknown flag {flag!r}")
    if strategies:
        found["x-kubernetes-patch-strategy"] = ",".join(strategies)
    return found
