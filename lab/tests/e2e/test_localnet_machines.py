"""Virtual machines on the physical network: without a tag, and on a trunk of VLANs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lab.tests.support.lab_pods import Kubectl, pod
from lab.tests.support.labs import LabHouse
from tests.support.objects import nad, nic, vmi
from weft_lab.demos import machines
from weft_lab.demos.guestcommands import printed

pytestmark = pytest.mark.lab
LAB = "vlans"
CONNECTED = "jsonpath={.status.conditions[?(@.type=='AgentConnected')].status}=True"
OUTSIDE = "172.31.1.1"


def localnet(name: str, subnets: str | None = None, **config: object) -> dict[str, Any]:
    fields = {"topology": "localnet", "physicalNetworkName": "physnet", "mtu": 1500, **config}
    return nad(name, subnets, **fields)  # type: ignore[arg-type]


class Machines:
    def __init__(self, labs: LabHouse, pid: int) -> None:
        self._labs, self._pid = labs, pid

    def on(self, name: str, node: str, line: str) -> str:
        """What a shell in a guest says; a failure is no error."""
        place = machines.Machine("default", name, node, ())
        return printed(asyncio.run(machines.run(self._pid, place, "sh", "-c", line)))


def host(labs: LabHouse, name: str, *argv: str) -> str:
    """What a command says on a host outside of the cluster."""
    return labs.run(name, "busybox", *argv, check=False).stdout


def is_answered(output: str) -> bool:
    return " bytes from " in output


def test_machines_without_a_tag_and_on_a_trunk(labs: LabHouse) -> None:
    labs.names.append(LAB)
    up = ("lab", "up", "--name", LAB, "--nodes", "2", "--vlan", "20", "--vlan", "30")
    found = labs.json(*up)
    kubectl = Kubectl(labs, found["kubeconfig"])
    kubectl.apply(
        localnet("flat", "172.31.1.0/24", excludeSubnets="172.31.1.0/25"),
        localnet("trunk", trunk=[20, 40]),
        localnet("vlan30", "192.168.30.0/24", vlanID=30, excludeSubnets="192.168.30.0/25"),
        vmi("plain", nic("flat", "flat"), node="node1"),
        vmi("router", nic("trunk", "trunk"), node="node2"),
        pod("peer", "node1", networks="vlan30"),
    )
    for name in ("vmi/plain", "vmi/router"):
        kubectl("wait", name, f"--for={CONNECTED}", "--timeout=180s")
    kubectl("wait", "--for=condition=Ready", "pod/peer", "--timeout=60s")
    guests = Machines(labs, found["pid"])

    # Without a tag: the host outside is reached, and reaches the machine by its own address.
    shown = guests.on("plain", "node1", "ip -4 -o addr show dev eth0")
    own = shown.partition("inet ")[2].partition("/")[0]
    assert own == "172.31.1.128"
    assert is_answered(guests.on("plain", "node1", f"ping -c 2 -W 2 {OUTSIDE}"))
    assert f"hello from outside, {own}" in guests.on("plain", "node1", f"curl -s http://{OUTSIDE}/")
    assert is_answered(host(labs, "outside", "ping", "-c", "2", "-W", "2", own))

    # On the trunk: VLAN 20 in both directions.
    router = ("router", "node2")
    guests.on(*router, "ip link set eth0 up")
    for vlan in (20, 30):
        add = f"ip link add link eth0 name eth0.{vlan} type vlan id {vlan}"
        guests.on(*router, f"{add} && ip link set eth0.{vlan} up")
        guests.on(*router, f"ip addr add 192.168.{vlan}.200/24 dev eth0.{vlan}")
        guests.on(*router, f"ip -6 addr add fd00:{vlan}::200/64 dev eth0.{vlan} nodad")
    for address in ("192.168.20.1", "fd00:20::fe"):
        assert is_answered(guests.on(*router, f"ping -c 3 -W 2 {address}"))
    assert is_answered(host(labs, "vlan20", "ping", "-c", "2", "-W", "2", "192.168.20.200"))

    # VLAN 30 is none of the list: its host does not even hear who asks. A pod there is the control.
    assert not is_answered(guests.on(*router, "ping -c 3 -W 1 192.168.30.1"))
    assert not is_answered(host(labs, "vlan30", "ping", "-c", "2", "-W", "1", "192.168.30.200"))
    labs.reach("default/peer", "192.168.30.1")
    heard = host(labs, "vlan30", "ip", "neigh")
    assert "192.168.30.128 dev eth0 lladdr" in heard
    assert "192.168.30.200 dev eth0 lladdr" not in heard

    # Neither are packets without a tag.
    guests.on(*router, f"ip addr add 172.31.1.200/24 dev eth0; ping -c 2 -W 1 {OUTSIDE}")
    heard = host(labs, "outside", "ip", "neigh")
    assert f"{own} dev eth0 lladdr" in heard
    assert "172.31.1.200 dev eth0 lladdr" not in heard

    # An edit of the list reaches the running guest.
    kubectl.apply(localnet("trunk", trunk=[30]))
    end = "for i in $(seq 60); do ping -c 1 -W 1 192.168.30.1 && break; done"
    assert is_answered(guests.on(*router, end))
    assert not is_answered(guests.on(*router, "ping -c 2 -W 1 192.168.20.1"))
