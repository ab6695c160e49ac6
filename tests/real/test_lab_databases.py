"""A database file that is lost or broken when its server ends: a new one, and all is back."""

from __future__ import annotations

import pytest

from tests.support import labs as support

pytestmark = pytest.mark.real

FAULTS = {
    "lost": 'rm "$1"',
    "emptied": ': > "$1"',
    "broken": 'echo nonsense > "$1"',
}
FILES = {
    "ovsdb": ("/run/openvswitch/conf.db", ("ovs-vsctl", "--timeout=20", "br-exists", "br-int")),
    "nb": (
        "/run/ovn/ovnnb_db.db",
        ("ovn-nbctl", "--timeout=20", "get", "NB_Global", ".", "nb_cfg"),
    ),
    "sb": (
        "/run/ovn/ovnsb_db.db",
        ("ovn-sbctl", "--timeout=20", "get", "SB_Global", ".", "nb_cfg"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_database_is_made_anew(labs: support.LabHouse, fault: str) -> None:
    labs.up("lost", 1)
    chassis = ("ovs-vsctl", "--timeout=20", "get", "Open_vSwitch", ".", "external_ids:system-id")
    before = labs.run("node1", *chassis).stdout
    for name, (path, asks) in FILES.items():
        (one,) = [
            one
            for one in labs.json("lab", "status", "--name", "lost")["services"]
            if one["name"] == f"node1/{name}"
        ]
        labs.run("node1", "sh", "-c", FAULTS[fault], "sh", path)
        labs.run("lab", "busybox", "kill", "-9", str(one["pid"]))
        labs.run("node1", *asks)
        log = (labs.state / f"weft/lost/logs/node1-{name}.log").read_text()
        assert f"database {path}: it " in log
    wait = ("ovs-vsctl", "--timeout=20", "wait-until", "Interface", "ul-node1", "ofport>0")
    labs.run("node1", *wait)
    assert labs.run("node1", *chassis).stdout == before
