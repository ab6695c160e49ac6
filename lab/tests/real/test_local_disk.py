"""A disk image of this machine boots through firmware, with the seed beside it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from weft_lab.runtime import toolchain as toolchains
from weft_lab.vm import launcher, machine, qmp

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[3]
WORDS = b"this disk boots\r\n"
# Real mode: ds = 0, then every byte of the text after the code goes to the first serial port.
CODE = bytes.fromhex("31c08ed8be157cbaf803ac84c07403eeebf8f4ebfd")
# The launcher wires a guest to the network namespace that it runs in, which is this machine's here.
NO_NETWORK = {"autoattachPodInterface": False}
DISKS = [{"name": "d", "disk": {"bus": "virtio"}}]


def boot_sector() -> bytes:
    return (CODE + WORDS).ljust(510, b"\0") + b"\x55\xaa"


async def _says(folder: Path) -> None:
    """The log of the console has all of it, also what was said before anybody listened."""
    while WORDS.strip() not in (folder / "console.log").read_bytes():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def run(vmi: Any, folder: Path, disk: Path, form: str, name: str) -> Any:
    """A launcher to which this file was handed open; its process and what it first says."""
    is_layered = name == machine.DISK_ANNOTATION
    number = os.open(disk, os.O_RDONLY if is_layered else os.O_RDWR)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "weft_lab.vm.launcher", "--run-folder", str(folder)),
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "WEFT_VMI": json.dumps(vmi),
                "WEFT_DISKS": json.dumps({name: {"descriptor": number, "format": form}}),
            },
            pass_fds=[number],
            stdout=asyncio.subprocess.PIPE,
        )
    finally:
        os.close(number)
    assert process.stdout is not None
    return process, await process.stdout.readline()


def instance(disk: Path, *, ephemeral: bool) -> Any:
    annotations = {machine.DISK_ANNOTATION: str(disk)} if ephemeral else {}
    devices = NO_NETWORK if ephemeral else NO_NETWORK | {"disks": DISKS}
    volumes = [] if ephemeral else [{"name": "d", "hostDisk": {"path": str(disk)}}]
    return {
        "metadata": {"name": "local", "namespace": "default", "annotations": annotations},
        "spec": {
            "domain": {"devices": devices},
            "volumes": volumes,
            "terminationGracePeriodSeconds": 0,
        },
    }


@pytest.mark.parametrize(
    ("ephemeral", "form"), [(True, "raw"), (False, "raw"), (True, "qcow2"), (False, "qcow2")]
)
async def test_a_local_image_boots(
    tmp_path: Path, toolchain: toolchains.Toolchain, ephemeral: bool, form: str
) -> None:
    assert CODE[4:7] == b"\xbe" + (0x7C00 + len(CODE)).to_bytes(2, "little")
    disk = raw = tmp_path / "disk.raw"
    raw.write_bytes(boot_sector() + bytes(1 << 20))
    if form == "qcow2":
        disk = tmp_path / "disk.qcow2"
        convert(toolchain, raw, disk)
    name = machine.DISK_ANNOTATION if ephemeral else "d"
    process, output = await run(instance(disk, ephemeral=ephemeral), tmp_path, disk, form, name)
    try:
        async with asyncio.timeout(150):
            assert b"runs under" in output
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
    assert (f"{folder}/layer" in files[0]) is ephemeral, "a layer keeps the image as it was"
    assert not folder.exists(), "the seed holds passwords and goes with the machine"


def make_layer(tools: toolchains.Toolchain, disk: Path, below: Path) -> None:
    argv = [tools.program("qemu-img"), "create", "-q", "-f", "qcow2", "-b", str(below)]
    subprocess.run([*argv, "-F", "raw", str(disk)], check=True)


def convert(tools: toolchains.Toolchain, source: Path, target: Path) -> None:
    argv = [tools.program("qemu-img"), "convert", "-q", "-O", "qcow2", str(source)]
    subprocess.run([*argv, str(target)], check=True)


async def test_what_a_guest_wrote_opens_no_file_of_the_machine(
    tmp_path: Path, toolchain: toolchains.Toolchain
) -> None:
    """A raw disk that begins as a qcow2 image with a backing file: raw it is, and stays."""
    secret = tmp_path / "secret"
    secret.write_bytes(boot_sector() + bytes(1 << 20))
    disk = tmp_path / "disk.raw"
    make_layer(toolchain, disk, secret)
    process, output = await run(instance(disk, ephemeral=False), tmp_path, disk, "raw", "d")
    try:
        assert b"runs under" in output
        folder = launcher.folder("default", "local", tmp_path)
        async with qmp.Monitor(folder / "monitor.sock") as monitor:
            (node,) = [
                each
                for each in await monitor.execute("query-named-block-nodes")
                if each["node-name"] == "drive0"
            ]
        opened = {
            os.readlink(f"/proc/{child}/fd/{number}")
            for child in children(process.pid)
            for number in os.listdir(f"/proc/{child}/fd")
        }
    finally:
        process.kill()
        await process.wait()
    assert node["drv"] == "raw"
    assert node["image"]["virtual-size"] == -(-disk.stat().st_size // 512) * 512
    assert str(disk) in opened
    assert str(secret) not in opened
    process, output = await run(instance(disk, ephemeral=False), tmp_path, disk, "qcow2", "d")
    assert b"needs another file beside it" in output
    assert await process.wait() == 2


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def test_a_disk_that_was_not_handed_over_is_named(tmp_path: Path) -> None:
    vmi = instance(Path("/no/disk.img"), ephemeral=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "weft_lab.vm.launcher", "--run-folder", str(tmp_path)),
        env={**os.environ, "PYTHONPATH": str(ROOT), "WEFT_VMI": json.dumps(vmi)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 2
    assert b'cannot run: disk: lab.weft/disk-image "/no/disk.img"' in output
