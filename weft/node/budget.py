"""Limits how much a guest may ask before it is ignored for a while.

A pure count of moments that it is given. One guest's questions never use up another's, and what is
kept is of the guests that are known now.
"""

from __future__ import annotations

from collections.abc import Collection

# Messages that a guest may send at once and, after that, each second: a guest that boots sends
# five, and one whose answers are lost repeats them after a second or more.
BURST = 20.0
RATE = 4.0
# Seconds that who asked for more is unheard; the budget is full again then.
MUTE = BURST / RATE


class Budget:
    """Tokens of each guest by MAC."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}  # MAC -> tokens, and when that was

    def spend(self, mac: str, now: float) -> bool:
        """Whether the guest may be answered; each call is one message of it."""
        left, then = self._left.get(mac, (BURST, now))
        left = min(BURST, left + (now - then) * RATE)
        if left < 1:
            self._left[mac] = (left, now)
            return False
        self._left[mac] = (left - 1, now)
        return True

    def forget_but(self, macs: Collection[str]) -> None:
        """Guests that are gone."""
        self._left = {mac: each for mac, each in self._left.items() if mac in macs}
