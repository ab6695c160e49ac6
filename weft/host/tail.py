"""Follows the lines that another process appends to a file, with inotify(7).

The file may not exist yet, and may be truncated or replaced, as logs are.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from weft import errors
from weft.host import inotify

_CHUNK = 1 << 16
_LONGEST = 1 << 20  # bytes of a line; longer ones are skipped
_TURN = 500  # lines between two yields to other tasks
MAX_MISSED = 16 << 20  # bytes that are read of the lines since a place


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was read: the file's identity, and the number of bytes."""

    device: int
    inode: int
    offset: int


NO_POSITION = Position(0, 0, 0)


def end(path: Path) -> Position:
    """The end of a file; for a missing one, the beginning of the file that appears."""
    try:
        there = os.stat(path)
    except OSError:
        return NO_POSITION
    return Position(there.st_dev, there.st_ino, there.st_size)


class Tail:
    """The lines of a file after a place, and all lines of a file that replaces it.

    `position` is after the last line that was yielded.
    """

    def __init__(self, path: Path, since: Position) -> None:
        self._path, self._since = path, since
        self._file: _File | None = None

    @property
    def position(self) -> Position:
        """Where reading goes on."""
        return self._file.position if self._file is not None else self._since

    async def lines(self, caught_up: Callable[[], None] = lambda: None) -> AsyncGenerator[str]:
        """The lines, until closed; `caught_up` is called each time that all lines are yielded."""
        with _Watch(self._path.parent).open() as watch:
            self._file = _File.open(self._path, watch)
            if self._file is not None:
                self._file.begin(self._since)
            self._since = NO_POSITION
            try:
                while True:
                    watch.woken.clear()
                    watch.check()
                    if self._file is None:
                        self._file = _File.open(self._path, watch)
                    if (file := self._file) is not None:
                        for number, line in enumerate(file.read()):
                            yield line
                            if number % _TURN == _TURN - 1:
                                await asyncio.sleep(0)  # let other tasks run
                        if not file.is_at(self._path):
                            self._file = None
                            file.close(watch)
                            self._file = _File.open(self._path, watch)
                            if self._file is not None:
                                continue
                    caught_up()
                    await watch.woken.wait()
            finally:
                if self._file is not None:
                    self._since = self._file.position
                    self._file.close(watch)
                    self._file = None


class _Watch:
    """One folder in which the file appears and disappears, and the file itself."""

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
            self.add(self._folder, inotify.APPEARED)
            # A folder with an open file in it reports no deletion; the folder above it does.
            self.add(self._folder.parent, inotify.APPEARED | inotify.DISAPPEARED)
            self._watched = os.stat(self._folder)
            yield self
        finally:
            self._inotify.close()

    def add(self, path: Path | str, mask: int = inotify.MODIFIED) -> int:
        try:
            return self._inotify.add(path, mask)
        except OSError as error:
            raise _refused(path, error) from error

    def check(self) -> None:
        """Raises Unavailable if the path no longer leads to the watched folder."""
        try:
            is_it = os.path.samestat(self._watched, os.stat(self._folder))
        except OSError as error:
            raise _refused(self._folder, error) from error
        if not is_it:
            raise errors.Unavailable("was replaced", where=str(self._folder))

    def remove(self, watch: int) -> None:
        self._inotify.remove(watch)


def _refused(path: Path | str, error: OSError) -> errors.Unavailable:
    reason = os.strerror(error.errno or 0)
    return errors.Unavailable(f"cannot be watched: {reason}", where=str(path))


class _File:
    """An open file, and the part of its last line that was read."""

    def __init__(self, descriptor: int, watch: int) -> None:
        self.descriptor, self._watch = descriptor, watch
        self._rest = b""
        self._given = 0

    @property
    def position(self) -> Position:
        """No position in a deleted file: the kernel may give its inode number to another."""
        there = os.fstat(self.descriptor)
        return Position(there.st_dev, there.st_ino, self._given) if there.st_nlink else NO_POSITION

    def begin(self, since: Position) -> None:
        """Continue at a place. Another or a truncated file is read from the start."""
        there = os.fstat(self.descriptor)
        is_it = (since.device, since.inode) == (there.st_dev, there.st_ino)
        known = since.offset if is_it and since.offset <= there.st_size else 0
        self._given = max(known, there.st_size - MAX_MISSED)
        os.lseek(self.descriptor, self._given, os.SEEK_SET)

    @classmethod
    def open(cls, path: Path, watch: _Watch) -> _File | None:
        """The open file; None if it does not exist yet."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise errors.Unavailable(
                f"cannot be read: {error.strerror}", where=str(path)
            ) from error
        try:
            # Watch the descriptor: the path may lead to another file by now.
            return cls(descriptor, watch.add(f"/proc/self/fd/{descriptor}"))
        except BaseException:
            os.close(descriptor)
            raise

    def close(self, watch: _Watch) -> None:
        watch.remove(self._watch)
        os.close(self.descriptor)

    def read(self) -> Iterator[str]:
        """The lines that were completed since; from the start again if the file was truncated."""
        if os.fstat(self.descriptor).st_size < os.lseek(self.descriptor, 0, os.SEEK_CUR):
            os.lseek(self.descriptor, 0, os.SEEK_SET)
            self._rest, self._given = b"", 0
        while data := os.read(self.descriptor, _CHUNK):
            *complete, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > _LONGEST:
                self._given += len(self._rest)
                self._rest = b""
            for line in complete:
                self._given += len(line) + 1
                yield line.decode(errors="replace")

    def is_at(self, path: Path) -> bool:
        """Whether the path still leads to this file; if it leads nowhere, it may change again."""
        try:
            there = os.stat(path)
        except FileNotFoundError:
            return True
        return os.path.samestat(there, os.fstat(self.descriptor))
