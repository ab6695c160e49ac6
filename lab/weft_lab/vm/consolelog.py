"""Keeps the newest part of what a guest prints on its serial console in a file.

QEMU writes to a pipe and this process reads it. A guest that prints faster than it is read waits
for room in the pipe, so no more than the pipe and the file is ever kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from weft.host import files

MOST = 16 << 20  # bytes in the file
CHUNK = 1 << 16  # bytes that are read at once: what a pipe holds


class ConsoleLog:
    """A context in the running loop. `descriptor` is the pipe's end for QEMU to write to."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self._path, self._most = path, most
        self._size = 0
        self._source = self.descriptor = -1

    def __enter__(self) -> Self:
        self._source, self.descriptor = os.pipe2(os.O_CLOEXEC)
        files.replace(self._path, b"")
        asyncio.get_running_loop().add_reader(self._source, self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._source)
        os.close(self._source)
        os.close(self.descriptor)

    def _read(self) -> None:
        data = os.read(self._source, CHUNK)
        with contextlib.suppress(OSError):  # no space: the guest continues, and this part is lost
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        if self._size + len(data) > self._most:
            self._cut()
        with open(self._path, "ab", buffering=0, opener=_own) as file:
            self._size += file.write(data)

    def _cut(self) -> None:
        """Keep the newest half, or nothing where there is no room for it beside the whole."""
        try:
            with open(self._path, "rb", opener=files.regular_file) as file:
                file.seek(max(self._size - self._most // 2, 0))
                kept = file.read()
            files.replace(self._path, kept)
        except OSError:
            kept = b""
            os.truncate(self._path, 0)
        self._size = len(kept)


def _own(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
