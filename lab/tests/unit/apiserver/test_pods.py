"""Pods: what is refused, field by field, and what is filled in."""

from __future__ import annotations

from typing import Any

import pytest

from lab.tests.support.memory_cluster import pod
from weft_lab.apiserver import pods


def refused_fields(**spec: Any) -> set[str]:
    found = pod(**spec)
    pods.default(found)
    return {cause.field for cause in pods.validate(found)}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"containers": []}, "spec.containers"),
        ({"containers": [{"image": "x"}]}, "spec.containers[0].name"),
        ({"containers": [{"name": "a"}]}, "spec.containers[0].image"),
        ({"containers": [{"name": "A", "image": "x"}]}, "spec.containers[0].name"),
        ({"containers": [{"name": "a", "image": "x"}] * 2}, "spec.containers[1].name"),
        ({"restartPolicy": "Sometimes"}, "spec.restartPolicy"),
        ({"hostname": "a.b"}, "spec.hostname"),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, "spec.volumes[1].name"),
        ({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {}}]}, "spec.volumes[0]"),
        (
            {"containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 0}]}]},
            "spec.containers[0].ports[0].containerPort",
        ),
        (
            {
                "containers": [
                    {"name": "a", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/"}]}
                ]
            },
            "spec.containers[0].volumeMounts[0].name",
        ),
        ({"terminationGracePeriodSeconds": -1}, "spec.terminationGracePeriodSeconds"),
        ({"readinessGates": [{}]}, "spec.readinessGates[0].conditionType"),
    ],
)
def test_pods_are_refused_by_field(spec: dict[str, Any], field: str) -> None:
    assert refused_fields(**spec) == {field}


def test_a_good_pod_passes() -> None:
    assert refused_fields(volumes=[{"name": "v"}], restartPolicy="Never", hostname="x") == set()


def test_defaults_do_not_overrule() -> None:
    container = {
        "name": "a",
        "image": "x:1",
        "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}},
    }
    found = pod(containers=[container], restartPolicy="Never", volumes=[{"name": "v"}])
    pods.default(found)
    assert found["spec"]["restartPolicy"] == "Never"
    assert found["spec"]["volumes"] == [{"name": "v", "emptyDir": {}}]
    requests = found["spec"]["containers"][0]["resources"]["requests"]
    assert requests == {"cpu": "1", "memory": "1Gi"}
    pods.create(found)
    assert found["status"]["qosClass"] == "Burstable"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("x", "Always"),
        ("x:latest", "Always"),
        ("r:5/x", "Always"),
        ("r:5/x:1", "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    found = pod(containers=[{"name": "a", "image": image}])
    pods.default(found)
    assert found["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_quality() -> None:
    whole = {"limits": {"cpu": "1", "memory": "1"}, "requests": {"cpu": "1", "memory": "1"}}
    assert pods.quality({"containers": [{"resources": whole}]}) == "Guaranteed"
    assert pods.quality({"containers": [{"resources": {}}]}) == "BestEffort"


def test_tolerations_may_only_be_added() -> None:
    old, new = pod(tolerations=[{"key": "a"}]), pod(tolerations=[{"key": "a"}, {"key": "b"}])
    assert pods.validate_change(new, old) == []
    assert pods.validate_change(old, new) != []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"containers": []}, "spec.containers"),
        ({"tolerations": []}, "spec.tolerations"),
        ({"activeDeadlineSeconds": None}, "spec.activeDeadlineSeconds"),
        ({"activeDeadlineSeconds": 31}, "spec.activeDeadlineSeconds"),
        ({"nodeName": "other"}, "spec"),
    ],
)
def test_changes_are_refused_by_field(change: dict[str, Any], field: str) -> None:
    old = pod(activeDeadlineSeconds=30)
    pods.default(old)
    new = {**old, "spec": {**old["spec"], **change}}
    assert [cause.field for cause in pods.validate_change(new, old)] == [field]


def test_the_first_of_its_addresses_is_the_address_of_a_pod() -> None:
    found = pod() | {"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "fd00::1"}]}}
    pods.default(found)
    assert found["status"]["podIPs"] == [{"ip": "10.0.0.1"}]
