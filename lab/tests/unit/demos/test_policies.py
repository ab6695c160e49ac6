from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.support.reach import matrix, member
from weft.api import policy
from weft.kube import resources
from weft.model import ObjectKey
from weft.observe import reach
from weft.observe.reach import Matrix, ProbeResult
from weft_lab.demos import manifests, policies

NAMES = {f"default/virt-launcher-{vm}-x": vm for vm in policies.VMS}


def measured(senders: set[str], expected: set[str], six: int = 6) -> Matrix:
    members = [member(id.partition("/")[2], machine=name) for id, name in list(NAMES.items())[:six]]
    return matrix(
        members,
        lambda source, _: NAMES[source] in expected,
        lambda source, _: ProbeResult.ANSWERED if NAMES[source] in senders else ProbeResult.SILENT,
    )


ALL, THREE = set(policies.VMS), set(policies.ADMITTED)


def test_a_scene_holds_when_exactly_those_who_may_reach_everybody_else() -> None:
    assert policies.judge("all", measured(ALL, ALL), policies.VMS).holds
    assert policies.judge("three", measured(THREE, THREE), policies.ADMITTED).holds


@pytest.mark.parametrize(
    ("senders", "expected", "six"),
    [
        (ALL, THREE, 6),  # the policy does nothing
        (THREE - {"vm1"}, THREE, 6),
        (THREE, ALL, 6),  # what is measured is right, and the evaluator wrong
        (THREE, THREE, 5),  # somebody is missing
    ],
)
def test_a_scene_does_not_hold_when_one_pair_is_otherwise(
    senders: set[str], expected: set[str], six: int
) -> None:
    assert not policies.judge("three", measured(senders, expected, six), policies.ADMITTED).holds


def test_a_pair_that_nobody_measured_holds_nothing() -> None:
    whole = measured(ALL, ALL)
    first = replace(whole.results[0], seen=ProbeResult.UNKNOWN)
    assert not policies.judge("all", replace(whole, results=(first, *whole.results[1:])), ALL).holds


def status(**changed: object) -> dict[str, object]:
    conditions = [{"type": kind, "status": "True"} for kind in ("Accepted", "Bound")]
    return {"observedGeneration": 2, "ports": 6, "conditions": conditions, **changed}


@pytest.mark.parametrize(
    ("status", "is_in_force"),
    [
        (status(), True),
        (None, False),
        (status(observedGeneration=1), False),
        (status(ports=5), False),
        (status(conditions=[{"type": "Accepted", "status": "True"}]), False),
    ],
)
def test_a_policy_is_in_force_when_its_status_says_so_of_all_six(
    status: Any, is_in_force: bool
) -> None:
    obj = {"metadata": {"generation": 2}, **({"status": status} if status else {})}
    assert policies.in_force(obj) is is_in_force


def test_the_manifests_are_what_the_demo_says_of_them() -> None:
    objects = manifests.read(policies.NAME)
    names = [obj["metadata"]["name"] for obj in objects if obj["kind"] == resources.VMS.kind]
    assert tuple(names) == policies.VMS
    (found,) = [obj for obj in objects if obj["kind"] == resources.MULTINETWORKPOLICIES.kind]
    parsed = policy.parse(found)
    assert (parsed.key, parsed.skipped) == (policies.POLICY, ())
    members = [
        member(name, f"10.200.0.{number}", labels={"name": "access-control"})
        for number, name in enumerate(names, 1)
    ]
    known = {ObjectKey("default", "flatl2net"): "blue"}
    expected = reach.expect("blue", members, [parsed], known, policies.PING)
    admitted = {result.source for result in expected.results if result.expected}
    assert admitted == {f"default/{name}" for name in policies.ADMITTED}
    block = ip_network("10.200.0.0/30")
    assert all((ip_address(f"10.200.0.{n}") in block) is (n <= 3) for n in range(1, 7))
