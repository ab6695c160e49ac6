"""Matches texts with users' patterns by RE2, as Kubernetes does, in time linear in the text.

Python's own engine tries every way to split a text, which for `^(a+)+$` doubles with each letter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_MEMORY = 1 << 20  # bytes for one pattern and what is remembered of its matches
_KEPT = 256


class Unusable(ValueError):
    """A pattern that RE2 does not take: what it has no syntax for, or too large."""


@lru_cache(maxsize=_KEPT)
def _compiled(pattern: str) -> Any:
    import re2  # only those who write a pattern need it

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return re2.compile(pattern, options)


def check(pattern: str) -> None:
    """Raises Unusable with the reason."""
    import re2

    try:
        _compiled(pattern)
    except (re2.error, UnicodeError) as error:
        message = error.args[0] if error.args else ""
        raise Unusable(message.decode() if isinstance(message, bytes) else str(message)) from None


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern occurs anywhere in the text; the pattern is one that was checked."""
    try:
        return _compiled(pattern).search(text) is not None
    except UnicodeError:  # half of a surrogate pair
        return False
