"""Sets up a process's log to stderr, one entry per line, as text or JSON.

The process sets it up once; other modules only call `logging.getLogger(__name__)`. Log calls name
objects and errors, never tokens, keys or whole manifests: nothing filters them afterwards.
"""

from __future__ import annotations

import logging
import sys
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
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Json() if format == "json" else Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
