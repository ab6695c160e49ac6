"""Every field of a pod is followed, makes no difference, or is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from weft_lab.apiserver import pods
from weft_lab.apiserver.schemas import definitions
from weft_lab.kubelet import fields
from weft_lab.vm import launcherpod

APART = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"x": "y"}}}
REQUIRED, PREFERRED = (
    f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred")
)


def paths(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """All that there are below a definition of the API."""
    if reference := schema.get("$ref"):
        schema = definitions.builtin()[reference.rpartition("/")[2]]
    for one in schema.get("allOf") or ():
        yield from paths(one, path)
    for name, inner in schema.get("properties", {}).items():
        below = f"{path}.{name}".lstrip(".")
        yield below
        yield from paths(inner.get("items", inner), f"{below}[]" if "items" in inner else below)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from (f"{path}.{name}" for name in ("cpu", "memory", "ephemeral-storage"))


def lost(**spec: Any) -> list[str]:
    """Of a pod as the API server makes it of this."""
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}], **spec}}
    pods.default(pod)
    return fields.unfollowed(pod)


def of_container(**container: Any) -> list[str]:
    return lost(containers=[{"name": "c", **container}])


def test_the_tables_name_fields_that_there_are() -> None:
    known = set(paths(definitions.builtin()["io.k8s.api.core.v1.PodSpec"]))
    assert len(known) > 300
    assert {*fields.FOLLOWED, *fields.HARMLESS, *fields.USUAL} <= known
    assert not fields.FOLLOWED & fields.HARMLESS
    assert not (fields.FOLLOWED | fields.HARMLESS) & {*fields.USUAL}


@pytest.mark.parametrize(
    ("container", "named"),
    [
        ({"image": "busybox", "command": ["sh"], "tty": False, "stdin": False}, []),
        ({"readinessProbe": {"exec": {"command": ["false"]}}}, ["containers[c].readinessProbe"]),
        ({"livenessProbe": {"tcpSocket": {"port": 80}}}, ["containers[c].livenessProbe"]),
        ({"ports": [{"containerPort": 80}]}, []),
        (
            {"ports": [{"name": "web", "containerPort": 80, "hostPort": 8080}]},
            ["containers[c].ports[web].hostPort"],
        ),
        (
            {"resources": {"limits": {"memory": "1Gi", "example.com/vf": "1"}}},
            ["containers[c].resources"],
        ),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}, []),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            ["containers[c].env[A].valueFrom.secretKeyRef"],
        ),
        (
            {"securityContext": {"procMount": "Unmasked", "privileged": True}},
            ["containers[c].securityContext.procMount"],
        ),
        ({"redinessProbe": {"exec": {}}}, ["containers[c].redinessProbe"]),
    ],
)
def test_what_a_container_asks_for_in_vain(container: dict[str, Any], named: list[str]) -> None:
    assert of_container(**container) == named


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({}, []),
        ({"hostPID": False, "shareProcessNamespace": True, "priority": 0}, []),
        ({"shareProcessNamespace": False}, ["shareProcessNamespace"]),
        ({"tolerations": [{"key": "k", "effect": "NoSchedule"}]}, ["tolerations"]),
        ({"priorityClassName": "high", "priority": 9}, ["priority", "priorityClassName"]),
        ({"serviceAccountName": "web"}, ["serviceAccount", "serviceAccountName"]),
        ({"hostPID": True}, ["hostPID"]),
        ({"volumes": [{"name": "v"}]}, ["volumes[v].emptyDir"]),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, ["volumes[v].hostPath"]),
        ({"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "p"}]}}]}, []),
        (
            {"volumes": [{"name": "v", "downwardAPI": {"defaultMode": 0o400}}]},
            ["volumes[v].downwardAPI.defaultMode"],
        ),
        ({"securityContext": {"fsGroup": 1}}, ["securityContext.fsGroup"]),
        ({"affinity": {"podAntiAffinity": {REQUIRED: [APART]}}}, []),
        (
            {"affinity": {"podAntiAffinity": {REQUIRED: [{**APART, "matchLabelKeys": ["z"]}]}}},
            [f"affinity.podAntiAffinity.{REQUIRED}[0].matchLabelKeys"],
        ),
        (
            {"affinity": {"podAntiAffinity": {PREFERRED: [{"weight": 1}]}}},
            [f"affinity.podAntiAffinity.{PREFERRED}"],
        ),
        (
            {
                "initContainers": [{"name": "side", "restartPolicy": "Always"}],
                "readinessGates": [{"conditionType": "x"}],
            },
            ["initContainers[side].restartPolicy", "readinessGates"],
        ),
        (
            {"topologySpreadConstraints": [{"whenUnsatisfiable": "ScheduleAnyway"}]},
            ["topologySpreadConstraints[0].whenUnsatisfiable"],
        ),
    ],
)
def test_what_a_pod_asks_for_in_vain(spec: dict[str, Any], named: list[str]) -> None:
    assert lost(**spec) == named


def test_nothing_is_reported_of_a_pod_that_runs_a_machine() -> None:
    """What is lost is the machine's, and told there."""
    vmi = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": "m", "namespace": "n", "uid": "u"},
        "spec": {"domain": {}, "affinity": {"podAntiAffinity": {PREFERRED: [{"weight": 1}]}}},
    }
    pod = launcherpod.render(vmi, "python3")
    pods.default(pod)
    assert fields.unfollowed(pod) == []
    del pod["metadata"]["ownerReferences"]
    assert fields.unfollowed(pod) == [f"affinity.podAntiAffinity.{PREFERRED}"]


def test_what_is_switched_on_by_an_empty_object() -> None:
    """What a chart leaves empty asks for nothing; some fields ask by being there."""
    empty = {"name": "c", "image": "i", "resources": {}, "securityContext": {}, "env": []}
    spec: dict[str, Any] = {"containers": [empty], "securityContext": {}, "affinity": {}}
    pod: dict[str, Any] = {"metadata": {}, "spec": spec | {"nodeSelector": {}}}
    assert fields.unfollowed(pod) == []
    empty["restartPolicyRules"] = {}
    assert fields.unfollowed(pod) == ["containers[c].restartPolicyRules"]
