"""A file's lines as another process writes them, through all that happens to a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from weft import errors
from weft.host import checkpoint, tail

pytestmark = pytest.mark.real


async def following(path: Path) -> tuple[AsyncGenerator[str], asyncio.Task[str]]:
    """The lines, and the first of them: by then they are listened for."""
    found = tail.Tail(path, tail.end(path)).lines()
    first = asyncio.create_task(anext(found))
    await asyncio.sleep(0)
    return found, first


async def test_what_is_added_is_reported_and_what_was_there_is_not(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    found, first = await following(path)
    with path.open("a") as file:
        file.write("one\nhalf")
        file.flush()
        assert await first == "one"
        file.write(" more\n")
    assert await anext(found) == "half more"
    await found.aclose()


async def test_a_file_that_comes_later_is_reported_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    found, first = await following(path)
    (tmp_path / "other").write_text("other\n")
    path.write_text("one\ntwo\n")
    assert [await first, await anext(found)] == ["one", "two"]
    await found.aclose()


async def test_a_log_that_is_rotated_loses_nothing(tmp_path: Path) -> None:
    """What is still written to the old one, too, as long as nobody has made the new one."""
    path = tmp_path / "log"
    path.write_text("")
    found, first = await following(path)
    with path.open("a") as old:
        path.rename(tmp_path / "log.1")
        old.write("last of the old\n")
    path.write_text("first of the new\n")
    assert await first == "last of the old"
    assert await anext(found) == "first of the new"
    with path.open("a") as file:
        file.write("second\n")
    assert await anext(found) == "second"
    await found.aclose()


async def test_a_log_that_is_cut_short_goes_on_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a long line that was there before\n")
    found, first = await following(path)
    path.write_text("new\n")
    assert await first == "new"
    await found.aclose()


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="none: cannot be watched: No such file"):
        await anext(tail.Tail(tmp_path / "none" / "log", tail.NO_POSITION).lines())


async def test_what_was_written_while_nobody_read_is_reported_later(tmp_path: Path) -> None:
    """From the line after the last that was given, however far the rest of it was read."""
    path, kept = tmp_path / "log", checkpoint.Checkpoint(tmp_path / "kept")
    path.write_text("old\n")
    reader = tail.Tail(path, tail.end(path))
    found = reader.lines()
    first = asyncio.create_task(anext(found))
    await asyncio.sleep(0)
    with path.open("a") as file:
        file.write("one\ntwo\nha")
    assert await first == "one"
    kept.write(reader.position)
    await found.aclose()
    assert kept.read() == reader.position
    with path.open("a") as file:
        file.write("lf\nlast\n")
    found = tail.Tail(path, kept.read() or tail.NO_POSITION).lines()
    assert [await anext(found) for _ in range(3)] == ["two", "half", "last"]
    await found.aclose()


@pytest.mark.parametrize("happened", ["replaced", "cut"])
async def test_a_log_that_is_another_by_then_is_reported_whole(
    tmp_path: Path, happened: str
) -> None:
    path = tmp_path / "log"
    path.write_text("a long line that was read\n")
    since = tail.end(path)
    if happened == "replaced":
        path.rename(tmp_path / "log.1")
    path.write_text("new\n")
    found = tail.Tail(path, since).lines()
    assert await anext(found) == "new"
    await found.aclose()


async def test_of_very_much_that_was_missed_the_last_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "MAX_MISSED", 10)
    path = tmp_path / "log"
    path.write_text("first\nlast one\n")
    found = tail.Tail(path, tail.NO_POSITION).lines()
    assert [await anext(found), await anext(found)] == ["", "last one"]
    await found.aclose()


@pytest.mark.parametrize("text", ["", "[1, 2]", "[1, 2, -3]", "[1, 2, true]", "{}", "[1, 2, 3"])
def test_a_mark_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "kept").write_text(text)
    assert checkpoint.Checkpoint(tmp_path / "kept").read() is None
