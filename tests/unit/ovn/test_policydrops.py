"""From ACLs to the flows that drop, and what the counters of flows that come and go add up to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support import realised
from weft.ovn import acl, policy, policydrops
from weft.ovn.policydrops import DropLabels, DropTotals
from weft.policy import netpolicy

BLUE = realised.network("blue", 1).network
ONE = DropLabels("blue", "team", "ingress")


def acls(kind: policy.GroupKind) -> dict[str, dict[str, object]]:
    """The ACLs of a group in both directions, each with a UUID that begins with its number."""
    found = [
        row.columns
        for direction in netpolicy.Direction
        for row in policy.isolation_rows(policy.Group(kind, "blue", "team", direction), BLUE)
        if row.table == acl.ACL
    ]
    return {f"{number:08x}-0000": dict(columns) for number, columns in enumerate(found)}


def test_of_a_group_that_isolates_one_acl_for_each_direction_drops() -> None:
    assert policydrops.of_acls(acls(policy.GroupKind.DENY)) == {  # type: ignore[arg-type]
        "00000001": DropLabels("blue", "team", "ingress"),
        "00000003": DropLabels("blue", "team", "egress"),
    }


def test_audit_drops_nothing_and_what_others_made_does_not_count() -> None:
    foreign = {"00000009": {"action": "drop", "direction": "to-lport", "external_ids": {}}}
    found = {**acls(policy.GroupKind.AUDIT), **foreign}
    assert policydrops.of_acls(found) == {}  # type: ignore[arg-type]


def test_cookies_are_the_first_bits_of_a_logical_flow() -> None:
    def row(uuid: str, **ids: str) -> dict[str, object]:
        listed = [[key.replace("_", "-"), value] for key, value in ids.items()]
        return {"_uuid": ["uuid", uuid], "external_ids": ["map", listed]}

    rows = [
        row("0000000a-1", stage_hint="aaaaaaaa", stage_name="ls_out_acl_eval"),
        row("0000000b-2", stage_hint="aaaaaaaa"),
        row("0000000c-3"),
    ]
    assert policydrops.cookies({"rows": rows}) == {"aaaaaaaa": frozenset({10, 11})}
    assert policydrops.cookies({}) == {}


def test_a_sum_that_shrinks_takes_nothing_back() -> None:
    totals = DropTotals()
    totals.add([])
    for counted, total in ((10, 10), (15, 15), (3, 15), (5, 17)):
        totals.add([(ONE, 1, counted)])
        assert totals.series() == {tuple(ONE): total}


def test_what_was_counted_before_the_first_look_is_an_earlier_agents() -> None:
    totals = DropTotals()
    totals.add([(ONE, 1, 10)])
    assert totals.series() == {tuple(ONE): 0}
    totals.add([(ONE, 1, 12), (ONE, 2, 5)])
    assert totals.series() == {tuple(ONE): 7}


def test_a_flow_that_returns_counts_no_packet_twice() -> None:
    totals = DropTotals()
    totals.add([])
    totals.add([(ONE, 1, 10)])
    totals.add([])
    totals.add([(ONE, 1, 11)])
    assert totals.series() == {tuple(ONE): 11}


def test_memory_of_flows_that_are_gone_is_bounded() -> None:
    totals = DropTotals()
    for cookie in range(5000):
        totals.add([(ONE, cookie, 1)])
    assert len(totals._last or ()) <= 1001


@given(st.lists(st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 9)))))
def test_totals_are_what_each_flow_counted_more_than_at_the_look_before(
    looks: list[list[tuple[int, int]]],
) -> None:
    totals, before, most = DropTotals(), 0.0, 0
    totals.add([])
    highest: dict[int, int] = {}
    for look in looks:
        present = dict(look)
        totals.add([(ONE, cookie, packets) for cookie, packets in present.items()])
        now = totals.series().get(tuple(ONE), 0.0)
        most += sum(max(n - highest.get(c, 0), 0) for c, n in present.items())
        highest |= present
        assert before <= now == most
        before = now
