"""Pods of a lab on the nodes' own physical network, from manifest to packets."""

from __future__ import annotations

import pytest

from lab.tests.support import pods
from lab.tests.support.pods import Cluster
from tests.support.objects import Object, nad, pod

pytestmark = pytest.mark.lab

OUTSIDE = "172.31.1.1"
SUBNETS = {"subnets": "172.31.1.0/24", "excludeSubnets": "172.31.1.0/25"}
OTHERS = {"subnets": "172.31.1.0/24", "excludeSubnets": "172.31.1.0/25,172.31.1.128/26"}


def localnet(name: str, **config: object) -> Object:
    fields = {"topology": "localnet", "mtu": 1500, **config}
    subnets = fields.pop("subnets", None)
    return nad(name, subnets, **fields)  # type: ignore[arg-type]


def from_outside(pod_lab: Cluster, address: str) -> str:
    """What the host outside says of three pings."""
    argv = ("busybox", "ping", "-c", "3", "-W", "2", address)
    return pod_lab.house.run("outside", *argv, lab=pod_lab.name, check=False).stdout


def test_a_pod_and_a_host_outside_reach_each_other(pod_lab: Cluster) -> None:
    """A pod of a VLAN reaches nobody without the tag, and one of an unknown network waits."""
    pod_lab.create(
        localnet("flat", physicalNetworkName="physnet", **SUBNETS),
        localnet("vlan20", physicalNetworkName="physnet", vlanID=20, **OTHERS),
        localnet("rack", vlanID=33, **SUBNETS),
        pod("db-client", networks="flat"),
        pod("tagged", networks="vlan20"),
        pod("waits", networks="rack"),
    )
    status = pods.network_status(pod_lab.wait_ready("db-client"))[1]
    (address,) = status["ips"]
    assert status["mtu"] == 1500
    # The primary network leads there, too: only this one from the pod's own address.
    assert pod_lab.run("db-client", "ping", "-c", "3", "-I", address, OUTSIDE)
    assert "100% packet loss" not in from_outside(pod_lab, address)
    pod_lab.wait_ready("tagged")
    (other,) = pods.network_status(pod_lab.get("tagged"))[1]["ips"]
    assert "100% packet loss" in from_outside(pod_lab, other)
    message = pod_lab.wait_event("waits", "NoBridgeMapping")
    assert "node1: ovn-bridge-mappings of the node's Open vSwitch lacks physical network rack" in (
        message
    )
    labels = pod_lab.kubectl(
        "get", "nodes", "-l", "physical-network.weft/physnet=true", "-o", "name"
    )
    assert labels == "node/node1\n"
    pod_lab.delete("db-client", "tagged", "waits")
    assert pod_lab.left() == pods.NOTHING
