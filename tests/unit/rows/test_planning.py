"""The plan, played against a database that does what RFC 7047 says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import ovsdb_schema, ovsdb_simulator
from weft import rows
from weft.ovsdb import contents, schema, wire


class World:
    """A database and the contents that follow it, as a replica would."""

    def __init__(self, tables: tuple[rows.Table, ...] = ovsdb_schema.TABLES) -> None:
        self.database = ovsdb_simulator.Database(ovsdb_schema.SCHEMA, ovsdb_schema.QUIET)
        self.contents = contents.Contents(tables, schema.Schema.parse(ovsdb_schema.SCHEMA))

    def plan(self, *desired: rows.Row, delete: Any = ()) -> list[rows.Operation]:
        return rows.plan(desired, self.contents, delete)

    def apply(self, *desired: rows.Row, delete: Any = ()) -> list[rows.Operation]:
        plan = self.plan(*desired, delete=delete)
        operations = [wire.operation(op, self.contents.encoders) for op in plan]
        self.contents.expect(plan)
        self.run(operations)
        self.contents.settle(plan)
        return plan

    def run(self, operations: list[Any]) -> None:
        results, updates = self.database.transact(operations)
        assert all(result.get("count") != 0 for result in results), "wrote to a row that is gone"
        self.follow(updates)

    def follow(self, updates: Any) -> None:
        self.contents.patch(updates)
        if selects := self.contents.selects():
            self.contents.take_in(selects, self.database.transact(selects)[0])

    def columns(self, table: str, key: str) -> rows.Columns:
        found = self.contents.get(table, key)
        assert found is not None, f"no {table} {key!r}"
        return found[1]

    def keys(self, table: str) -> set[str]:
        key = next(t.key for t in ovsdb_schema.TABLES if t.name == table)
        return {decoded for row in self.contents.every(table).values() if (decoded := key(row))}


def switch(name: str, **config: str) -> rows.Row:
    return rows.Row("Switch", name, {"name": name, "config": config})


def port(name: str, parent: str = "s", **columns: Any) -> rows.Row:
    ref = rows.Ref("Switch", parent)
    return rows.Row("Port", name, {"name": name, **columns}, ref, "ports")


@pytest.fixture
def world() -> World:
    return World()


def test_a_parent_and_its_children_come_in_one_transaction(world: World) -> None:
    world.apply(port("a"), port("b"), switch("s"))
    uuids = {world.contents.get("Port", name)[0] for name in "ab"}  # type: ignore[index]
    assert world.columns("Switch", "s")["ports"] == uuids
    assert world.plan(port("a"), port("b"), switch("s")) == []


def test_one_more_child_costs_one_insert_and_one_mutation(world: World) -> None:
    world.apply(switch("s"), *[port(f"p{i}") for i in range(100)])
    plan = world.apply(port("new"))
    assert [type(op) for op in plan] == [rows.Insert, rows.Mutate]
    assert len(world.columns("Switch", "s")["ports"]) == 101  # type: ignore[arg-type]


def test_only_differing_columns_are_written(world: World) -> None:
    world.apply(switch("s"), port("a", tag=1, addresses=frozenset({"x"}), enabled=True))
    plan = world.apply(port("a", tag=2, addresses="x", enabled=True))
    uuid = world.contents.get("Port", "a")[0]  # type: ignore[index]
    assert plan == [rows.Update("Port", uuid, {"tag": 2})]


@pytest.mark.parametrize(
    ("column", "value", "same"),
    [
        ("tag", frozenset(), None),
        ("tag", 7, frozenset({7})),
        ("addresses", frozenset({"x"}), "x"),
        ("addresses", frozenset(), None),
        ("options", {}, None),
    ],
)
def test_every_way_to_write_a_value_is_the_same_value(
    world: World, column: str, value: Any, same: Any
) -> None:
    world.apply(switch("s"), port("a", **{column: value}))
    assert world.columns("Port", "a")[column] == value
    assert world.plan(port("a", **{column: value})) == []
    if same is not None:
        assert world.plan(port("a", **{column: same})) == []


def test_an_optional_value_can_be_taken_back(world: World) -> None:
    world.apply(switch("s"), port("a", tag=7))
    world.apply(port("a", tag=frozenset()))
    assert world.columns("Port", "a")["tag"] == frozenset()


def test_owned_keys_leave_those_of_others(world: World) -> None:
    world.apply(switch("s", theirs="1", old="2", ours="0"))
    desired = rows.MapEntries({"ours": "3", "new": "4"}, absent=frozenset({"old", "never"}))
    row = rows.Row("Switch", "s", {"config": desired})
    world.apply(row)
    assert world.columns("Switch", "s")["config"] == {"theirs": "1", "ours": "3", "new": "4"}
    assert world.plan(row) == []


def test_owned_members_leave_those_of_others(world: World) -> None:
    world.apply(switch("s"), port("a"), port("b"), port("c"))
    group = rows.Row("Group", "g", {"name": "g", "ports": frozenset({rows.Ref("Port", "a")})})
    world.apply(group)
    desired = rows.SetMembers(
        frozenset({rows.Ref("Port", "b")}), frozenset({rows.Ref("Port", "c")})
    )
    row = rows.Row("Group", "g", {"ports": desired})
    assert len(world.apply(row)) == 1
    assert len(world.columns("Group", "g")["ports"]) == 2  # type: ignore[arg-type]
    assert world.plan(row) == []


def test_a_new_row_joins_a_group_in_the_transaction_that_makes_it(world: World) -> None:
    world.apply(switch("s"), rows.Row("Group", "g", {"name": "g"}))
    desired = rows.SetMembers(frozenset({rows.Ref("Port", "a")}))
    world.apply(port("a"), rows.Row("Group", "g", {"ports": desired}))
    assert world.columns("Group", "g")["ports"] == {world.contents.get("Port", "a")[0]}  # type: ignore[index]


def test_a_part_of_a_row_never_makes_the_row(world: World) -> None:
    """So nobody joins a group that could not be made: its port is refused with it."""
    world.apply(switch("s"))
    desired = rows.SetMembers(frozenset({rows.Ref("Port", "a")}))
    part = rows.Row("Group", "g", {"ports": desired}, is_part=True)
    with pytest.raises(rows.MissingReference, match="'g'"):
        world.plan(port("a"), part)
    with pytest.raises(rows.MissingReference, match="'g'"):
        world.plan(port("a"), part, part)
    world.apply(port("a"), part, rows.Row("Group", "g", {"name": "g"}))
    assert len(world.columns("Group", "g")["ports"]) == 1  # type: ignore[arg-type]
    world.apply(
        rows.Row("Group", "g", {"ports": rows.SetMembers(absent=desired.present)}, is_part=True)
    )
    assert not world.columns("Group", "g")["ports"]


def test_requests_of_several_for_one_row_are_joined(world: World) -> None:
    world.apply(switch("s"), rows.Row("Group", "g", {"name": "g"}), port("a"), port("b"))
    one, two = (
        rows.Row("Group", "g", {"ports": rows.SetMembers(frozenset({rows.Ref("Port", p)}))})
        for p in "ab"
    )
    assert len(world.apply(one, two)) == 1
    assert len(world.columns("Group", "g")["ports"]) == 2  # type: ignore[arg-type]


def test_requests_that_contradict_are_refused(world: World) -> None:
    with pytest.raises(ValueError, match="config is desired as"):
        world.plan(switch("s", a="1"), switch("s", a="2"))
    with pytest.raises(ValueError, match="in two parents"):
        world.plan(switch("s"), switch("t"), port("a", "s"), port("a", "t"))


def test_a_child_moves_to_its_new_parent(world: World) -> None:
    world.apply(switch("s"), switch("t"), port("a", "s"))
    world.apply(port("a", "t"))
    assert world.columns("Switch", "s")["ports"] == frozenset()
    assert len(world.columns("Switch", "t")["ports"]) == 1  # type: ignore[arg-type]
    world.apply(switch("u"), port("a", "u"))
    assert len(world.columns("Switch", "u")["ports"]) == 1  # type: ignore[arg-type]
    assert world.columns("Switch", "t")["ports"] == frozenset()


def test_a_child_goes_by_leaving_its_parent(world: World) -> None:
    world.apply(switch("s"), port("a"), port("b"), port("c"))
    plan = world.apply(port("d"), delete=[("Port", "a"), ("Port", "b")])
    assert [type(op) for op in plan] == [rows.Insert, rows.Mutate]
    assert world.keys("Port") == {"c", "d"}


def test_children_go_with_their_parent(world: World) -> None:
    world.apply(switch("s"), port("a"))
    plan = world.apply(delete=[("Switch", "s"), ("Port", "a"), ("Port", "never was")])
    assert [type(op) for op in plan] == [rows.Delete]
    assert world.keys("Port") == set()


def test_what_is_desired_stays_though_it_is_deleted_too(world: World) -> None:
    world.apply(switch("s"))
    assert world.plan(switch("s"), delete=[("Switch", "s")]) == []


@pytest.mark.parametrize(
    "desired",
    [
        [port("a", "nowhere")],
        [rows.Row("Group", "g", {"ports": frozenset({rows.Ref("Port", "nowhere")})})],
        [switch("s"), port("a", dhcp=rows.Ref("Dhcp", "nowhere"))],
    ],
)
def test_a_reference_to_nothing_names_what_is_missing(
    world: World, desired: list[rows.Row]
) -> None:
    with pytest.raises(rows.MissingReference, match="nowhere") as caught:
        world.plan(*desired)
    assert caught.value.retry


def test_a_row_that_goes_in_the_same_transaction_cannot_be_referred_to(world: World) -> None:
    world.apply(switch("s"))
    with pytest.raises(rows.MissingReference):
        world.plan(port("a"), delete=[("Switch", "s")])


def test_a_table_without_unique_index_is_guarded_against_duplicates(world: World) -> None:
    first, second = World(), World()
    second.database = first.database
    first.apply(switch("s"))
    with pytest.raises(ovsdb_simulator.Refused, match="timed out"):
        second.apply(switch("s"))
    assert len(first.contents.every("Switch")) == 1


def test_rows_are_found_by_an_entry_of_a_map(world: World) -> None:
    row = rows.Row("Dhcp", "x", {"ids": rows.MapEntries({"id": "x"}), "cidr": "10.0.0.0/8"})
    foreign = {"op": "insert", "uuid": "f", "table": "Dhcp", "row": {"cidr": "::/0"}}
    world.run([foreign])
    world.apply(row, switch("s"), port("a", dhcp=rows.Ref("Dhcp", "x")))
    assert world.plan(row) == []
    assert world.keys("Dhcp") == {"x"}
    assert len(world.contents.every("Dhcp")) == 2


def test_the_only_row_of_a_table_needs_no_name(world: World) -> None:
    row = rows.Row("Global", "", {"options": rows.MapEntries({"a": "1"})})
    assert [type(op) for op in world.apply(row)] == [rows.AssertAbsent, rows.Insert]
    assert world.plan(row) == []


def test_what_is_not_monitored_cannot_be_desired(world: World) -> None:
    with pytest.raises(ValueError, match=r"Switch\.colour"):
        world.apply(rows.Row("Switch", "s", {"colour": "red"}))
    world.apply(switch("s"))
    with pytest.raises(ValueError, match=r"Switch\.colour"):
        world.plan(rows.Row("Switch", "s", {"colour": "red"}))
    with pytest.raises(ValueError, match=r"Switch\.children"):
        world.plan(rows.Row("Port", "a", {}, rows.Ref("Switch", "s"), "children"))
    with pytest.raises(ValueError, match="table Wall"):
        world.plan(rows.Row("Wall", "s"))


def test_a_column_that_weft_keeps_empty_is_emptied_and_one_that_it_desires_is_not() -> None:
    kept = rows.Table("Switch", ("name", "ports", "config"), kept_empty=("config",))
    world = World((kept, *ovsdb_schema.TABLES[1:]))
    world.apply(rows.Row("Switch", "s", {"name": "s"}))
    filled = {"op": "update", "table": "Switch", "where": [["name", "==", "s"]]}
    world.run([{**filled, "row": {"config": ["map", [["a", "1"]]]}}])
    assert world.plan(switch("s", a="1")) == []
    assert world.plan(rows.Row("Switch", "s", {}, is_part=True)) == []
    world.apply(rows.Row("Switch", "s", {"name": "s"}))
    assert world.plan(switch("s", a="1")) != []
    assert world.plan(rows.Row("Switch", "s", {"name": "s"})) == []


names = st.sampled_from(["a", "b", "c", "d"])
texts = st.text(max_size=3)
maps = st.dictionaries(st.text(max_size=2), texts, max_size=5)
tags: st.SearchStrategy[int | frozenset[str]] = st.one_of(st.integers(0, 9), st.just(frozenset()))
members = st.frozensets(texts, max_size=4)


@st.composite
def states(draw: st.DrawFn) -> dict[rows.RowKey, rows.Row]:
    """A whole desired state: switches, ports within them, groups of those ports."""
    switches = draw(st.sets(names, min_size=1))
    desired = [rows.Row("Switch", n, {"name": n, "config": draw(maps)}) for n in switches]
    ports = draw(st.sets(names))
    for name in ports:
        columns: dict[str, Any] = {
            "tag": draw(tags),
            "addresses": draw(members),
            "options": draw(maps),
        }
        desired.append(port(name, draw(st.sampled_from(sorted(switches))), **columns))
    for name in draw(st.sets(names, max_size=2)):
        refs = frozenset(rows.Ref("Port", p) for p in ports if draw(st.booleans()))
        weight = draw(st.floats(allow_nan=False, allow_infinity=False))
        columns = {"name": name, "ports": refs, "weight": weight}
        desired.append(rows.Row("Group", name, columns))
    return {(row.table, row.key): row for row in desired}


@settings(max_examples=200, deadline=None)
@given(st.lists(states(), min_size=1, max_size=4))
def test_any_state_is_reached_from_any_other_and_then_nothing_is_left_to_do(
    history: list[dict[rows.RowKey, rows.Row]],
) -> None:
    world = World()
    before: dict[rows.RowKey, rows.Row] = {}
    for state in history:
        gone = before.keys() - state.keys()
        world.apply(*state.values(), delete=gone)
        assert world.plan(*state.values(), delete=gone) == []
        for table in ("Switch", "Port", "Group"):
            assert world.keys(table) == {key for t, key in state if t == table}
        check(world, state)
        assert_followed(world)
        before = state


def check(world: World, state: dict[rows.RowKey, rows.Row]) -> None:
    """Every desired column reads back, and every port is in its own switch alone."""

    def decoded(value: Any) -> Any:
        if isinstance(value, frozenset) and any(isinstance(v, rows.Ref) for v in value):
            return {world.contents.get(v.table, v.key)[0] for v in value}  # type: ignore[index]
        return value

    for (table, key), row in state.items():
        actual = world.columns(table, key)
        assert {c: actual[c] for c in row.columns} == {
            c: decoded(v) for c, v in row.columns.items()
        }
        if row.parent is not None:
            uuid = world.contents.get(table, key)[0]  # type: ignore[index]
            parents = [s for s in world.contents.every("Switch").values() if uuid in s["ports"]]  # type: ignore[operator]
            assert [s["name"] for s in parents] == [row.parent.key]


def assert_followed(world: World) -> None:
    """What was patched bit by bit equals what a new reader gets."""
    fresh = contents.Contents(ovsdb_schema.TABLES, schema.Schema.parse(ovsdb_schema.SCHEMA))
    fresh.patch(world.database.dump())
    assert list(contents.differences(world.contents, fresh)) == []
    for uuid in fresh.every("Port"):
        assert set(fresh.referrers("Port", uuid) or ()) == set(
            world.contents.referrers("Port", uuid) or ()
        )
