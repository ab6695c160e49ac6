from __future__ import annotations

import pytest

from tests.support import topology as rows
from weft import errors
from weft.observe import choice, topology, underlay
from weft.observe.graph import Graph, PortPod
from weft.observe.underlay import Bridge, Interface, Node, Underlay


@pytest.fixture
def graph() -> Graph:
    made = rows.zones(2)
    rows.add_layer3(made, "default", {1: [("shop", "web")], 2: [("ops", "probe")]})
    rows.add_layer2(made, "blue", {1: [("shop", "web", "10.5.0.1")]})
    return topology.build(rows.snapshots(made))


def owners(graph: Graph) -> set[tuple[str, str]]:
    ports = [port for switch in graph.switches for port in switch.ports]
    return {(port.owner.namespace, port.owner.pod) for port in ports if port.owner}


def test_nothing_chosen_is_everything(graph: Graph) -> None:
    assert choice.of(graph) == graph


def test_a_network_with_all_that_belongs_to_it(graph: Graph) -> None:
    chosen = choice.of(graph, ["blue"])
    assert [network.name for network in chosen.networks] == ["blue"]
    assert (chosen.routers, chosen.links) == ((), ())
    assert owners(chosen) == {("shop", "web")}
    assert chosen.zones == graph.zones


def test_a_namespace_with_the_networks_that_its_pods_are_on(graph: Graph) -> None:
    chosen = choice.of(graph, namespaces=["ops"])
    assert [network.name for network in chosen.networks] == ["default"]
    assert owners(chosen) == {("ops", "probe")}
    assert {router.name for router in chosen.routers} >= {"ovn_cluster_router", "GR_node1"}


def test_a_network_that_is_not_there_is_refused_with_those_that_are(graph: Graph) -> None:
    with pytest.raises(errors.InvalidInput, match="networks: default, blue"):
        choice.check(graph, ["green"], "weft topology")


def test_interfaces_of_other_pods_are_left_out_and_the_switchs_own_stay() -> None:
    interfaces = (
        Interface("a", "internal", owner=PortPod("shop", "web"), network="blue"),
        Interface("b", "internal", owner=PortPod("ops", "probe"), network="blue"),
        Interface("ovn-node2", "geneve"),
    )
    bridge = Bridge("br-int", "netdev", interfaces)
    made = underlay.build(rows.snapshots(rows.zones(1)))
    made = Underlay((Node(made.nodes[0].zone, (bridge,)),))

    def left(*namespaces: str, network: str = "") -> list[str]:
        chosen = choice.below(made, [network] if network else [], namespaces)
        return [one.name for one in chosen.nodes[0].bridges[0].interfaces]

    assert left("shop") == ["a", "ovn-node2"]
    assert left(network="red") == ["ovn-node2"]
    assert left() == ["a", "b", "ovn-node2"]
