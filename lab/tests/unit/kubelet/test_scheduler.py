"""Where a pod goes, and what is said when it cannot."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_lab.kubelet import scheduler


def node(name: str, *, ready: bool = True, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec}


NODES = [node("node1", disk="ssd"), node("node2"), node("node3", ready=False)]


def test_selector_and_readiness() -> None:
    choose = scheduler.choose
    assert choose(pod(), NODES, {}) == "node1"
    assert choose(pod(), NODES, {"node1": 1}) == "node2"
    assert choose(pod(nodeSelector={"disk": "ssd"}), NODES, {"node1": 9}) == "node1"
    with pytest.raises(scheduler.Unplaced, match=r"0/3 .* 1 node\(s\) were not ready, 2 node"):
        choose(pod(nodeSelector={"kubernetes.io/hostname": "node3"}), NODES, {})
    with pytest.raises(scheduler.Unplaced, match="no nodes"):
        choose(pod(), [], {})


def test_required_affinity() -> None:
    def wants(*expressions: dict[str, Any]) -> dict[str, Any]:
        terms = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
        rule = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
        return pod(affinity={"nodeAffinity": rule})

    host = "kubernetes.io/hostname"
    assert scheduler.fits(wants({"key": host, "operator": "In", "values": ["node1"]}), NODES[0])
    assert not scheduler.fits(
        wants({"key": host, "operator": "NotIn", "values": ["node1"]}), NODES[0]
    )
    assert scheduler.fits(wants({"key": "disk", "operator": "Exists"}), NODES[0])
    assert scheduler.fits(wants({"key": "disk", "operator": "DoesNotExist"}), NODES[1])


def test_a_cordoned_node_takes_none() -> None:
    cordoned = {**NODES[0], "spec": {"unschedulable": True}}
    assert scheduler.choose(pod(), [cordoned, NODES[1]], {"node2": 9}) == "node2"
    with pytest.raises(
        scheduler.Unplaced, match=r"1 node\(s\) were not ready, 1 node\(s\) were unschedulable"
    ):
        scheduler.choose(pod(), [cordoned, NODES[2]], {})


@given(st.integers(1, 6), st.integers(0, 40))
def test_pods_spread_evenly(count: int, pods: int) -> None:
    nodes = [node(f"n{number}") for number in range(count)]
    load: Counter[str] = Counter()
    for _ in range(pods):
        load[scheduler.choose(pod(), nodes, load)] += 1
    values = [load[n["metadata"]["name"]] for n in nodes]
    assert max(values) - min(values) <= 1
