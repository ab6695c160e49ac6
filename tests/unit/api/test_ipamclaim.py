"""IPAMClaims: what they keep, and what their status says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface
from typing import Any

import pytest

from weft import errors, model
from weft.api import ipamclaim

CLAIM = model.IpamClaim(model.ObjectKey("shop", "vm1.blue"), "blue", "net1")


def claim(**parts: object) -> dict[str, Any]:
    spec = {"network": "blue", "interface": "net1"}
    return {"metadata": {"namespace": "shop", "name": "vm1.blue"}, "spec": spec, **parts}


def test_status_reads_back() -> None:
    assert ipamclaim.parse(claim()) == CLAIM
    held = replace(CLAIM, addresses=(ip_interface("10.1.0.5/24"),), owner_pod="vm1-abc")
    status = ipamclaim.render_status(
        held, reason="SuccessfulAllocation", message="", now="2026-01-01T00:00:00Z"
    )
    assert ipamclaim.parse(claim(status=status)) == held
    assert status["conditions"] == [
        {
            "type": "IPsAllocated",
            "status": "True",
            "reason": "SuccessfulAllocation",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]


@pytest.mark.parametrize(
    ("parts", "field", "rule"),
    [
        ({"spec": None}, "spec.network", "missing"),
        ({"spec": {"interface": "net1"}}, "spec.network", "missing"),
        ({"spec": {"network": "blue"}}, "spec.interface", "missing"),
        ({"spec": 5}, "spec", "must be an object"),
        ({"status": {"ips": ["10.1.0.5"]}}, "status.ips[0]", "prefix length"),
    ],
)
def test_refused(parts: dict[str, object], field: str, rule: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        ipamclaim.parse(claim(**parts))
    assert caught.value.field == field
    assert rule in caught.value.rule


def test_a_status_says_of_which_generation_it_speaks() -> None:
    status = ipamclaim.render_status(CLAIM, reason="X", message="", now="", generation=3)
    meta = {"namespace": "shop", "name": "vm1.blue", "generation": 4}
    assert ipamclaim.generations(claim(metadata=meta, status=status)) == (4, 3)
    assert ipamclaim.generations(claim()) == (0, 0)


@pytest.mark.parametrize(
    ("message", "mac"),
    [
        ("addresses are kept, with MAC 02:00:00:00:00:05", "02:00:00:00:00:05"),
        (
            "addresses are kept, with MAC 02:00:00:00:00:05; to have 10.1.0.9 instead",
            "02:00:00:00:00:05",
        ),
        ("addresses are kept; to have 02:00:00:00:00:05 instead", ""),
        ("", ""),
    ],
)
def test_a_condition_says_which_mac_is_kept(message: str, mac: str) -> None:
    assert ipamclaim.kept_mac(message) == mac
