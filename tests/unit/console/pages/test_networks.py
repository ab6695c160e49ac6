"""A network's row: how full it is and what is wrong, from the status of its Network object."""

from __future__ import annotations

import pytest

from tests.support import consoled
from tests.support import objects as made
from weft.console.pages import networks
from weft.kube import resources


def test_rows_are_sorted_as_people_count() -> None:
    listed = [made.named(resources.NETWORKS, name) for name in ("net10", "net9")]
    found = networks.view(consoled.read({resources.NETWORKS: listed}), consoled.asked())
    assert [one.label for one in found.rows] == ["net9", "net10"]
    assert found.rows[0].wrong == ("unknown",)
    assert found.rows[0].use is None


def test_a_networks_addresses_and_conditions() -> None:
    conditions = [{"type": "AddressesFree", "status": "False", "reason": "Exhausted"}]
    counts = {"usedAddresses": 8, "sizeAddresses": 8, "freeAddresses": 0, "members": 8}
    status = {"network": "Blue", "subnets": "10.0.0.0/28,fd00::/124", "conditions": conditions}
    network = {**made.named(resources.NETWORKS, "blue-x"), "status": {**status, **counts}}
    row = networks.row(network, "2026-02-01")
    assert (row.name, row.label, row.subnets) == ("blue-x", "Blue", ("10.0.0.0/28", "fd00::/124"))
    assert row.use is not None
    assert (row.use.used, row.use.size, row.use.level) == (8, 8, "fail")
    assert row.wrong == ("Exhausted",)


def test_the_default_network_has_no_number_of_members() -> None:
    network = {**made.named(resources.NETWORKS, "default"), "status": {"network": "default"}}
    assert networks.row(network, "2026-02-01").members is None


@pytest.mark.parametrize(("used", "level"), [(0, "ok"), (89, "ok"), (90, "warn"), (100, "fail")])
def test_how_full_a_subnet_is(used: int, level: str) -> None:
    assert networks.Use(used, 100, "-").level == level
