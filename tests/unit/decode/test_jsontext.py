"""JSON from outside: what it says, every key told that stands twice, within its budget."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.decode import jsontext
from weft.decode.budget import Budget, Exceeded, Malformed

SMALL = Budget(size=4096, values=100, depth=20)
ROOMY = Budget(size=1_000_000, values=10_000)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 21 + b"]" * 21,
        b"[" * 2000 + b"]" * 2000,
        b'{"a":' * 20 + b"[]" + b"}" * 20,
        b"[" + b"0," * 100 + b"0]",
        b"{" + b",".join(b'"%d":0' % n for n in range(100)) + b"}",
        b'"' + b"x" * 5000 + b'"',
    ],
)
def test_what_costs_more_than_the_budget_is_refused(text: bytes) -> None:
    with pytest.raises(Exceeded):
        jsontext.parse(text, SMALL)


def test_the_budget_itself_may_be_used_up() -> None:
    assert jsontext.parse(b"[" * 20 + b"]" * 20, SMALL)
    assert len(jsontext.parse(b"[" + b"0," * 98 + b"0]", SMALL)) == 99


@pytest.mark.parametrize(
    ("text", "message"), [(b"{", "at line 1"), (b'{\n"a": nan}', "at line 2"), (b"\xff", "line 1")]
)
def test_what_is_no_json_is_named_with_its_line(text: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        jsontext.parse(text, SMALL)


def find(text: bytes) -> list[tuple[str, int]]:
    _, keys = jsontext.parse_counted(text, ROOMY)
    return [(each.path, each.line) for each in jsontext.duplicates(text, keys)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (rb'{"a":1,"a":2}', [("a", 1)]),
        (rb'{"a":[0,{"b":1,"c":{},"b":2}]}', [("a[1].b", 1)]),
        (b'{"a":1,\n "a" : 2}', [("a", 2)]),
        (b'{"a":1,"\\u0061":2}', [("a", 1)]),
        (rb'{"a\\":1,"a\\":2}', [("a\\", 1)]),
        (rb'{"a":"\":","a":2}', [("a", 1)]),
        (rb'{"a":"{\"a\":1,\"a\":1}","b":":"}', []),
        (rb'{"a":{"x":1},"b":{"x":1}}', []),
        (rb'["a","a"]', []),
    ],
)
def test_a_key_that_stands_twice_is_reported(text: bytes, found: list[tuple[str, int]]) -> None:
    assert find(text) == found


KEYS = st.text(alphabet='a":\\ \n', max_size=3)
VALUES = st.recursive(
    st.integers() | st.text(alphabet='a":\\, {}'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
def test_different_keys_are_no_duplicates(value: object, marks: tuple[str, str]) -> None:
    assert find(json.dumps(value, separators=marks).encode()) == []


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), st.booleans())
def test_no_duplicate_is_missed(value: dict[str, object], is_tight: bool) -> None:
    marks = (",", ":") if is_tight else (" , ", " : ")
    text = json.dumps([value], separators=marks)
    key = json.dumps(next(iter(value)))
    text = f"{text[:2]}{key}{marks[1]}0{marks[0]}{text[2:]}"
    assert [path for path, _ in find(text.encode())] == [f"[0].{next(iter(value))}"]
