"""Bridge mappings as ovn-controller reads them."""

from __future__ import annotations

import pytest

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
