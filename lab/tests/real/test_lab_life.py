"""Labs come, go, crash and live side by side; nothing of them stays."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from lab.tests.support import labs as support
from tests.support.patience import PATIENCE
from weft import errors
from weft_lab import spec, state, up

pytestmark = pytest.mark.real


def host_links() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def end_at_once(pid: int) -> None:
    """SIGKILL process `pid`, and wait for the kernel to have cleaned up behind it."""
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGKILL)
    select.select([process], [], [], PATIENCE)
    os.close(process)


def processes_of(pid: int) -> list[int]:
    """Every process of the PID namespace whose first one is `pid`."""
    space = os.readlink(f"/proc/{pid}/ns/pid")
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "ns/pid") == space:
                found.append(int(path.name))
        except OSError:
            continue
    return found


def is_alive(pid: int) -> bool:
    """A process that only waits for its parent to take note of its end is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_up_twice_and_down_twice(labs: support.LabHouse) -> None:
    before = host_links()
    first = labs.up("twice", nodes=1)
    second = labs.up("twice", nodes=1)
    assert (first["started"], second["started"]) == (True, False)
    assert first["pid"] == second["pid"]
    assert host_links() == before
    assert up.down("twice")
    assert not up.down("twice")
    assert not (labs.state / "weft" / "twice").exists()
    assert host_links() == before


def test_kill_of_the_supervisor_leaves_nothing(labs: support.LabHouse) -> None:
    found = labs.up("killed", nodes=2)
    everything = processes_of(found["pid"])
    assert len(everything) > 10
    end_at_once(found["pid"])
    assert [pid for pid in everything if is_alive(pid)] == []
    assert up.status("killed")["running"] is False
    again = labs.up("killed", nodes=2)
    assert again["started"]
    assert again["lab"]["port"] == found["lab"]["port"], "the kubeconfig must stay valid"


def test_lab_whose_folder_is_removed_ends(labs: support.LabHouse) -> None:
    found = labs.up("forgotten", nodes=1)
    process = os.pidfd_open(found["pid"])
    shutil.rmtree(found["folder"])
    ended, _, _ = select.select([process], [], [], PATIENCE)
    os.close(process)
    assert ended


def test_unreadable_record_is_named_and_removed_by_down(labs: support.LabHouse) -> None:
    folder = state.Folder.of("broken")
    folder.make()
    (folder.path / "lab.json").write_text("{")
    with pytest.raises(errors.Unavailable, match="record cannot be read") as caught:
        labs.up("broken", nodes=1)
    assert "weft lab down --name broken" in caught.value.hint
    assert up.down("broken")
    assert labs.up("broken", nodes=1)["started"]


def test_two_labs_side_by_side(labs: support.LabHouse) -> None:
    one, two = labs.up("left", nodes=1), labs.up("right", nodes=1)
    assert one["lab"]["port"] != two["lab"]["port"]
    names = {
        lab: labs.run("node1", "ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids", lab=lab)
        for lab in ("left", "right")
    }
    assert names["left"].stdout != names["right"].stdout
    up.down("left")
    assert up.status("right")["running"]


def services(found: dict[str, Any], node: str) -> dict[str, int]:
    return {one["name"]: one["pid"] for one in found["services"] if one["node"] == node}


def test_running_lab_grows_and_shrinks(labs: support.LabHouse) -> None:
    labs.up("grows", nodes=1)
    found = labs.up("grows", nodes=2)
    assert found["lab"]["nodes"] == 2
    assert not found["started"]
    one, two = spec.Lab(name="grows", nodes=2).members
    for near, far in ((one, two), (two, one)):
        labs.run(near.name, "busybox", "ping", "-c1", "-W60", str(far.underlay))
    everything = processes_of(found["pid"])
    of_two = {pid for pid in services(found, "node2").values() if pid}
    found = labs.up("grows", nodes=1)
    assert found["lab"]["nodes"] == 1
    assert services(found, "node2") == {}
    assert len(services(found, "node1")) > 5
    left = set(processes_of(found["pid"]))
    assert len(left) == len(everything) - len(of_two)
    links = labs.run("lab", "busybox", "ip", "link").stdout
    assert "node1" in links
    assert "node2" not in links
    labs.run("node1", "busybox", "ping", "-c1", "-W60", "172.31.0.1")
    found = labs.up("grows", nodes=2)
    labs.run("node1", "busybox", "ping", "-c1", "-W60", str(two.underlay))


def test_a_rebooted_node_has_new_processes_and_empty_databases(labs: support.LabHouse) -> None:
    before = labs.up("boots", nodes=2)
    one, two = spec.Lab(name="boots", nodes=2).members
    for node in (one, two):
        labs.run(node.name, "ovn-nbctl", "ls-add", "note")
    after = up.reboot("boots", "node2")
    old, new = services(before, "node2"), services(after, "node2")
    assert old.keys() == new.keys()
    assert not {pid for pid in old.values() if pid} & set(new.values())
    assert services(before, "node1") == services(after, "node1")
    assert labs.run("node2", "ovn-nbctl", "ls-list").stdout == ""
    assert "note" in labs.run("node1", "ovn-nbctl", "ls-list").stdout
    labs.run("node1", "busybox", "ping", "-c3", "-W60", str(two.underlay))
    with pytest.raises(errors.InvalidInput, match="must be one of node1, node2"):
        up.reboot("boots", "node3")


def test_stop_keeps_the_folder(labs: support.LabHouse) -> None:
    labs.up("kept", nodes=1)
    folder = state.Folder.of("kept")
    (folder.path / "note").write_text("here")
    assert up.stop("kept")
    assert not up.stop("kept")
    assert up.status("kept")["exists"]
    labs.up("kept", nodes=1)
    assert (folder.path / "note").read_text() == "here"


def test_daemon_that_ends_is_started_again(labs: support.LabHouse) -> None:
    found = labs.up("repairs", nodes=1)
    pid = next(s["pid"] for s in found["services"] if s["name"] == "node1/northd")
    labs.run("lab", "busybox", "kill", "-9", str(pid))
    found = labs.up("repairs", nodes=1)
    northd = next(s for s in found["services"] if s["name"] == "node1/northd")
    assert northd["pid"] not in (0, pid)
    assert northd["restarts"] == 1


def test_taken_port_is_named(labs: support.LabHouse) -> None:
    port = labs.up("port", nodes=1)["lab"]["port"]
    up.stop("port")
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(errors.Unavailable, match=f"port {port}"),
    ):
        labs.up("port", nodes=1)
    labs.up("port", nodes=1)


def test_exec_reports_what_the_command_did(labs: support.LabHouse) -> None:
    labs.up("exec", nodes=1)
    assert labs.run("node1", "hostname").stdout == "node1\n"
    assert labs.run("node1", "sh", "-c", "exit 7", check=False).returncode == 7
    assert labs.run("node1", "sh", "-c", "kill -9 $$", check=False).returncode == 137
    assert labs.run("node1", "no-such-program", check=False).returncode == 127
    assert "must be lab, one of node1" in labs.run("node7", "true", check=False).stderr
    words = ("lab", "exec", "--name", "exec", "--output", "json", "node1", "--", "hostname")
    found = json.loads(labs.weft(*words).stdout)
    assert found == {"exit": 0, "stdout": "node1\n", "stderr": ""}


def test_full_disk_is_said(labs: support.LabHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "ROOM", shutil.disk_usage(labs.state.parent).total + 1)
    with pytest.raises(errors.Unavailable, match="MB are free"):
        labs.up("full", nodes=1)
    assert not up.status("full")["running"]
