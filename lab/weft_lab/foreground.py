"""Runs one of the lab's own programs, from its first line of log to its exit status.

The supervisor starts the program again when it fails.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from weft import errors
from weft.app import logging as logs
from weft.control import loop

log = logging.getLogger(__name__)


def serve(main: Callable[[], loop.Task]) -> int:
    """Run `main` until a signal ends it (status 0) or a WeftError (1, with its message)."""
    logs.set_up("info", "text")
    try:
        loop.run(main)
    except errors.WeftError as error:
        log.error("%s", error.in_full())
        return 1
    return 0
