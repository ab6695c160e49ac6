"""Which lines does another process write to a file, as they come? The kernel tells (inotify(7)).

The file may not be there yet, may be cut short, or be replaced by another, as logs are. What a
line means is not known here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path

from weft import errors
from weft.host import inotify

_CHUNK = 1 << 16
_LONGEST = 1 << 20  # of a line; what is longer is none


async def lines(path: Path) -> AsyncGenerator[str]:
    """What is written from now on; of a file that comes later, all of it."""
    with _Watch(path.parent).open() as watch:
        file = _File.open(path, watch)
        if file is not None:
            os.lseek(file.descriptor, 0, os.SEEK_END)
        try:
            while True:
                watch.woken.clear()
                if file is None:
                    file = _File.open(path, watch)
                if file is not None:
                    for line in file.read():
                        yield line
                    if not file.is_at(path):
                        file.close(watch)
                        file = _File.open(path, watch)
                        if file is not None:
                            continue
                await watch.woken.wait()
        finally:
            if file is not None:
                file.close(watch)


class _Watch:
    """One folder, in which the file comes and goes, and the file itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.woken = asyncio.Event()

    @contextmanager
    def open(self) -> Iterator[_Watch]:
        try:
            self._inotify = inotify.Inotify(self.woken.set)
        except OSError as error:
            raise _refused(self._folder, error) from error
        try:
            self.add(self._folder, inotify.CAME)
            yield self
        finally:
            self._inotify.close()

    def add(self, path: Path | str, mask: int = inotify.MODIFIED) -> int:
        try:
            return self._inotify.add(path, mask)
        except OSError as error:
            raise _refused(path, error) from error

    def remove(self, watch: int) -> None:
        self._inotify.remove(watch)


def _refused(path: Path | str, error: OSError) -> errors.Unavailable:
    reason = os.strerror(error.errno or 0)
    return errors.Unavailable(f"cannot be watched: {reason}", where=str(path))


class _File:
    """An open file, and what was read of its last line."""

    def __init__(self, descriptor: int, watch: int) -> None:
        self.descriptor, self._watch = descriptor, watch
        self._rest = b""

    @classmethod
    def open(cls, path: Path, watch: _Watch) -> _File | None:
        """None where there is none yet."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise errors.Unavailable(
                f"cannot be read: {error.strerror}", where=str(path)
            ) from error
        try:
            # By its descriptor: the path may be another file's by now.
            return cls(descriptor, watch.add(f"/proc/self/fd/{descriptor}"))
        except BaseException:
            os.close(descriptor)
            raise

    def close(self, watch: _Watch) -> None:
        watch.remove(self._watch)
        os.close(self.descriptor)

    def read(self) -> Iterator[str]:
        """The lines that were completed since; from the start again where it was cut short."""
        if os.fstat(self.descriptor).st_size < os.lseek(self.descriptor, 0, os.SEEK_CUR):
            os.lseek(self.descriptor, 0, os.SEEK_SET)
            self._rest = b""
        while data := os.read(self.descriptor, _CHUNK):
            *complete, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > _LONGEST:
                self._rest = b""
            for line in complete:
                yield line.decode(errors="replace")

    def is_at(self, path: Path) -> bool:
        """Whether the path still leads here. One that leads nowhere may yet lead elsewhere."""
        try:
            there = os.stat(path)
        except FileNotFoundError:
            return True
        return os.path.samestat(there, os.fstat(self.descriptor))
