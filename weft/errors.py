"""Defines every error that weft raises on purpose.

    WeftError                what went wrong, where, and what to do about it
    ├── InvalidInput         a user's object breaks a rule; a retry of the same input fails again
    ├── Conflict             the request is valid, but somebody else holds the address, MAC or name
    │   └── Exhausted        a pool has nothing free
    ├── NotReady             something that this needs does not exist yet; retry when it changes
    └── Unavailable          a socket, daemon or command failed; retry with back-off

`retry` says whether a retry can succeed without a change by the user.
A command prints `str(error)` and `error.hint`; a controller makes an Event of them.
"""

from __future__ import annotations

import json

_LONGEST_SHOWN = 80


def printable(text: str) -> str:
    """Returns a text from outside with a space for each character that could tell a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def as_written(value: object) -> str:
    """`value` in the notation of a manifest: JSON, shortened where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
        text.encode()
    except (TypeError, ValueError, RecursionError):  # UnicodeEncodeError is a ValueError
        text = ascii(value) if isinstance(value, str) else f"of type {type(value).__name__}"
    if len(text) <= _LONGEST_SHOWN:
        return text
    return text[: _LONGEST_SHOWN - 3] + ('..."' if text.startswith('"') else "...")


class WeftError(Exception):
    """`what` is a sentence without its full stop; `where` names the object and field.

    `exit_status`: that of a command that it ends.
    """

    retry = False
    exit_status = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what

    def in_full(self, *, named: bool = True) -> str:
        """The message and the hint on one line; not `named` leaves out the object's name."""
        message = str(self) if named else self.what
        return f"{message} ({self.hint})" if self.hint else message


class InvalidInput(WeftError):
    """A user's object breaks a rule: names object, field, value, rule and remedy."""

    def __init__(self, obj: str, field: str, value: object, rule: str, *, hint: str = "") -> None:
        shown = "" if value is None else f" {as_written(value)}"
        super().__init__(f"{field}{shown}: {rule}", where=obj, hint=hint)
        self.field = field
        self.value = value
        self.rule = rule


class Conflict(WeftError):
    """Somebody else holds what the object asks for; `field` is the field that asks."""

    retry = True

    def __init__(self, what: str, *, where: str = "", hint: str = "", field: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.field = field


class Exhausted(Conflict):
    """A pool has nothing free."""


class NotReady(WeftError):
    """Something that this needs does not exist yet."""

    retry = True


class Unavailable(WeftError):
    """A socket, daemon or command failed."""

    retry = True
