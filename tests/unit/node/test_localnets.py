"""Whether a node leads to a physical network, and what is said if not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from weft import model
from weft.node import localnets

SPEC = model.NetworkSpec("vlan20", model.Topology.LOCALNET, 1500, physical_network="rack")


def deps(mappings: str, *bridges: str) -> Any:
    tables: dict[str, Any] = {
        "Open_vSwitch": {"": {"external_ids": {"ovn-bridge-mappings": mappings}}}
    }
    tables |= {"Bridge": {name: {"name": name} for name in bridges}}

    def get(table: str, key: str) -> Any:
        columns = tables[table].get(key)
        return ("uuid", columns) if columns else None

    return SimpleNamespace(node="node1", ovs=SimpleNamespace(get=get))


@pytest.mark.parametrize(
    ("mappings", "bridges", "said"),
    [
        ("rack:br-rack", ("br-rack",), ""),
        ("", (), "lacks physical network rack (add rack:<bridge> to external_ids:ovn-bridge-m"),
        ("a:br-a,b:br-b", ("br-a",), "lacks physical network rack (it has a, b)"),
        ("rack:br-rack", ("br-a",), "leads to bridge br-rack, which does not exist"),
    ],
)
def test_what_is_missing_is_named_with_its_node_and_remedy(
    mappings: str, bridges: tuple[str, ...], said: str
) -> None:
    fault = localnets.missing(SPEC, deps(mappings, *bridges))
    if not said:
        assert fault is None
        return
    assert fault is not None
    assert said in fault.in_full()
    assert str(fault).startswith("network vlan20 on node node1: ovn-bridge-mappings of")


def test_other_networks_need_no_mapping() -> None:
    blue = model.NetworkSpec("blue", model.Topology.LAYER2, 1400)
    assert localnets.missing(blue, deps("")) is None
