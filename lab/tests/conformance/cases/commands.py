"""What people do with kubectl, one table for each flow."""

from __future__ import annotations

from typing import Any

from lab.tests.conformance.cases.objects import (
    claim,
    config,
    lease,
    machine,
    nad,
    pod,
    policy,
    service,
)
from lab.tests.conformance.kubectls import Run

_MAP = config("m", {"a": "1", "b": "2"})
_POD = pod("web", {"containers": [{"name": "c", "image": "registry.example/a:1"}]})
_ALL = [
    _POD,
    _MAP,
    nad("blue"),
    service("s", {"selector": {"a": "b"}, "ports": [{"port": 80}], "clusterIP": "None"}),
    lease("l"),
    machine("vm"),
    policy("p"),
    claim("c"),
]


def _labelled(obj: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


def _image(image: str) -> dict[str, Any]:
    return pod("web", {"containers": [{"name": "c", "image": image}]})


FLOWS: dict[str, tuple[Run, ...]] = {
    "apply": (
        Run("apply -f -", _ALL),
        Run("apply -f -", _ALL),
        Run("apply -f -", [_labelled(each, x="one") for each in _ALL]),
        Run("apply -f - --dry-run=server", [_MAP]),
        Run(
            "apply -f -",
            [config("m", {"a": "3"}), _image("x:2"), nad("blue", "{ }")],
        ),
        Run("diff -f -", [config("m", {"a": "4"})]),
        Run("apply view-last-applied configmap m"),
        Run("apply -f -", [pod("web", {"nodeName": "node1"})]),
        Run("apply -f -", [config("m", {"a b": "1"})]),
        Run("get configmaps,pods,network-attachment-definitions,leases,services --show-labels"),
        Run("get configmap m -o yaml"),
        Run("get pod web -o jsonpath={.spec.containers[0].image}"),
        Run("delete configmap m"),
        Run("delete -f -", [nad("blue"), _MAP]),
    ),
    "server-side": (
        Run("apply --server-side -f -", _ALL),
        Run("apply --server-side -f -", _ALL),
        Run("apply --server-side --field-manager=other -f -", [config("m", {"a": "2"})]),
        Run(
            "apply --server-side --field-manager=other --force-conflicts -f -",
            [config("m", {"a": "2"}), _image("registry.example/a:2")],
        ),
        Run("get configmap m -o yaml --show-managed-fields"),
        Run("get pod web -o yaml --show-managed-fields"),
        Run("apply --server-side -f -", [config("m", {"b": "2"})]),
        Run("apply --server-side -f -", [config("m", {"a": "5", "b": "2"})]),
        Run("apply --server-side -f -", [{**_MAP, "own": 1}]),
        Run("apply --server-side --validate=false -f -", [{**_MAP, "own": 1}]),
        Run("get configmap m -o yaml --show-managed-fields"),
        Run("edit configmap m", edit="s/b:/c:/"),
        Run("get configmap m -o yaml --show-managed-fields"),
        Run("diff --server-side --force-conflicts -f -", [config("m", {"a": "9"})]),
    ),
    "change": (
        Run("create -f -", [_MAP, _POD, nad("blue"), machine("vm")]),
        Run("create -f -", [_MAP]),
        Run("annotate configmap m a=b"),
        Run("annotate configmap m a=c"),
        Run("annotate configmap m a=c --overwrite"),
        Run("annotate network-attachment-definition blue a=b c=d"),
        Run("annotate network-attachment-definition blue c-"),
        Run("label pod web app=web tier=1"),
        Run("label pod web app=other"),
        Run("label pod web tier-"),
        Run("label virtualmachine vm a/b/c=d"),
        Run("edit configmap m", edit="s/b:/z:/"),
        Run("edit configmap m", edit="s/nothing/nothing/"),
        Run("edit network-attachment-definition blue", edit="s/{}/x/"),
        Run('patch configmap m -p {"data":{"b":"9"}}'),
        Run('patch configmap m --type=json -p [{"op":"remove","path":"/data/b"}]'),
        Run('patch configmap m --type=json -p [{"op":"remove","path":"/data/absent"}]'),
        Run('patch network-attachment-definition blue --type=merge -p {"spec":{"config":"1"}}'),
        Run('patch network-attachment-definition blue -p {"spec":{"config":"1"}}'),
        Run('patch pod web -p {"spec":{"containers":[{"name":"c","image":"x:2"}]}}'),
        Run('patch pod web -p {"spec":{"nodeName":"n"}}'),
        Run('patch pod web --subresource=status -p {"status":{"phase":"Running"}}'),
        Run("set image pod/web c=x:3"),
        Run("replace -f -", [config("m", {"r": "1"})]),
        Run("replace -f -", [nad("absent")]),
        Run("get configmap m -o yaml"),
        Run("get network-attachment-definition blue -o yaml"),
        Run("get pod web -o yaml"),
        Run("get pods -o wide"),
        Run("wait pod/web --for=jsonpath={.status.phase}=Running --timeout=5s"),
        Run("delete pod web --grace-period=0 --force"),
        Run("get pod web"),
    ),
    "validation": (
        Run("create -f -", [{**_MAP, "own": 1}]),
        Run("create -f -", [pod("v", {"containers": [{"name": "c", "image": "x", "ports": 3}]})]),
        Run("create -f -", [pod("v", {"own": 1, "containers": [{"nam": "c", "image": "x"}]})]),
        Run("create -f -", [{**nad("v"), "spec": {"config": 3}}]),
        Run("create -f -", [{**nad("v"), "own": 1}]),
        Run("create -f -", [policy("v", {"podSelector": {}, "policyTypes": "Ingress"})]),
        Run("create -f -", [machine("v", {"running": "yes"})]),
        Run("create -f - --validate=warn", [{**_MAP, "own": 1}]),
        Run("create -f - --validate=ignore", [{**nad("v"), "own": 1}]),
        Run("create -f -", [{"apiVersion": "v1", "kind": "Nothing", "metadata": {"name": "v"}}]),
        Run("create -f -", [{"kind": "ConfigMap", "metadata": {"name": "v"}}]),
        Run("create -f -", "a: ["),
    ),
    "create": (
        Run("create configmap m --from-literal=a=b"),
        Run("create secret generic s --from-literal=a=b"),
        Run("create serviceaccount a"),
        Run("create token a --audience=https://x -o jsonpath={.status.expirationTimestamp}"),
        Run("create namespace {ns}-more"),
        Run("run web --image=x:1"),
        Run("run web --image=x:1 --dry-run=server -o yaml"),
        Run("create configmap n --from-literal=a=b --dry-run=server -o yaml"),
        Run("auth can-i create pods"),
        Run("auth can-i create pods --as=nobody"),
        Run("get secrets,serviceaccounts,configmaps -o name"),
        Run("describe configmap m"),
        Run("describe secret s"),
        Run("describe pod web"),
        Run("events"),
        Run("delete namespace {ns}-more --wait=false"),
    ),
    "explain": (
        *(
            Run(f"explain {what} --recursive")
            for what in (
                *("configmaps", "secrets", "leases", "services", "serviceaccounts", "namespaces"),
                *("network-attachment-definitions", "multi-networkpolicies", "ipamclaims"),
                *("virtualmachines", "events", "nodes.spec", "pods.spec", "pods.status"),
                *("roles", "validatingwebhookconfigurations", "clusterroles"),
            )
        ),
        Run("explain network-attachment-definitions.spec.config"),
        Run("explain pods.spec.nothing"),
        Run("explain nothing"),
        Run("api-resources --api-group=k8s.cni.cncf.io"),
        Run("api-resources --api-group=coordination.k8s.io -o wide"),
        Run("get all"),
    ),
}
