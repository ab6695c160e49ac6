"""What is wrong with where OVN has bound a port."""

from __future__ import annotations

import pytest

from weft.control.zone import bindings

OWN, OTHER = ["uuid", "own"], ["uuid", "other"]
NONE: list[object] = ["set", []]


@pytest.mark.parametrize(
    ("chassis", "additional", "can_bind", "fault"),
    [
        (OWN, NONE, True, ""),
        (OWN, OTHER, True, "port p is bound to other chassis beside c1"),
        (OWN, ["set", [OTHER]], False, "port p is bound to other chassis beside c1"),
        (OTHER, NONE, True, "port p is bound to another chassis, but belongs on chassis c1"),
        (NONE, NONE, True, "port p is bound to no chassis, but belongs on chassis c1"),
        (NONE, NONE, False, ""),
        (OTHER, NONE, False, ""),
    ],
)
def test_a_binding_is_where_it_belongs_and_nowhere_else(
    chassis: object, additional: object, can_bind: bool, fault: str
) -> None:
    binding = {"chassis": chassis, "additional_chassis": additional}
    assert bindings.fault("p", binding, "c1", "own", can_bind=can_bind) == fault
