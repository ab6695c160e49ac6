"""What two QEMUs send each other for a migration: encrypted, and with the layers of its disks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from weft import errors
from weft_lab.runtime import toolchain as toolchains
from weft_lab.vm import migrationdisks, migrationlink, migrationpace, migrationtls, qmpsession

pytestmark = pytest.mark.real
LAB, OTHER = b"k" * 32, b"o" * 32
MOVE = "5e7f0c4a-0000-4000-8000-000000000001"
MEMORY = "memory"
PATIENCE = 60.0
SIZE = 8 << 20
SPEED = 10 << 20  # bytes per second: QEMU takes its first measure when a megabyte is sent
WAITS_LONG = 60_000  # milliseconds: more than all of it takes


@dataclass
class Ends:
    """A QEMU that runs, and one that waits; neither has a guest."""

    source: qmpsession.Session
    target: qmpsession.Session
    passed: list[bytes] = field(default_factory=list)

    async def join(self, far: socket.socket, near: socket.socket) -> None:
        """Carry bytes from one connection to the other and back, and keep those of the source."""

        async def carry(one: socket.socket, other: socket.socket, keep: bool) -> None:
            loop = asyncio.get_running_loop()
            try:
                while chunk := await loop.sock_recv(one, 1 << 16):
                    if keep:
                        self.passed.append(chunk)
                    await loop.sock_sendall(other, chunk)
                other.shutdown(socket.SHUT_WR)
            except OSError:  # one has gone, and the other must see it
                one.shutdown(socket.SHUT_RDWR)

        await asyncio.gather(carry(far, near, True), carry(near, far, False))

    @contextlib.asynccontextmanager
    async def wired(
        self,
    ) -> AsyncIterator[tuple[socket.socket, socket.socket, asyncio.Task[None]]]:
        """The ends of a connection between the two, which is listened to, and what ends with it."""
        here, tapped = socket.socketpair()
        other, there = socket.socketpair()
        for each in (tapped, other):
            each.setblocking(False)
        carrying = asyncio.create_task(self.join(tapped, other))
        try:
            yield here, there, carrying
        finally:
            carrying.cancel()
            await asyncio.wait([carrying])
            for each in (here, tapped, other, there):
                each.close()

    async def move(self, *, paced: bool = False) -> str:
        """How the migration ends, as the source says, once both have let go of the connection.
        `paced`: as its handler does, which gives way to a slow machine round by round."""
        async with self.wired() as (here, there, carrying):
            await self.target.pass_on(MEMORY, there.fileno())
            there.close()
            await self.target.execute("migrate-incoming", uri=f"fd:{MEMORY}")
            await self.source.pass_on(MEMORY, here.fileno())
            here.close()
            await self.source.execute("migrate", uri=f"fd:{MEMORY}")
            async with asyncio.timeout(PATIENCE):
                while True:
                    found = str((await self.source.ask("query-migrate")).get("status"))
                    if found in ("completed", "failed"):
                        await carrying
                        return found
                    event = await self.source.events.get()
                    if paced and event is not None and event["event"] == "MIGRATION_PASS":
                        await migrationpace.follow(self.source, event["data"]["pass"])


@contextlib.asynccontextmanager
async def qemu(
    tools: toolchains.Toolchain, path: Path, *argv: str
) -> AsyncIterator[qmpsession.Session]:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen()
    process = await asyncio.create_subprocess_exec(
        tools.program("qemu-system-x86_64"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-m", "16M"),
        *("-accel", "tcg", "-S", *argv),
        *("-chardev", f"socket,id=m,fd={listening.fileno()},server=on,wait=off"),
        *("-mon", "chardev=m,mode=control"),
        pass_fds=[listening.fileno()],
    )
    listening.close()
    try:
        async with qmpsession.Session(path) as session:
            on = [{"capability": "events", "state": True}]
            await session.execute("migrate-set-capabilities", capabilities=on)
            yield session
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def layer(tools: toolchains.Toolchain, folder: Path, name: str, base: Path) -> list[str]:
    """The arguments for a disk of what is written here, above a base that both have."""
    path = folder / f"{name}.qcow2"
    argv = ["create", "-q", "-f", "qcow2", str(path), str(SIZE)]
    subprocess.run([tools.program("qemu-img"), *argv], check=True)
    under = f"driver=raw,read-only=on,file.driver=file,file.filename={base},node-name=base"
    over = f"driver=qcow2,node-name=drive0,file.driver=file,file.filename={path},backing=base"
    return ["-blockdev", under, "-blockdev", over, "-device", "virtio-blk-pci,drive=drive0,id=d"]


@contextlib.asynccontextmanager
async def ends(
    toolchain: toolchains.Toolchain,
    folder: Path,
    base: Path | None = None,
    loaded: Path | None = None,
) -> AsyncIterator[Ends]:
    """With `loaded` the source's memory has the content of this file."""
    disks = {
        name: layer(toolchain, folder, name, base) if base else [] for name in ("here", "there")
    }
    memory = ["-device", f"loader,file={loaded},addr=0x200000,force-raw=on"] if loaded else []
    async with (
        qemu(toolchain, folder / "here.sock", *disks["here"], *memory) as source,
        qemu(toolchain, folder / "there.sock", *disks["there"], "-incoming", "defer") as target,
    ):
        yield Ends(source, target)


async def test_the_stream_is_encrypted_by_a_key_of_the_migration(
    toolchain: toolchains.Toolchain, tmp_path: Path
) -> None:
    """The control, first: without it, whoever listens reads which devices the guest has."""
    async with ends(toolchain, tmp_path) as pair:
        assert await pair.move() == "completed"
        assert b"pc.ram" in b"".join(pair.passed)
    (tmp_path / "again").mkdir()
    async with ends(toolchain, tmp_path / "again") as pair:
        secret = migrationtls.key(LAB, MOVE)
        async with (
            migrationtls.encrypted(pair.source, secret, migrationtls.CLIENT, tmp_path),
            migrationtls.encrypted(pair.target, secret, migrationtls.SERVER, tmp_path),
        ):
            assert await pair.move() == "completed"
        for each in (pair.source, pair.target):
            assert await each.execute("query-fdsets") == [], "no descriptor is left in it"
        heard = b"".join(pair.passed)
        assert len(heard) > 10_000
        assert b"pc.ram" not in heard
        assert (await pair.target.ask("query-status"))["status"] == "prelaunch", "as it was"


@pytest.mark.parametrize("calls", [None, OTHER], ids=["plain", "another key"])
async def test_a_guest_that_comes_plain_or_by_another_key_is_refused(
    toolchain: toolchains.Toolchain, tmp_path: Path, calls: bytes | None
) -> None:
    async with ends(toolchain, tmp_path) as pair:
        server = migrationtls.key(LAB, MOVE)
        async with contextlib.AsyncExitStack() as around:
            expecting = migrationtls.encrypted(pair.target, server, migrationtls.SERVER, tmp_path)
            await around.enter_async_context(expecting)
            if calls is not None:
                client = migrationtls.key(calls, MOVE)
                sending = migrationtls.encrypted(pair.source, client, migrationtls.CLIENT, tmp_path)
                await around.enter_async_context(sending)
            # A source that sent all before the refusal thinks that it is done: its handler asks
            # whether the target has the guest.
            assert await pair.move() in ("failed", "completed")
            with contextlib.suppress(errors.Unavailable):  # its QEMU ends with the refusal
                assert (await pair.target.ask("query-status"))["status"] == "inmigrate"
        # The guest is where it was, and can go on.
        stands = (await pair.source.ask("query-status"))["status"]
        assert stands in ("paused", "prelaunch", "postmigrate")


async def test_a_guest_stands_still_for_the_last_of_its_memory_alone(
    toolchain: toolchains.Toolchain, tmp_path: Path
) -> None:
    """In bytes, which no busy machine makes more of. The control, first: with a limit that is long,
    QEMU stops it with megabytes to send, though nobody writes to them."""
    content = tmp_path / "memory.raw"
    content.write_bytes(os.urandom(SIZE))
    left = []
    for limit in (WAITS_LONG, None):
        folder = tmp_path / f"limit-{limit}"
        folder.mkdir()
        async with ends(toolchain, folder, loaded=content) as pair:
            settings = {"bandwidthPerMigration": str(SPEED)}
            await migrationpace.begin(pair.source, settings, copies=False)
            if limit is not None:
                await pair.source.execute("migrate-set-parameters", downtime_limit=limit)
            await pair.source.execute("cont")  # its firmware runs, and writes little
            assert await pair.move(paced=limit is None) == "completed"
            left.append((await pair.source.ask("query-migrate"))["ram"]["downtime-bytes"])
    assert left[0] > SIZE // 2
    assert left[1] < SIZE // 4


async def test_a_source_that_goes_through_many_rounds_may_stop_its_guest_for_longer(
    toolchain: toolchains.Toolchain, tmp_path: Path
) -> None:
    async def asked() -> int:
        return int((await pair.source.ask("query-migrate-parameters"))["downtime-limit"])

    async with ends(toolchain, tmp_path) as pair:
        await migrationpace.begin(pair.source, {}, copies=True)
        assert await asked() == migrationpace.LEAST
        for round_ in range(1, 7):
            await migrationpace.follow(pair.source, round_)
            assert await asked() == migrationpace.limit(round_)
        assert await asked() > migrationpace.LEAST
        await migrationpace.begin(pair.source, {}, copies=False)
        assert await asked() == migrationpace.LEAST, "another migration begins anew"


async def test_a_disk_above_a_shared_base_is_copied_without_the_base(
    toolchain: toolchains.Toolchain, tmp_path: Path
) -> None:
    base = tmp_path / "base.raw"
    base.write_bytes(b"b" * SIZE)
    async with ends(toolchain, tmp_path, base) as pair:
        said = await pair.source.execute(
            "human-monitor-command",
            command_line='qemu-io -d /machine/peripheral/d/virtio-backend "write -P 0x47 1M 64k"',
        )
        assert not said, said
        copies = migrationdisks.Copies([migrationdisks.Copied("drive0", layered=True)], MOVE)
        secret = migrationtls.key(LAB, MOVE)
        async with (
            migrationtls.encrypted(pair.source, secret, migrationtls.CLIENT, tmp_path) as calls,
            migrationtls.encrypted(pair.target, secret, migrationtls.SERVER, tmp_path) as serves,
            pair.wired() as (here, there, _),
        ):
            exports = await migrationdisks.export(pair.target, ["drive0"], serves, tmp_path)
            relaying = asyncio.create_task(exports.relay(migrationlink.Line(there)))
            await copies.mirror(pair.source, copies.every[0], migrationlink.Line(here), calls)
            here.close()
            async with asyncio.timeout(PATIENCE):
                while (event := await pair.source.events.get()) is not None:
                    if event["event"] == "BLOCK_JOB_READY":
                        break
            await copies.finish(pair.source)
            async with asyncio.timeout(PATIENCE):
                while (event := await pair.source.events.get()) is not None:
                    if event["event"].startswith("BLOCK_JOB_C"):
                        break
            await copies.give_up(pair.source)
            relaying.cancel()
            await asyncio.wait([relaying])
            await exports.end(pair.target)
        assert b"G" * 4096 not in b"".join(pair.passed), "encrypted, as the memory is"
        for end in (pair.source, pair.target):
            with contextlib.suppress(errors.Unavailable):
                await end.execute("quit")
    copy, whole = tmp_path / "there.qcow2", tmp_path / "whole.raw"
    assert copy.stat().st_size < SIZE // 4, "the base stays where it is"
    for argv in (
        ("rebase", "-q", "-u", "-b", str(base), "-F", "raw", str(copy)),
        ("convert", "-O", "raw", str(copy), str(whole)),
    ):
        done = await asyncio.create_subprocess_exec(toolchain.program("qemu-img"), *argv)
        assert await done.wait() == 0
    expected = bytearray(b"b" * SIZE)
    expected[1 << 20 : (1 << 20) + (1 << 16)] = b"G" * (1 << 16)
    assert whole.read_bytes() == expected


def test_a_handler_that_starts_removes_the_keys_of_one_that_was_killed(tmp_path: Path) -> None:
    keys = migrationtls.folder(tmp_path / "vm")
    for _ in range(2):
        migrationtls.emptied(keys)
        assert [*keys.iterdir()] == []
        assert keys.stat().st_mode & 0o777 == 0o700
        (keys / "left").mkdir()


async def test_disks_that_cannot_be_served_leave_nothing(
    toolchain: toolchains.Toolchain, tmp_path: Path
) -> None:
    keys = tmp_path / ("k" * 50) / ("k" * 50)  # longer than a socket's address may be
    keys.mkdir(parents=True)
    async with ends(toolchain, tmp_path) as pair:
        secret = migrationtls.key(LAB, MOVE)
        async with migrationtls.encrypted(pair.target, secret, migrationtls.SERVER, keys) as serves:
            before = sorted(keys.iterdir())
            with pytest.raises(errors.Unavailable, match="none"):
                await migrationdisks.export(pair.target, ["none"], serves, keys)
            assert sorted(keys.iterdir()) == before
            exports = await migrationdisks.export(pair.target, [], serves, keys)
            assert exports.path.exists(), "no server is left that is in its way"
            assert exports.path.is_relative_to(keys), "a handler that is killed leaves it there"
            await exports.end(pair.target)
            assert sorted(keys.iterdir()) == before


async def test_a_handler_that_goes_on_for_one_that_was_killed_leaves_nothing_in_qemu(
    toolchain: toolchains.Toolchain, tmp_path: Path
) -> None:
    secret = migrationtls.key(LAB, MOVE)
    async with ends(toolchain, tmp_path) as pair:
        killed = migrationtls.encrypted(pair.target, secret, migrationtls.SERVER, tmp_path)
        await killed.__aenter__()  # its end never comes
        assert len(await pair.target.execute("query-fdsets")) == 1
        async with migrationtls.encrypted(pair.target, secret, migrationtls.SERVER, tmp_path):
            assert len(await pair.target.execute("query-fdsets")) == 1
        assert await pair.target.execute("query-fdsets") == []
