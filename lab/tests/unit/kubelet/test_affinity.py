"""Whom do other pods let in?"""

from __future__ import annotations

from typing import Any

import pytest

from weft_lab.kubelet import affinity, scheduler

HOST = "kubernetes.io/hostname"
NODES: list[dict[str, Any]] = [
    {
        "metadata": {"name": name, "labels": {HOST: name, "zone": zone}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    for name, zone in (("n1", "a"), ("n2", "a"), ("n3", "b"))
]


def term(app: str, key: str = HOST, **more: object) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key, **more}


def pod(app: str, namespace: str = "ns", **rules: dict[str, Any]) -> dict[str, Any]:
    """`rules`: podAffinity or podAntiAffinity, one term of each."""
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return {
        "metadata": {"name": app, "namespace": namespace, "labels": {"app": app}},
        "spec": {"affinity": {kind: {required: [one]} for kind, one in rules.items()}},
    }


def on(node: str, one: dict[str, Any]) -> affinity.Placed:
    (labels,) = [n["metadata"]["labels"] for n in NODES if n["metadata"]["name"] == node]
    return affinity.Placed(one, labels)


def choose(one: dict[str, Any], *placed: affinity.Placed) -> str:
    return scheduler.choose(one, NODES, {}, placed)


def test_three_that_must_be_apart_need_three_nodes() -> None:
    alone = pod("x", podAntiAffinity=term("x"))
    assert choose(alone, on("n1", alone)) == "n2"
    assert choose(alone, on("n1", alone), on("n2", alone)) == "n3"
    with pytest.raises(scheduler.Unplaced, match=r"3 node\(s\) didn't match pod anti-affinity"):
        choose(alone, *(on(name, alone) for name in ("n1", "n2", "n3")))


def test_who_is_there_may_shut_others_out() -> None:
    shy = pod("shy", podAntiAffinity=term("x", "zone"))
    assert choose(pod("x"), on("n1", shy)) == "n3"
    assert choose(pod("y"), on("n1", shy)) == "n1"


def test_together() -> None:
    friend = pod("f", podAffinity=term("x"))
    assert choose(friend, on("n2", pod("x"))) == "n2"
    with pytest.raises(scheduler.Unplaced, match=r"3 .* didn't match pod affinity rules"):
        choose(friend)
    group = pod("x", podAffinity=term("x", "zone"))
    assert choose(group) == "n1", "the first of a group goes anywhere"
    assert choose(group, on("n3", group)) == "n3"


@pytest.mark.parametrize(
    ("more", "node"),
    [
        ({}, "n1"),
        ({"namespaces": ["other"]}, "n2"),
        ({"namespaceSelector": {}}, "n2"),
    ],
)
def test_namespaces_of_a_term(more: dict[str, Any], node: str) -> None:
    """Without any the pod's own is meant."""
    alone = pod("x", podAntiAffinity=term("x", **more))
    assert choose(alone, on("n1", pod("x", namespace="other"))) == node


def test_spread() -> None:
    even = pod("x")
    even["spec"]["topologySpreadConstraints"] = [
        {"maxSkew": 1, "topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
    ]
    assert choose(even, on("n1", even)) == "n3"
    assert choose(even, on("n1", even), on("n3", even)) == "n1"
    relaxed = {
        **even["spec"]["topologySpreadConstraints"][0],
        "whenUnsatisfiable": "ScheduleAnyway",
    }
    even["spec"]["topologySpreadConstraints"] = [relaxed]
    assert choose(even, on("n1", even)) == "n1"
