"""The copy of the rows: indexes, duplicates, renames, and what a change shows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.support import ovsdb_schema
from weft import rows
from weft.ovsdb import contents, schema

SCHEMA = schema.Schema.parse(ovsdb_schema.SCHEMA)


@pytest.fixture
def copy() -> contents.Contents:
    return contents.Contents(ovsdb_schema.TABLES, SCHEMA)


def uuids(*names: str) -> Any:
    return ["set", [["uuid", name] for name in names]]


def test_a_row_is_complete_though_defaults_are_not_sent(copy: contents.Contents) -> None:
    (change,) = copy.patch({"Port": {"p": {"initial": {"name": "a"}}}})
    assert change == contents.RowChange(
        "Port",
        "p",
        "a",
        None,
        {
            "name": "a",
            "addresses": frozenset(),
            "options": {},
            "tag": frozenset(),
            "enabled": False,
            "dhcp": frozenset(),
        },
    )


def test_a_reader_keeps_what_it_read(copy: contents.Contents) -> None:
    copy.patch({"Port": {"p": {"initial": {"name": "a", "tag": 1}}}})
    before = copy.get("Port", "a")
    (change,) = copy.patch({"Port": {"p": {"modify": {"tag": 2}}}})
    assert before is not None
    assert before[1]["tag"] == 1
    assert change.old is before[1]
    assert change.new == {**before[1], "tag": 2}


def test_a_large_set_changes_in_place_and_the_change_still_shows(copy: contents.Contents) -> None:
    many = [f"p{i}" for i in range(schema.LARGE + 1)]
    copy.patch({"Switch": {"s": {"insert": {"name": "s", "ports": uuids(*many)}}}})
    copy.patch({"Switch": {"s": {"modify": {"ports": uuids("x")}}}})
    held = copy.every("Switch")["s"]["ports"]
    (change,) = copy.patch({"Switch": {"s": {"modify": {"ports": uuids("y", "p0")}}}})
    assert copy.every("Switch")["s"]["ports"] is held
    assert held == {*many, "x", "y"} - {"p0"}
    assert change.old is not None
    assert change.new is not None
    assert change.old["ports"] == {*many, "x"}
    assert rows.difference(change.old["ports"], change.new["ports"]) == {"y", "p0"}
    assert copy.referrers("Port", "y") == (rows.Referrer("Switch", "s", "ports"),)
    assert copy.referrers("Port", "p0") == ()


def test_a_row_held_twice_stays_held_when_one_lets_go(copy: contents.Contents) -> None:
    for switch in "st":
        copy.patch({"Switch": {switch: {"insert": {"name": switch, "ports": uuids("p")}}}})
    assert len(copy.referrers("Port", "p") or ()) == 2
    copy.patch({"Switch": {"s": {"delete": None}}})
    assert copy.referrers("Port", "p") == (rows.Referrer("Switch", "t", "ports"),)
    copy.patch({"Switch": {"t": {"modify": {"ports": uuids("p")}}}})
    assert copy.referrers("Port", "p") == ()


def test_a_renamed_row_is_found_by_its_new_key_alone(copy: contents.Contents) -> None:
    copy.patch({"Port": {"p": {"initial": {"name": "a"}}}})
    copy.patch({"Port": {"p": {"modify": {"name": "b"}}}})
    assert copy.get("Port", "a") is None
    assert copy.get("Port", "b") is not None


@pytest.mark.parametrize("order", [["s", "t", "u"], ["u", "t", "s"], ["t", "s", "u"]])
def test_duplicates_are_lived_with(copy: contents.Contents, order: list[str]) -> None:
    for uuid in "stu":
        copy.patch({"Switch": {uuid: {"insert": {"name": "same"}}}})
    left = {"s", "t", "u"}
    for uuid in order:
        found = copy.get("Switch", "same")
        assert found is not None
        assert found[0] in left
        copy.patch({"Switch": {uuid: {"delete": None}}})
        left.remove(uuid)
    assert copy.get("Switch", "same") is None


def test_two_names_swapped_in_one_transaction(copy: contents.Contents) -> None:
    copy.patch({"Port": {"p": {"initial": {"name": "a"}}, "q": {"initial": {"name": "b"}}}})
    copy.patch({"Port": {"p": {"modify": {"name": "b"}}, "q": {"modify": {"name": "a"}}}})
    assert copy.get("Port", "a") == ("q", copy.every("Port")["q"])
    assert copy.get("Port", "b") == ("p", copy.every("Port")["p"])


def insert(uuid: str, **columns: Any) -> list[rows.Operation]:
    return [rows.Insert("Port", uuid, columns)]


NEW: Any = {"insert": {}}


def test_of_its_own_rows_it_needs_to_hear_only_that_they_are_there(
    copy: contents.Contents,
) -> None:
    copy.expect(insert("p", name="a", tag=1))
    assert copy.get("Port", "a") is None
    (change,) = copy.patch({"Port": {"p": NEW}})
    assert change.new is not None
    assert (change.new["name"], change.new["tag"], change.new["enabled"]) == ("a", 1, False)
    assert copy.selects() == []


def test_rows_of_others_are_read(copy: contents.Contents) -> None:
    assert copy.patch({"Port": {"p": NEW}}) == []
    (select,) = copy.selects()
    assert (select["table"], select["where"]) == ("Port", [["_uuid", "==", ["uuid", "p"]]])
    assert copy.patch({"Port": {"p": {"modify": {"tag": 2}}}}) == []
    row = {"_uuid": ["uuid", "p"], "name": "a", "tag": 2}
    (change,) = copy.take_in([select], [{"rows": [row]}])
    assert change.old is None
    assert copy.get("Port", "a") == ("p", change.new)
    assert copy.selects() == []


def test_a_row_that_went_before_it_was_read_is_no_matter(copy: contents.Contents) -> None:
    copy.patch({"Port": {"p": NEW}})
    selects = copy.selects()
    assert copy.patch({"Port": {"p": {"delete": None}}}) == []
    assert copy.take_in(selects, [{"rows": []}]) == []


def test_a_row_that_was_refused_is_not_expected_any_more(copy: contents.Contents) -> None:
    operations = insert("p", name="a")
    copy.expect(operations)
    copy.settle(operations)
    copy.patch({"Port": {"p": NEW}})
    assert len(copy.selects()) == 1


def there(*names: str) -> Any:
    return {"Dhcp": {name: {"insert": {"ids": ["map", [["id", name]]]}} for name in names}}


def test_an_own_row_is_known_at_once_as_the_server_left_it(copy: contents.Contents) -> None:
    """It drops a weak reference to what went meanwhile, and tells nobody."""
    copy.expect(insert("p", name="a", dhcp="gone"))
    came, changed = copy.patch({"Port": {"p": NEW}})
    assert (came.old, came.new and came.new["dhcp"]) == (None, "gone")
    assert changed.old is came.new
    assert changed.new is not None
    assert changed.new["dhcp"] == frozenset()
    assert copy.get("Port", "a") == ("p", changed.new)
    assert copy.selects() == []


def test_an_own_row_that_refers_to_what_is_there_is_as_it_was_written(
    copy: contents.Contents,
) -> None:
    copy.patch(there("d"))
    copy.expect(insert("q", name="b", dhcp="d"))
    (came,) = copy.patch({"Port": {"q": NEW}})
    assert came.new is not None
    assert came.new["dhcp"] == "d"


@pytest.mark.parametrize("order", [("Port", "Dhcp"), ("Dhcp", "Port")])
def test_what_a_row_refers_to_may_go_in_the_message_that_brings_it(
    copy: contents.Contents, order: tuple[str, str]
) -> None:
    """The server puts two transactions into one message where a reader is slow."""
    copy.patch(there("d"))
    copy.expect(insert("p", name="a", dhcp="d"))
    updates: Any = {"Port": {"p": NEW}, "Dhcp": {"d": {"delete": None}}}
    changes = copy.patch({table: updates[table] for table in order})
    assert copy.every("Port")["p"]["dhcp"] == frozenset()
    assert [c.new["dhcp"] for c in changes if c.table == "Port" and c.new] == ["d", frozenset()]


def test_fresh_uuids_differ_where_the_server_hashes_them(copy: contents.Contents) -> None:
    made = [copy.new_uuid() for _ in range(1000)]
    assert len({name[:8] for name in made}) == 1000
    assert all(str(UUID(name)) == name for name in made)


def test_differences_tell_what_was_missed(copy: contents.Contents) -> None:
    copy.patch({"Port": {u: {"initial": {"name": u}} for u in ("gone", "same", "changed")}})
    fresh = contents.Contents(ovsdb_schema.TABLES, SCHEMA)
    fresh.patch(
        {
            "Port": {
                "same": {"initial": {"name": "same"}},
                "changed": {"initial": {"name": "changed", "tag": 1}},
                "new": {"initial": {"name": "new"}},
            }
        }
    )
    differences = {
        (c.uuid, c.old is None, c.new is None) for c in contents.differences(copy, fresh)
    }
    assert differences == {("gone", False, True), ("changed", False, False), ("new", True, False)}
