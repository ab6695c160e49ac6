from __future__ import annotations

from weft import tunnelkeys
from weft.control.zone.standins import StandIns

FIRST, LAST = tunnelkeys.LAST_POD_TUNNEL_KEY + 1, tunnelkeys.LAST_TUNNEL_KEY
EVERY = LAST - FIRST + 1


def test_a_machines_own_key_says_which_one_its_stand_in_has() -> None:
    stand_ins = StandIns()
    assert stand_ins.key_of("blue", "a", 20) == FIRST + 20
    assert stand_ins.key_of("blue", "b", 21) == FIRST + 21


def test_where_that_is_taken_the_next_free_one_is_had_and_kept() -> None:
    stand_ins = StandIns()
    keys = {"a": LAST, "b": FIRST, "c": FIRST + 1}
    for _ in range(2):
        for turn, (port, key) in enumerate(keys.items(), start=1):
            assert stand_ins.key_of("blue", port, turn * EVERY - 1) == key
    stand_ins.release("a")
    assert stand_ins.key_of("blue", "c", 3 * EVERY - 1) == FIRST + 1
    assert stand_ins.key_of("blue", "d", EVERY - 1) == LAST


def test_each_network_has_keys_of_its_own() -> None:
    stand_ins = StandIns()
    assert stand_ins.key_of("blue", "a", 20) == stand_ins.key_of("red", "b", 20)
    assert stand_ins.key_of("red", "a", 20) == FIRST + 21, "it comes from blue"
    assert stand_ins.key_of("blue", "c", 20) == FIRST + 20


def test_more_than_there_are_keys_share_one() -> None:
    stand_ins = StandIns()
    keys = {stand_ins.key_of("blue", str(number), number) for number in range(EVERY)}
    assert keys == set(range(FIRST, LAST + 1))
    assert stand_ins.key_of("blue", "more", 7) == FIRST + 7
    stand_ins.release("more")
    assert stand_ins.key_of("blue", "again", 7) == FIRST + 7
