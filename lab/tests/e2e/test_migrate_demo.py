"""The demo of live migration as a user runs it."""

from __future__ import annotations

import pytest

from lab.tests.support import labs as support
from lab.tests.support.demos import holds

pytestmark = pytest.mark.lab
CLAIMS = {
    "first move": 1,
    "second move": 1,
    "its count goes on": 2,
    "ping while it moves": 6,
    "its connection lasts": 2,
    "address and MAC stay": 1,
    "its disk came along": 1,
}


def test_a_machine_moves_under_load(labs: support.LabHouse) -> None:
    labs.names.append("moves")
    holds(labs, "migrate", "moves", CLAIMS)
