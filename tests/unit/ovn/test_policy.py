"""Groups, sets and ACLs of policies: which rows there are, and how they hang together."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import model, names, rows
from weft.model import ObjectKey
from weft.ovn import policy, sets
from weft.policy import netpolicy

TCP, UDP, _ = netpolicy.Protocol
INGRESS, EGRESS = netpolicy.Direction
FLAT = model.Network(model.NetworkSpec("flat", model.Topology.LAYER2, 1300), 1)
ROUTED = model.Network(
    model.NetworkSpec(
        "blue", model.Topology.LAYER3, 1300, (ip_network("10.64.0.0/16"), ip_network("fd64::/48"))
    ),
    2,
)
WEB = netpolicy.Selector((netpolicy.Requirement("app", netpolicy.Operator.IN, ("web",)),))
PEERS = netpolicy.PodSelector(namespace="ns", pods=WEB)
DENY = policy.Group(policy.GroupKind.DENY, "flat", "ns", INGRESS)


def guard_policy(
    *rules: netpolicy.Rule, direction: netpolicy.Direction = INGRESS, name: str = "guard"
) -> netpolicy.Policy:
    return netpolicy.Policy(
        "ns",
        name,
        "u1",
        (ObjectKey("ns", "flat"),),
        netpolicy.EVERYTHING,
        frozenset({direction}),
        ingress=rules if direction is INGRESS else (),
        egress=rules if direction is EGRESS else (),
    )


def acls(made: tuple[rows.Row, ...]) -> dict[str, rows.Row]:
    return {row.key: row for row in made if row.table == "ACL"}


def matches(
    rule: netpolicy.Rule,
    direction: netpolicy.Direction = INGRESS,
    numbers: policy.PortNumbers | None = None,
    network: model.Network = FLAT,
) -> list[str]:
    """What the ACLs of a policy with this one rule match, beyond the port."""
    made = policy.policy_rows(
        guard_policy(rule, direction=direction),
        network,
        direction,
        netpolicy.Logging(),
        numbers or {},
    )
    return [str(row.columns["match"]).partition(" && ")[2] for row in acls(made).values()]


def test_a_deny_group_drops_and_an_audit_group_tells() -> None:
    group, always, rest = policy.isolation_rows(DENY, FLAT, netpolicy.Logging(deny="alert"))
    assert group.columns["name"] == DENY.name
    assert "ports" not in group.columns
    assert int(str(always.columns["priority"])) > int(str(rest.columns["priority"]))
    assert always.columns["action"] == "allow-related"
    assert rest.columns["action"] == "drop"
    assert (rest.columns["name"], rest.columns["severity"]) == ("NP:ns:Ingress", "alert")
    audit = replace(DENY, kind=policy.GroupKind.AUDIT)
    *_, rest = policy.isolation_rows(audit, FLAT)
    assert rest.columns["action"] == "allow-related"
    assert rest.columns["name"] == policy.audit_name(audit)
    assert rest.columns["log"] is True


def test_where_weft_serves_dhcp_no_pod_speaks_as_a_server() -> None:
    def always(network: model.Network) -> str:
        return str(policy.isolation_rows(DENY, network)[1].columns["match"])

    own = replace(ROUTED.spec, dhcp=model.Dhcp(enabled=False))
    assert "udp" in always(FLAT)
    guard_policy = always(ROUTED)
    assert guard_policy.count("udp.src") == 1
    assert f"eth.src == {names.SERVER_MAC} && ip6.src" in guard_policy
    assert "udp" in always(replace(ROUTED, spec=own))


@pytest.mark.parametrize(("direction", "stage"), [(INGRESS, "to-lport"), (EGRESS, "from-lport")])
def test_each_rule_is_one_acl_known_by_its_place(
    direction: netpolicy.Direction, stage: str
) -> None:
    made = policy.policy_rows(
        guard_policy(netpolicy.Rule(0), netpolicy.Rule(4, (PEERS,)), direction=direction),
        FLAT,
        direction,
        netpolicy.Logging(allow="info"),
        {},
    )
    group, *found = made
    assert group.key == policy.Group(policy.GroupKind.POLICY, "flat", "ns", direction, "guard").name
    assert [row.key.rpartition("/")[2] for row in found] == ["0", "4"]
    assert {row.columns["direction"] for row in found} == {stage}
    assert [row.columns["name"] for row in found] == [
        f"NP:ns:guard:{direction}:{i}" for i in (0, 4)
    ]
    assert all(row.parent == rows.Ref("Port_Group", group.key) for row in found)


def test_nobody_and_nothing_make_no_acl() -> None:
    everything = netpolicy.IPBlock(ip_network("10.0.0.0/8"), (ip_network("10.0.0.0/8"),))
    for rule in (
        netpolicy.Rule(0, peers=()),
        netpolicy.Rule(0, ports=()),
        netpolicy.Rule(0, peers=(everything,)),
        netpolicy.Rule(0, ports=(netpolicy.PolicyPort(TCP, "nobody"),)),
    ):
        for direction in netpolicy.Direction:
            assert matches(rule, direction) == []


def test_anybody_on_anything_is_no_further_match() -> None:
    assert matches(netpolicy.Rule(0)) == [""]


def test_peers_are_macs_where_ports_hold_them_to_theirs_and_addresses_beyond_a_router() -> None:
    rule = netpolicy.Rule(0, (PEERS, netpolicy.IPBlock(ip_network("10.1.0.0/24"))))
    flat, blue = sets.AddressSet("flat", PEERS).name, sets.AddressSet("blue", PEERS).name
    assert matches(rule) == [f"(eth.src == ${flat} || ip4.src == 10.1.0.0/24)"]
    assert matches(rule, EGRESS, network=ROUTED) == [
        f"(ip4.dst == {{${blue}_v4, 10.1.0.0/24}} || ip6.dst == ${blue}_v6)"
    ]


def test_a_named_port_of_ingress_has_a_group_for_each_number() -> None:
    rule = netpolicy.Rule(
        0, None, (netpolicy.PolicyPort(TCP, "http"), netpolicy.PolicyPort(UDP, 53))
    )
    guard = guard_policy(rule)
    numbers: policy.PortNumbers = {(TCP, "http"): frozenset({80, 8080})}
    assert policy.port_names(guard, "flat", INGRESS) == {(TCP, "http")}
    made = policy.policy_rows(guard, FLAT, INGRESS, netpolicy.Logging(), numbers)
    groups = {row.key for row in made if row.table == "Port_Group"}
    found = {str(row.parent.key): row.columns["match"] for row in acls(made).values() if row.parent}
    assert found.keys() == groups
    own, named = sorted(
        policy.groups_of(guard, "flat", INGRESS, {(TCP, "http"): 80, (UDP, "http"): 1}),
        key=lambda group: group.kind,
        reverse=True,
    )
    assert found[own.name] == f"outport == @{own.name} && udp.dst == 53"
    assert found[named.name] == f"outport == @{named.name} && tcp.dst == 80"
    assert policy.groups_of(guard, "flat", INGRESS, {}) == {own}


def test_a_named_port_of_egress_is_a_set_for_each_number() -> None:
    block = netpolicy.IPBlock(ip_network("10.0.0.0/8"))
    rule = netpolicy.Rule(0, (PEERS, block), (netpolicy.PolicyPort(TCP, "http"),))
    guard = guard_policy(rule, direction=EGRESS)
    (key,) = policy.port_names(guard, "flat", EGRESS)
    assert key == sets.AddressSet("flat", PEERS, TCP, "http")
    numbers: policy.PortNumbers = {key: frozenset({80, 8080})}
    some, more = (sets.AddressSet("flat", PEERS, TCP, "http", number) for number in (80, 8080))
    assert policy.address_sets(guard, FLAT, numbers) == {some, more}
    assert matches(rule, EGRESS, numbers) == [
        f"((eth.dst == ${some.name} && tcp.dst == 80) || "
        f"(eth.dst == ${more.name} && tcp.dst == 8080))"
    ]
    everybody = guard_policy(netpolicy.Rule(0, None, rule.ports), direction=EGRESS)
    assert policy.port_names(everybody, "flat", EGRESS) == {
        sets.AddressSet("flat", netpolicy.PodSelector(), TCP, "http")
    }


SERVICES = st.sampled_from(
    (
        netpolicy.PolicyPort(TCP),
        netpolicy.PolicyPort(TCP, 80),
        netpolicy.PolicyPort(UDP, 1, end=9),
        netpolicy.PolicyPort(TCP, "http"),
        netpolicy.PolicyPort(UDP, "dns"),
    )
)
PEER = st.sampled_from(
    (PEERS, netpolicy.PodSelector(), netpolicy.IPBlock(ip_network("10.0.0.0/8")))
)
RULES = st.builds(
    lambda peers, services: (peers, services),
    st.none() | st.lists(PEER, max_size=3).map(tuple),
    st.none() | st.lists(SERVICES, max_size=3).map(tuple),
)


@given(
    st.lists(RULES, max_size=3), st.sampled_from(netpolicy.Direction), st.booleans(), st.booleans()
)
def test_acls_name_just_the_sets_that_there_are(
    found: list[tuple[tuple[netpolicy.Peer, ...] | None, tuple[netpolicy.PolicyPort, ...] | None]],
    direction: netpolicy.Direction,
    is_routed: bool,
    is_resolved: bool,
) -> None:
    """A match that names a set which is not there is refused whole, one not named is waste."""
    network = ROUTED if is_routed else FLAT
    guard = guard_policy(
        *(netpolicy.Rule(i, *each) for i, each in enumerate(found)), direction=direction
    )
    asked = policy.port_names(guard, network.name, direction)
    numbers = {key: frozenset({7, 8}) for key in asked} if is_resolved else {}
    made = policy.policy_rows(guard, network, direction, netpolicy.Logging(), numbers)
    named = {
        word.strip("{}(),")[1:]
        for row in acls(made).values()
        for word in str(row.columns["match"]).split()
        if word.strip("{}(),").startswith("$")
    }
    there = {
        row.key
        for each in policy.address_sets(guard, network, numbers)
        for row in sets.rows_of(each, network)
    }
    assert named == there
    groups = {row.key for row in made if row.table == "Port_Group"}
    assert {row.parent.key for row in acls(made).values() if row.parent} <= groups


@given(st.text("ab/", min_size=1), st.text("ab/", min_size=1), st.sampled_from(policy.GroupKind))
def test_two_groups_never_share_a_name(one: str, two: str, kind: policy.GroupKind) -> None:
    found = {
        replace(DENY, kind=kind, network=network, namespace=space).name
        for network in (one, two)
        for space in ("a", "b")
    }
    assert len(found) == 2 * len({one, two})


def test_owners_tell_whose_a_row_is() -> None:
    assert DENY.owner == "Namespace//ns"
    named = policy.Group(policy.GroupKind.NAMED, "flat", "ns", INGRESS, "guard", TCP, "http", 80)
    assert names.owner_parts(named.owner) == ("MultiNetworkPolicy", "ns", "guard")
