"""The database file and its journal: nobody is told before it is stored."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from lab.tests.support.memory_cluster import World, config
from weft import errors
from weft_lab.apiserver import sqlite


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "api.db"
    path.write_text("this is not a database, but long enough to be looked at" * 20)
    with pytest.raises(errors.Unavailable, match="cannot be opened") as caught:
        sqlite.open_database(path)
    assert caught.value.hint


async def test_one_turn_of_the_loop_is_one_transaction(world: World) -> None:
    seen: list[str] = []
    connection = world.cluster.journal._connection
    connection.set_trace_callback(seen.append)
    for number in range(10):
        world.create("configmaps", config(f"c{number}"))
    await asyncio.gather(*(world.cluster.journal.durable() for _ in range(5)))
    assert seen.count("COMMIT") == 1
    stored = connection.execute("SELECT count(*) FROM objects WHERE resource = 'configmaps'")
    assert stored.fetchone() == (10,)


def test_all_that_is_stored_is_its_owners_alone(tmp_path: Path) -> None:
    connection = sqlite.open_database(tmp_path / "api.db")
    connection.execute("INSERT INTO facts VALUES ('a', 'b')")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes.keys() == {"api.db", "api.db-wal", "api.db-shm"}
    assert set(modes.values()) == {0o600}
    connection.close()


async def test_nobody_is_reported_before_it_is_stored(world: World) -> None:
    told: list[str] = []
    world.cluster.listeners.append(lambda change: told.append(change.item.key[1]))
    world.create("configmaps", config("a"))
    assert told == []
    await world.cluster.journal.durable()
    assert told == ["a"]


async def test_a_failed_write_is_reported_to_all_who_wait(world: World) -> None:
    watching = asyncio.ensure_future(world.cluster.journal.failure())
    await asyncio.sleep(0)
    world.cluster.journal._connection.execute("DROP TABLE objects")
    world.create("configmaps", config("a"))
    with pytest.raises(errors.Unavailable, match="refuses writes"):
        await world.cluster.journal.durable()
    with pytest.raises(errors.Unavailable):
        await watching


async def test_what_is_stored_comes_back(world: World) -> None:
    world.create("configmaps", config("a"))
    await world.cluster.journal.durable()
    kept = sqlite3.connect(":memory:", isolation_level=None)
    world.cluster.journal._connection.backup(kept)
    again = World(kept)
    assert again.get("configmaps", "a") == world.get("configmaps", "a")
    assert again.cluster.store.revision == world.cluster.store.revision
