"""Every error that weft raises on purpose, and nothing else.

    WeftError                what went wrong, where, and what to do about it
    ├── InvalidInput         a user's object breaks a rule; retrying the same input is pointless
    ├── Conflict             valid alone, but taken: an address, a MAC, a name; may clear later
    │   └── Exhausted        nothing free is left in a pool
    ├── NotReady             something this waits for is not there yet; retry when it changes
    └── Unavailable          an edge failed: a socket, a daemon, a command; retry with back-off

`retry` says whether trying again, with nothing changed by the user, can succeed.
A command prints `str(error)` and `error.hint`; a controller makes an Event of them.
"""

from __future__ import annotations

import json

_LONGEST_SHOWN = 80


def as_written(value: object) -> str:
    """A value as the authors of manifests write it: JSON, not Python, and short."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
        text.encode()
    except (TypeError, ValueError, RecursionError):  # UnicodeEncodeError is a ValueError
        text = ascii(value) if isinstance(value, str) else f"of type {type(value).__name__}"
    if len(text) <= _LONGEST_SHOWN:
        return text
    return text[: _LONGEST_SHOWN - 3] + ('..."' if text.startswith('"') else "...")


class WeftError(Exception):
    """`what` is a full sentence without its full stop; `where` names the object and field."""

    retry = False

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what

    def in_full(self, *, named: bool = True) -> str:
        """With the remedy, for one line; not `named` where the line names the object already."""
        said = str(self) if named else self.what
        return f"{said} ({self.hint})" if self.hint else said


class InvalidInput(WeftError):
    """A user's object breaks a rule: names object, field, value, rule and remedy."""

    def __init__(self, obj: str, field: str, value: object, rule: str, *, hint: str = "") -> None:
        shown = "" if value is None else f" {as_written(value)}"
        super().__init__(f"{field}{shown}: {rule}", where=obj, hint=hint)
        self.field = field
        self.value = value
        self.rule = rule


class Conflict(WeftError):
    """What was asked for is held by somebody else; `field` is what asked for it."""

    retry = True

    def __init__(self, what: str, *, where: str = "", hint: str = "", field: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.field = field


class Exhausted(Conflict):
    """Nothing free is left in a pool."""


class NotReady(WeftError):
    """Something this waits for is not there yet."""

    retry = True


class Unavailable(WeftError):
    """A socket, daemon or command failed."""

    retry = True
