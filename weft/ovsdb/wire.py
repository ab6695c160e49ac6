"""The wire: bytes to JSON-RPC messages, operations to JSON, and what a transaction's reply means.

Pure. Framing is here because OVSDB's JSON has no separators: messages follow one another as
`{...}{...}`, cut anywhere by the socket.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from weft import errors, rows
from weft.ovsdb import schema

Json = Any

# What the parser says of a message whose last brace is still to come.
_UNFINISHED = "unexpected end of data"
_ESCAPE = re.compile(rb"\\.", re.DOTALL)


class Framer:
    """Cuts a stream of bytes into JSON objects, at the speed of `bytes.find` and `bytes.count`.

    A message ends where a closing brace outside of every string is followed by `{` or by nothing:
    `}{` cannot occur within JSON otherwise. Outside of strings means that an even number of
    unescaped quotes came before. At the end of what has arrived the parser itself says whether
    the message is whole.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._looked = 0  # no boundary starts before this
        self._seen = 0  # the quotes before this are counted
        self._inside = False  # and here a string is open

    def feed(self, data: bytes) -> list[Json]:
        """Every message that `data` completes."""
        if not self._rest and data[-1:] == b"}" and b"}{" not in data:
            # The common case, with nothing to copy: one message came in one piece.
            try:
                return [orjson.loads(data)]
            except orjson.JSONDecodeError:
                pass
        rest = self._rest
        rest += data
        messages: list[Json] = []
        start = 0
        while (at := rest.find(b"}{", self._looked)) >= 0:
            self._looked = at + 1
            if self._outside(at):
                messages.append(orjson.loads(memoryview(rest)[start : at + 1]))
                start = self._seen = at + 1
        self._looked = len(rest) - 1
        # Count up to a brace only: elsewhere the end may cut an escape in two.
        if rest[-1:] == b"}" and self._outside(len(rest) - 1):
            try:
                messages.append(orjson.loads(memoryview(rest)[start:]))
                start = len(rest)
                self._inside = False
            except orjson.JSONDecodeError as error:
                if error.msg != _UNFINISHED:
                    raise
        if start:
            del rest[:start]
            self._seen = max(self._seen - start, 0)
            self._looked = max(self._looked - start, 0)
        return messages

    def _outside(self, at: int) -> bool:
        """Whether the brace at `at` stands outside of every string."""
        part: bytes | bytearray = self._rest[self._seen : at]
        if b"\\" in part:
            part = _ESCAPE.sub(b"", part)
        self._inside ^= part.count(b'"') % 2 == 1
        self._seen = at
        return not self._inside


def operation(op: rows.Operation, tables: Mapping[str, Mapping[str, schema.Column]]) -> Json:
    """One operation as JSON."""
    columns = tables[op.table]
    if type(op) is rows.Insert:
        row = {c: columns[c].encode(value) for c, value in op.columns.items()}
        return {"op": "insert", "table": op.table, "uuid-name": op.name, "row": row}
    if type(op) is rows.Absent:
        where = [(c, how, columns[c].encode(value)) for c, how, value in op.conditions]
        return {
            "op": "wait", "timeout": 0, "table": op.table, "where": where,
            "columns": ["_uuid"], "until": "==", "rows": [],
        }  # fmt: skip
    this = [("_uuid", "==", ("uuid", op.uuid))]  # type: ignore[union-attr]
    if type(op) is rows.Update:
        row = {c: columns[c].encode(value) for c, value in op.columns.items()}
        return {"op": "update", "table": op.table, "where": this, "row": row}
    if type(op) is rows.Mutate:
        mutations = [(c, how, columns[c].encode(value)) for c, how, value in op.mutations]
        return {"op": "mutate", "table": op.table, "where": this, "mutations": mutations}
    return {"op": "delete", "table": op.table, "where": this}


# Errors of RFC 7047 that mean "somebody else was first, or a row went": plan again.
_CONTESTED = {
    "constraint violation",
    "referential integrity violation",
    "timed out",
    "aborted",
}


def check(database: str, operations: Sequence[Json], results: Sequence[Json]) -> None:
    """Raise for the operation that made the server refuse the transaction, if it did."""
    for position, result in enumerate(results):
        if not result or "error" not in result:
            continue
        op = operations[position] if position < len(operations) else {"op": "commit"}
        error = result["error"]
        reason = f"{error}: {result['details']}" if result.get("details") else error
        raise refusal(database, op, error, reason)


def refusal(database: str, op: Json, error: str, reason: str) -> errors.WeftError:
    kind = errors.Conflict if error in _CONTESTED else errors.Unavailable
    subject = f" on {op['table']}" if "table" in op else ""
    said = orjson.dumps(op).decode()
    return kind(
        f"the server refused {op['op']}{subject}: {reason}",
        where=database,
        hint=f"nothing of the transaction was done; the operation was {said[:400]}",
    )
