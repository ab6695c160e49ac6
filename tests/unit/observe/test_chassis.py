from __future__ import annotations

import pytest

from weft.observe import chassis


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["a.example", "b.example"], ["a", "b"]),
        (["a.example", "a.other"], ["a.example", "a.other"]),
        (["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"]),
        (["node1", "node2"], ["node1", "node2"]),
        ([".x", "y"], [".x", "y"]),
    ],
)
def test_a_domain_is_left_out_where_it_tells_no_two_nodes_apart(
    names: list[str], shown: list[str]
) -> None:
    assert list(chassis.hosts(names).values()) == shown
