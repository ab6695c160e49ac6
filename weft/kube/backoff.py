"""Computes the pause before the next attempt: doubled each time, with jitter, at least Retry-After.

With jitter, clients that fail together do not retry together.
"""

from __future__ import annotations

import random

from weft import errors

LONGEST_RETRY_AFTER = 60.0  # the longest Retry-After, in seconds, that is obeyed


def retry_after(error: errors.WeftError | None) -> float:
    """The seconds of a Retry-After that an error carries, 0 without one."""
    return min(float(getattr(error, "retry_after", None) or 0.0), LONGEST_RETRY_AFTER)


class Backoff:
    """Pauses from `first` to `longest` seconds, doubled at each one and cut by half at random."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._pause = first

    def reset(self) -> None:
        """Start over, after an attempt that succeeded."""
        self._pause = self._first

    def next(self, error: errors.WeftError | None = None) -> float:
        """The seconds to wait now, never less than the server asked for."""
        pause, self._pause = self._pause, min(self._pause * 2, self._longest)
        requested = retry_after(error)
        return max(pause * random.uniform(0.5, 1.0), requested * random.uniform(1.0, 1.25))
