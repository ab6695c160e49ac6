"""What a database's schema says of its columns: natural Python to JSON and back, and `modify`.

The question answered here: how is this column's value written in JSON (RFC 7047, section 5.1),
and what is it after a `modify` of update2? No socket and no rows in here.

Each column is compiled once into plain functions, so that a row costs one call for each column
that it really has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from weft import errors, rows

Json = Any

# A set or map that is larger changes in place, so that an event never costs what the set holds.
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
    """`merge(value, diff)` is the value after a `modify`: the same object if changed in place.

    `members(diff or value in JSON)` lists what a set column says, whatever its form.
    `keeps` names the table whose rows live only while a column like this refers to them, `weak`
    the one whose rows the server drops from here when they go.
    """

    encode: Encode
    decode: Callable[[Json], Any]
    merge: Callable[[Any, Json], Any]
    members: Callable[[Json], Set[Any]]
    default: Any
    keeps: str = ""
    weak: str = ""


class Unsuitable(errors.WeftError):
    """The database lacks what weft needs of it."""

    def __init__(self, database: str, what: str) -> None:
        hint = "is it of a version older than weft needs? The README names the oldest"
        super().__init__(what, where=database, hint=hint)


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one database: their columns, unique indexes, and which are roots."""

    name: str
    tables: Mapping[str, Mapping[str, Column]]
    roots: Set[str]
    unique: Mapping[str, Set[frozenset[str]]]

    @classmethod
    def parse(cls, raw: Json) -> Schema:
        specs = raw["tables"]
        # A schema that names no root at all (before OVSDB 1.0) has nothing but roots.
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
        """Some columns of a table; says plainly what this database does not have."""
        if table not in self.tables:
            raise Unsuitable(self.name, f"the database has no table {table}")
        known = self.tables[table]
        for name in names:
            if name not in known:
                raise Unsuitable(self.name, f"table {table} has no column {name}")
        return {name: known[name] for name in names}


def _column(spec: Json, roots: Set[str]) -> Column:
    """Compile one column's <type>, which is a bare name for the plainest columns."""
    spec = spec if isinstance(spec, dict) else {"key": spec}
    key = spec["key"] if isinstance(spec["key"], dict) else {"type": spec["key"]}
    value = spec.get("value")
    value = value if isinstance(value, dict) or value is None else {"type": value}
    is_uuid = key["type"] == "uuid"
    single = spec.get("max", 1) == 1
    target, is_strong = key.get("refTable", ""), key.get("refType", "strong") == "strong"
    keeps = target if is_strong and target not in roots else ""
    weak = "" if is_strong else target
    if value is not None:
        return _map_column(is_uuid, value["type"] == "uuid", single)
    members = _uuid_members if is_uuid else _members
    zero: Any = EMPTY if spec.get("min", 1) == 0 else ZERO[key["type"]]
    encode = _encode_uuids if is_uuid else _encode_plain
    if single:
        decode = _decode_uuid if is_uuid else _decode_plain
        return Column(encode, decode, lambda _, diff: decode(diff), members, zero, keeps, weak)
    default = zero if zero is EMPTY else frozenset((zero,))
    return Column(encode, members, _merge_set(members), members, default, keeps, weak)


def _map_column(uuid_keys: bool, uuid_values: bool, single: bool) -> Column:
    if uuid_keys or uuid_values:

        def decode(raw: Json) -> dict[Any, Any]:
            pairs = raw[1]
            return {(k[1] if uuid_keys else k): (v[1] if uuid_values else v) for k, v in pairs}

    else:

        def decode(raw: Json) -> dict[Any, Any]:
            return dict(raw[1])

    def encode(value: rows.Value) -> Json:
        if type(value) is dict or isinstance(value, Mapping):
            pairs: list[Any] = list(value.items())
            if uuid_keys:
                pairs = [(["uuid", k], v) for k, v in pairs]
            if uuid_values:
                pairs = [(k, ["uuid", v]) for k, v in pairs]
            return ["map", pairs]
        # The keys alone, to be deleted.
        return _encode_uuids(value) if uuid_keys else _encode_plain(value)

    def merge(current: dict[Any, Any], diff: Json) -> dict[Any, Any]:
        changed = current if len(current) > LARGE else dict(current)
        for key, value in decode(diff).items():
            if changed.get(key) == value and key in changed:
                del changed[key]
            else:
                changed[key] = value
        return changed

    replace: Callable[[Any, Json], Any] = (lambda _, diff: decode(diff)) if single else merge
    return Column(encode, decode, replace, lambda _: EMPTY, {})


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


def _decode_plain(raw: Json) -> Any:
    if type(raw) is not list:
        return raw
    return raw[1][0] if raw[1] else EMPTY


def _decode_uuid(raw: Json) -> Any:
    if raw[0] == "uuid":
        return raw[1]
    return raw[1][0][1] if raw[1] else EMPTY


def _members(raw: Json) -> frozenset[Any]:
    return frozenset(raw[1]) if type(raw) is list else frozenset((raw,))


def _uuid_members(raw: Json) -> frozenset[Any]:
    return frozenset((raw[1],)) if raw[0] == "uuid" else frozenset([uuid[1] for uuid in raw[1]])


def _merge_set(members: Callable[[Json], Set[Any]]) -> Callable[[Any, Json], Any]:
    def merge(current: Any, diff: Json) -> Any:
        if len(current) <= LARGE:
            return frozenset(current ^ members(diff))
        changed = current if type(current) is set else set(current)
        changed ^= members(diff)
        return changed

    return merge
