"""Settings of a lab's switches that somebody changes by hand: written again at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.tests.support import labs as support
from weft_lab import spec, up
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.real
CHASSIS = spec.Node("switches", 1).chassis
IDS = "Open_vSwitch . external_ids"
MAC = "0a:58:ac:1f:01:0b"

# What somebody does, and what holds again: a table, a record and a condition of ovs-vsctl(8), or a
# key that is not there.
CHANGES = {
    "endpoint lost": (f"remove {IDS} ovn-encap-ip", f"{IDS}:ovn-encap-ip=172.31.1.11"),
    "endpoint altered": (f"set {IDS}:ovn-encap-ip=192.0.2.1", f"{IDS}:ovn-encap-ip=172.31.1.11"),
    "other tunnels": (f"set {IDS}:ovn-encap-type=vxlan", f"{IDS}:ovn-encap-type=geneve"),
    "another Southbound database": (
        f"set {IDS}:ovn-remote=tcp:192.0.2.1:6642",
        f'{IDS}:ovn-remote="unix:/run/ovn/ovnsb_db.sock"',
    ),
    "no interconnection": (f"set {IDS}:ovn-is-interconn=false", f"{IDS}:ovn-is-interconn=true"),
    "no physical network": (
        f"remove {IDS} ovn-bridge-mappings",
        f'{IDS}:ovn-bridge-mappings="physnet:br-phy"',
    ),
    "another integration bridge": (f"set {IDS}:ovn-bridge=br-x", f"no {IDS}:ovn-bridge"),
    "a key for this chassis alone": (
        f"set {IDS}:ovn-encap-ip-{CHASSIS}=192.0.2.1",
        f"no {IDS}:ovn-encap-ip-{CHASSIS}",
    ),
    "another identity": (f"set {IDS}:system-id=other", f"{IDS}:system-id={CHASSIS}"),
    "another name": (f"set {IDS}:hostname=other", f"{IDS}:hostname=node1"),
    "no ids at all": (f"clear {IDS}", f"{IDS}:system-id={CHASSIS}"),
    "held back": (
        "set Open_vSwitch . other_config:flow-restore-wait=true",
        "no Open_vSwitch . other_config:flow-restore-wait",
    ),
    "older OpenFlow": ("set Bridge br-int protocols=OpenFlow10", "Bridge br-int protocols=[]"),
    "open": ("set-fail-mode br-int standalone", "Bridge br-int fail_mode=secure"),
    "a controller": ("set-controller br-int tcp:192.0.2.1:6653", "Bridge br-int controller=[]"),
    "another datapath": (
        "set Bridge br-phy datapath_type=system",
        "Bridge br-phy datapath_type=netdev",
    ),
    "a spanning tree": ("set Bridge br-phy stp_enable=true", "Bridge br-phy stp_enable=false"),
    "closed": ("set-fail-mode br-phy secure", "Bridge br-phy fail_mode=[]"),
    "another MAC": (
        'set Bridge br-phy other_config:hwaddr="02:00:00:00:00:09"',
        f'Bridge br-phy other_config:hwaddr="{MAC}"',
    ),
    "what else is configured": (
        "set Bridge br-phy other_config:forward-bpdu=true",
        "no Bridge br-phy other_config:forward-bpdu",
    ),
    "a VLAN": ("set Port ul-node1 tag=7", "Port ul-node1 tag=[]"),
    "another MTU": (
        "set Interface ul-node1 mtu_request=600",
        "Interface ul-node1 mtu_request=1500",
    ),
    "no bridge": ("del-br br-phy", "Interface br-phy ofport=65534"),
    "no port": ("del-port br-phy ul-node1", "Interface ul-node1 ofport>0"),
}


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain
) -> Iterator[support.LabHouse]:
    state = tmp_path_factory.mktemp("switches")
    with support.running("switches", 2, state, toolchain, support.ZONES_ONLY) as (house, _):
        yield house


def alter(lab: support.LabHouse, node: str, command: str, condition: str) -> None:
    """Change something, and wait until it is as it was."""
    lab.run(node, "ovs-vsctl", "--no-wait", *command.split())
    words = condition.split()
    if words[0] != "no":
        lab.run(node, "ovs-vsctl", "--timeout=60", "wait-until", *words)
        return
    read = ("ovs-vsctl", "--if-exists", "get", *words[1:])
    assert any(not lab.run(node, *read).stdout.strip() for _ in range(50))


@pytest.mark.parametrize("change", CHANGES)
def test_a_setting_that_somebody_changes_is_written_again(
    lab: support.LabHouse, change: str
) -> None:
    command, condition = CHANGES[change]
    alter(lab, "node1", command, condition)
    ping = ("busybox", "ping", "-c1", "-W1", str(spec.Node("switches", 2).underlay))
    assert any(lab.run("node1", *ping, check=False).returncode == 0 for _ in range(30))


def test_what_was_changed_is_reported(lab: support.LabHouse) -> None:
    alter(lab, "node2", *CHANGES["closed"])
    notes = {one["name"]: one["note"] for one in up.status("switches")["services"]}
    assert "Bridge br-phy fail_mode" in notes["node2/ovs-settings"]


def test_what_ovn_and_users_write_beside_it_stays(lab: support.LabHouse) -> None:
    """ovn-controller's own keys among them."""
    mine = "set Open_vSwitch . external_ids:mine=1 other_config:max-idle=20000"
    lab.run("node2", "ovs-vsctl", "--no-wait", *mine.split())
    alter(lab, "node2", *CHANGES["closed"])
    output = lab.run("node2", "ovs-vsctl", "list", "Open_vSwitch").stdout
    assert 'mine="1"' in output
    assert 'max-idle="20000"' in output
    assert "ovn-chassis-idx-" in output
