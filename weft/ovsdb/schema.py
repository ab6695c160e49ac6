"""Converts columns between Python values and JSON by the database's schema.

The JSON is RFC 7047's, section 5.1, and update2's `modify` (ovsdb-server(7)). Each column is
compiled once into plain functions, so a row costs one call for each column that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from weft import errors, rows

Json = Any

# A larger set or map changes in place, so that a change never costs a copy of it.
LARGE = 64

Encode = Callable[[rows.Value], Json]

EMPTY: frozenset[Any] = frozenset()
ZERO = {
    "string": "",
    "integer": 0,
    "real": 0.0,
    "boolean": False,
    "uuid": "00000000-0000-0000-0000-000000000000",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its JSON, its stored value, and its desired values.

    `keep` converts a desired value to what `decode` would return; values of type `kept` need no
    conversion (maps always do: their author may change them). `merge(value, diff)` is the value
    after a `modify` whose difference `decode` has read; it is the same object if it changed in
    place. `holds` names the non-root table that this column's references keep alive; `weak` the
    table whose deleted rows the server removes from this column.
    """

    encode: Encode
    decode: Callable[[Json], Any]
    keep: Callable[[Any], Any]
    kept: type | None
    merge: Callable[[Any, Any], Any]
    default: Any
    holds: str = ""
    weak: str = ""


class Unsuitable(errors.WeftError):
    """The database lacks a table or column that weft needs."""

    def __init__(self, database: str, what: str) -> None:
        hint = "is it of a version older than weft needs? The README names the oldest"
        super().__init__(what, where=database, hint=hint)


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one database: columns, unique indexes, and which are root tables."""

    name: str
    tables: Mapping[str, Mapping[str, Column]]
    roots: Set[str]
    unique: Mapping[str, Set[frozenset[str]]]

    @classmethod
    def parse(cls, raw: Json) -> Schema:
        """The schema in the reply to `get_schema` (RFC 7047, section 4.1.2)."""
        specs = raw["tables"]
        # A schema without any root table (before OVSDB 1.0) has only root tables.
        roots = {t for t, spec in specs.items() if spec.get("isRoot")} or set(specs)
        return cls(
            raw["name"],
            {
                t: {c: _column(v["type"], roots) for c, v in s["columns"].items()}
                for t, s in specs.items()
            },
            roots,
            {t: {frozenset(i) for i in spec.get("indexes", ())} for t, spec in specs.items()},
        )

    def columns(self, table: str, names: Iterable[str]) -> dict[str, Column]:
        """Some columns of a table; raises Unsuitable for one that the database does not have."""
        if table not in self.tables:
            raise Unsuitable(self.name, f"the database has no table {table}")
        known = self.tables[table]
        for name in names:
            if name not in known:
                raise Unsuitable(self.name, f"table {table} has no column {name}")
        return {name: known[name] for name in names}


def _column(spec: Json, roots: Set[str]) -> Column:
    """Compile one column's <type>; a bare name is an atomic type (RFC 7047, section 3.2)."""
    spec = spec if isinstance(spec, dict) else {"key": spec}
    key, value = _base(spec["key"]), _base(spec.get("value"))
    is_uuid = key["type"] == "uuid"
    single = spec.get("max", 1) == 1
    if value:
        return _map_column(is_uuid, value["type"] == "uuid", single)
    target, is_strong = key.get("refTable", ""), key.get("refType", "strong") == "strong"
    holds = target if is_strong and target not in roots else ""
    weak = "" if is_strong else target
    zero: Any = EMPTY if spec.get("min", 1) == 0 else ZERO[key["type"]]
    encode = _encode_uuids if is_uuid else _encode_plain
    if single:
        decode = _decode_uuid if is_uuid else _decode_plain
        kept = type(ZERO[key["type"]])
        return Column(encode, decode, _keep_single, kept, _replace, zero, holds, weak)
    default = zero if zero is EMPTY else frozenset((zero,))
    members = _decode_uuids if is_uuid else _decode_set
    return Column(encode, members, _keep_set, frozenset, _merge_set, default, holds, weak)


def _base(spec: Json) -> dict[str, Any]:
    return spec if isinstance(spec, dict) else {"type": spec} if spec else {}


def _map_column(uuid_keys: bool, uuid_values: bool, single: bool) -> Column:
    merge = _replace if single else _merge_map
    if not uuid_keys and not uuid_values:
        return Column(_encode_map, _decode_map, dict, None, merge, {})

    def decode(raw: Json) -> dict[Any, Any]:
        return {(k[1] if uuid_keys else k): (v[1] if uuid_values else v) for k, v in raw[1]}

    def encode(value: rows.Value) -> Json:
        if not isinstance(value, Mapping):  # only the keys, to delete
            return _encode_uuids(value) if uuid_keys else _encode_plain(value)
        pairs: list[Any] = list(value.items())
        if uuid_keys:
            pairs = [(["uuid", k], v) for k, v in pairs]
        if uuid_values:
            pairs = [(k, ["uuid", v]) for k, v in pairs]
        return ["map", pairs]

    return Column(encode, decode, dict, None, merge, {})


# Python to JSON. Exact types are compared before isinstance: this is the hot path.


def _encode_plain(value: rows.Value) -> Json:
    kind = type(value)
    if kind is str:
        return value
    if kind is frozenset or isinstance(value, Set):
        atoms = list(value)  # type: ignore[arg-type]
        return atoms[0] if len(atoms) == 1 else ["set", atoms]
    return value


def _encode_uuids(value: rows.Value) -> Json:
    if isinstance(value, Set):
        return ["set", [["uuid", atom] for atom in value]]
    return ["uuid", value]


def _encode_map(value: rows.Value) -> Json:
    if type(value) is dict or isinstance(value, Mapping):
        return ["map", list(value.items())]
    return _encode_plain(value)  # only the keys, to delete


# JSON to Python.


def _decode_plain(raw: Json) -> Any:
    if type(raw) is not list:
        return raw
    return raw[1][0] if raw[1] else EMPTY


def _decode_uuid(raw: Json) -> Any:
    if raw[0] == "uuid":
        return raw[1]
    return raw[1][0][1] if raw[1] else EMPTY


def _decode_set(raw: Json) -> frozenset[Any]:
    return frozenset(raw[1]) if type(raw) is list else frozenset((raw,))


def _decode_uuids(raw: Json) -> frozenset[Any]:
    return frozenset((raw[1],)) if raw[0] == "uuid" else frozenset([uuid[1] for uuid in raw[1]])


def _decode_map(raw: Json) -> dict[Any, Any]:
    return dict(raw[1])


# Desired to stored.


def _keep_single(value: Any) -> Any:
    if type(value) is str or not isinstance(value, Set):
        return value
    return next(iter(value)) if value else EMPTY


def _keep_set(value: Any) -> frozenset[Any]:
    if type(value) is frozenset:
        return value
    return frozenset(value) if isinstance(value, Set) else frozenset((value,))


# The effect of a `modify`: it toggles members, and toggles or replaces map entries.


def _replace(_: Any, new: Any) -> Any:
    return new


def _merge_set(current: Any, diff: frozenset[Any]) -> Any:
    if len(current) <= LARGE:
        return frozenset(current ^ diff)
    changed = current if type(current) is set else set(current)
    changed ^= diff
    return changed


def _merge_map(current: dict[Any, Any], diff: dict[Any, Any]) -> dict[Any, Any]:
    changed = current if len(current) > LARGE else dict(current)
    for key, value in diff.items():
        if key in changed and changed[key] == value:
            del changed[key]
        else:
            changed[key] = value
    return changed
