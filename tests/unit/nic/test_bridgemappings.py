"""Bridge mappings as ovn-controller reads them."""

from __future__ import annotations

import pytest

from weft import rows
from weft.nic import bridgemappings


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("physnet:br-phy", {"physnet": "br-phy"}),
        ("physnet:br-phy,rack:br-rack", {"physnet": "br-phy", "rack": "br-rack"}),
        (" physnet : br-phy , ", {"physnet": "br-phy"}),
        ("physnet,:br-phy,rack:", {}),
        ("physnet:one,physnet:two", {"physnet": "two"}),
    ],
)
def test_what_is_no_pair_is_left_out(text: str, found: dict[str, str]) -> None:
    assert bridgemappings.parse({"ovn-bridge-mappings": text}) == found


def test_a_chassis_own_key_comes_first() -> None:
    ids = {
        "system-id": "c1",
        "ovn-bridge-mappings": "physnet:br-phy",
        "ovn-bridge-mappings-c1": "rack:br-rack",
        "ovn-bridge-mappings-c2": "other:br-other",
    }
    assert bridgemappings.parse(ids) == {"rack": "br-rack"}


def test_the_narrowest_interface_is_found_without_the_bridges_own_and_patches() -> None:
    nothing = frozenset[rows.Atom]()
    sizes: dict[str, rows.Value] = {"br-rack": 600, "up0": 1400, "up1": 9000, "far": 500}
    sizes["patch"] = nothing
    interfaces: dict[str, rows.Columns] = {
        f"i-{name}": {"name": name, "mtu": mtu} for name, mtu in sizes.items()
    }
    ports: dict[str, rows.Columns] = {
        f"p-{name}": {"name": name, "interfaces": frozenset({f"i-{name}"})} for name in sizes
    }
    on_it = frozenset(f"p-{name}" for name in sizes if name != "far") | {"p-just-gone"}
    bridge: rows.Columns = {"name": "br-rack", "ports": on_it}
    assert bridgemappings.narrowest(bridge, ports, interfaces) == (1400, "up0")
    alone: rows.Columns = {"name": "br-rack", "ports": frozenset({"p-br-rack", "p-patch"})}
    assert bridgemappings.narrowest(alone, ports, interfaces) == (0, "")
