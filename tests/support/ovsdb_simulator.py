"""A database that executes OVSDB operations by RFC 7047 and tells of them in update2.

Small, slow and obvious: sets are Python sets of atoms, everything is recomputed and compared.
It stands for the server where thousands of random transactions are played against the plan; the
real server is met in tests/real.
"""

from __future__ import annotations

import copy
from collections.abc import Set
from typing import Any

Json = Any
ZERO = {"string": "", "integer": 0, "real": 0.0, "boolean": False}


class Refused(Exception):
    """The transaction failed as a whole."""


class Database:
    """`transact` returns (results, table-updates2) or raises Refused and changes nothing.

    Of new rows in the `quiet` tables it tells only that they are there.
    """

    def __init__(self, schema: Json, quiet: Set[str] = frozenset()) -> None:
        self.schema = schema
        self._quiet = quiet
        self.tables: dict[str, dict[str, dict[str, Any]]] = {t: {} for t in schema["tables"]}

    def transact(self, operations: list[Json]) -> tuple[list[Json], Json]:
        before = copy.deepcopy(self.tables)
        try:
            results = self._run(operations)
        except Refused:
            self.tables = before
            raise
        updates = self._updates(before, self.tables)
        for table in self._quiet & updates.keys():
            for uuid, change in updates[table].items():
                updates[table][uuid] = {"insert": {}} if "insert" in change else change
        return results, updates

    def dump(self) -> Json:
        empty: dict[str, Any] = {t: {} for t in self.tables}
        updates = self._updates(empty, self.tables)
        return {
            t: {u: {"initial": r["insert"]} for u, r in changed.items()}
            for t, changed in updates.items()
        }

    def _run(self, operations: list[Json]) -> list[Json]:
        results: list[Json] = []
        for op in operations:
            table = self.tables[op["table"]]
            if op["op"] == "insert":
                row = {c: self._default(op["table"], c) for c in self._columns(op["table"])}
                row |= {c: self._read(op["table"], c, v) for c, v in op["row"].items()}
                assert op["uuid"] not in table
                table[op["uuid"]] = row
                results.append({"uuid": ["uuid", op["uuid"]]})
                continue
            found = [u for u in table if self._meets(op["table"], u, op["where"])]
            if op["op"] == "select":
                selected: list[Json] = [
                    {"_uuid": ["uuid", u]}
                    | {c: self._write(op["table"], c, table[u][c]) for c in op["columns"][1:]}
                    for u in found
                ]
                results.append({"rows": selected})
                continue
            if op["op"] == "wait":
                if found:
                    raise Refused("timed out")
                results.append({})
                continue
            for uuid in found:
                if op["op"] == "delete":
                    del table[uuid]
                elif op["op"] == "update":
                    for c, v in op["row"].items():
                        table[uuid][c] = self._read(op["table"], c, v)
                else:
                    for c, how, v in op["mutations"]:
                        self._mutate(op["table"], table[uuid], c, how, v)
            results.append({"count": len(found)})
        self._collect()
        self._check()
        return results

    def _mutate(self, table: str, row: dict[str, Any], column: str, how: str, raw: Json) -> None:
        have = row[column]
        if isinstance(have, dict):
            if how == "insert":
                row[column] = {**self._read(table, column, raw), **have}
            else:
                keys = set(raw[1]) if isinstance(raw, list | tuple) else {raw}
                row[column] = {k: v for k, v in have.items() if k not in keys}
        else:
            value = self._read(table, column, raw)
            row[column] = have | value if how == "insert" else have - value

    def _meets(self, table: str, uuid: str, where: Json) -> bool:
        row = self.tables[table][uuid]
        for column, how, raw in where:
            if column == "_uuid":
                if uuid != raw[1]:
                    return False
                continue
            value = self._read(table, column, raw)
            have = row[column]
            equal = have == value
            included = isinstance(have, dict) and value.items() <= have.items()
            if not (equal if how == "==" else included):
                return False
        return True

    def _columns(self, table: str) -> Json:
        return self.schema["tables"][table]["columns"]

    def _type(self, table: str, column: str) -> tuple[dict[str, Any], bool, int, Any]:
        spec = self._columns(table)[column]["type"]
        spec = spec if isinstance(spec, dict) else {"key": spec}
        key = spec["key"] if isinstance(spec["key"], dict) else {"type": spec["key"]}
        return key, "value" in spec, spec.get("min", 1), spec.get("max", 1)

    def _default(self, table: str, column: str) -> Any:
        key, is_map, least, _ = self._type(table, column)
        if is_map:
            return {}
        return set() if least == 0 else {ZERO[key["type"]]}

    def _read(self, table: str, column: str, raw: Json) -> Any:
        """JSON to a dict or to a set of atoms, scalars included."""
        key, is_map, _, most = self._type(table, column)

        def atom(value: Json) -> Any:
            if key["type"] != "uuid" or is_map:
                return value
            return value[1]

        if is_map:
            assert raw[0] == "map"
            return dict(raw[1])
        if isinstance(raw, list | tuple) and raw[0] == "set":
            assert most != 1 or len(raw[1]) <= 1
            return {atom(v) for v in raw[1]}
        return {atom(raw)}

    def _write(self, table: str, column: str, value: Any) -> Json:
        key, is_map, _, _ = self._type(table, column)
        if is_map:
            return ["map", [list(pair) for pair in sorted(value.items())]]
        atoms = [["uuid", v] if key["type"] == "uuid" else v for v in sorted(value)]
        return atoms[0] if len(atoms) == 1 else ["set", atoms]

    def _collect(self) -> None:
        """Drop what no strong reference keeps, and weak references to what is not there."""
        while True:
            held = {
                uuid
                for table, rows in self.tables.items()
                for c in self._columns(table)
                if self._type(table, c)[0].get("refType", "strong") == "strong"
                and "refTable" in self._type(table, c)[0]
                for row in rows.values()
                for uuid in row[c]
            }
            lost = [
                (t, u)
                for t, rows in self.tables.items()
                if not self.schema["tables"][t].get("isRoot")
                for u in rows
                if u not in held
            ]
            if not lost:
                break
            for table, uuid in lost:
                del self.tables[table][uuid]
        for table, rows in self.tables.items():
            for c in self._columns(table):
                key = self._type(table, c)[0]
                if key.get("refType") == "weak":
                    for row in rows.values():
                        row[c] = {u for u in row[c] if u in self.tables[key["refTable"]]}

    def _check(self) -> None:
        for table, spec in self.schema["tables"].items():
            for index in spec.get("indexes", ()):
                keys = [
                    tuple(sorted(map(str, row[c]))[0] for c in index)
                    for row in self.tables[table].values()
                ]
                if len(keys) != len(set(keys)):
                    raise Refused("constraint violation")
            for c in spec["columns"]:
                key = self._type(table, c)[0]
                if "refTable" in key and key.get("refType", "strong") == "strong":
                    for row in self.tables[table].values():
                        if not row[c] <= self.tables[key["refTable"]].keys():
                            raise Refused("referential integrity violation")

    def _updates(self, before: Json, after: Json) -> Json:
        updates: dict[str, dict[str, Json]] = {}
        for table in after:
            changed: dict[str, Json] = {}
            for uuid in before[table].keys() - after[table].keys():
                changed[uuid] = {"delete": None}
            for uuid, row in after[table].items():
                old = before[table].get(uuid)
                if old is None:
                    columns = {
                        c: self._write(table, c, v)
                        for c, v in row.items()
                        if v != self._default(table, c)
                    }
                    changed[uuid] = {"insert": columns}
                elif old != row:
                    columns = {
                        c: self._difference(table, c, old[c], v)
                        for c, v in row.items()
                        if v != old[c]
                    }
                    changed[uuid] = {"modify": columns}
            if changed:
                updates[table] = changed
        return updates

    def _difference(self, table: str, column: str, old: Any, new: Any) -> Json:
        _, is_map, _, most = self._type(table, column)
        if is_map:
            diff = {k: old[k] for k in old if k not in new}
            diff |= {k: v for k, v in new.items() if old.get(k) != v}
            return self._write(table, column, diff)
        return self._write(table, column, new if most == 1 else old ^ new)
