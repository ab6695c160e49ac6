"""To whom a packet goes first, and what each zone on its way is asked."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from tests.support.explained import MACS, SILENT, evidence, with_zone
from weft import names
from weft.observe.explain import hops, sentence, zone
from weft.observe.explain.evidence import Evidence, NetworkFacts, Trace

NODES = ["node1", "node2"]
ROUTERS = {"node1": "0a:58:64:58:00:02", "node2": "0a:58:64:58:00:03"}
GATEWAY = names.address_mac(ip_address("10.9.1.1"))


def routed() -> Evidence:
    """Node1 has 10.9.1.0/24 of a layer3 network, node2 has 10.9.0.0/24."""
    whole = evidence()
    assert isinstance(whole.network, NetworkFacts)
    network = replace(whole.network, topology="layer3")
    source = replace(whole.source, allocated=(ip_interface("10.9.1.7/24"),))
    return replace(whole, network=network, source=source, routers=ROUTERS)


def test_on_one_subnet_it_goes_to_the_other_end_and_all_zones_get_the_same() -> None:
    whole = evidence()
    assert hops.mac_towards(whole.source, whole.target, whole) == MACS["b"]
    asked = hops.crossings(whole, NODES)
    assert asked["node1"] == asked["node2"]
    assert asked["node1"].ports == (whole.source.port, whole.target.port)
    near = replace(routed(), target=replace(whole.target, node="node1"))
    assert hops.mac_towards(near.source, near.target, near) == MACS["b"]


def test_between_nodes_each_zone_has_a_part_of_the_way() -> None:
    whole = routed()
    assert hops.mac_towards(whole.source, whole.target, whole) == GATEWAY
    asked = hops.crossings(whole, NODES)
    out, into = (asked[node].order["packet"] for node in NODES)
    assert asked["node1"].ports == (whole.source.port, "blue_tstor-node2")
    assert (out["macs"], out["ttl"]) == ([MACS["a"], GATEWAY], 64)
    assert asked["node2"].ports == ("blue_tstor-node1", whole.target.port)
    assert (into["macs"], into["ttl"]) == ([ROUTERS["node1"], ROUTERS["node2"]], 63)
    assert "ip.ttl == 63" in zone.microflow(into)


@pytest.mark.parametrize("known", [{}, {"node1": ROUTERS["node1"]}], ids=str)
def test_a_router_that_is_not_known_leaves_its_zone_unseen(known: dict[str, str]) -> None:
    whole = replace(routed(), routers=known)
    assert hops.crossings(whole, NODES)["node2"].order["packet"] is None
    found = sentence.explain(replace(whole, nodes=with_zone("node2", trace=None)))
    (step,) = (each for each in found.steps if each.name == "OVN on node2")
    assert (step.verdict, step.seen) == (
        "not seen",
        "it is not known which router the packet comes from",
    )


def test_a_drop_in_a_router_is_the_cause() -> None:
    dropped = Trace(reaches=False, stage="lr_in_ip_routing", match="0")
    whole = replace(routed(), nodes=with_zone("node1", trace=dropped), probe=SILENT)
    assert "OVN on node1 drops the packet in lr_in_ip_routing" in sentence.explain(whole).sentence


ROUTER_DROPS = """\
 9. ls_out_check_port_sec (northd.c:5876): 1, priority 0, uuid aaaaaaaa
    output;
    /* output to "stor-blue_node1", type "patch" */
 1. lr_in_policy (northd.c:9731): ip4.dst == 10.9.0.2, priority 1000, uuid bbbbbbbb
    drop;
"""


def test_a_way_into_a_router_is_no_end_of_it() -> None:
    found = zone.trace(ROUTER_DROPS, "blue_tstor-node2", {})
    assert found == Trace(reaches=False, stage="lr_in_policy", match="ip4.dst == 10.9.0.2")
