"""The network-status annotation, as Multus writes it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from weft import errors, names
from weft.api import status

TEXT = """[
    {
        "name": "cluster",
        "interface": "eth0",
        "ips": [
            "10.244.1.5"
        ],
        "mac": "02:00:00:00:00:01",
        "default": true,
        "dns": {}
    },
    {
        "name": "shop/blue",
        "interface": "net1",
        "ips": [
            "10.1.0.5",
            "fd00::5"
        ],
        "mac": "0a:58:0a:01:00:05",
        "mtu": 1300,
        "dns": {}
    }
]"""
STATUSES = (
    status.NetworkStatus(
        "cluster", "eth0", (ip_address("10.244.1.5"),), "02:00:00:00:00:01", default=True
    ),
    status.NetworkStatus(
        "shop/blue",
        "net1",
        (ip_address("10.1.0.5"), ip_address("fd00::5")),
        "0a:58:0a:01:00:05",
        1300,
    ),
)


def pod(text: str) -> dict[str, Any]:
    return {"metadata": {"name": "web1", "annotations": {names.NETWORK_STATUS: text}}}


def test_to_the_letter_and_back() -> None:
    assert status.render(STATUSES) == TEXT
    assert status.parse(pod(TEXT)) == STATUSES
    assert status.parse({"metadata": {"name": "web1"}}) == ()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("{", "not valid JSON"),
        ("{}", "must be a list"),
        ("[5]", "must be an object"),
        ('[{"ips": ["10.0.0.1/24"]}]', "without prefix length"),
        ('[{"ips": ["fd00::5%x"]}]', "must have no scope"),
        ('[{"mtu": "x"}]', "whole number"),
    ],
)
def test_refused(text: str, rule: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rule):
        status.parse(pod(text))
