"""The demo of policies as a user runs it: six machines, and a policy that admits three."""

from __future__ import annotations

from typing import Any

import pytest

from lab.tests.support import labs as support

pytestmark = pytest.mark.lab

VMS = [f"vm{number}" for number in range(1, 7)]


def reached(matrix: dict[str, Any]) -> dict[str, set[str]]:
    """By the names of the machines, who was reached from each."""
    names = {one["id"]: one["vm"] for one in matrix["members"]}
    found: dict[str, set[str]] = {name: set() for name in names.values()}
    for pair in matrix["pairs"]:
        assert pair["measured"] is not None
        if pair["measured"]:
            found[names[pair["source"]]].add(names[pair["target"]])
    return found


def test_only_those_whom_the_policy_admits_are_heard(labs: support.LabHouse) -> None:
    labs.names.append("policies")
    shown = labs.json("demo", "policies", "--name", "policies", check=False)
    assert "scenes" in shown, shown
    without, guarded = (reached(scene["matrix"]) for scene in shown["scenes"])
    everybody = {name: set(VMS) - {name} for name in VMS}
    assert without == everybody
    assert guarded == {name: everybody[name] if name < "vm4" else set() for name in VMS}
    assert shown["holds"]
    assert [scene["evaluatorAgrees"] for scene in shown["scenes"]] == [True, True]
    addresses = {one["name"]: one["nics"][0]["addresses"][0] for one in shown["machines"]}
    assert addresses == {name: f"10.200.0.{number}" for number, name in enumerate(VMS, 1)}
    for port in ("tcp/22", "udp/53"):
        found = labs.json("matrix", "flatl2net", "--name", "policies", "--port", port)
        assert reached(found) == guarded
