"""What a claim says; how two copies deal with each other is tested in tests/real."""

from __future__ import annotations

from weft.kube import lease

TERMS = lease.Terms(valid=15, hold=10, renew=2)


def test_the_first_claim_is_no_transition() -> None:
    spec = lease.claim(None, "one", TERMS, "t1")
    assert spec == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "acquireTime": "t1",
        "renewTime": "t1",
        "leaseTransitions": 0,
    }


def test_renewing_keeps_since_when_and_taking_over_counts() -> None:
    first = {"spec": lease.claim(None, "one", TERMS, "t1")}
    renewed = {"spec": lease.claim(first, "one", TERMS, "t2")}
    assert renewed["spec"]["acquireTime"] == "t1"
    assert renewed["spec"]["renewTime"] == "t2"
    taken = lease.claim(renewed, "two", TERMS, "t3")
    assert taken["acquireTime"] == "t3"
    assert taken["leaseTransitions"] == 1


def test_a_leader_stops_before_others_begin() -> None:
    assert lease.Terms().renew < lease.Terms().hold < lease.Terms().valid
