"""What is judged of a cluster: every fault is found, named and has a remedy."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import declared
from weft import names
from weft.kube import resources
from weft.observe import checks
from weft.observe.checks import RIGHTS, Finding, Survey, Verdict

NOW = datetime(2025, 1, 1, 12, 0, 30, tzinfo=UTC)


def node(name: str, *, announced: bool = True, ovn: str = "", **conditions: str) -> dict[str, Any]:
    """`ovn` is the reason of the condition for known faults."""
    annotations = {
        names.NODE_CHASSIS_ID: f"chassis-{name}",
        names.NODE_ENCAP_IPS: '["172.31.1.11"]',
    }
    listed = [{"type": type, "status": status} for type, status in conditions.items()]
    if ovn:
        known = "False" if ovn == "NoneKnown" else "True"
        listed.append({"type": names.OVN_CONDITION, "status": known, "reason": ovn})
    return {
        "metadata": {"name": name, "annotations": annotations if announced else {}},
        "status": {"conditions": listed},
    }


def lease(renewed: str, holder: str = "manager-0") -> dict[str, Any]:
    spec = {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}
    return {"metadata": {"namespace": "weft-system", "name": checks.LEASE}, "spec": spec}


def nad_object(*, accepted: bool = True, **config: Any) -> dict[str, Any]:
    made = declared.nad_object(declared.GOOD, **config)
    made["metadata"]["annotations"] = {names.NETWORK_ID: "1"} if accepted else {}
    return made


WELL = Survey(
    version="v1.32.1",
    nodes=[node("node1", Ready="True"), node("node2", ovn="NoneKnown")],
    nads=[nad_object()],
    leases=[lease("2025-01-01T12:00:20.5+00:00")],
    denied=(),
    admits=True,
    now=NOW,
)


def wrong(**facts: Any) -> list[tuple[Verdict, str, str]]:
    found = [one for one in checks.judge(replace(WELL, **facts)) if one.verdict != Verdict.OK]
    assert all(one.remedy for one in found)
    return [(one.verdict, one.what, one.seen) for one in found]


def test_a_cluster_that_is_well() -> None:
    found = checks.judge(WELL)
    assert {one.verdict for one in found} == {Verdict.OK}
    assert Finding(Verdict.OK, "agents", "all 2 nodes have published endpoints") in found
    assert Finding(Verdict.OK, "cluster manager", "manager-0 holds the lease") in found


def test_kinds_that_are_not_served() -> None:
    assert wrong(absent=frozenset({resources.NADS, resources.IPAMCLAIMS})) == [
        (Verdict.FAIL, "NetworkAttachmentDefinition", "is not defined"),
        (Verdict.WARN, "IPAMClaim", "is not defined"),
    ]


@pytest.mark.parametrize(
    ("leases", "keys", "seen"),
    [
        ([lease("2025-01-01T11:59:00+00:00")], True, "the lease was renewed 90 s ago"),
        ([lease("yesterday")], True, "the lease was renewed never"),
        ([lease("2025-01-01T12:00:29+00:00", "")], True, "nobody holds the lease"),
        ([], False, "has never run here: its keys are not published"),
    ],
)
def test_a_cluster_manager_that_does_not_work(leases: Any, keys: bool, seen: str) -> None:
    assert wrong(leases=leases, has_keys=keys) == [(Verdict.FAIL, "cluster manager", seen)]


def test_a_cluster_manager_without_a_lease_is_known_by_its_keys() -> None:
    assert wrong(leases=[], has_keys=True) == []


def test_nodes_without_an_agent() -> None:
    nodes = [node(f"node{number}", announced=False) for number in range(1, 9)]
    (found,) = wrong(nodes=nodes)
    seen = "no tunnel endpoint of node1, node2, node3, node4, node5 and 3 more is published"
    assert found == (Verdict.FAIL, "agents", seen)
    assert wrong(nodes=[]) == [(Verdict.FAIL, "nodes", "the cluster has none")]


def test_what_a_node_writes_of_itself_is_no_traceback() -> None:
    broken = node("node1")
    broken["metadata"]["annotations"][names.NODE_ENCAP_IPS] = "{"
    assert wrong(nodes=[broken]) == [
        (Verdict.FAIL, "agents", "no tunnel endpoint of node1 is published")
    ]


def test_nodes_that_are_not_ready_or_have_faults() -> None:
    nodes = [
        node("node1", Ready="False"),
        node("node2", ovn="Exploitable"),
        node("node3", ovn="NotExploitable"),
    ]
    assert wrong(nodes=nodes) == [
        (Verdict.WARN, "nodes", "not ready: node1"),
        (Verdict.WARN, "OVN", "has faults that guests can exploit, on node2"),
    ]


def test_versions_that_differ() -> None:
    def running(version: str, obj: dict[str, Any]) -> dict[str, Any]:
        notes = obj["metadata"].get("annotations") or {}
        obj["metadata"]["annotations"] = {**notes, names.VERSION: version}
        return obj

    leases = [running("1.1", lease("2025-01-01T12:00:20.5+00:00"))]
    nodes = [running("1.1", node("node1")), running("1.0", node("node2")), node("node3")]
    assert wrong(leases=leases, nodes=nodes) == [
        (Verdict.WARN, "versions of weft", "1.0 on node2; 1.1 on the cluster manager, node1")
    ]
    assert wrong(leases=leases, nodes=nodes[:1]) == []
    assert wrong(nodes=nodes[1:]) == []
    (released,) = leases
    released["spec"]["holderIdentity"] = ""
    problems = [
        one for one in wrong(leases=[released], nodes=nodes[1:]) if one[1] != "cluster manager"
    ]
    assert problems == []


def test_nads_that_were_not_accepted() -> None:
    other = nad_object(accepted=False, type="macvlan")
    assert wrong(nads=[nad_object(accepted=False), other]) == [
        (Verdict.WARN, "networks", "not accepted: ns1/blue")
    ]


def test_rights_that_are_missing() -> None:
    (found,) = wrong(denied=RIGHTS[:1])
    assert found == (Verdict.FAIL, "rights of weft-cluster-manager", "may not watch pods")
    assert wrong(denied=None) == []


@pytest.mark.parametrize(("evaluates", "remedy"), [(False, "Kubernetes"), (True, "kubectl")])
def test_an_admission_policy_that_is_missing(evaluates: bool, remedy: str) -> None:
    found = checks.judge(replace(WELL, admits=False, evaluates=evaluates))
    (one,) = [one for one in found if one.what == "admission policy"]
    assert (one.verdict, one.remedy.split()[0]) == (Verdict.WARN, remedy)


def test_a_kubernetes_that_is_too_old() -> None:
    assert wrong(version="v1.31.9") == [(Verdict.WARN, "Kubernetes", "v1.31.9")]


def test_the_rights_that_are_asked_for_are_those_that_are_granted() -> None:
    """Each right stands in deploy/rbac.yaml for its account."""
    text = (Path(__file__).parents[3] / "deploy" / "rbac.yaml").read_text()
    roles = {
        one["metadata"]["name"]: one["rules"]
        for one in yaml.safe_load_all(text)
        if one["kind"] == "ClusterRole"
    }
    for right in RIGHTS:
        name = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
        assert any(
            right.group in rule["apiGroups"]
            and name in rule["resources"]
            and right.verb in rule["verbs"]
            for rule in roles[right.account]
        ), json.dumps(str(right))
