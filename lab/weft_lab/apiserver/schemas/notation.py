"""Reads the short notation of built-in types into OpenAPI schemas.

    = io.k8s.api.core.v1            the package of the definitions that follow
    Pod | A group of containers.    a definition, with its description
      spec PodSpec | What to run.   a field: name, type, flags, description

Types: string int int32 bool num any bytes signal, a definition's name (of its own package before
others'), [T] for lists, {T} for maps. A `!` after the name makes it required. Flags: `key=F` merges
list elements by field F, in server-side apply with `and=G` by both; `keys=F` is for server-side
apply alone, `mergekey=F` for strategic merge patches alone. `set` and `merge` are for lists of
scalars, `retain` is for unions, `atomic` marks a value that is replaced as a whole, `default=V` is
what an absent field means, `enum=V,W` are all values, of a list those of its elements. A
definition that is `union=D:F=V` has field F only if field D is V.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
PREFIX = "#/components/schemas/"

_SIGNALS = (
    *(
        "ABRT",
        "ALRM",
        "BUS",
        "CHLD",
        "CLD",
        "CONT",
        "FPE",
        "HUP",
        "ILL",
        "INT",
        "IO",
        "IOT",
        "KILL",
    ),
    *("PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP"),
    *("TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ"),
    *("RTMIN", *(f"RTMIN+{number}" for number in range(1, 16))),
    *("RTMAX", *(f"RTMAX-{number}" for number in range(1, 15))),
)
_SCALARS: dict[str, Schema] = {
    "signal": {"type": "string", "enum": sorted(f"SIG{name}" for name in _SIGNALS)},
    "string": {"type": "string"},
    "int": {"type": "integer", "format": "int64"},
    "int32": {"type": "integer", "format": "int32"},
    "bool": {"type": "boolean"},
    "num": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "any": {"type": "object"},
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
            _add_field(current, words.split(), description.strip(), names, package)
    return found


def _definition(words: list[str]) -> Schema:
    if words == ["atomic"]:
        return {"type": "object", "x-kubernetes-map-type": "atomic"}
    if words and words[0].startswith("union="):
        discriminator, _, rest = words[0].removeprefix("union=").partition(":")
        field, _, value = rest.partition("=")
        union: Schema = {"fields-to-discriminateBy": {field: value}}
        if discriminator:
            union["discriminator"] = discriminator
        return {"type": "object", "x-kubernetes-unions": [union]}
    return dict(_SCALARS[words[0]]) if words else {"type": "object"}


def _collect_names(texts: tuple[str, ...]) -> dict[str, str]:
    """Full names by short ones, and by those that say their package."""
    names: dict[str, str] = {}
    package = ""
    for line in (line for text in texts for line in text.splitlines()):
        if line.startswith("= "):
            package = line[2:].strip()
        elif line and not line.startswith(" "):
            name = line.split()[0]
            full = f"{package}.{name}"
            names[full] = names[name] = full
    return names


def _add_field(
    owner: Schema, words: list[str], description: str, names: dict[str, str], package: str
) -> None:
    name, kind, *flags = words
    if name.endswith("!"):
        name = name[:-1]
        owner.setdefault("required", []).append(name)
    schema = _type(kind, names, package)
    schema.update(_flags([flag for flag in flags if not flag.startswith("enum=")]))
    for flag in flags:
        if flag.startswith("enum="):
            values = flag.removeprefix("enum=").split(",")
            schema.get("items", schema)["enum"] = values
    if description:
        schema["description"] = description
    owner.setdefault("properties", {})[name] = schema


def _type(text: str, names: dict[str, str], package: str) -> Schema:
    if text.startswith("["):
        return {"type": "array", "items": _type(text[1:-1], names, package)}
    if text.startswith("{"):
        return {"type": "object", "additionalProperties": _type(text[1:-1], names, package)}
    scalar = _SCALARS.get(text)
    if scalar is not None:
        return dict(scalar)
    full = names.get(f"{package}.{text}") or names[text]
    return {"allOf": [{"$ref": PREFIX + full}]}


def _flags(flags: list[str]) -> Schema:
    found: Schema = {}
    strategies: list[str] = []
    for flag in flags:
        word, _, value = flag.partition("=")
        if word == "key":
            strategies.append("merge")
            found["x-kubernetes-patch-merge-key"] = value
            found["x-kubernetes-list-map-keys"] = [value]
            found["x-kubernetes-list-type"] = "map"
        elif word == "and":
            found["x-kubernetes-list-map-keys"] += value.split(",")
        elif word == "mergekey":
            strategies.append("merge")
            found["x-kubernetes-patch-merge-key"] = value
        elif word == "default":
            found["default"] = value
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
