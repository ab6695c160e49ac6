"""Frames JSON-RPC messages, encodes operations, and checks a transaction's reply.

OVSDB's JSON stream has no separators: messages follow one another as `{...}{...}`, split
anywhere by the socket.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from weft import errors, rows
from weft.ovsdb.schema import Encode

Json = Any
# By table, by column.
Encoders = Mapping[str, Mapping[str, Encode]]

# The parser's error for a message whose last brace has not arrived yet.
_UNFINISHED = "unexpected end of data"
_ESCAPE = re.compile(rb"\\.", re.DOTALL)


class Framer:
    """Splits a stream of bytes into JSON objects, at the speed of `bytes.find` and of the parser.

    A message can end only at a `}` followed by `{`, or at the last byte so far. The parser
    decides whether it does: no JSON object is a prefix of another. A string full of `}{` would make
    that slow, so after the first wrong guess quotes are counted.
    """

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def feed(self, data: bytes) -> list[Json]:
        """Every message that `data` completes."""
        self._chunks.append(data)
        if data[-1:] != b"}" and b"}{" not in data:
            return []
        if len(self._chunks) > 1:
            data = b"".join(self._chunks)
        messages: list[Json] = []
        start = 0
        while start < len(data):
            message, end = _first(data, start)
            if not end:
                break
            messages.append(message)
            start = end
        self._chunks = [data[start:]] if start < len(data) else []
        return messages


def _first(data: bytes, start: int) -> tuple[Json, int]:
    """The message that begins at `start`, and its end; the end is 0 if it is incomplete."""
    view = memoryview(data)
    end = data.find(b"}{", start) + 1
    if end and (message := _parse(view[start:end])) is not None:
        return message, end
    seen, inside = start, False
    while end:
        part = data[seen:end]
        seen = end
        inside ^= (_ESCAPE.sub(b"", part) if b"\\" in part else part).count(b'"') % 2 == 1
        if not inside and (message := _parse(view[start:end])) is not None:
            return message, end
        end = data.find(b"}{", end) + 1
    if data[-1:] == b"}" and (message := _parse(view[start:])) is not None:
        return message, len(data)
    return None, 0


def _parse(data: memoryview) -> Json:
    """The message, or None if it is incomplete."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if error.msg != _UNFINISHED:
            raise
        return None


def operation(op: rows.Operation, encoders: Encoders) -> Json:
    """One operation as JSON."""
    encode = encoders[op.table]
    if type(op) is rows.Insert:
        row = {column: encode[column](value) for column, value in op.columns.items()}
        return {"op": "insert", "table": op.table, "uuid": op.uuid, "row": row}
    if type(op) is rows.AssertAbsent:
        where = [(column, how, encode[column](value)) for column, how, value in op.conditions]
        return {
            "op": "wait", "timeout": 0, "table": op.table, "where": where,
            "columns": ["_uuid"], "until": "==", "rows": [],
        }  # fmt: skip
    this = [("_uuid", "==", ("uuid", op.uuid))]  # type: ignore[union-attr]
    if type(op) is rows.Update:
        row = {column: encode[column](value) for column, value in op.columns.items()}
        return {"op": "update", "table": op.table, "where": this, "row": row}
    if type(op) is rows.Mutate:
        mutations = [(column, how, encode[column](value)) for column, how, value in op.mutations]
        return {"op": "mutate", "table": op.table, "where": this, "mutations": mutations}
    return {"op": "delete", "table": op.table, "where": this}


# Errors of RFC 7047 that mean that another writer was faster or a row is gone: plan again.
_CONTESTED = {
    "constraint violation",
    "duplicate uuid",
    "referential integrity violation",
    "timed out",
    "aborted",
}


def check(database: str, operations: Sequence[Json], results: Sequence[Json]) -> None:
    """Raise the error of the operation for which the server refused the transaction, if any."""
    for position, result in enumerate(results):
        if not result or "error" not in result:
            continue
        op = operations[position] if position < len(operations) else {"op": "commit"}
        error = result["error"]
        reason = f"{error}: {result['details']}" if result.get("details") else error
        raise refusal(database, op, error, reason)


def refusal(database: str, op: Json, error: str, reason: str) -> errors.WeftError:
    """The error for an operation that the server refused: Conflict if planning again may help."""
    kind = errors.Conflict if error in _CONTESTED else errors.Unavailable
    subject = f" on {op['table']}" if "table" in op else ""
    request = orjson.dumps(op).decode()
    return kind(
        f"the server refused {op['op']}{subject}: {reason}",
        where=database,
        hint=f"nothing of the transaction was done; the operation was {request[:400]}",
    )
