"""A node's part of a layer3 network, and what its pods get of it."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors, model, names
from weft.alloc import ledger, nodesubnets


def network(
    *subnets: str, lengths: tuple[int, ...] = (24,), role: str = "secondary"
) -> model.Network:
    spec = model.NetworkSpec(
        "red",
        model.Topology.LAYER3,
        1400,
        tuple(map(ip_network, subnets)),
        host_prefix=lengths,
        role=role,
    )
    return model.Network(spec, 3)


RED = network("10.1.0.0/22")
DUAL = network("10.1.0.0/22", "fd00:1::/48", lengths=(24, 64))
FIRST = (ip_network("10.1.0.0/24"), ip_network("fd00:1::/64"))
SECOND = (ip_network("10.1.1.0/24"), ip_network("fd00:1:0:1::/64"))


def test_one_slice_of_each_family_for_each_node() -> None:
    pool = nodesubnets.SubnetPool(DUAL.spec)
    assert [pool.allocate(node) for node in ("a", "b", "a")] == [FIRST, SECOND, FIRST]
    assert pool.get("c") == ()
    assert pool.release("a")
    assert not pool.release("a")
    assert pool.allocate("c")[0] == ip_network("10.1.2.0/24"), "the freed one comes up last"


def test_exhausted_and_nothing_else_harmed() -> None:
    pool = nodesubnets.SubnetPool(DUAL.spec)
    for number in range(4):
        pool.allocate(f"n{number}")
    with pytest.raises(errors.Exhausted, match=r"Node late: no IPv4 subnet is free"):
        pool.allocate("late")
    assert pool.get("late") == ()
    pool.release("n2")
    assert pool.allocate("late") == (ip_network("10.1.2.0/24"), ip_network("fd00:1:0:4::/64"))


def test_a_second_range_when_the_first_is_used_up() -> None:
    spec = network("10.1.0.0/23", "10.9.0.0/23", lengths=(24, 24)).spec
    pool = nodesubnets.SubnetPool(spec)
    found = [str(pool.allocate(node)[0]) for node in "abcd"]
    assert found == ["10.1.0.0/24", "10.1.1.0/24", "10.9.0.0/24", "10.9.1.0/24"]


def test_what_was_given_before_is_not_given_again() -> None:
    pool = nodesubnets.SubnetPool(DUAL.spec)
    pool.reserve("b", FIRST)
    pool.reserve("b", FIRST)
    assert pool.allocate("a") == SECOND
    with pytest.raises(errors.Conflict, match="held by Node b"):
        pool.reserve("c", FIRST)


@pytest.mark.parametrize(
    ("subnets", "rule"),
    [
        ((), "one subnet of each family"),
        (("10.1.0.0/24", "10.1.1.0/24"), "one subnet of each family"),
        (("10.1.0.0/25", "fd00:1::/64"), "is not a node subnet"),
        (("10.2.0.0/24", "fd00:1::/64"), "is not a node subnet"),
        (("10.0.0.0/24", "fd00:1::/64"), "is not a node subnet"),
        (("10.1.0.0/24", "fd00:2::/64"), "is not a node subnet"),
    ],
)
def test_what_cannot_be_a_nodes_part(subnets: tuple[str, ...], rule: str) -> None:
    pool = nodesubnets.SubnetPool(DUAL.spec)
    pool.reserve("b", FIRST)
    with pytest.raises(errors.InvalidInput, match=rule):
        pool.reserve("b", tuple(map(ip_network, subnets)))
    assert pool.get("b") == FIRST


def test_a_family_that_the_network_gains_or_loses() -> None:
    """What a node has of the others stays."""
    pool = nodesubnets.SubnetPool(DUAL.spec)
    pool.reserve("b", SECOND[:1])
    assert pool.get("b") == ()
    assert pool.allocate("b") == (SECOND[0], FIRST[1])
    assert pool.get("b") == (SECOND[0], FIRST[1])
    single = nodesubnets.SubnetPool(RED.spec)
    single.reserve("b", SECOND)
    assert single.get("b") == SECOND[:1]
    assert single.allocate("a") == FIRST[:1]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(("allocate", "release", "reserve"))),
        max_size=40,
    )
)
def test_no_two_nodes_ever_share_a_subnet(steps: list[tuple[str, str]]) -> None:
    pool = nodesubnets.SubnetPool(DUAL.spec)
    for node, step in steps:
        try:
            if step == "allocate":
                pool.allocate(node)
            elif step == "reserve":
                pool.reserve(node, SECOND)
            else:
                pool.release(node)
        except errors.Conflict:
            continue
        held = [subnet for each in pool.nodes() for subnet in pool.get(each)]
        assert len(held) == len(set(held))


def attachment(*asked: str, mac: str = "") -> model.Attachment:
    requested = tuple(map(ip_address, asked))
    return model.Attachment(
        model.ObjectKey("a", "red"), "a/red", "net1", mac=mac, addresses=requested
    )


def nic(pod: str) -> ledger.AllocationOwner:
    return ledger.AllocationOwner("shop/red", pod)


def book(of: model.Network = DUAL, node: str = "n1") -> ledger.Ledger:
    subnets = FIRST[: len(of.spec.subnets)]
    return ledger.Ledger(of, nodesubnets.NodeSubnets(node, subnets))


def test_a_pod_of_a_secondary_network_gets_routes_and_no_way_out() -> None:
    assert book().allocate(nic("a"), attachment()) == model.Allocation(
        mac="0a:58:0a:01:00:03",
        addresses=(ip_interface("10.1.0.3/24"), ip_interface("fd00:1::3/64")),
        tunnel_id=0,
        routes=(
            model.Route(ip_network("10.1.0.0/22"), ip_address("10.1.0.1")),
            model.Route(ip_network("fd00:1::/48"), ip_address("fd00:1::1")),
        ),
    )


def test_a_pod_of_the_clusters_network_leaves_by_the_nodes_router() -> None:
    given = book(network("10.1.0.0/22", role="primary")).allocate(nic("a"), attachment())
    assert given.gateways == (ip_address("10.1.0.1"),)
    assert given.routes == (model.Route(ip_network("10.1.0.0/22"), ip_address("10.1.0.1")),)
    assert given.role == "primary"


@pytest.mark.parametrize("address", ["10.1.0.1", "10.1.0.2", "fd00:1::1"])
def test_the_nodes_own_addresses_are_nobodys(address: str) -> None:
    with pytest.raises(errors.InvalidInput, match="is the node's own"):
        book().allocate(nic("a"), attachment(address))


def test_an_address_of_another_nodes_part_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match=r"lies outside of subnet 10\.1\.0\.0/24"):
        book().allocate(nic("a"), attachment("10.1.1.9"))


def test_a_full_node_says_where_to_go() -> None:
    small = network("10.1.0.0/24", lengths=(29,))
    held = ledger.Ledger(small, nodesubnets.NodeSubnets("n1", (ip_network("10.1.0.0/29"),)))
    for owner in "abcd":
        held.allocate(nic(owner), attachment())
    with pytest.raises(errors.Exhausted) as caught:
        held.allocate(nic("e"), attachment())
    assert caught.value.hint == "run pods on other nodes than n1, or remove some there"
    held.release(nic("b"))
    assert str(held.allocate(nic("e"), attachment()).addresses[0]) == "10.1.0.4/29"


def test_rebuilt_from_annotations_the_same_is_held() -> None:
    before = book()
    given = before.allocate(nic("a"), attachment())
    after = book()
    after.reserve(nic("a"), given)
    assert after.allocate(nic("b"), attachment()).addresses[0] == ip_interface("10.1.0.4/24")


@pytest.mark.parametrize("mac", ["0a:58:0a:01:00:01", names.address_mac("fd00:1::1")])
def test_nobody_gets_the_routers_mac(mac: str) -> None:
    """Two ports of one MAC: the node's pods would send what is for elsewhere to that pod."""
    held = ledger.Ledger(DUAL, nodesubnets.NodeSubnets("n1", FIRST))
    with pytest.raises(errors.InvalidInput, match="the node's router on this network"):
        held.allocate(nic("a"), attachment(mac=mac))


def test_an_address_of_another_nodes_part_names_the_node() -> None:
    held = ledger.Ledger(RED, nodesubnets.NodeSubnets("n1", FIRST[:1]))
    with pytest.raises(errors.InvalidInput) as caught:
        held.allocate(nic("a"), attachment("10.1.1.7"))
    assert caught.value.rule == "lies outside of subnet 10.1.0.0/24, the subnet of node n1"
    assert "run the pod on the node whose subnet has it" in caught.value.hint


def test_what_was_given_from_another_part_is_cut_off() -> None:
    given = model.Allocation("0a:58:0a:01:01:03", (ip_interface("10.1.1.3/24"),))
    nodesubnets.check("Pod default/p", "default", nodesubnets.NodeSubnets("n1", SECOND), given)
    nodesubnets.check("Pod default/p", "default", nodesubnets.NodeSubnets("n1", ()), given)
    with pytest.raises(errors.InvalidInput, match=r"10\.1\.0\.0/24, .* n1: no route leads to it"):
        nodesubnets.check(
            "Pod default/p", "default", nodesubnets.NodeSubnets("n1", FIRST[:1]), given
        )
