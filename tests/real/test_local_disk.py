"""A disk image of this machine boots through firmware, with the seed beside it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from weft.lab.runtime import toolchain as parts
from weft.lab.vm import launcher, machine, qmp

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
WORDS = b"this disk boots\r\n"
# Real mode: ds = 0, then every byte of the text after the code goes to the first serial port.
CODE = bytes.fromhex("31c08ed8be157cbaf803ac84c07403eeebf8f4ebfd")
HOST_DISK = {"domain": {"devices": {"disks": [{"name": "d", "disk": {"bus": "virtio"}}]}}}


def boot_sector() -> bytes:
    return (CODE + WORDS).ljust(510, b"\0") + b"\x55\xaa"


async def _says(folder: Path) -> None:
    """The log of the console has all of it, also what was said before anybody listened."""
    while WORDS.strip() not in (folder / "console.log").read_bytes():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("ephemeral", [True, False])
async def test_a_local_image_boots(
    tmp_path: Path, toolchain: parts.Toolchain, ephemeral: bool
) -> None:
    assert CODE[4:7] == b"\xbe" + (0x7C00 + len(CODE)).to_bytes(2, "little")
    disk = tmp_path / "disk.raw"
    disk.write_bytes(boot_sector() + bytes(1 << 20))
    annotations = {machine.DISK_ANNOTATION: str(disk)} if ephemeral else {}
    spec = (
        {}
        if ephemeral
        else HOST_DISK | {"volumes": [{"name": "d", "hostDisk": {"path": str(disk)}}]}
    )
    vmi = {
        "metadata": {"name": "local", "namespace": "default", "annotations": annotations},
        "spec": {"domain": {}, **spec, "terminationGracePeriodSeconds": 0},
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "weft.lab.vm.launcher", "--run-folder", str(tmp_path)),
        env={**os.environ, "PYTHONPATH": str(ROOT), "WEFT_VMI": json.dumps(vmi)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(150):
            assert b"runs under" in await process.stdout.readline()
            folder = launcher.folder("default", "local", tmp_path)
            async with qmp.Monitor(folder / "monitor.sock") as monitor:
                blocks = await monitor.execute("query-block")
            await _says(folder)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    files = [block["inserted"]["file"] for block in blocks]
    assert files[1] == str(folder / "seed.iso")
    assert (files[0] == str(disk)) is not ephemeral, "an overlay keeps the image as it was"
    assert not folder.exists(), "the seed holds passwords and goes with the machine"


async def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    vmi = {
        "metadata": {"name": "local", "annotations": {machine.DISK_ANNOTATION: "/no/disk.img"}},
        "spec": {"domain": {}},
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "weft.lab.vm.launcher", "--run-folder", str(tmp_path)),
        env={**os.environ, "PYTHONPATH": str(ROOT), "WEFT_VMI": json.dumps(vmi)},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 2
    assert b'cannot run: disk: path "/no/disk.img"' in said
