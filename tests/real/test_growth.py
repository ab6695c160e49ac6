"""A file's lines as another process writes them, through all that happens to a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from weft import errors
from weft.host import growth

pytestmark = pytest.mark.real


async def following(path: Path) -> tuple[AsyncGenerator[str], asyncio.Task[str]]:
    """The lines, and the first of them: by then they are listened for."""
    found = growth.lines(path)
    first = asyncio.create_task(anext(found))
    await asyncio.sleep(0)
    return found, first


async def test_what_is_added_is_told_and_what_was_there_is_not(tmp_path: Path) -> None:
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


async def test_a_file_that_comes_later_is_told_whole(tmp_path: Path) -> None:
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
        await anext(growth.lines(tmp_path / "none" / "log"))
