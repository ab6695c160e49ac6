"""The demo of policies as a user runs it: six machines, and a policy that admits three."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from lab.tests.support import labs as support
from tests.support.patience import await_true

pytestmark = pytest.mark.lab

VMS = [f"vm{number}" for number in range(1, 7)]


def reached(matrix: dict[str, Any]) -> dict[str, set[str]]:
    """By the names of the machines, who was reached from each."""
    names = {one["id"]: one["vm"] for one in matrix["members"]}
    found: dict[str, set[str]] = {name: set() for name in names.values()}
    for pair in matrix["pairs"]:
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
        await_true(partial(are_admitted, labs, port, guarded), f"{port}: {guarded}")


def are_admitted(labs: support.LabHouse, port: str, admitted: dict[str, set[str]]) -> bool:
    """Whether all of these are reached. A guest that has no turn answers late, and is asked again;
    that anybody else is reached is wrong whenever it is seen."""
    argv = ("matrix", "flatl2net", "--name", "policies", "--port", port)
    found = reached(labs.json(*argv, check=False))
    assert all(found[name] <= admitted[name] for name in VMS), found
    return found == admitted
