"""Runs a command away from its caller's terminal and files: copies bytes both ways.

A process that holds the caller's terminal can type on it, and one that holds a file can read it. So
the command gets a terminal of its own, or pipes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType

from weft_lab import terminal

CHUNK = 1 << 16
LEFT_OVER = 1 << 20  # bytes that are still read of each stream when the command has ended
_PASSED_ON = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Streams:
    """`theirs` become the command's 0, 1 and 2; what is read from an output goes to ours.

    `screen` is the near end of the command's terminal, -1 without one.
    """

    theirs: tuple[int, int, int]
    feed: int
    outputs: dict[int, int]
    screen: int = -1
    _pending: bytes = field(default=b"", init=False)

    @property
    def is_terminal(self) -> bool:
        return self.screen >= 0

    def take(self) -> None:
        """In the command's process: a session of its own, with these streams and no other file."""
        os.setsid()
        for each in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(each, signal.SIG_DFL)  # Python and our caller may ignore some
        for number, descriptor in enumerate(self.theirs):
            os.dup2(descriptor, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        if self.is_terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def follow(self, child: int) -> int:
        """In the caller's: copy until the command ends; its wait status."""
        for descriptor in set(self.theirs):
            os.close(descriptor)
        os.set_blocking(self.feed, False)
        ended = os.pidfd_open(child)
        with _passed_on(child, self._resize) as woken, self._raw():
            is_open = True
            while True:
                reading = [ended, woken, *self.outputs]
                if is_open and not self._pending:
                    reading.append(0)
                writing = [self.feed] if self._pending else []
                ready, free, _ = select.select(reading, writing, [])
                if woken in ready:
                    _read(woken)
                for source in [each for each in ready if each in self.outputs]:
                    self._copy(source)
                if free or 0 in ready:
                    is_open = self._supply(is_fresh=0 in ready) and is_open
                if ended in ready:
                    break
            for source in list(self.outputs):
                self._drain(source)
        return os.waitpid(child, 0)[1]

    def _supply(self, *, is_fresh: bool) -> bool:
        """Pass on what the caller types; whether there can be more of it."""
        if is_fresh:
            self._pending = _read(0)
            if not self._pending:
                if not self.is_terminal:
                    os.close(self.feed)
                return False
        try:
            self._pending = self._pending[os.write(self.feed, self._pending) :]
        except BlockingIOError:
            return True
        except OSError:  # it reads no more
            self._pending = b""
            return False
        return True

    def _copy(self, source: int) -> int:
        data = _read(source)
        try:
            terminal.write(self.outputs[source], data)
        except OSError:  # nobody reads ours: the command is to notice
            data = b""
        if not data:
            del self.outputs[source]
            if source != self.feed:
                os.close(source)
        return len(data)

    def _drain(self, source: int) -> None:
        os.set_blocking(source, False)
        left = LEFT_OVER
        while source in self.outputs and left > 0:
            if not select.select([source], [], [], 0)[0]:
                return
            left -= self._copy(source)

    def _resize(self, *_: object) -> None:
        if self.is_terminal:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self.screen, termios.TIOCSWINSZ, _size(1))

    def _raw(self) -> contextlib.AbstractContextManager[None]:
        return terminal.raw(0) if self.is_terminal else contextlib.nullcontext()


def streams(owner: tuple[int, int]) -> Streams:
    """A terminal for the command if the caller is at one, else pipes.

    `owner`: the user and group to whom the terminal belongs.
    """
    for number in range(3):
        if not _is_open(number):  # and would become one of a pair
            os.open(os.devnull, os.O_RDWR)
    if not (os.isatty(0) and os.isatty(1)):
        (theirs, feed), (out, outer), (err, error) = os.pipe(), os.pipe(), os.pipe()
        return Streams((theirs, outer, error), feed, {out: 1, err: 2})
    screen, theirs = os.openpty()
    with contextlib.suppress(PermissionError):
        os.fchown(theirs, *owner)
    termios.tcsetattr(theirs, termios.TCSANOW, termios.tcgetattr(0))
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, _size(1))
    if os.isatty(2):
        return Streams((theirs, theirs, theirs), screen, {screen: 1}, screen)
    err, error = os.pipe()
    return Streams((theirs, theirs, error), screen, {screen: 1, err: 2}, screen)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _size(descriptor: int) -> bytes:
    return fcntl.ioctl(descriptor, termios.TIOCGWINSZ, struct.pack("4H", 0, 0, 0, 0))


def _read(source: int) -> bytes:
    """Nothing at its end; a terminal whose other end closed, or that is another job's, is there."""
    try:
        return os.read(source, CHUNK)
    except OSError:
        return b""


@contextlib.contextmanager
def _passed_on(child: int, resize: Callable[..., None]) -> Iterator[int]:
    """Signals of ours go to the command meanwhile.

    Yields a descriptor that a signal makes readable: one that comes just before `select` would else
    wait until something else happens.
    """

    def pass_on(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, number)

    handlers: Mapping[int, Callable[[int, FrameType | None], None] | int] = {
        **dict.fromkeys(_PASSED_ON, pass_on),
        signal.SIGWINCH: resize,
        signal.SIGTTIN: signal.SIG_IGN,  # a read of another job's terminal fails instead
    }
    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    earlier = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield woken
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(earlier)
        os.close(woken)
        os.close(wakes)
