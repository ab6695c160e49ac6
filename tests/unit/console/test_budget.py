"""How many objects may be kept, and what makes room for more."""

from __future__ import annotations

from weft.console.budget import Budget


def test_a_part_is_bounded_by_itself_and_by_the_whole() -> None:
    whole = Budget(3)
    one, other = Budget(2, whole), Budget(2, whole)
    one.hold(2)
    assert not one.has_room()
    assert other.has_room()
    assert not other.has_room(2), "the whole has room for one more"
    one.hold(-2)
    assert other.has_room(2)


def test_what_nobody_needs_makes_room_a_part_at_a_time() -> None:
    unused = [1, 1, 1]

    def free() -> bool:
        if not unused:
            return False
        budget.hold(-unused.pop())
        return True

    budget = Budget(3, free=free)
    budget.hold(3)
    assert budget.has_room(2)
    assert len(unused) == 1, "no more than is needed"
    assert not budget.has_room(4)
