"""Framing by arbitrary cuts, operations as JSON, and what a refusal is told as."""

from __future__ import annotations

import itertools

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import ovsdb_schema
from weft import errors, rows
from weft.ovsdb import schema, wire

# Texts full of what could be taken for a boundary.
texts = st.lists(st.sampled_from(["}{", '"', "\\", '}{"', "a", "{", "}", "é"]), max_size=6).map(
    "".join
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), texts),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
messages = st.lists(st.dictionaries(texts, values, max_size=4), max_size=6)


@given(messages, st.lists(st.integers(0, 200), max_size=12))
@example([{}, {}, {"a": "}{"}], [1, 2, 3, 4])
@example([{"a": "\\"}, {"}{": '\\"}'}], list(range(60)))
@example([{"a": {"b": "}"}}], list(range(30)))
def test_messages_come_out_whole_however_they_were_cut(
    messages: list[dict[str, object]], cuts: list[int]
) -> None:
    stream = b"".join(map(orjson.dumps, messages))
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    framer = wire.Framer()
    received: list[object] = []
    for start, end in itertools.pairwise(bounds):
        received += framer.feed(stream[start:end])
    assert received == messages
    assert framer.feed(b'{"next":1}') == [{"next": 1}]


@given(messages)
@settings(max_examples=40)
def test_one_byte_at_a_time(messages: list[dict[str, object]]) -> None:
    framer = wire.Framer()
    stream = b"".join(map(orjson.dumps, messages))
    assert [m for i in range(len(stream)) for m in framer.feed(stream[i : i + 1])] == messages


@pytest.mark.parametrize("data", [b'{"a":oops}{"b":1}', b'{"a":1,}', b'{"a":{}}}', b'{"a":1}]}'])
def test_what_is_no_json_is_reported(data: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        wire.Framer().feed(data)


ENCODERS = {
    table: {name: column.encode for name, column in columns.items()}
    for table, columns in schema.Schema.parse(ovsdb_schema.SCHEMA).tables.items()
}


@pytest.mark.parametrize(
    ("operation", "json"),
    [
        (
            rows.Insert(
                "Port",
                "u",
                {"name": "a", "tag": 1, "options": {"k": "v"}, "addresses": frozenset({"x"})},
            ),
            {
                "op": "insert",
                "table": "Port",
                "uuid": "u",
                "row": {
                    "name": "a",
                    "tag": 1,
                    "options": ["map", [["k", "v"]]],
                    "addresses": "x",
                },
            },
        ),
        (
            rows.Mutate("Switch", "u", (("ports", "insert", frozenset({"v"})),)),
            {
                "op": "mutate",
                "table": "Switch",
                "where": [["_uuid", "==", ["uuid", "u"]]],
                "mutations": [["ports", "insert", ["set", [["uuid", "v"]]]]],
            },
        ),
        (
            rows.Update("Port", "u", {"tag": frozenset(), "dhcp": "d"}),
            {
                "op": "update",
                "table": "Port",
                "where": [["_uuid", "==", ["uuid", "u"]]],
                "row": {"tag": ["set", []], "dhcp": ["uuid", "d"]},
            },
        ),
        (
            rows.Mutate("Switch", "u", (("config", "delete", frozenset({"k"})),)),
            {
                "op": "mutate",
                "table": "Switch",
                "where": [["_uuid", "==", ["uuid", "u"]]],
                "mutations": [["config", "delete", "k"]],
            },
        ),
        (
            rows.Delete("Switch", "u"),
            {"op": "delete", "table": "Switch", "where": [["_uuid", "==", ["uuid", "u"]]]},
        ),
        (
            rows.AssertAbsent("Dhcp", (("ids", "includes", {"id": "x"}),)),
            {
                "op": "wait",
                "timeout": 0,
                "table": "Dhcp",
                "where": [["ids", "includes", ["map", [["id", "x"]]]]],
                "columns": ["_uuid"],
                "until": "==",
                "rows": [],
            },
        ),
    ],
)
def test_operations_as_json(operation: rows.Operation, json: object) -> None:
    assert orjson.loads(orjson.dumps(wire.operation(operation, ENCODERS))) == json


OPERATIONS = [{"op": "insert", "table": "Switch"}, {"op": "mutate", "table": "Port"}]


@pytest.mark.parametrize(
    ("results", "kind", "message"),
    [
        (
            [{"uuid": 1}, {"error": "constraint violation", "details": "twice"}],
            errors.Conflict,
            "mutate on Port: constraint violation: twice",
        ),
        (
            [{"error": "timed out"}, None],
            errors.Conflict,
            "insert on Switch: timed out",
        ),
        (
            [{}, {"count": 1}, {"error": "referential integrity violation"}],
            errors.Conflict,
            "commit: referential",
        ),
        (
            [{"error": "unknown column", "details": "no colour"}, None],
            errors.Unavailable,
            "no colour",
        ),
        ([{}, {}, {"error": "I/O error", "details": "disk full"}], errors.Unavailable, "disk full"),
    ],
)
def test_a_refusal_names_the_operation_and_the_servers_words(
    results: list[object], kind: type[errors.WeftError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        wire.check("Toy", OPERATIONS, results)


def test_success_is_silent() -> None:
    wire.check("Toy", OPERATIONS, [{"uuid": ["uuid", "u"]}, {"count": 1}])
