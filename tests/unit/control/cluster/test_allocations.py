from __future__ import annotations

import itertools
from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from weft import errors, model
from weft.control.cluster.allocations import Allocations, Holding

BLUE = model.Segment("blue")


def network(name: str = "blue", subnet: str = "10.1.0.0/29", mtu: int = 1400) -> model.Network:
    spec = model.NetworkSpec(name, model.Topology.LAYER2, mtu, (ip_network(subnet),))
    return model.Network(spec, 1)


def attachment(key: str = "default/blue") -> model.Attachment:
    return model.Attachment(nad=model.ObjectKey("default", "blue"), key=key, interface="net1")


def test_what_a_pod_holds_becomes_free_once() -> None:
    held = Allocations()
    first = held.allocate(network(), "u1", attachment(), "Pod a/1")
    second = held.allocate(network(), "u1", attachment("default/blue/1"), "Pod a/1")
    assert first.addresses != second.addresses
    assert held.ledgers.is_used("blue")
    assert held.release("u1") == [BLUE, BLUE]
    assert held.release("u1") == []
    assert not held.ledgers.is_used("blue")
    assert held.get("u1", "default/blue") is None


def test_one_attachment_can_be_given_back_alone() -> None:
    held = Allocations()
    held.allocate(network(), "u1", attachment(), "Pod a/1")
    held.allocate(network(), "u1", attachment("default/blue/1"), "Pod a/1")
    assert held.release("u1", "default/blue") == [BLUE]
    assert held.release("u1", "default/blue") == []
    assert len(held) == 1


def test_a_changed_network_keeps_its_holders_and_knows_their_names() -> None:
    held = Allocations()
    given = held.allocate(network(), "u1", attachment(), "Pod a/1")
    wider = network(subnet="10.1.0.0/24")
    duplicate = model.Attachment(
        nad=model.ObjectKey("default", "blue"),
        key="default/blue",
        interface="net1",
        addresses=given.addresses,
    )
    with pytest.raises(errors.InvalidInput):  # the prefix length is another one now
        held.allocate(wider, "u2", duplicate, "Pod a/2")
    bare = model.Attachment(
        nad=model.ObjectKey("default", "blue"),
        key="default/blue",
        interface="net1",
        addresses=(given.addresses[0].ip,),
    )
    with pytest.raises(errors.Conflict) as caught:
        held.allocate(wider, "u2", bare, "Pod a/2")
    assert "Pod a/1" in str(caught.value)
    assert held.get("u1", "default/blue") == given


def test_a_claim_keeps_its_addresses_though_a_pod_of_it_is_refused() -> None:
    held, blue = Allocations(), network()
    claim = model.IpamClaim(model.ObjectKey("a", "vm"), "blue", "net1")
    given = held.allocate(blue, "u1", attachment(), "Pod a/1", claim)
    held.keep(blue, replace(claim, addresses=given.addresses))
    held.release("u1")
    taken = held.allocate(blue, "u2", attachment(), "Pod a/2").mac
    with pytest.raises(errors.Conflict):
        held.allocate(blue, "u3", replace(attachment(), mac=taken), "Pod a/3", claim)
    assert held.claimed(claim) == given


def test_a_claim_that_is_deleted_under_its_pod_frees_nothing_until_that_has_gone() -> None:
    held, blue = Allocations(), network()
    claim = model.IpamClaim(model.ObjectKey("a", "vm"), "blue", "net1")
    given = held.allocate(blue, "u1", attachment(), "Pod a/1", claim)
    held.keep(blue, replace(claim, addresses=given.addresses))
    assert held.end_claim(model.ObjectKey("a", "vm")) == []
    assert held.get("u1", "default/blue") == given
    assert held.release("u1") == [BLUE]


def test_what_was_given_before_is_reserved_and_contradictions_are_named() -> None:
    held = Allocations()
    allocation = model.Allocation("0a:58:0a:01:00:05", (ip_interface("10.1.0.5/29"),), 17)
    held.reserve(network(), "u1", "default/blue", allocation, "Pod a/1")
    with pytest.raises(errors.Conflict) as caught:
        held.reserve(network(), "u2", "default/blue", allocation, "Pod a/2")
    assert "Pod a/1" in str(caught.value)
    assert held.release("u2") == []
    assert held.release("u1") == [BLUE]


def test_a_network_that_is_no_more_is_forgotten_unless_it_is_used() -> None:
    held = Allocations()
    given = held.allocate(network(), "u1", attachment(), "Pod a/1")
    held.ledgers.drop("blue")
    assert held.get("u1", "default/blue") == given
    held.release("u1")
    held.ledgers.drop("blue")
    assert held.allocate(network(), "u2", attachment(), "Pod a/2") == given


def sharing(*uids: str) -> tuple[Allocations, model.Allocation]:
    """What the first pod got, and the others have by signature."""
    held, key = Allocations(), attachment().key
    given = held.allocate(network(), uids[0], attachment(), f"Pod a/{uids[0]}")
    for uid in uids[1:]:
        held.share(uid, attachment(), f"Pod a/{uid}", Holding(uids[0], key), is_signed=True)
    return held, given


@pytest.mark.parametrize("order", [*itertools.permutations(["u1", "u2", "u3"])])
def test_what_several_pods_hold_is_free_when_the_last_one_is_gone(order: tuple[str, ...]) -> None:
    held, given = sharing("u1", "u2", "u3")
    for number, uid in enumerate(order[:-1], 1):
        assert held.release(uid) == []
        left = order[number:]
        assert {held.get(each, attachment().key) for each in left} == {given}
        assert held.sharers(left[0], attachment().key) == {*left[1:]}
        other = held.allocate(network(), "other", attachment(), "Pod a/other")
        assert other.addresses != given.addresses
        held.release("other")
    assert held.release(order[-1]) == [BLUE]
    again = replace(attachment(), addresses=(given.addresses[0].ip,))
    assert held.allocate(network(), "other", again, "Pod a/other").addresses == given.addresses


def test_a_third_pod_gets_nothing_of_what_two_share() -> None:
    held, given = sharing("u1", "u2")
    for holder in ("u1", "u2"):
        with pytest.raises(errors.Conflict, match="two pods already: Pod a/u1"):
            held.share("u3", attachment(), "Pod a/u3", Holding(holder, attachment().key))
    assert held.get("u3", attachment().key) is None
    assert held.sharers("u1", attachment().key) == {"u2"}
    assert held.share("u2", attachment(), "Pod a/u2", Holding("u1", attachment().key)) == given


def test_what_was_signed_is_shared_whatever_is_permitted_now() -> None:
    held, _ = sharing("u1")
    nic = model.NicOptions(port_security=model.PortSecurity.OFF)
    asked, holder = replace(attachment(), nic=nic), Holding("u1", attachment().key)
    with pytest.raises(errors.InvalidInput, match="permits"):
        held.share("u2", asked, "Pod a/u2", holder)
    assert held.get("u2", attachment().key) is None
    assert held.share("u2", asked, "Pod a/u2", holder, is_signed=True)
    assert held.release("u1") == []
