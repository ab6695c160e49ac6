"""Natural values to JSON and back, and what a `modify` makes of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import ovsdb_schema
from weft.ovsdb import schema

SCHEMA = schema.Schema.parse(ovsdb_schema.SCHEMA)
texts = st.text(max_size=4)
uuids = st.uuids().map(str)
VALUES: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("Port", "name"): texts,
    ("Port", "enabled"): st.booleans(),
    ("Port", "tag"): st.integers(0, 99) | st.just(frozenset()),
    ("Port", "addresses"): st.frozensets(texts),
    ("Port", "options"): st.dictionaries(texts, texts),
    ("Port", "dhcp"): uuids | st.just(frozenset()),
    ("Switch", "ports"): st.frozensets(uuids),
    ("Group", "weight"): st.floats(allow_nan=False, allow_infinity=False),
}


def as_sent(json: Any) -> Any:
    return orjson.loads(orjson.dumps(json))


@pytest.mark.parametrize(("table", "column"), list(VALUES))
@given(data=st.data())
def test_a_value_comes_back_as_it_went(table: str, column: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[table, column])
    codec = SCHEMA.tables[table][column]
    read = codec.decode(as_sent(codec.encode(value)))
    assert read == codec.keep(value) == value
    assert type(read) is type(codec.keep(value)) is type(value)


@pytest.mark.parametrize(
    ("table", "column", "raw", "value"),
    [
        ("Port", "addresses", "x", frozenset({"x"})),
        ("Port", "tag", ["set", [7]], 7),
        ("Port", "tag", ["set", []], frozenset()),
        ("Switch", "ports", ["uuid", "u"], frozenset({"u"})),
        ("Port", "dhcp", ["set", [["uuid", "u"]]], "u"),
    ],
)
def test_every_notation_of_a_value_is_read(table: str, column: str, raw: Any, value: Any) -> None:
    assert SCHEMA.tables[table][column].decode(raw) == value


@given(st.frozensets(st.integers(0, 200).map(str)), st.frozensets(st.integers(0, 200).map(str)))
def test_a_difference_of_sets_leads_from_one_to_the_other(
    old: frozenset[str], new: frozenset[str]
) -> None:
    column = SCHEMA.tables["Port"]["addresses"]
    held = set(old) if len(old) > schema.LARGE else old
    merged = column.merge(held, old ^ new)
    assert merged == new
    assert (merged is held) == (type(held) is set)


@given(st.dictionaries(texts, texts), st.dictionaries(texts, texts))
def test_a_difference_of_maps_leads_from_one_to_the_other(
    old: dict[str, str], new: dict[str, str]
) -> None:
    column = SCHEMA.tables["Port"]["options"]
    difference = {k: v for k, v in old.items() if k not in new}
    difference |= {k: v for k, v in new.items() if old.get(k) != v}
    before = dict(old)
    assert column.merge(old, difference) == new
    assert old == before


@pytest.mark.parametrize(
    ("column", "desired", "value"),
    [
        ("tag", frozenset({7}), 7),
        ("tag", frozenset(), frozenset()),
        ("addresses", "x", frozenset({"x"})),
        ("addresses", {"x": 1}.keys(), frozenset({"x"})),
        ("options", MappingProxyType({"k": "v"}), {"k": "v"}),
    ],
)
def test_every_request_is_kept_as_it_would_be_read(column: str, desired: Any, value: Any) -> None:
    kept = SCHEMA.tables["Port"][column].keep(desired)
    assert kept == value
    assert type(kept) is type(value)


def test_references_that_keep_rows_alive_are_known() -> None:
    assert SCHEMA.tables["Switch"]["ports"].holds == "Port"
    assert SCHEMA.tables["Group"]["ports"].holds == ""  # weak
    assert SCHEMA.tables["Port"]["dhcp"].holds == ""


def test_a_map_of_references_and_integers() -> None:
    spec = {
        "name": "Queues",
        "tables": {
            "Q": {
                "columns": {
                    "queues": {
                        "type": {
                            "key": "integer",
                            "value": {"type": "uuid", "refTable": "Q"},
                            "min": 0,
                            "max": "unlimited",
                        }
                    }
                }
            }
        },
    }
    column = schema.Schema.parse(spec).tables["Q"]["queues"]
    raw = ["map", [[1, ["uuid", "u"]]]]
    assert column.decode(raw) == {1: "u"}
    assert as_sent(column.encode({1: "u"})) == raw  # type: ignore[dict-item]


def test_what_the_database_does_not_have_is_said() -> None:
    with pytest.raises(schema.Unsuitable, match="no table Wall"):
        SCHEMA.columns("Wall", ())
    with pytest.raises(schema.Unsuitable, match="table Port has no column colour"):
        SCHEMA.columns("Port", ("name", "colour"))
