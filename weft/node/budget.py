"""Limits how many messages a guest may send before it is ignored for a while (token bucket).

Pure: the caller passes the time. Each guest has a budget of its own, and only present guests take
memory.
"""

from __future__ import annotations

from collections.abc import Collection

# Messages that a guest may send at once and, after that, each second: a guest that boots sends
# five, and one whose answers are lost repeats them after a second or more.
BURST = 20.0
RATE = 4.0
# Seconds for which a guest that sent more is ignored; its budget is full again then.
MUTE = BURST / RATE


class Budget:
    """Tokens of each guest by MAC."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}  # MAC -> tokens, and when that was

    def spend(self, mac: str, now: float) -> bool:
        """Takes one token; returns whether there was one. `now` in seconds, monotonic."""
        left, then = self._left.get(mac, (BURST, now))
        left = min(BURST, left + (now - then) * RATE)
        if left < 1:
            self._left[mac] = (left, now)
            return False
        self._left[mac] = (left - 1, now)
        return True

    def forget_but(self, macs: Collection[str]) -> None:
        """Forgets all guests but these."""
        self._left = {mac: each for mac, each in self._left.items() if mac in macs}
