from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors
from weft_lab import spec

labs = st.builds(
    spec.Lab,
    name=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
    nodes=st.integers(1, spec.MAX_NODES),
    mtu=st.integers(spec.MIN_MTU, spec.MAX_MTU),
    datapath=st.sampled_from(spec.DATAPATHS),
    port=st.integers(0, 65535),
    primary=st.sampled_from(spec.PRIMARIES),
    global_namespaces=st.sampled_from(("", "shared,infra")),
    cluster_subnets=st.sampled_from((spec.CLUSTER_SUBNETS, "10.0.0.0/16,fd01::/48")),
    vlans=st.lists(st.integers(0, spec.MAX_VLAN), max_size=3).map(tuple),
)


@given(labs)
def test_record_is_read_back(lab: spec.Lab) -> None:
    assert spec.parse(spec.render(lab)) == lab
    assert spec.parse({**spec.render(lab), "later": 1}) == lab


@given(labs)
def test_nodes_share_nothing(lab: spec.Lab) -> None:
    members = lab.members
    assert len(members) == lab.nodes
    for field in ("name", "chassis", "address", "underlay", "underlay_mac", "gateways"):
        assert len({getattr(node, field) for node in members}) == lab.nodes
    assert all(node.address in spec.MANAGEMENT for node in members)
    assert all(node.underlay in spec.UNDERLAY for node in members)
    hosts = {each.ip for node in members for each in node.gateways}
    outside = {each.ip for each in spec.on_underlay(spec.OUTSIDE_HOST)}
    assert not (hosts | outside) & {node.underlay for node in members}
    assert not hosts & outside
    assert lab.api not in {node.address for node in members}


def test_chassis_is_stable_and_of_one_lab() -> None:
    assert spec.Node("a", 1).chassis == spec.Node("a", 1).chassis
    assert spec.Node("a", 1).chassis != spec.Node("b", 1).chassis


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "Upper"),
        ("name", "../escape"),
        ("name", "-a"),
        ("name", "a" * 33),
        ("nodes", 0),
        ("nodes", spec.MAX_NODES + 1),
        ("mtu", spec.MIN_MTU - 1),
        ("mtu", spec.MAX_MTU + 1),
        ("datapath", "dpdk"),
        ("port", -1),
        ("port", 65536),
        ("primary", "other"),
        ("cluster_subnets", ""),
        ("cluster_subnets", "172.31.0.0/20"),
    ],
)
def test_nonsense_is_refused_by_field(field: str, value: Any) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        replace(spec.Lab(), **{field: value})
    assert caught.value.field == field
    assert errors.as_written(value) in str(caught.value)


def test_a_namespace_of_no_possible_name_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="--global-namespaces") as caught:
        replace(spec.Lab(), global_namespaces="shared,No_Name")
    assert caught.value.value == "No_Name"


@given(labs)
def test_no_request_changes_nothing(lab: spec.Lab) -> None:
    assert spec.change(lab, spec.Options(), running=True) == lab
    assert spec.change(lab, spec.Options(), running=False) == lab


def test_a_running_lab_gains_nodes_and_loses_its_last_ones() -> None:
    lab = spec.Lab(nodes=3)
    assert spec.change(lab, spec.Options(nodes=4), running=True).nodes == 4
    assert spec.change(lab, spec.Options(nodes=2), running=True).members == lab.members[:2]


@pytest.mark.parametrize(
    "options",
    [
        spec.Options(mtu=9000),
        spec.Options(port=7),
        spec.Options(datapath="system"),
        spec.Options(primary="none"),
        spec.Options(cluster_subnets="10.0.0.0/16/24"),
        spec.Options(global_namespaces="shared"),
    ],
)
def test_running_lab_keeps_what_pods_rely_on(options: spec.Options) -> None:
    lab = spec.Lab(port=6000)
    with pytest.raises(errors.InvalidInput, match="the running lab has"):
        spec.change(lab, options, running=True)
    assert spec.change(lab, options, running=False) != lab


@given(labs)
def test_what_pods_carry_fits_the_tunnels(lab: spec.Lab) -> None:
    assert 1280 <= lab.pod_mtu <= min(1400, lab.mtu - 58)


def test_a_lab_keeps_its_folders_and_does_not_change_them_while_it_runs() -> None:
    made = spec.change(spec.Lab(), spec.Options(disks=("/a", "qcow2:/b")), running=False)
    assert made.disks == ("raw:/a", "qcow2:/b")
    assert spec.parse(spec.render(made)) == made
    assert spec.change(made, spec.Options(nodes=2), running=True).disks == made.disks
    with pytest.raises(errors.InvalidInput, match="running lab"):
        spec.change(made, spec.Options(disks=("/c",)), running=True)


def test_a_running_lab_gets_other_vlans_and_none() -> None:
    lab = spec.Lab(vlans=(30, 20, 20))
    assert lab.vlans == (20, 30)
    assert spec.change(lab, spec.Options(), running=True).vlans == (20, 30)
    assert spec.change(lab, spec.Options(vlans=(40,)), running=True).vlans == (40,)
    assert spec.change(lab, spec.Options(vlans=(0,)), running=True).vlans == ()
    with pytest.raises(errors.InvalidInput, match="255: must be from 1 to 254"):
        spec.change(lab, spec.Options(vlans=(255,)), running=True)


@pytest.mark.parametrize("number", [1, spec.MAX_VLAN])
def test_a_vlan_has_addresses_of_its_own(number: int) -> None:
    vlan = spec.Vlan(number)
    assert tuple(own.network for own in vlan.addresses) == vlan.subnets
    for index, leased in enumerate(vlan.leases):
        first, last = map(ip_address, leased)
        assert first in vlan.subnets[index]
        assert last in vlan.subnets[index]
        assert not int(first) <= int(vlan.addresses[index].ip) <= int(last)


def test_the_pods_network_and_a_vlan_are_apart() -> None:
    subnets = "192.168.0.0/16/24"
    assert spec.Lab(cluster_subnets=subnets)
    with pytest.raises(errors.InvalidInput, match=r"192\.168\.20\.0/24"):
        spec.Lab(cluster_subnets=subnets, vlans=(20,))
