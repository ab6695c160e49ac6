"""Keeps objects in one SQLite file, written in groups.

All changes of one turn of the event loop become one transaction. Watches get a change only after
its transaction is committed. Checkpoints run in a thread, so that no write waits for a disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from weft import errors
from weft_lab.apiserver import store

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_PUT = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?"
_CHECKPOINT_EVERY = 2_000


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create the file. Raises Unavailable, with the path."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)  # SQLite makes the files beside it with the same rights
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.executescript(SCHEMA)
    except (sqlite3.Error, OSError) as error:
        raise errors.Unavailable(
            f"the database cannot be opened: {error}",
            where=str(path),
            hint="move the file away to begin with an empty cluster, or free the disk",
        ) from error
    return connection


class Journal:
    """The group commit: `add` changes, `await durable()`, and `publish` is called in between."""

    def __init__(
        self, connection: sqlite3.Connection, publish: Callable[[store.Change], None]
    ) -> None:
        self._connection = connection
        self._publish = publish
        self._pending: list[store.Change] = []
        self._done: asyncio.Future[None] | None = None
        self._since_checkpoint = 0
        self._checkpoint: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[None] | None = None

    async def failure(self) -> None:
        """Raise when a write fails: what is in memory is then no longer what is stored."""
        self._failure = asyncio.get_running_loop().create_future()
        await self._failure

    def revision(self) -> int:
        return int(self.fact("revision") or 1)

    def fact(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def bodies(self, resource: str) -> Iterator[bytes]:
        query = "SELECT body FROM objects WHERE resource = ?"
        return (bytes(row[0]) for row in self._connection.execute(query, (resource,)))

    def add(self, change: store.Change) -> None:
        self._pending.append(change)
        if self._done is None:
            loop = asyncio.get_running_loop()
            self._done = loop.create_future()
            loop.call_soon(self._flush)

    async def durable(self) -> None:
        """Wait until everything added so far is stored."""
        if self._done is not None:
            await asyncio.shield(self._done)

    def _flush(self) -> None:
        changes, self._pending = self._pending, []
        done, self._done = self._done, None
        try:
            self._write(changes)
        except sqlite3.Error as error:
            self._fail(done, error)
            return
        for change in changes:
            self._publish(change)
        if done is not None:
            done.set_result(None)

    def _fail(self, done: asyncio.Future[None] | None, error: sqlite3.Error) -> None:
        hint = "free the disk, then start the server again"
        cause = errors.Unavailable(f"the database refuses writes: {error}", hint=hint)
        for future in (done, self._failure):
            if future is not None and not future.done():
                future.set_exception(cause)
                future.exception()  # every waiter may have gone away

    def _write(self, changes: list[store.Change]) -> None:
        run = self._connection.execute
        run("BEGIN")
        for change in changes:
            namespace, name = change.item.key
            if change.kind == "DELETED":
                run(_DELETE, (change.collection, namespace, name))
            else:
                run(_PUT, (change.collection, namespace, name, change.item.body))
        run("INSERT OR REPLACE INTO facts VALUES ('revision', ?)", (str(changes[-1].revision),))
        run("COMMIT")
        self._since_checkpoint += len(changes)
        if self._since_checkpoint >= _CHECKPOINT_EVERY:
            self._start_checkpoint()

    def _start_checkpoint(self) -> None:
        if self._checkpoint is None or self._checkpoint.done():
            self._since_checkpoint = 0
            self._checkpoint = asyncio.get_running_loop().create_task(self._run_checkpoint())

    async def _run_checkpoint(self) -> None:
        path = self._connection.execute("PRAGMA database_list").fetchone()[2]
        await asyncio.to_thread(checkpoint, path)

    async def close(self) -> None:
        """Store what is left; after a failure there is nothing more to save."""
        try:
            await self.durable()
            if self._checkpoint is not None:
                await self._checkpoint
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (errors.Unavailable, sqlite3.Error):
            pass
        finally:
            self._connection.close()


def checkpoint(path: str) -> None:
    """Copy the log into the database from a connection of its own, beside running writes."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    finally:
        connection.close()
