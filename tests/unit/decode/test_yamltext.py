"""YAML from outside: JSON's values, keys that stand twice told, never more than paid for."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from weft.decode import yamltext
from weft.decode.budget import Budget, Exceeded, Malformed
from weft.decode.yamltext import Dialect

SMALL = Budget(size=4096, values=1000, depth=20)
TENFOLD = "[" + ",".join(["*a{0}"] * 10) + "]"
BOMB = 'a0: &a0 ["lol","lol"]\n' + "".join(
    f"a{n}: &a{n} {TENFOLD.format(n - 1)}\n" for n in range(1, 9)
)


def one(text: str, dialect: Dialect = Dialect.KUBERNETES) -> object:
    return yamltext.parse_one(text, SMALL, dialect).value


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 21 + "]" * 21,
        "{a: " * 21 + "1" + "}" * 21,
        "- 1\n" * 1000,
        "a: &a " + "x" * 900 + "\nb: [" + ",".join(["*a"] * 10) + "]",
        "a0: &a0 {k: v}\n"
        + "".join(f"a{n}: &a{n} {{<<: {TENFOLD.format(n - 1)}}}\n" for n in range(1, 9)),
        "x" * 5000,
        "---\n" * 1001,
    ],
    ids=["aliases", "lists", "maps", "values", "long", "merges", "size", "documents"],
)
def test_what_costs_more_than_the_budget_is_refused(text: str, dialect: Dialect) -> None:
    with pytest.raises(Exceeded):
        list(yamltext.parse(text, SMALL, dialect))


def test_the_work_on_a_bomb_ends_with_the_budget() -> None:
    """Counted, not timed: no event is asked for after the one that breaks the budget."""
    text = "a: " + "[" * 3_000_000
    with pytest.raises(Exceeded, match=r"nested more than 20 deep at line 1"):
        yamltext.parse_one(text, Budget(size=4_000_000, values=100, depth=20))


def test_an_alias_within_the_budget_is_what_it_stands_for() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3, c: [*base]}\n"
    assert one(text) == {
        "base": {"a": 1, "b": 2},
        "more": {"a": 1, "b": 3, "c": [{"a": 1, "b": 2}]},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "is part of its own anchor: *a at line 1"),
        ("a: 1\nb: *c", "is not known: *c at line 2"),
        ("a: !!python/name:os.system x", "a tag that is not known here"),
        ("a: !!binary aGk=", "a tag that is not known here"),
        ("a: [1\nb: 2", "at line 2"),
        ("? [a]\n: 1", "a map or a list as a key at line 1"),
        ("~: 1", "a key that is no text at line 1"),
        ("a: .nan", "no number in JSON at line 1"),
        ("a: " + "9" * 400, "no number in JSON at line 1"),
        ("a: 1\n---\nb: 2", "more than one document at line 2"),
        ("a: \x00", "are not allowed"),
        ("<<: 1", "neither a map nor a list of maps at line 1"),
    ],
)
def test_what_is_no_json_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(Malformed) as caught:
        one(text)
    assert message in str(caught.value)


def test_kubernetes_has_no_dates_and_no_numbers_of_base_60() -> None:
    text = "{a: 2026-01-02, b: 02:00:00:12:34:56, c: 1:30, d: 0o7, 1: yes, true: 0x10}"
    assert one(text) == {
        "a": "2026-01-02",
        "b": "02:00:00:12:34:56",
        "c": "1:30",
        "d": "0o7",
        "1": True,
        "true": 16,
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.dates() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=20,
    )
)
def test_cloud_init_reads_what_pyyaml_reads(value: object) -> None:
    text = yaml.safe_dump(value)
    roomy = Budget(size=1_000_000, values=10_000)
    assert yamltext.parse_one(text, roomy, Dialect.CLOUD_INIT).value == yaml.safe_load(text)


@given(st.text(alphabet="ab:-[]{},&*<!|>'\"# \n\t012.", max_size=80))
def test_nothing_else_is_ever_raised(text: str) -> None:
    with contextlib.suppress(Malformed):
        list(yamltext.parse(text, SMALL))


def test_a_key_that_stands_twice_is_reported_with_its_line() -> None:
    text = "a:\n- b: 1\n  c: {d: 1}\n  b: 2\n---\n1: x\n'1': y\n<<: {z: 1}\n<<: {z: 2}\n"
    first, second = yamltext.parse(text, SMALL)
    assert first.value == {"a": [{"b": 2, "c": {"d": 1}}]}
    assert [(each.path, each.line) for each in first.duplicates] == [("a[0].b", 4)]
    assert [(each.path, each.line) for each in second.duplicates] == [("1", 7), ("<<", 9)]
    assert (first.line, second.line) == (1, 5)
