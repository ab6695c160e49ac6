"""Keeps in a file how far another file was read, for the next process.

If the checkpoint cannot be read or written, the next process starts without it.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import astuple
from pathlib import Path

from weft.host.tail import Position

log = logging.getLogger(__name__)


class Checkpoint:
    """A file that holds a position."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: Position | None = None

    def read(self) -> Position | None:
        """The position in the file; None if it is missing or invalid."""
        try:
            numbers = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return None
        is_place = isinstance(numbers, list) and len(numbers) == 3
        if not is_place or not all(type(each) is int and each >= 0 for each in numbers):
            return None
        return Position(*numbers)

    def write(self, place: Position) -> None:
        """Write atomically: a reader never sees half of it."""
        if place == self._written:
            return
        new = self._path.with_name(self._path.name + ".new")
        try:
            new.write_text(json.dumps(astuple(place)))
            os.replace(new, self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error.strerror)
        self._written = place
