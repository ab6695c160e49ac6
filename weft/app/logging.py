"""Sets up a process's log to stderr, one entry per line, as text or JSON.

The process sets it up once; other modules only call `logging.getLogger(__name__)`. Log calls name
objects and errors, never tokens, keys or whole manifests: nothing filters them afterwards.
The entries of a burst are written together, each a moment later (see `Batching`).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

import orjson

from weft import errors, logid

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FORMATS = ("text", "json")

PAUSE = 0.05  # seconds between two writes of entries that can wait


class Json(logging.Formatter):
    """Formats an entry as {"time", "level", "logger", "message"[, "id"][, "trace"]} on one line.

    `id` is the uid of the pod that the entry is about, the same in all processes.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if id := getattr(record, "id", "") or logid.current.get():
            entry["id"] = id
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(entry).decode()


class Text(logging.Formatter):
    """Formats an entry as "time LEVEL logger: message"; a traceback follows on further lines."""

    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._second, self._time = -1, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Returns the local time; a second's entries share all but the milliseconds."""
        if (second := int(record.created)) != self._second:
            self._second = second
            self._time = time.strftime(self.default_time_format, time.localtime(second))
        return self.default_msec_format % (self._time, record.msecs)


class Batching(logging.StreamHandler[TextIO]):
    """Writes at once what comes after a PAUSE, and what comes earlier together, at the PAUSE's end.

    To write each entry of a burst of pods costs a fifth of the cluster manager's time. A warning
    waits for nothing, nor does an entry where no event loop runs, which could write it later.
    `logging.shutdown` writes the rest when the process exits, after SIGTERM or an error. Only what
    ends an interpreter at once, as SIGKILL does, loses what waits.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []
        self._written = 0.0  # when the last write was
        self._timed: asyncio.AbstractEventLoop | None = None  # which loop will end the PAUSE

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.append(self.format(record) + self.terminator)
            if record.levelno >= logging.WARNING or not self._can_wait():
                self.flush()
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    def _can_wait(self) -> bool:
        if time.monotonic() - self._written >= PAUSE:
            return False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if loop is not self._timed:
            self._timed = loop
            loop.call_later(PAUSE, self._end_pause)
        return True

    def _end_pause(self) -> None:
        self._timed = None
        with suppress(OSError, ValueError):  # a stream that is gone, as in `logging.shutdown`
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        self.acquire()
        try:
            lines, self._waiting = self._waiting, []
            if lines:
                self._written = time.monotonic()
                self.stream.write("".join(lines))
            super().flush()
        finally:
            self.release()


def set_up(level: str, format: str, stream: TextIO | None = None) -> None:
    """Sets the root logger's level and format; raises InvalidInput for unknown ones."""
    if level not in LEVELS:
        raise errors.InvalidInput(
            "weft", "--log-level", level, f"must be one of {', '.join(LEVELS)}"
        )
    if format not in FORMATS:
        raise errors.InvalidInput(
            "weft", "--log-format", format, f"must be one of {', '.join(FORMATS)}"
        )
    handler = Batching(stream or sys.stderr)
    handler.setFormatter(Json() if format == "json" else Text())
    # No format names threads and processes.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
