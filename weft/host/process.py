"""Starts and ends programs.

No other module starts a process. Arguments are lists, never shell commands; every process belongs
to a scope that ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from weft import errors

GRACE = 3.0
LINE = 1 << 16
_SHOWN = 600


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of a program: `status` is negative after a signal, as in `subprocess`."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Command:
    """A program that can be started, with its whole environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


class Failed(errors.Unavailable):
    """A program ended with another status than 0, or took too long."""

    def __init__(self, argv: Sequence[str], why: str, output: bytes = b"") -> None:
        tail = output.decode(errors="replace").strip()[-_SHOWN:]
        super().__init__(
            f"{why}: {tail}" if tail else why,
            where=shlex.join(argv),
            hint="run the command by hand to see all of its output",
        )
        self.output = output


async def run(
    argv: Sequence[str],
    *,
    data: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float | None = 60.0,
    check: bool = True,
) -> Completed:
    """Run a program to its end; after `timeout` seconds or a cancellation its group is killed.

    Raises Failed on a timeout and, with `check`, on a status other than 0.
    """
    async with start(argv, env=env, stdin=bool(data)) as process:
        try:
            async with asyncio.timeout(timeout):
                stdout, stderr = await process.communicate(data or None)
        except TimeoutError:
            raise Failed(argv, f"did not end within {timeout:g} s") from None
    status = process.returncode or 0
    if check and status:
        raise Failed(argv, f"ended with status {status}", stderr or stdout)
    return Completed(tuple(argv), status, stdout, stderr)


@contextlib.asynccontextmanager
async def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bool = False,
    stdout: int = asyncio.subprocess.PIPE,
    stderr: int = asyncio.subprocess.PIPE,
    limit: int = LINE,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that ends with the scope: SIGTERM to its group, then SIGKILL.

    `limit` is the longest line of its output, in bytes.
    """
    process = await spawn(argv, env=env, stdin=stdin, stdout=stdout, stderr=stderr, limit=limit)
    try:
        yield process
    finally:
        await end(process)


async def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bool = False,
    stdout: int = asyncio.subprocess.PIPE,
    stderr: int = asyncio.subprocess.PIPE,
    limit: int = LINE,
) -> asyncio.subprocess.Process:
    """A process that outlives the caller, in its own session."""
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            env=None if env is None else dict(env),
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            limit=limit,
        )
    except OSError as error:
        raise Failed(argv, f"cannot be started: {error.strerror}") from error


async def end(process: asyncio.subprocess.Process) -> None:
    """End the process if it still runs, and wait for it."""
    if process.returncode is not None:
        return
    _signal_group(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(GRACE):
            await process.wait()
    except TimeoutError:
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
