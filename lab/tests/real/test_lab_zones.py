"""The lab's zones alone, with rows written by hand: does the layout carry packets?"""

from __future__ import annotations

import sys
import time

import pytest

from lab.tests.support import labs as support
from tests.support.patience import PATIENCE
from weft_lab import spec
from weft_lab.runtime import daemons

pytestmark = pytest.mark.real

SWITCH_KEY = 16711700


def write_zone(labs: support.LabHouse, lab: str, here: spec.Node, there: spec.Node) -> None:
    """One switch with a port here and one on the other node, as two zones agree on them."""
    sb = [
        *("--id=@e", "create", "Encap", "type=geneve", f"ip={there.underlay}"),
        *("options:csum=true", f"chassis_name={there.chassis}", "--"),
        *("create", "Chassis", f"name={there.chassis}", f"hostname={there.name}"),
        *("encaps=@e", "other_config:is-remote=true"),
    ]
    labs.run(here.name, "ovn-sbctl", *sb, lab=lab)
    nb = ["ls-add", "net", "--", "set", "Logical_Switch", "net"]
    nb += [f"other_config:requested-tnl-key={SWITCH_KEY}", "other_config:interconn-ts=net"]
    for node in (here, there):
        chassis = f"{there.chassis},{there.chassis}" if node is there else here.chassis
        port = f"p-{node.name}"
        nb += ["--", "lsp-add", "net", port]
        nb += ["--", "lsp-set-addresses", port, f"{mac(node)} {address(node)}"]
        nb += ["--", "set", "Logical_Switch_Port", port]
        nb += [f"options:requested-tnl-key={node.number + 9}"]
        nb += [f'options:requested-chassis="{chassis}"']
    labs.run(here.name, "ovn-nbctl", *nb, lab=lab)


# Runs in a node: a namespace under the usual name, with the port moved into it.
MOVE = """
import ipaddress, os, pathlib, sys
from weft.host import netns
from weft_lab.runtime import links, namespaces
path, address = pathlib.Path("/run/netns/pod"), ipaddress.IPv4Interface(sys.argv[1])
netns.make(path)
links.Links().move("nic0", os.open(path, os.O_RDONLY))
with namespaces.inside(path):
    there = links.Links()
there.add_address("nic0", address)
there.raise_up("nic0")
"""


def plug(labs: support.LabHouse, lab: str, node: spec.Node) -> None:
    """An internal port of the node's switch, moved into a namespace, as the zone's port."""
    port = f"p-{node.name}"
    labs.run(
        node.name,
        *("ovs-vsctl", "add-port", "br-int", "nic0", "--", "set", "Interface", "nic0"),
        *("type=internal", f"external_ids:iface-id={port}"),
        *("mtu_request=1400", f'mac="{mac(node)}"'),
        lab=lab,
    )
    for argv in (
        (sys.executable, "-c", MOVE, f"{address(node)}/24"),
        ("ovn-sbctl", f"--timeout={PATIENCE:g}", "wait-until", "Port_Binding", port, "up=true"),
        ("ovn-nbctl", f"--timeout={PATIENCE:g}", "--wait=hv", "sync"),
    ):
        labs.run(node.name, *argv, lab=lab)


def ping(target: str, *options: str) -> tuple[str, ...]:
    return ("busybox", "ping", "-c2", "-W2", *options, target)


def address(node: spec.Node) -> str:
    return f"10.1.0.{node.number}"


def mac(node: spec.Node) -> str:
    return f"0a:58:0a:01:00:{node.number:02x}"


def test_ports_of_two_zones_reach_each_other(labs: support.LabHouse) -> None:
    lab = "zones"
    labs.up(lab, nodes=2)
    one, two = spec.Lab(name=lab, nodes=2).members
    write_zone(labs, lab, one, two)
    write_zone(labs, lab, two, one)
    for node in (one, two):
        plug(labs, lab, node)
    inside = ("nsenter", "--net=/run/netns/pod")
    # The first packet to a peer is lost while its MAC is resolved.
    end = time.monotonic() + PATIENCE
    while labs.run(one.name, *inside, *ping(address(two)), lab=lab, check=False).returncode:
        assert time.monotonic() < end
    reply = labs.run(one.name, *inside, *ping(address(two)), lab=lab)
    assert " 0% packet loss" in reply.stdout
    nobody = labs.run(one.name, *inside, *ping("10.1.0.99"), lab=lab, check=False)
    assert "100% packet loss" in nobody.stdout
    # As large as the overlay carries; with Geneve's header it must fit the underlay.
    labs.run(one.name, *inside, *ping(address(two), "-s", str(1400 - 28)), lab=lab)


def test_underlay_comes_back_with_the_switch(labs: support.LabHouse) -> None:
    """The switch's ports are taps of its process; a new process' are wired again."""
    lab = "again"
    labs.up(lab, nodes=2)
    one, two = spec.Lab(name=lab, nodes=2).members
    labs.run(one.name, *ping(str(two.underlay)))
    found = labs.json("lab", "status", "--name", lab)
    pid = next(s["pid"] for s in found["services"] if s["name"] == "node1/vswitchd")
    labs.run("lab", "busybox", "kill", "-STOP", str(pid))
    stopped = labs.run(one.name, *ping(str(two.underlay)), check=False)
    assert "100% packet loss" in stopped.stdout, "packets pass the switch"
    labs.run("lab", "busybox", "kill", "-9", str(pid))
    labs.up(lab, nodes=2)
    labs.run(one.name, *ping(str(two.underlay)))
    found = labs.json("lab", "status", "--name", lab)
    assert next(s["restarts"] for s in found["services"] if s["name"] == "node1/vswitchd") == 1


def test_a_tunnel_link_that_is_set_down_comes_up_again(labs: support.LabHouse) -> None:
    """A switch that changes the link's MAC does it, too: it may restore what it read too early."""
    lab = "down"
    labs.up(lab, nodes=2)
    one, two = spec.Lab(name=lab, nodes=2).members
    labs.run(one.name, *ping(str(two.underlay)))
    bridge = daemons.UNDERLAY_BRIDGE
    shown = f"busybox ip link show {bridge}"
    script = f"busybox ip link set {bridge} down; until {shown} | grep -q ,UP; do sleep 0.1; done"
    labs.run(one.name, "timeout", f"{PATIENCE:g}", "sh", "-c", script)
    labs.run(one.name, *ping(str(two.underlay)))


def test_tunnels_that_come_and_go_change_no_link(labs: support.LabHouse) -> None:
    """At a change of a link the switch forgets its routes for a moment, and tunnels need them."""
    lab = "links"
    labs.up(lab, nodes=1)
    (node,) = spec.Lab(name=lab, nodes=1).members
    add = ("ovs-vsctl", "add-port", "br-int")
    # A pod's port: of less MTU than the switch, which cannot see it any more once it is moved.
    port = ("nic0", "--", "set", "Interface", "nic0", "type=internal", "mtu_request=1400")
    labs.run(node.name, *add, *port)
    labs.run(node.name, sys.executable, "-c", MOVE, f"{address(node)}/24")
    before = links(labs, node)
    peer = f"options:remote_ip={node.underlay + 1}"
    tunnel = ("far", "--", "set", "Interface", "far", "type=geneve", "options:key=flow", peer)
    labs.run(node.name, *add, *tunnel)
    assert links(labs, node) == before
    labs.run(node.name, "ovs-vsctl", "del-port", "far")
    assert links(labs, node) == before


def links(labs: support.LabHouse, node: spec.Node) -> str:
    return labs.run(node.name, "busybox", "ip", "link").stdout
