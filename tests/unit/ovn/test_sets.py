"""Address sets: what they are called, whose they are, and what an attachment brings into them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.columns import mapping
from weft import model, names, rows
from weft.ovn import sets
from weft.policy import netpolicy

FLAT = model.Network(model.NetworkSpec("flat", model.Topology.LAYER2, 1300), 1)
ROUTED = model.Network(
    model.NetworkSpec(
        "blue", model.Topology.LAYER3, 1300, (ip_network("10.64.0.0/16"), ip_network("fd64::/48"))
    ),
    2,
)
WEB = netpolicy.Selector((netpolicy.Requirement("app", netpolicy.Operator.IN, ("web",)),))
PEERS = netpolicy.PodSelector(namespace="ns", pods=WEB)


def test_sets_hold_what_an_attachment_brings() -> None:
    allocation = model.Allocation(
        "0a:58:00:00:00:01", (ip_interface("10.64.1.5/24"), ip_interface("fd64::5/64"))
    )
    chosen = sets.AddressSet("flat", PEERS)
    (row,) = sets.rows_of(chosen, FLAT)
    assert "addresses" not in row.columns
    assert mapping(row.columns["external_ids"])[names.OWNER] == "Network//flat"
    (entry,) = sets.membership(chosen, FLAT, allocation, True)
    assert (entry.key, entry.is_part) == (row.key, True)
    assert entry.columns == {"addresses": rows.SetMembers(present={"0a:58:00:00:00:01"})}
    routed = sets.AddressSet("blue", PEERS)
    assert {r.key for r in sets.rows_of(routed, ROUTED)} == {
        f"{routed.name}_v4", f"{routed.name}_v6"
    }  # fmt: skip
    gone = sets.membership(routed, ROUTED, allocation, False)
    assert [r.columns["addresses"] for r in gone] == [
        rows.SetMembers(absent={"10.64.1.5"}),
        rows.SetMembers(absent={"fd64::5"}),
    ]


KEYS = st.sampled_from(("app", "a b", "x in (y)", 'q"'))
VALUES = st.sampled_from(("", "web", "a,b", "a", "b", '"a"', "a) ; b In (c"))
REQUIREMENTS = st.builds(
    netpolicy.Requirement, KEYS, st.sampled_from(netpolicy.Operator), st.lists(VALUES).map(tuple)
)
SELECTORS = st.builds(netpolicy.Selector, st.lists(REQUIREMENTS, max_size=2).map(tuple))
MEMBERS = st.builds(netpolicy.PodSelector, st.sampled_from(("", "ns", "n2")), SELECTORS, SELECTORS)
SETS = st.builds(
    sets.AddressSet,
    st.sampled_from(("blue", "blue/x", "a/b")),
    MEMBERS,
    st.just(netpolicy.Protocol.TCP),
    st.sampled_from(("", "http", "80")),
    st.sampled_from((0, 80)),
)


@given(SETS, SETS)
def test_two_sets_never_share_a_name(one: sets.AddressSet, two: sets.AddressSet) -> None:
    """Where they are other pods, or another port; a name without a port says no number."""

    def meant(each: sets.AddressSet) -> sets.AddressSet:
        members = each.selector
        if members.namespace:
            members = replace(members, namespaces=netpolicy.EVERYTHING)
        bare: dict[str, Any] = {} if each.port else {"protocol": None, "number": 0}
        return replace(each, selector=members, **bare)

    assert (one.name == two.name) == (meant(one) == meant(two))
