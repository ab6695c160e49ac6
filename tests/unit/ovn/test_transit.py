"""Rows that join the zones of a routed network."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from tests.support.columns import mapping, members
from weft import model
from weft.ovn import ports, transit

PREFIX = {"default": "", "blue": "blue_"}
KEYS = {"default": "16711683", "blue": "16711686"}


def test_one_switch_and_key_in_all_zones(
    network: model.Network, own: model.NodeInfo, far: model.NodeInfo, name: str
) -> None:
    mine, theirs = transit.own(network, own)[0], transit.own(network, far)[0]
    assert mine == theirs
    assert mine.key == f"{PREFIX[name]}transit_switch"
    assert mapping(mine.columns["other_config"])["requested-tnl-key"] == KEYS[name]
    assert mapping(mine.columns["other_config"])["interconn-ts"] == mine.key


@pytest.mark.parametrize("style", ports.RemotePorts)
def test_both_sides_say_the_same_of_a_nodes_port(
    network: model.Network, far: model.NodeInfo, name: str, style: ports.RemotePorts
) -> None:
    """Key, MAC and addresses: what leaves one zone must fit what arrives in the other."""
    _, router_port, port = transit.own(network, far)
    remote, *_ = transit.peer(network, far, style)
    assert remote.key == port.key == f"{PREFIX[name]}tstor-node2"
    assert router_port.key == f"{PREFIX[name]}rtots-node2"
    assert router_port.columns["networks"] == {"100.88.1.44/16", "fd97::12c/64"}
    assert remote.columns["addresses"] == {f"{router_port.columns['mac']} 100.88.1.44 fd97::12c"}
    for each in (remote, port):
        assert mapping(each.columns["options"])["requested-tnl-key"] == "300"
    twice = style is ports.RemotePorts.PLAIN
    assert remote.columns["type"] == ("" if twice else "remote")
    assert mapping(remote.columns["options"])["requested-chassis"] == (
        "chassis-node2,chassis-node2" if twice else "chassis-node2"
    )


def test_routes_lead_to_a_nodes_pods_and_on_the_clusters_own_network_to_its_gateway(
    network: model.Network, far: model.NodeInfo, name: str
) -> None:
    found = {
        row.columns["ip_prefix"]: row.columns["nexthop"]
        for row in transit.peer(network, far, ports.RemotePorts.PLAIN)[1:]
    }
    joints = {"100.64.1.44/32": "100.88.1.44", "fd98::12c/128": "fd97::12c"}
    subnets = {p: h for p, h in found.items() if p not in joints}
    assert set(subnets.values()) == {"100.88.1.44", "fd97::12c"}
    assert set(subnets) == {str(s) for s in far.subnets_of(name)}
    assert {p: h for p, h in found.items() if p in joints} == (joints if name == "default" else {})


def test_only_families_that_the_network_has(
    network: model.Network, own: model.NodeInfo, name: str
) -> None:
    single = replace(own, subnets=((name, (ip_network("10.128.4.0/23"),)),))
    (_, router_port, _), (remote, *routes) = (
        transit.own(network, single),
        transit.peer(network, single, ports.RemotePorts.PLAIN),
    )
    assert router_port.columns["networks"] == {"100.88.0.2/16"}
    assert not [row for row in routes if ":" in str(row.columns["ip_prefix"])]
    assert ":" not in str(next(iter(members(remote.columns["addresses"])))).split(" ", 1)[1]


@pytest.mark.parametrize("lacking", [{"id": 0}, {"subnets": ()}, {"transit": ()}])
def test_a_node_without_its_part_has_no_place(
    network: model.Network, far: model.NodeInfo, lacking: dict[str, Any]
) -> None:
    assert transit.is_complete(network, far)
    assert not transit.is_complete(network, replace(far, **lacking))
    assert not transit.is_complete(network, model.NodeInfo("node9", "c9", ("192.0.2.9",)))
