"""Server-side apply: who owns which field, conflicts, and fields that are given up."""

from __future__ import annotations

from typing import Any

from lab.tests.conformance.cases.objects import (
    LEASES,
    MAPS,
    NADS,
    NODES,
    PODS,
    POLICIES,
    SERVICES,
    VMS,
    config,
    lease,
    machine,
    nad,
    node,
    pod,
    policy,
    service,
)
from lab.tests.conformance.cases.writes import EACH
from lab.tests.conformance.exchange import APPLY, MERGE, PATCH, STRATEGIC, Ask, Case


def _apply(
    path: str, obj: Any, manager: str = "one", *, force: bool = False, query: str = ""
) -> Ask:
    name = obj["metadata"].get("name", "") if isinstance(obj, dict) else "m"
    asked = f"fieldManager={manager}{'&force=true' if force else ''}{query}"
    return Ask("PATCH", f"{path}/{name}?{asked}", obj, APPLY, managed=True)


def _by(manager: str) -> str:
    return f"{MAPS}/m?fieldManager={manager}"


def _each(path: str, obj: dict[str, Any]) -> Case:
    name = obj["metadata"]["name"]
    labelled = {**obj, "metadata": {"name": name, "labels": {"a": "b"}}}
    say = {"metadata": {"labels": {"c": "d"}, "annotations": {"e": "f"}}}
    only = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": {"name": name}}

    def with_labels(**labels: str) -> dict[str, Any]:
        return {**only, "metadata": {"name": name, "labels": labels}}

    return Case(
        f"apply-{path.rpartition('/')[2]}-{'new' if 'events.k8s.io' in path else 'x'}",
        (
            _apply(path, labelled),
            _apply(path, labelled),
            Ask("PATCH", f"{path}/{name}", say, MERGE, managed=True),
            _apply(path, with_labels(a="x"), "two"),
            _apply(path, with_labels(a="x"), "two", force=True),
            _apply(path, with_labels(c="x", a="x"), "two"),
            _apply(path, only, "two"),
            _apply(path, obj),
            _apply(path, {**obj, "own": 1}),
            _apply(path, {**obj, "own": 1}, query="&fieldValidation=Strict"),
            _apply(path, {**obj, "own": 1}, query="&fieldValidation=Ignore"),
            _apply(path, obj, query="&dryRun=All"),
            Ask("GET", f"{path}/{name}", managed=True),
        ),
    )


_MAP = config("m", {"a": "1", "b": "2"})
_POD = pod(
    "web",
    {
        "containers": [
            {
                "name": "a",
                "image": "registry.example/a:1",
                "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
                "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}],
                "args": ["x", "y"],
            },
            {"name": "b", "image": "registry.example/b:1"},
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "tolerations": [{"key": "t", "operator": "Exists"}],
        "nodeSelector": {"a": "b"},
    },
)
_IMAGE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web"},
    "spec": {"containers": [{"name": "a", "image": "registry.example/a:2"}]},
}
_STATUS = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
_SERVICE = service(
    "s",
    {
        "selector": {"a": "b"},
        "clusterIP": "None",
        "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}],
    },
)
_FEWER = service("s", {"ports": [{"name": "b", "port": 80, "protocol": "UDP"}]})
_OTHER = service("s", {"ports": [{"name": "c", "port": 81, "targetPort": 8080}]})
_RULES = {"podSelector": {"matchLabels": {"a": "b"}}, "ingress": [{"from": [{"podSelector": {}}]}]}
_TEMPLATE: dict[str, object] = {"spec": {"domain": {"devices": {}}}}
_TAINT = {"key": "a", "effect": "NoExecute"}
_NOTHING = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}

CASES = (
    *(_each(*each) for each in EACH),
    Case(
        "applied",
        (
            _apply(MAPS, _MAP),
            _apply(MAPS, config("m", {"a": "1"})),
            _apply(MAPS, config("m", {"a": "2"}), "two"),
            _apply(MAPS, config("m", {"a": "1", "c": "3"}), "two"),
            _apply(MAPS, config("m", {"a": "2", "c": "3"}), "two", force=True),
            _apply(MAPS, config("m", {"a": "1", "c": "1"}), "three"),
            _apply(MAPS, _NOTHING),
            _apply(MAPS, _NOTHING, "two"),
            Ask("PUT", _by("four"), config("m", {"d": "4"}), managed=True),
            Ask(
                "PATCH",
                _by("five"),
                {"data": {"d": "5"}},
                STRATEGIC,
                managed=True,
            ),
            Ask("PATCH", _by("six"), {"data": {"d": None}}, MERGE, managed=True),
            _apply(MAPS, config("m", {"d": "9"})),
            Ask("GET", f"{MAPS}/m", managed=True),
            Ask("PATCH", f"{MAPS}/m", {"metadata": {"managedFields": []}}, MERGE, managed=True),
            Ask("PATCH", f"{MAPS}/m", {"metadata": {"managedFields": [{}]}}, MERGE, managed=True),
            Ask("PATCH", f"{MAPS}/m", {"data": {"z": "1"}}, MERGE, managed=True),
            _apply(MAPS, config("m", {"z": "2"}), "seven"),
        ),
    ),
    Case(
        "apply-refused",
        (
            Ask("PATCH", f"{MAPS}/m", _MAP, APPLY),
            _apply(MAPS, {"metadata": {"name": "m"}}),
            _apply(MAPS, {**_MAP, "kind": "Secret"}),
            _apply(MAPS, {**_MAP, "apiVersion": "v9"}),
            _apply(MAPS, {**_MAP, "metadata": {}}),
            Ask("PATCH", f"{MAPS}/n?fieldManager=one", _MAP, APPLY),
            _apply(MAPS, config("m", namespace="other")),
            _apply(MAPS, config("m", managedFields=[{}])),
            _apply(MAPS, config("m", resourceVersion="5")),
            _apply(MAPS, config("m", uid="5")),
            _apply(MAPS, config("m", generateName="a-")),
            _apply(MAPS, {**_MAP, "data": {"a": 1}}),
            _apply(MAPS, {**_MAP, "data": []}),
            _apply(MAPS, {**_MAP, "data": {"a": None}}),
            _apply(MAPS, config("m", {"a b": "1"})),
            _apply(MAPS, []),
            Ask("PATCH", _by("one"), b"a: [", APPLY),
            Ask("PATCH", _by("one"), b"", APPLY),
            Ask("PATCH", _by("one"), b"kind: ConfigMap\nkind: ConfigMap\n", APPLY),
            Ask(
                "PATCH",
                _by("one"),
                b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: b, a: c}\n",
                APPLY,
            ),
            Ask("GET", f"{MAPS}/m"),
        ),
    ),
    Case(
        "apply-pod",
        (
            _apply(PODS, _POD),
            _apply(PODS, _IMAGE, "two"),
            _apply(PODS, _IMAGE, "two", force=True),
            _apply(PODS, _POD),
            Ask("PATCH", f"{PODS}/web/status?fieldManager=kubelet", _STATUS, APPLY, managed=True),
            Ask(
                "PATCH",
                f"{PODS}/web/status?fieldManager=other",
                {"status": {"phase": "Running"}},
                STRATEGIC,
                managed=True,
            ),
            _apply(PODS, pod("web", {"containers": []})),
            _apply(PODS, pod("web", {"containers": [{"image": "x"}]})),
            _apply(PODS, pod("web", {"containers": [{"name": "a"}, {"name": "a"}]})),
            _apply(PODS, pod("web", {"own": 1})),
            Ask("GET", f"{PODS}/web", managed=True),
        ),
    ),
    Case(
        "apply-service",
        (
            _apply(SERVICES, _SERVICE),
            _apply(SERVICES, _OTHER, "two"),
            _apply(SERVICES, _FEWER),
            _apply(SERVICES, service("s", {"selector": {"c": "d"}}), "three"),
            _apply(SERVICES, service("s", {"selector": {"a": "c"}}), "three"),
        ),
    ),
    Case(
        "apply-lists",
        (
            _apply(POLICIES, policy("p", _RULES)),
            _apply(POLICIES, policy("p", {**_RULES, "ingress": []}), "two"),
            _apply(POLICIES, policy("p", {"podSelector": {"matchLabels": {"c": "d"}}}), "two"),
            _apply(POLICIES, policy("p", {"podSelector": {}})),
            _apply(NADS, nad("n", finalizers=["example.com/a"])),
            _apply(NADS, nad("n", finalizers=["example.com/b"]), "two"),
            _apply(NADS, nad("n")),
            _apply(NADS, nad("n", "{ }"), "two"),
            _apply(NADS, nad("n", "{ }"), "two", force=True),
            _apply(LEASES, lease("l")),
            _apply(LEASES, lease("l", holderIdentity="you"), "two"),
            _apply(VMS, machine("vm")),
            _apply(VMS, machine("vm", {"running": False, "template": _TEMPLATE}), "two"),
        ),
    ),
    Case(
        "apply-nodes",
        (
            _apply(NODES, node("{ns}-n", labels={"a": "b"})),
            _apply(NODES, {**node("{ns}-n"), "spec": {"taints": [_TAINT]}}, force=True),
            Ask("DELETE", f"{NODES}/{{ns}}-n"),
        ),
    ),
    Case(
        "apply-after-writes",
        (
            Ask("POST", f"{MAPS}?fieldManager=maker", _MAP),
            _apply(MAPS, config("m", {"a": "1"})),
            _apply(MAPS, config("m", {"a": "2"})),
            _apply(MAPS, config("m", {"a": "2"}), force=True),
            Ask(
                "PATCH",
                _by("maker"),
                [{"op": "remove", "path": "/data/b"}],
                PATCH,
            ),
            Ask("GET", f"{MAPS}/m"),
        ),
    ),
)
