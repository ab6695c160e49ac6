"""The demo of a physical network as a user runs it, twice."""

from __future__ import annotations

import pytest

from lab.tests.support import labs as support
from lab.tests.support.demos import holds

pytestmark = pytest.mark.lab
CLAIMS = {
    "leased by the VLAN's server": 1,
    "leased by weft": 1,
    "writes to the database": 2,
    "known by its own address": 2,
    "reads what till wrote": 1,
    "ping, IPv6": 1,
    "ping": 3,
    "no database in another VLAN": 1,
    "no answer from another VLAN": 1,
}


def test_machines_of_a_vlan_use_a_database_outside(labs: support.LabHouse) -> None:
    labs.names.append("physical")
    labs.weft("lab", "up", "--name", "physical", "--nodes", "3", "--vlan", "30")
    for _ in range(2):  # what the first run left hinders no other
        shown = holds(labs, "localnet", "physical", CLAIMS)
    nodes = {vm["name"]: vm["node"] for vm in shown["machines"]}
    assert nodes["till"] != nodes["stock"]
    hosts = {one["node"] for one in labs.json("lab", "status", "--name", "physical")["services"]}
    assert {"vlan20", "vlan30", "rack"} <= hosts  # the user's own VLAN stays
