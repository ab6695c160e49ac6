"""Which localnets share a VLAN, and what is said of it."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from weft import model
from weft.control.cluster.vlans import Vlans
from weft.reasons import Reason


def localnet(
    name: str, *subnets: str, vlan: int | None = 20, physical: str = "rack"
) -> model.NetworkSpec:
    ranges = tuple(ip_network(each) for each in subnets)
    topology = model.Topology.LOCALNET
    return model.NetworkSpec(name, topology, 1500, ranges, vlan_id=vlan, physical_network=physical)


A = localnet("a", "192.168.20.0/24", "fd00:20::/64")


@pytest.mark.parametrize(
    ("other", "is_warned"),
    [
        (localnet("b", "192.168.20.128/25"), True),
        (localnet("b", "10.0.0.0/24", "fd00:20::/80"), True),
        (localnet("b", "192.168.21.0/24"), False),
        (localnet("b"), False),
        (localnet("b", "192.168.20.0/24", vlan=30), False),
        (localnet("b", "192.168.20.0/24", vlan=None), False),
        (localnet("b", "192.168.20.0/24", physical="other"), False),
    ],
)
def test_only_overlapping_subnets_on_one_vlan_are_warned_of(
    other: model.NetworkSpec, is_warned: bool
) -> None:
    vlans = Vlans()
    for spec in (A, other):
        vlans.set(spec.name, spec)
    found = list(vlans.warnings(model.Network(other, 2)))
    assert bool(found) is is_warned
    if found:
        ((reason, message),) = found
        assert reason is Reason.SHARED_VLAN
        assert message.startswith("network b shares VLAN 20 of physical network rack with network")


def test_a_network_that_ended_or_moved_is_forgotten() -> None:
    vlans = Vlans()
    for spec in (A, localnet("b", "192.168.20.0/24"), localnet("c", "192.168.20.0/24")):
        vlans.set(spec.name, spec)
    assert len(list(vlans.warnings(model.Network(A, 1)))) == 2
    vlans.set("b", None)
    vlans.set("c", localnet("c", "192.168.20.0/24", vlan=30))
    assert not list(vlans.warnings(model.Network(A, 1)))
    assert not list(vlans.warnings(None))


def test_overlays_share_no_vlan() -> None:
    vlans = Vlans()
    for name in ("a", "b"):
        spec = model.NetworkSpec(name, model.Topology.LAYER2, 1400, A.subnets)
        vlans.set(name, spec)
        assert not list(vlans.warnings(model.Network(spec, 1)))
