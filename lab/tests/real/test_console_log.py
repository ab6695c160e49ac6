"""What is kept of a guest's console: the newest, however much and fast it prints."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from weft_lab import terminal
from weft_lab.runtime import toolchain as toolchains
from weft_lab.vm import consolelog, launcher, qemu

pytestmark = pytest.mark.real
MOST, FEW = 1 << 20, 1 << 16  # bytes
# Real mode: prints the text that follows, up to its zero, to the first serial port for ever.
CODE = bytes.fromhex("31c08ed8be127cbaf803ac84c074f5eeebf8")


async def test_a_flood_is_cut_and_its_end_is_shown(tmp_path: Path) -> None:
    """A real program prints thirty times what is kept; nothing of its end is lost."""
    log, seen = tmp_path / "console.log", 0
    script = "seq -f '%031.0f' 1000000; echo the end"
    with consolelog.ConsoleLog(log, MOST) as kept:
        process = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=kept.descriptor)
        async with asyncio.timeout(PATIENCE):
            while not terminal.past(log).endswith(b"the end\n"):
                await asyncio.sleep(0)
                seen = max(seen, log.stat().st_size)
        await process.wait()
    assert MOST // 2 < seen <= MOST
    *numbers, _ = log.read_text().splitlines()[1:]
    assert [int(each) for each in numbers] == list(range(1000001 - len(numbers), 1000001))
    assert len(numbers) * 32 > MOST // 2 - 64
    assert os.listdir(tmp_path) == ["console.log"]


async def test_what_a_guest_prints_for_ever_is_cut(
    tmp_path: Path, toolchain: toolchains.Toolchain
) -> None:
    log, disk = tmp_path / "console.log", tmp_path / "disk.raw"
    disk.write_bytes((CODE + b"weft \0").ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    with consolelog.ConsoleLog(log, FEW) as kept, launcher.listening(tmp_path) as sockets:
        numbers = {name: each.fileno() for name, each in sockets.items()}
        launch = qemu.Launch(
            name="flood",
            memory=64 << 20,
            cpus=1,
            accelerator="tcg",
            cards=(),
            drives=(qemu.Drive(str(disk)),),
            console=kept.descriptor,
            sockets=tuple(numbers.items()),
        )
        process = await asyncio.create_subprocess_exec(
            toolchain.program(qemu.PROGRAM),
            *qemu.arguments(launch),
            stdin=subprocess.DEVNULL,
            pass_fds=[kept.descriptor, *numbers.values()],
        )
        try:
            sizes, cuts = [0], 0
            async with asyncio.timeout(3 * PATIENCE):
                while cuts < 2:
                    await asyncio.sleep(0)
                    sizes.append(log.stat().st_size)
                    cuts += sizes[-1] < sizes[-2]
            assert process.returncode is None
        finally:
            process.kill()
            await process.wait()
    assert max(sizes) <= FEW
    assert b"weft weft weft" in terminal.past(log)


async def test_without_room_the_guest_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    with consolelog.ConsoleLog(log, FEW) as kept:
        log.unlink()
        log.mkdir()
        await asyncio.to_thread(os.write, kept.descriptor, b"lost")
        await asyncio.to_thread(_fill, kept.descriptor)
        log.rmdir()
        os.write(kept.descriptor, b"kept\n")
        async with asyncio.timeout(PATIENCE):
            while not terminal.past(log).endswith(b"kept\n"):  # noqa: ASYNC110
                await asyncio.sleep(0)


def _fill(descriptor: int) -> None:
    """More than a pipe holds: it ends only if somebody reads."""
    for _ in range(64):
        os.write(descriptor, bytes(1 << 12))
