from ipaddress import ip_address, ip_network

import pytest

from tests.support.reach import PING, matrix, member
from weft.model import ObjectKey
from weft.observe import reach
from weft.observe.reach import ProbeResult
from weft.policy import netpolicy

NETWORKS = {ObjectKey("default", "blue"): "blue"}
BLOCK = netpolicy.IPBlock(ip_network("10.9.0.0/31"))


def policy(*rules: netpolicy.Rule, name: str = "p") -> netpolicy.Policy:
    return netpolicy.Policy(
        namespace="default",
        name=name,
        uid="1",
        nads=(ObjectKey("default", "blue"),),
        pods=netpolicy.EVERYTHING,
        directions=frozenset({netpolicy.Direction.INGRESS}),
        ingress=rules,
    )


@pytest.mark.parametrize(
    ("source", "target", "ipv6", "chosen"),
    [
        (("10.9.0.1", "fd09::1"), ("10.9.0.2", "fd09::2"), False, ("10.9.0.1", "10.9.0.2")),
        (("10.9.0.1", "fd09::1"), ("10.9.0.2", "fd09::2"), True, ("fd09::1", "fd09::2")),
        (("10.9.0.1",), ("10.9.0.2", "fd09::2"), True, ("10.9.0.1", "10.9.0.2")),
        (("10.9.0.1", "fd09::1"), ("fd09::2",), False, ("fd09::1", "fd09::2")),
        (("fe80::1", "fd09::1"), ("fe80::2", "fd09::2"), False, ("fd09::1", "fd09::2")),
        (("fe80::1", "10.9.0.1"), ("fe80::2",), False, ("fe80::1", "fe80::2")),
        (("10.9.0.1",), ("fd09::2",), False, None),
        ((), (), False, None),
    ],
)
def test_a_pair_speaks_one_family_that_both_have(
    source: tuple[str, ...], target: tuple[str, ...], ipv6: bool, chosen: tuple[str, str] | None
) -> None:
    ends = reach.addresses(member("a", *source), member("b", *target), ipv6=ipv6)
    assert ends == (tuple(ip_address(text) for text in chosen) if chosen else None)


def test_every_pair_of_different_pods_is_asked_about_in_both_directions() -> None:
    found = matrix([member("a"), member("b"), member("c")])
    assert len(found.results) == 6
    assert len(found.by_pair()) == 6


def test_what_policies_say_depends_on_the_addresses_that_the_pair_uses() -> None:
    members = [member(f"p{number}", f"10.9.0.{number}") for number in range(3)]
    rule = netpolicy.Rule(0, peers=(BLOCK,))
    found = reach.expect("blue", members, [policy(rule)], NETWORKS, PING)
    expected = {(one.source, one.target): one.expected for one in found.results}
    assert {source for (source, _), allowed in expected.items() if allowed} == {
        "default/p0",
        "default/p1",
    }
    assert sum(expected.values()) == 4


def test_the_reason_names_the_rule_that_allows_and_the_policies_that_isolate() -> None:
    members = [member("a", "10.9.0.1"), member("z", "10.9.0.9")]
    policies = [policy(netpolicy.Rule(3, peers=(BLOCK,)), name="some"), policy(name="none")]
    found = reach.expect("blue", members, policies, NETWORKS, PING).by_pair()
    assert found["default/a", "default/z"].reason == (
        "default/some spec.ingress[3] allows it at the target"
    )
    assert found["default/z", "default/a"].reason == (
        "no rule of default/some, default/none allows it at the target"
    )
    (other, _) = reach.expect("blue", members, [], NETWORKS, PING).results
    assert other.reason == "no policy isolates either end"


@pytest.mark.parametrize(
    ("expected", "seen", "reaches", "differs"),
    [
        (True, ProbeResult.ANSWERED, True, False),
        (True, ProbeResult.ARRIVED, True, False),
        (True, ProbeResult.SILENT, False, True),
        (False, ProbeResult.ANSWERED, True, True),
        (False, ProbeResult.ARRIVED, True, True),
        (False, ProbeResult.SILENT, False, False),
        (True, ProbeResult.UNKNOWN, None, False),
        (False, ProbeResult.UNKNOWN, None, False),
    ],
)
def test_what_was_seen_against_what_was_expected(
    expected: bool, seen: ProbeResult, reaches: bool, differs: bool
) -> None:
    found = matrix([member("a"), member("b")], lambda *_: expected, lambda *_: seen)
    assert [one.reaches for one in found.results] == [reaches, reaches]
    assert [one.differs for one in found.results] == [differs, differs]
    assert len(found.differing) == (2 if differs else 0)


def test_pairs_that_nobody_tried_are_unknown_once_something_was_measured() -> None:
    bare = matrix([member("a"), member("b")])
    assert not bare.is_measured
    found = reach.measured(bare, {("default/a", "default/b"): ProbeResult.ANSWERED})
    assert found.is_measured
    assert [one.seen for one in found.results] == [ProbeResult.ANSWERED, ProbeResult.UNKNOWN]


def test_namespaces_are_named_where_there_are_several_and_machines_by_their_own_name() -> None:
    one = member("virt-launcher-vm1-abcde", machine="vm1")
    assert matrix([one]).labels() == {"default/virt-launcher-vm1-abcde": "vm1"}
    both = matrix([one, member("b", namespace="shop")]).labels()
    assert list(both.values()) == ["default/vm1", "shop/b"]
