"""Hosts in VLANs of a lab's physical network: heard under their tag alone, through all that ends.

A pod's part has a port of the VLAN on a node's own physical bridge.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.tests.support import ordinary
from lab.tests.support.labs import ROOT, LabHouse
from weft_lab import spec, up
from weft_lab.runtime import toolchain

pytestmark = pytest.mark.real
VLAN = spec.Vlan(20)
HOST, HOST_6 = "192.168.20.1", "fd00:20::fe"


def change(labs: LabHouse, *vlans: int) -> dict[str, Any]:
    options = spec.Options(nodes=2, vlans=vlans or None)
    return up.up(labs.names[0], options, tools=labs.tools, components=("none",))


def probe(labs: LabHouse, node: str, tag: int, number: int) -> None:
    """A port of VLAN `tag` with the address of that number, on a node."""
    add = f"add-port br-phy probe tag={tag} -- set Interface probe type=internal"
    labs.run(node, "ovs-vsctl", "--may-exist", *add.split())
    for address in (f"192.168.20.{number}/24", f"fd00:20::{number}/64"):
        labs.run(node, "busybox", "ip", "addr", "add", address, "dev", "probe")
    labs.run(node, "busybox", "ip", "link", "set", "probe", "up")


def busybox(*argv: str) -> tuple[str, ...]:
    return ("busybox", *argv)


@pytest.fixture
def lab(labs: LabHouse) -> LabHouse:
    labs.names.append("tagged")
    change(labs, 20)
    probe(labs, "node1", 20, 2)
    return labs


def reaches(labs: LabHouse, node: str = "node1") -> None:
    for address in (HOST, HOST_6):
        ping = busybox("ping", "-c", "1", "-W", "1", "-I", "probe", address)
        assert any(labs.run(node, *ping, check=False).returncode == 0 for _ in range(30))


def pid(found: dict[str, Any], service: str) -> int:
    return int(next(each["pid"] for each in found["services"] if each["name"] == service))


def test_who_has_the_tag_is_answered_and_nobody_else(lab: LabHouse) -> None:
    reaches(lab)
    for node, tag in (("node2", 30), ("node2", 0)):
        lab.run(node, "ovs-vsctl", "--if-exists", "del-port", "probe")
        probe(lab, node, tag, 3)
        ping = busybox("ping", "-c", "3", "-W", "1", "-I", "probe", HOST)
        assert "100% packet loss" in lab.run(node, *ping, check=False).stdout
    lab.run("node2", "ovs-vsctl", "set", "Port", "probe", "tag=20")
    reaches(lab, "node2")


def test_it_leases_addresses_and_names_no_router(lab: LabHouse, tmp_path: Path) -> None:
    script = tmp_path / "lease"
    script.write_text('#!/bin/sh\n[ "$1" = bound ] && echo "$ip $subnet [$router]"\nexit 0\n')
    script.chmod(0o755)
    ask = busybox("udhcpc", "-f", "-n", "-q", "-t", "5", "-i", "probe", "-s", str(script))
    address, mask, router = lab.run("node1", *ask).stdout.split()
    assert (mask, router) == ("255.255.255.0", "[]")
    assert 64 <= int(address.removeprefix("192.168.20.")) <= 127


def redis(lab: LabHouse, *commands: str) -> str:
    """What the database answers to these commands, asked on node1."""
    asked = "".join(f"{command}\\r\\n" for command in (*commands, "QUIT"))
    return lab.run("node1", "sh", "-c", f"printf '{asked}' | busybox nc {HOST} 6379").stdout


def test_its_database_gives_data_and_no_files_scripts_or_settings(lab: LabHouse) -> None:
    answers = redis(
        *(lab, "SET colour green", "GET colour", "CLIENT LIST"),
        *("CONFIG SET dir /tmp", "SAVE", 'EVAL "return 1" 0', "SHUTDOWN", "ACL LIST"),
        *("MODULE LIST", "REPLICAOF 192.168.20.2 1", "DEBUG SEGFAULT", "FLUSHALL"),
    )
    assert answers.startswith("+OK\n$5\ngreen\n")
    assert "addr=192.168.20.2:" in answers
    assert answers.count("-NOPERM") == 8
    assert answers.count("-ERR DEBUG command not allowed") == 1


def test_what_ends_comes_again(lab: LabHouse) -> None:
    """The switch, the server of leases, the database; and a node that reboots."""
    found = up.status("tagged")
    services = ("rack/vswitchd", "rack/ovsdb", "vlan20/dhcp", "vlan20/database")
    for service in services:
        lab.run("lab", *busybox("kill", "-9", str(pid(found, service))))
    found = change(lab, 20)
    assert [each["restarts"] for each in found["services"] if each["name"] in services] == [1] * 4
    reaches(lab)
    before = pid(found, "rack/vswitchd")
    found = up.reboot("tagged", "node1")
    assert pid(found, "rack/vswitchd") == before
    probe(lab, "node1", 20, 2)
    reaches(lab)
    up.stop("tagged")
    assert change(lab)["lab"]["vlans"] == [20]
    probe(lab, "node1", 20, 2)
    reaches(lab)


@pytest.mark.parametrize("setting", ["set Port vlan20 tag=7", "del-br br-rack"])
def test_what_somebody_changes_of_the_switch_is_written_again(lab: LabHouse, setting: str) -> None:
    lab.run("rack", "ovs-vsctl", "--no-wait", *setting.split())
    lab.run("rack", "ovs-vsctl", "--timeout=60", "wait-until", "Port", "vlan20", "tag=20")
    reaches(lab)


def test_a_running_lab_gets_other_vlans(lab: LabHouse) -> None:
    """Who knew a host finds it again; a VLAN that goes leaves nothing."""
    reaches(lab)
    found = change(lab, 20, 30)
    names = {each["name"] for each in found["services"]}
    assert {"vlan20/dhcp", "vlan30/dhcp", "vlan30/database", "rack/vswitchd"} <= names
    reaches(lab)
    found = change(lab, 0)
    assert not {each["node"] for each in found["services"]} & {"rack", "vlan20", "vlan30"}
    assert "ul-rack" not in lab.run("lab", *busybox("ip", "link")).stdout
    assert "must be lab, one of node1" in lab.run("vlan20", "true", check=False).stderr
    change(lab, 20)
    reaches(lab)


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test runs as an ordinary user here")
def test_an_ordinary_user_has_them(tmp_path: Path, toolchain: toolchain.Toolchain) -> None:
    tmp_path.chmod(0o755)
    lab = f"{sys.executable} -m weft.cli.main lab"
    on_node = f"{lab} exec node1 --"
    port = "ovs-vsctl add-port br-phy probe tag=20 -- set Interface probe type=internal"
    script = (
        f"{lab} up --nodes 1 --vlan 20 && {on_node} {port} &&"
        f" {on_node} busybox ip link set probe up &&"
        f" {on_node} busybox udhcpc -f -n -q -t 20 -i probe -s /bin/true; {lab} down"
    )
    done = ordinary.run(["sh", "-c", script], home=tmp_path / "home", env={"PWD": str(ROOT)})
    assert "obtained from 192.168.20.1" in done.stderr, done.stdout + done.stderr


def test_a_mac_may_be_in_two_vlans_on_two_nodes(lab: LabHouse) -> None:
    """As weft's MACs are, which follow from addresses: neither draws the other's packets away."""
    probe(lab, "node2", 30, 2)
    for node in ("node1", "node2"):
        same = ("address", "0a:58:c0:a8:14:02")
        lab.run(node, *busybox("ip", "link", "set", "probe", *same))
    reaches(lab)  # so that the host knows the MAC
    stray = busybox("ping", "-c", "1", "-W", "1", "-I", "probe", HOST)
    assert lab.run("node2", *stray, check=False).returncode != 0
    host = busybox("ping", "-c", "1", "-W", "5", "192.168.20.2")
    assert lab.run("vlan20", *host, check=False).returncode == 0
