"""Numbers in turn, against a plain list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weft.alloc import ring

SIZES = st.integers(0, 12) | st.sampled_from((511, 512, 513, 1024, 1500))


class Plain:
    """The same, said slowly."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken: set[int] = set()
        self.cursor = 0

    def peek(self) -> int | None:
        turn = [*range(self.cursor, self.size), *range(self.cursor)]
        return next((number for number in turn if number not in self.taken), None)


STEPS = st.lists(st.tuples(st.sampled_from("ntf"), st.integers(0, 1499)), max_size=60)


@given(SIZES, st.booleans(), STEPS)
def test_as_a_plain_list_would(size: int, filled: bool, steps: list[tuple[str, int]]) -> None:
    real, plain = ring.Ring(size), Plain(size)
    for number in range(size if filled else 0):
        assert real.take(number)
        plain.taken.add(number)
    for step, number in steps:
        number %= max(size, 1)
        due = real.peek()
        assert due == plain.peek()
        if step == "n" and due is not None:
            assert real.take(due, in_turn=True)
            plain.taken.add(due)
            plain.cursor = (due + 1) % size
        elif step == "t" and size:
            assert real.take(number) is (number not in plain.taken)
            plain.taken.add(number)
        elif step == "f" and size:
            assert real.free(number) is (number in plain.taken)
            plain.taken.discard(number)
        assert real.taken == len(plain.taken)
        assert (number in real) is (number in plain.taken) or not size


def test_a_freed_number_waits_for_all_others() -> None:
    numbers = ring.Ring(1000)
    for number in range(10):
        numbers.take(number, in_turn=True)
    numbers.free(3)
    given = []
    while (number_due := numbers.peek()) is not None:
        numbers.take(number_due, in_turn=True)
        given.append(number_due)
    assert given == [*range(10, 1000), 3]


def test_from_the_end_it_goes_on_behind_leaves_that_are_full() -> None:
    numbers = ring.Ring(2000)
    for number in range(2000):
        numbers.take(number, in_turn=True)
    numbers.free(1400)
    assert numbers.peek() == 1400
    numbers.take(1400, in_turn=True)
    numbers.free(700)
    assert numbers.peek() == 700


def test_one_asked_for_by_name_does_not_move_the_turn() -> None:
    numbers = ring.Ring(1000)
    numbers.take(900)
    assert numbers.peek() == 0


def test_memory_follows_what_is_taken() -> None:
    numbers = ring.Ring(2**100)
    numbers.take(2**20)
    assert numbers.peek() == 0
    assert len(numbers._leaves) == 1
    numbers.free(2**20)
    assert not numbers._leaves
