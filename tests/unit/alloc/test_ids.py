"""Port keys and network ids."""

from __future__ import annotations

from itertools import islice

import pytest

from weft import errors, tunnelkeys
from weft.alloc import ids


def test_port_keys_leave_the_platforms_alone() -> None:
    keys = ids.port_keys()
    assert keys.peek() == tunnelkeys.FIRST_POD_TUNNEL_KEY
    for key in range(tunnelkeys.FIRST_POD_TUNNEL_KEY, tunnelkeys.LAST_POD_TUNNEL_KEY):
        keys.take(key)
    assert keys.peek() == tunnelkeys.LAST_POD_TUNNEL_KEY
    keys.take(tunnelkeys.LAST_POD_TUNNEL_KEY)
    assert keys.peek() is None
    keys.take(1)
    keys.release(1)
    keys.release(99)
    assert keys.peek() == 99


def test_network_ids_count_from_one_and_stay() -> None:
    networks = ids.NetworkIds()
    assert [networks.allocate(name) for name in ("a", "b", "a")] == [1, 2, 1]
    networks.release("a")
    networks.release("a")
    assert networks.get("a") is None
    assert networks.allocate("c") == 3


def test_reserved_network_ids_are_not_given_again() -> None:
    networks = ids.NetworkIds()
    networks.reserve("a", 1)
    networks.reserve("a", 1)
    assert networks.allocate("b") == 2
    with pytest.raises(errors.Conflict, match="held by network a"):
        networks.reserve("c", 1)
    with pytest.raises(errors.Conflict, match="has id 1 already"):
        networks.reserve("a", 3)
    with pytest.raises(errors.InvalidInput, match="from 1 to 4095"):
        networks.reserve("d", 0)


def test_network_ids_run_out() -> None:
    networks = ids.NetworkIds()
    for number in range(1, tunnelkeys.MAX_NETWORKS):
        assert networks.allocate(f"n{number}") == number
    with pytest.raises(errors.Exhausted, match="network one-more: no network id is free"):
        networks.allocate("one-more")
    networks.release("n7")
    assert networks.allocate("one-more") == 7


def test_node_ids_count_from_two() -> None:
    nodes = ids.NodeIds()
    assert [nodes.allocate(name) for name in ("a", "b")] == [2, 3]
    with pytest.raises(errors.Conflict, match="Node id 3: held by Node b"):
        nodes.reserve("c", 3)
    with pytest.raises(errors.InvalidInput, match="from 2 to 5001"):
        nodes.reserve("c", 1)


def test_no_pod_ever_gets_the_key_of_a_port_that_stands_in_for_a_machine() -> None:
    """Pods get keys in turn, so each of them is given out in the end."""
    keys, given = ids.port_keys(), set[int]()
    for _ in range(tunnelkeys.LAST_TUNNEL_KEY + 1):
        key = keys.peek()
        assert key is not None
        keys.take(key, in_turn=True)
        keys.release(key)
        given.add(key)
    beside = {key for each in given for key in islice(tunnelkeys.stand_in_keys(each), 2)}
    assert not beside & given
    assert max(beside) <= tunnelkeys.LAST_TUNNEL_KEY
