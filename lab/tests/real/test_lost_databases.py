"""A node's database file cannot be opened, and its server ends: all is as before soon."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.support import labs as support
from tests.support.patience import PATIENCE
from weft_lab import spec, up
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.real
PATHS = {
    "nb": "/run/ovn/ovnnb_db.db",
    "sb": "/run/ovn/ovnsb_db.db",
    "ovsdb": "/run/openvswitch/conf.db",
}
FAULTS = {
    "gone": ("rm {path}", "is gone"),
    "empty": (": > {path}", "is empty"),
    "header broken": ("printf X | dd of={path} bs=1 conv=notrunc", "has a broken header"),
    "schema broken": (
        "printf X | dd of={path} bs=1 seek=200 conv=notrunc",
        "has a broken header",
    ),
    "a folder": ("rm {path} && mkdir {path}", "is not a regular file"),
    "another schema": ("cp /run/weft-other.db {path}", "has schema Other 0.9.0"),
}


# What follows the schema is the server's to judge.
BROKEN_BODY = {
    "garbage behind the schema": "n=$(head -1 {path} | cut -d' ' -f3);"
    " head -c $(($(head -1 {path} | wc -c) + n)) {path} > /run/head;"
    " (cat /run/head; echo garbage; head -c 3000 /dev/urandom) > {path}",
    "ends in a record": "truncate -s -7 {path}",
    "only the schema": "n=$(head -1 {path} | cut -d' ' -f3);"
    " truncate -s $(($(head -1 {path} | wc -c) + n)) {path}",
}
# What answers where the database is whole: OVN's own first row, or a bridge.
ASKS = {
    "nb": ("ovn-nbctl", "--timeout=30", "wait-until", "NB_Global", ".", "nb_cfg>=0"),
    "sb": ("ovn-sbctl", "--timeout=30", "wait-until", "SB_Global", ".", "nb_cfg>=0"),
    "ovsdb": ("ovs-vsctl", "--timeout=30", "wait-until", "Interface", "ul-node1", "ofport>0"),
}


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain
) -> Iterator[support.LabHouse]:
    state = tmp_path_factory.mktemp("databases")
    with support.running("databases", 2, state, toolchain, support.ZONES_ONLY) as (house, _):
        schema = '{"name": "Other", "version": "0.9.0", "cksum": "1 2", "tables": {}}\n'
        header = f"OVSDB JSON {len(schema)} {hashlib.sha1(schema.encode()).hexdigest()}"
        other = f"cat > /run/weft-other.db <<'END'\n{header}\n{schema}END"
        house.run("node1", "sh", "-c", other)
        yield house


def service(name: str) -> dict[str, Any]:
    return next(one for one in up.status("databases")["services"] if one["name"] == name)


def until(holds: Any) -> Any:
    """What a process of the lab does by itself, with no event that reaches a test."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def spoil(lab: support.LabHouse, part: str, how: str) -> None:
    """Break the file, and end its server as a crash would; until another one answers.

    The server stands still meanwhile: else it may write to the file that is broken."""
    before = service(f"node1/{part}")
    spoiled = how.format(path=PATHS[part])
    script = f"p=$(cat {pidfile(part)}); kill -STOP $p; {spoiled}; kill -9 $p"
    lab.run("node1", "sh", "-c", script)

    def is_another() -> bool:
        now = service(f"node1/{part}")
        return bool(now["state"] == "running" and now["pid"] != before["pid"])

    until(is_another)


def pidfile(part: str) -> str:
    return {
        "nb": "/run/ovn/ovnnb_db.pid",
        "sb": "/run/ovn/ovnsb_db.pid",
        "ovsdb": "/run/openvswitch/ovsdb-server.pid",
    }[part]


@pytest.mark.parametrize("part", PATHS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_opened_is_made_anew(
    lab: support.LabHouse, part: str, fault: str
) -> None:
    how, what = FAULTS[fault]
    spoil(lab, part, how)
    note = service(f"node1/{part}")["note"]
    assert what in note
    assert "made anew" in note
    assert note in (lab.state / "weft/databases/logs" / f"node1-{part}.log").read_text()
    assert note in lab.weft("lab", "status", "--name", "databases").stdout
    kept = lab.run("node1", "ls", "-a", PATHS[part].rpartition("/")[0]).stdout.split()
    assert (PATHS[part].rpartition("/")[2] + ".broken" in kept) or fault == "gone"
    lab.run("node1", *ASKS[part])


@pytest.mark.parametrize("part", PATHS)
@pytest.mark.parametrize("fault", BROKEN_BODY)
def test_a_file_whose_records_are_broken_is_whole_again(
    lab: support.LabHouse, part: str, fault: str
) -> None:
    spoil(lab, part, BROKEN_BODY[fault])
    lab.run("node1", *ASKS[part])


def test_a_node_keeps_its_identity_and_reaches_the_others(lab: support.LabHouse) -> None:
    one, two = spec.Lab(name="databases", nodes=2).members
    query = ("ovs-vsctl", "--format=json", "get", "Open_vSwitch", ".", "external_ids")
    before = lab.run("node1", *query).stdout
    spoil(lab, "ovsdb", "rm {path}")
    until(lambda: one.chassis in lab.run("node1", *query, check=False).stdout)

    def ids(text: str) -> set[str]:
        return {*text.strip("{}\n").split(", ")}

    assert ids(before) <= ids(lab.run("node1", *query).stdout)
    ping = ("busybox", "ping", "-c1", "-W1", str(two.underlay))
    until(lambda: lab.run("node1", *ping, check=False).returncode == 0)
    sb = ("ovn-sbctl", "--timeout=60", "wait-until", "Chassis", one.chassis, f"name={one.chassis}")
    lab.run("node1", *sb)


def test_a_sound_file_is_kept(lab: support.LabHouse) -> None:
    lab.run("node2", "ovn-nbctl", "ls-add", "kept")
    before = service("node2/nb")
    lab.run("node2", "sh", "-c", f"kill -9 $(cat {pidfile('nb')})")
    until(lambda: service("node2/nb")["pid"] not in (0, before["pid"]))
    assert service("node2/nb")["note"] == ""
    until(lambda: "kept" in lab.run("node2", "ovn-nbctl", "ls-list", check=False).stdout)


def test_a_folder_that_takes_nothing_is_reported_until_it_does(lab: support.LabHouse) -> None:
    """The supervisor finds no bytes left where the file should be."""
    path, folder = PATHS["nb"], "/run/lab/node1/run/ovn"
    before = service("node1/nb")["restarts"]
    lab.run("lab", "mount", "-t", "tmpfs", "-o", "size=64k", "full", folder)
    lab.run("lab", "sh", "-c", f"! dd if=/dev/zero of={folder}/filler bs=4k 2>/dev/null")
    lab.run("node1", "sh", "-c", f"rm {path}; kill -9 $(cat {pidfile('nb')})")
    try:
        note = until(lambda: "No space left" in (n := service("node1/nb")["note"]) and n)
        assert path in note
        until(lambda: service("node1/nb")["state"] == "failing")
        log = (lab.state / "weft/databases/logs/node1-nb.log").read_text()
        assert log.count("No space left on device") == 1
        assert service("node1/nb")["restarts"] - before < 12
    finally:
        lab.run("lab", "umount", folder)
    until(lambda: service("node1/nb")["state"] == "running")
