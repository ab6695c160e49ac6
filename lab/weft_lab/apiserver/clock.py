"""Returns the time as the API writes it; this package reads the wall clock nowhere else."""

from __future__ import annotations

import time
from datetime import datetime


def now() -> str:
    """RFC 3339 in UTC, whole seconds."""
    return at(time.time())


def at(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def parse(text: str) -> float:
    """Seconds since the epoch; 0 if the text is no time."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def age(text: str) -> str:
    """How long ago, as kubectl words it: 5s, 3m20s, 7h, 12d."""
    if not text:
        return "<unknown>"
    return duration(time.time() - parse(text))


def duration(seconds: float) -> str:
    left = int(seconds)
    if left < 0:
        return "0s" if left >= -1 else "<invalid>"
    minutes, hours, days = left // 60, left // 3600, left // 86400
    if left < 120:
        return f"{left}s"
    if minutes < 10:
        return f"{minutes}m{left % 60}s" if left % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    years = days // 365
    return f"{years}y{days % 365}d" if days < 8 * 365 and days % 365 else f"{years}y"
