"""Rows and troubles of Network objects, whole and half-written."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from weft import errors, model
from weft.api import networkstatus
from weft.api.networkstatus import Change, Edit, NadStatus, NetworkFindings, NetworkReason, Subnet
from weft.model import ObjectKey
from weft.observe import networkobjects

DAY = "2026-02-08"
SPEC = model.NetworkSpec("blue", model.Topology.LAYER2, 1400)


def made(**found: Any) -> dict[str, Any]:
    subnets = tuple(ip_network(each.subnet) for each in found.get("usage", ()))
    network = model.Network(replace(SPEC, subnets=subnets), 1, model.ObjectKey("default", "blue"))
    owner = (NadStatus(ObjectKey("default", "blue")),)
    findings = NetworkFindings("blue", network, **{"nads": owner, **found})
    return {"metadata": {"name": "blue"}, "status": networkstatus.render(findings, None, "t")}


def test_a_network_that_is_well() -> None:
    obj = made(usage=(Subnet("10.0.0.0/24", 1, 2),))
    row = dict(zip(networkobjects.HEADS, networkobjects.rows([obj], DAY)[0], strict=True))
    assert (row["NETWORK"], row["STATE"], row["OWNER"]) == ("blue", "ok", "default/blue")
    assert list(networkobjects.troubles([obj])) == []


def test_an_edit_that_waits_and_a_nad_that_is_refused() -> None:
    edit = Edit(
        ObjectKey("default", "blue"),
        NetworkReason.EDIT_WAITS,
        (Change("mtu", "1", "2"),),
        ("Pod default/one",),
    )
    refused = NadStatus(ObjectKey("evil", "blue"), problem="it belongs to namespace default")
    obj = made(edits=(edit,), nads=(NadStatus(ObjectKey("default", "blue")), refused))
    assert networkobjects.rows([obj], DAY)[0][-1] == "EditWaits"
    messages = [message for _, message in networkobjects.troubles([obj])]
    assert any(
        "1 pods have the old configuration, 0 the new (Pod default/one)" in x for x in messages
    )
    assert any("evil/blue does not count" in x for x in messages)


def test_an_object_without_a_status() -> None:
    assert networkobjects.rows([{"metadata": {"name": "new"}}], DAY)[0][-1] == "unknown"


def test_a_nad_that_was_never_valid_is_reported_once() -> None:
    bad = NadStatus(ObjectKey("default", "red"), problem="spec.config.mtu 3: is too small")
    problem = f"Failed to parse network config: default/red: {bad.problem}"
    found = NetworkFindings("red", None, problem=problem, nads=(bad,))
    obj = {"metadata": {"name": "red"}, "status": networkstatus.render(found, None, "t")}
    assert networkobjects.rows([obj], DAY)[0][-1] == "InvalidConfig"
    assert list(networkobjects.troubles([obj])) == [("red", problem)]


@pytest.mark.parametrize(
    ("days", "free", "lasts"),
    [
        ({}, 200, "-"),
        ({"2026-02-08": 5}, 200, "40d"),
        ({"2026-01-01": 5}, 200, "-"),
        ({"2026-02-08": 200}, 100, "12h"),
        ({"2026-02-08": 1}, 2000, "5y"),
        ({"2026-02-08": 1}, 20000, ">10y"),
        ({"2026-02-08": 1}, 0, "0h"),
    ],
)
def test_how_long_addresses_last(days: dict[str, int], free: int, lasts: str) -> None:
    obj = made(usage=(Subnet("10.0.0.0/24", 1, free, 254),), days=days)
    (cells,) = networkobjects.rows([obj], DAY)
    row = dict(zip(networkobjects.HEADS, cells, strict=True))
    assert (row["SIZE"], row["LASTS"]) == ("254", lasts)
    (data,) = networkobjects.with_forecasts([obj], DAY)
    assert (data["forecast"]["daysLeft"] is None) == (lasts == "-")


def test_a_network_without_subnets_has_no_forecast() -> None:
    obj = made(days={"2026-02-08": 5})
    assert networkobjects.rows([obj], DAY)[0][-2] == "-"


def test_a_network_that_is_not_there() -> None:
    obj = made()
    assert networkobjects.chosen([obj], (), "weft networks") == [obj]
    assert networkobjects.chosen([obj], ("blue", "blue"), "weft networks") == [obj]
    with pytest.raises(errors.InvalidInput, match="networks: blue"):
        networkobjects.chosen([obj], ("red",), "weft networks")


def test_a_localnet_lists_the_nodes_that_it_can_run_on() -> None:
    found = [
        {"metadata": {"name": "a"}, "status": {"network": "a", "eligibleNodes": []}},
        {"metadata": {"name": "b"}, "status": {"network": "b", "eligibleNodes": ["n10", "n2"]}},
    ]
    assert list(networkobjects.eligible(found)) == [
        ("b", "runs on n2, n10, which lead to its physical network")
    ]
