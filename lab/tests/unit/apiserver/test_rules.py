"""Pods, metadata and the small strategies: what is refused, field by field."""

from typing import Any

import pytest

from lab.tests.support.memory_cluster import pod
from weft_lab.apiserver import metadata, pods, status, strategies


def told(**spec: Any) -> set[str]:
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
    assert told(**spec) == {field}


def test_a_good_pod_passes() -> None:
    assert told(volumes=[{"name": "v"}], restartPolicy="Never", hostname="x") == set()


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


@pytest.mark.parametrize("name", ["a", "a-b", "0a", "a.b.c"])
def test_good_names(name: str) -> None:
    assert metadata.validate_name(name, "subdomain") == []


@pytest.mark.parametrize("name", ["", "A", "a_", "-a", "a-", ".a", "a\n"])
def test_bad_names(name: str) -> None:
    assert metadata.validate_name(name, "subdomain") != []


def test_rules_for_names() -> None:
    assert metadata.validate_name("a.b", "label") != []
    assert metadata.validate_name("a" * 64, "label") != []
    assert metadata.validate_name("a/b", "path") != []
    assert metadata.validate_name("A_b", "path") == []


def test_nodes_events_and_leases() -> None:
    taint = {"spec": {"taints": [{"key": "a", "effect": "Never"}]}}
    assert [one.field for one in strategies.validate_node(taint)] == ["spec.taints[0].effect"]
    about = {"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "b"}}
    assert strategies.validate_event(about)
    cluster = {"metadata": {"namespace": "default"}, "involvedObject": {"kind": "Node"}}
    assert not strategies.validate_event(cluster)
    assert strategies.validate_lease({"spec": {"leaseDurationSeconds": 0}})
    assert not strategies.validate_lease({"spec": {}})


def test_events_are_the_same_in_both_forms() -> None:
    event = {"message": "m", "involvedObject": {"kind": "Pod"}, "count": 1, "reason": "r"}
    assert strategies.event_to_core(strategies.event_from_core(event)) == event


def test_one_cause_reads_as_a_sentence_and_several_as_a_list() -> None:
    one = status.invalid("g.io", "Kind", "x", [status.required("spec.a")])
    assert str(one) == 'Kind.g.io "x" is invalid: spec.a: Required value'
    two = status.invalid("", "Pod", "x", [status.required("a"), status.duplicate("b", 1)])
    assert str(two) == 'Pod "x" is invalid: [a: Required value, b: Duplicate value: 1]'
    assert two.body()["details"]["causes"][1] == {
        "reason": "FieldValueDuplicate",
        "message": "Duplicate value: 1",
        "field": "b",
    }
