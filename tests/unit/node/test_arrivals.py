"""Which of a pod's NICs are announced, as its machine comes."""

from __future__ import annotations

import pytest

from weft import model
from weft.migration import Migration
from weft.node import arrivals

NIC = model.Allocation("0a:58:0a:01:00:05")
WAITS = model.Allocation(NIC.mac, migration=Migration("one", "1"))
CAME = model.Allocation(NIC.mac, migration=Migration("one", "1", is_active=True))


@pytest.mark.parametrize("after", [CAME, NIC], ids=["source is there", "source is gone"])
def test_what_waited_and_waits_no_more_has_come(after: model.Allocation) -> None:
    decided = {"default/red": after, "default/late": WAITS, "default/new": NIC}
    waited = frozenset({"default/red", "default/late", "default/unplugged"})
    assert arrivals.arrived(waited, decided) == {"default/red"}


def test_what_an_earlier_agent_may_have_missed_has_come() -> None:
    decided = {"default/red": CAME, "default/late": WAITS, "default/new": NIC}
    assert arrivals.arrived(None, decided) == {"default/red"}
    assert arrivals.arrived(frozenset(), decided) == frozenset()
