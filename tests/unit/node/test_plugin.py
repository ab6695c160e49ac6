"""The plugin stays in its folder, whoever takes it away or alters it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from weft import errors
from weft.cni import install
from weft.host import inotify
from weft.node import plugin

PROGRAM = b"#!/bin/sh\n# weft-cni 1 \n"


@asynccontextmanager
async def kept(folder: Path) -> AsyncIterator[plugin.PluginInstaller]:
    keeper = plugin.PluginInstaller(folder, PROGRAM)
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool], folder: Path) -> None:
    """Look again whenever something happens in the folder or to it."""
    changed = asyncio.Event()
    watches = inotify.Inotify(changed.set)
    try:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                os.makedirs(folder, exist_ok=True)
                watches.add(folder, inotify.APPEARED | inotify.ATTRIB | inotify.DISAPPEARED)
                watches.add(folder.parent, inotify.APPEARED)
                if holds():
                    return
                await changed.wait()
                changed.clear()
    finally:
        watches.close()


def is_whole(folder: Path) -> bool:
    return all(install.is_installed(folder / name, PROGRAM) for name in install.NAMES)


def lose(path: Path) -> None:
    path.unlink()


def alter(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"exec evil\n")


def close(path: Path) -> None:
    path.chmod(0o600)


def make_a_link(path: Path) -> None:
    path.rename(path.with_name("kept"))
    path.symlink_to("kept")


def lose_all(path: Path) -> None:
    shutil.rmtree(path.parent)


def move_all(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("harm", [lose, alter, close, make_a_link, lose_all, move_all])
async def test_what_is_lost_or_altered_is_written_again(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    folder = tmp_path / "cni" / "bin"
    async with kept(folder) as keeper:
        await until(lambda: is_whole(folder), folder)
        assert keeper.trouble == ""
        harm(folder / "weft-cni")
        assert not is_whole(folder)
        assert "not installed" in keeper.trouble
        await until(lambda: is_whole(folder), folder)
    assert is_whole(folder), "it stays when the agent ends"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


async def test_the_plugin_of_somebody_else_is_left_alone_and_reported(tmp_path: Path) -> None:
    other = tmp_path / "ovn-k8s-cni-overlay"
    other.write_bytes(b"\x7fELF of ovn-kubernetes")
    async with kept(tmp_path) as keeper:
        mine = tmp_path / "weft-cni"
        await until(lambda: install.is_installed(mine, PROGRAM), tmp_path)
        assert keeper.trouble == f"CNI plugin {other}: is a plugin of somebody else"
        assert other.read_bytes() == b"\x7fELF of ovn-kubernetes"
        other.unlink()
        await until(lambda: is_whole(tmp_path), tmp_path)
        assert keeper.trouble == ""


def test_only_a_plugin_of_weft_is_installed(tmp_path: Path) -> None:
    (tmp_path / "ls").write_bytes(b"\x7fELF")
    with pytest.raises(errors.InvalidInput, match="must be a CNI plugin of weft"):
        plugin.read(str(tmp_path / "ls"))
    with pytest.raises(errors.InvalidInput, match="cannot be read: No such file"):
        plugin.read(str(tmp_path / "none"))
    assert plugin.read("") == install.render()
