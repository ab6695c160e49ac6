"""Bounds how many objects are kept: for a viewer, and for all of them together."""

from __future__ import annotations

from collections.abc import Callable


class Budget:
    """`above` bounds several budgets together. `free` gives up what nobody looks at any more, a
    part at a time, and says whether it has."""

    def __init__(
        self, most: int, above: Budget | None = None, free: Callable[[], bool] = lambda: False
    ) -> None:
        self.most, self.held = most, 0
        self._above, self._free = above, free

    def has_room(self, number: int = 1) -> bool:
        """Whether so many more may be kept."""
        while self.held + number > self.most:
            if not self._free():
                return False
        return self._above is None or self._above.has_room(number)

    def hold(self, number: int) -> None:
        """So many more are kept; fewer, if negative."""
        self.held += number
        if self._above is not None:
            self._above.hold(number)
