"""Tells a network that was cut from pings that a busy machine lost."""

from __future__ import annotations

from collections.abc import Iterable

# Seconds without an answer that are nobody's fault: a switch in userspace drops packets when a link
# of its node comes or goes, or it had no turn for long (ADR 0113). What a wrong row loses, it loses
# until the next one is written.
STALL = 0.15


def is_cut(pings: Iterable[tuple[float, int]], longest: float = STALL) -> bool:
    """Whether pings in a row had no answer for longer than a busy machine explains. Each is told
    by when it was sent, and how often it was answered."""
    first: float | None = None
    for sent, times in pings:
        first = None if times else sent if first is None else first
        if first is not None and sent - first > longest:
            return True
    return False
