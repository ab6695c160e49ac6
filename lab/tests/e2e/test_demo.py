"""The demo as a user runs it: real machines, real OVN, every check from inside the guests."""

from __future__ import annotations

import pytest

from lab.tests.support import consoles
from lab.tests.support import labs as support

pytestmark = pytest.mark.lab


def test_the_demo_holds_and_leaves_its_lab_running(labs: support.LabHouse) -> None:
    labs.names.append("demo")
    shown = labs.json("demo", "--name", "demo")
    failed = [check for check in shown["checks"] if not check["holds"]]
    assert not failed
    assert shown["holds"]
    claims = {check["claim"] for check in shown["checks"]}
    assert claims >= {"leased by DHCP", "ping", "curl", "curl outside", "forged sender dropped"}
    nodes = {machine["name"]: machine["node"] for machine in shown["machines"]}
    assert len({nodes[name] for name in ("client", "web1", "web2")}) == 3
    assert "Overview" in consoles.entered(shown["console"], "/")
    status = labs.json("lab", "status", "--name", "demo")
    assert status["running"]
    assert status["console"] not in ("", shown["console"]), "there is one for the next browser"
    labs.weft("lab", "down", "--name", "demo")
    assert not consoles.is_served(shown["console"]), "it ends with its lab"
