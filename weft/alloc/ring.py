"""Allocates the numbers 0 to size-1 in turn, so a freed number is reused as late as possible.

Pure. A bitmap of small leaves, which exist only where a number is taken: memory grows with the
taken numbers, not with the size. The search skips runs of full leaves at once.
"""

from __future__ import annotations

_LEAF_BITS = 9
_LEAF = 1 << _LEAF_BITS
_FULL = (1 << _LEAF) - 1


class Ring:
    """`peek` returns the next free number, `take` takes one, `free` frees it."""

    __slots__ = ("_cursor", "_full", "_leaves", "size", "taken")

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._cursor = 0
        self._leaves: dict[int, int] = {}
        self._full = 0  # bit n: leaf n has no free number
        tail = size % _LEAF
        if tail:  # numbers from `size` on are marked as taken for ever
            self._leaves[size >> _LEAF_BITS] = _FULL ^ ((1 << tail) - 1)

    def __contains__(self, number: int) -> bool:
        leaf = self._leaves.get(number >> _LEAF_BITS, 0)
        return bool(leaf >> (number & (_LEAF - 1)) & 1)

    def peek(self) -> int | None:
        """Returns the next free number in turn; None if all are taken."""
        if self.taken >= self.size:
            return None
        leaf, offset = self._cursor >> _LEAF_BITS, self._cursor & (_LEAF - 1)
        ahead = self._leaves.get(leaf, 0) >> offset
        position = _lowest_zero(ahead)
        if offset + position < _LEAF:
            return self._cursor + position
        leaf += 1 + _lowest_zero(self._full >> (leaf + 1))
        if leaf << _LEAF_BITS >= self.size:
            leaf = _lowest_zero(self._full)
        return (leaf << _LEAF_BITS) + _lowest_zero(self._leaves.get(leaf, 0))

    def take(self, number: int, *, in_turn: bool = False) -> bool:
        """Takes `number`; returns False if it is taken.

        `in_turn`: if `peek` would return it, the turn advances past it. A requested number does not
        advance the turn.
        """
        leaf, bit = number >> _LEAF_BITS, 1 << (number & (_LEAF - 1))
        bits = self._leaves.get(leaf, 0)
        if bits & bit:
            return False
        due = self.peek() if in_turn else None
        bits |= bit
        self._leaves[leaf] = bits
        if bits == _FULL:
            self._full |= 1 << leaf
        self.taken += 1
        if in_turn and number == due:
            self._cursor = number + 1 if number + 1 < self.size else 0
        return True

    def free(self, number: int) -> bool:
        """Frees `number`; returns False if it is free."""
        leaf, bit = number >> _LEAF_BITS, 1 << (number & (_LEAF - 1))
        bits = self._leaves.get(leaf, 0)
        if not bits & bit:
            return False
        if bits == _FULL:
            self._full ^= 1 << leaf
        bits ^= bit
        if bits:
            self._leaves[leaf] = bits
        else:
            del self._leaves[leaf]
        self.taken -= 1
        return True


def _lowest_zero(bits: int) -> int:
    """Returns the position of the lowest zero bit."""
    return (~bits & (bits + 1)).bit_length() - 1
