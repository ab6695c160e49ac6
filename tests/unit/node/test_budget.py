"""A guest's questions are bounded, and by nobody else's."""

from __future__ import annotations

from weft.node.budget import BURST, MUTE, RATE, Budget


def test_a_guest_may_ask_so_much_at_once_and_so_much_each_second() -> None:
    made = Budget()
    assert [made.spend("a", 0.0) for _ in range(int(BURST) + 1)] == [True] * int(BURST) + [False]
    assert made.spend("a", 1 / RATE)
    assert not made.spend("a", 1 / RATE)


def test_another_guest_is_not_charged_for_it() -> None:
    made = Budget()
    while made.spend("a", 0.0):
        pass
    assert made.spend("b", 0.0)


def test_after_its_silence_a_guest_has_all_again() -> None:
    made = Budget()
    while made.spend("a", 0.0):
        pass
    assert all(made.spend("a", MUTE) for _ in range(int(BURST)))


def test_what_is_kept_is_of_those_that_are_there() -> None:
    made = Budget()
    while made.spend("a", 0.0):
        pass
    made.forget_but({"a"})
    assert not made.spend("a", 0.0)
    made.forget_but(())
    assert made.spend("a", 0.0)
