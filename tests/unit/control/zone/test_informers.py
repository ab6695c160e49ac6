"""What a node agent follows."""

from __future__ import annotations

from tests.support.memory_api import MemoryApi
from weft.control.zone import informers


def test_no_two_have_one_name() -> None:
    """They run as tasks by their names: of two that share one, only one would run."""
    found = informers.Informers(
        MemoryApi(), "node1", default_mtu=1400, primary=True, keys_namespace="weft-system"
    )
    names = [each.name for each in found.all()]
    assert len(set(names)) == len(names) == 7
    assert "nodes metadata.name=node1" in names
