"""Creates, updates and deletes."""

from __future__ import annotations

from typing import Any

from lab.tests.conformance.cases.objects import (
    ACCOUNTS,
    CLAIMS,
    ENDPOINTS,
    EVENTS,
    LEASES,
    MAPS,
    NADS,
    NAMESPACES,
    NEW_EVENTS,
    NODES,
    PODS,
    POLICIES,
    SECRETS,
    SERVICES,
    VMS,
    claim,
    config,
    event,
    lease,
    machine,
    nad,
    node,
    pod,
    policy,
    service,
)
from lab.tests.conformance.exchange import MERGE, Ask, Case

_SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
_NEW_EVENT = {
    "apiVersion": "events.k8s.io/v1",
    "kind": "Event",
    "metadata": {"name": "n"},
    "regarding": {"kind": "Pod", "namespace": "{ns}", "name": "web"},
    "reason": "Tested",
    "note": "said",
    "type": "Normal",
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "reportingController": "example.com/x",
    "reportingInstance": "x",
    "action": "Test",
}
_ENDPOINTS = {
    "apiVersion": "v1",
    "kind": "Endpoints",
    "metadata": {"name": "e"},
    "subsets": [{"addresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 80}]}],
}
EACH = (
    (PODS, pod("web")),
    (MAPS, config("m")),
    (SECRETS, {**_SECRET, "stringData": {"a": "b"}}),
    (ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}),
    (SERVICES, service("s")),
    (ENDPOINTS, _ENDPOINTS),
    (EVENTS, event("e")),
    (NEW_EVENTS, _NEW_EVENT),
    (LEASES, lease("l")),
    (NADS, nad("blue")),
    (CLAIMS, claim("c")),
    (POLICIES, policy("p")),
    (VMS, machine("vm")),
)


def _each(path: str, obj: dict[str, Any]) -> Case:
    name = f"{path}/{obj['metadata']['name']}"
    return Case(
        f"write-{path.rpartition('/')[2]}-{'new' if 'events.k8s.io' in path else 'x'}",
        (
            Ask("POST", path, obj),
            Ask("POST", path, obj),
            Ask("GET", name),
            Ask("PUT", name, lambda answers: {**answers[2], "metadata": _labelled(answers[2])}),
            Ask("PUT", name, lambda answers: answers[2]),
            Ask("PATCH", name, {"metadata": {"annotations": {"a": "b"}}}, MERGE),
            Ask("PATCH", name, {"metadata": {"annotations": {"a": None}}}, MERGE),
            Ask("PATCH", name, {"metadata": {"annotations": {"a": 1}}}, MERGE),
            Ask("PATCH", f"{name}?dryRun=All", {"metadata": {"labels": {"x": "y"}}}, MERGE),
            Ask("PATCH", name, {"spec": 3}, MERGE),
            Ask("PATCH", name, {"metadata": {"name": "other"}}, MERGE),
            Ask("PUT", f"{path}/other", lambda answers: answers[2]),
            Ask("POST", f"{path}?fieldValidation=Strict", {**obj, "own": 1, "odd": {"x": 1}}),
            Ask("POST", f"{path}?dryRun=All", {**obj, "metadata": {"name": "warned"}, "own": 1}),
            Ask("POST", f"{path}?dryRun=All", {**obj, "metadata": {"name": "No Name"}}),
            Ask("POST", f"{path}?dryRun=All", {**obj, "metadata": {}}),
            Ask("POST", path, {**obj, "metadata": {"generateName": "gen-"}}),
            Ask("POST", path, {**obj, "kind": "Other"}),
            Ask("POST", path, {**obj, "apiVersion": "v9"}),
            Ask("POST", path, {**obj, "metadata": {"name": "x", "namespace": "other"}}),
            Ask("POST", path, {**obj, "metadata": {"name": "x", "resourceVersion": "5"}}),
            Ask("POST", path, {**obj, "metadata": {"name": "x", "labels": {"a/b/c": "-"}}}),
            Ask("POST", path, {**obj, "metadata": 3}),
            Ask("POST", path, []),
            Ask("DELETE", name, {"preconditions": {"uid": "other"}}),
            Ask("DELETE", f"{name}?dryRun=All"),
            Ask("DELETE", name),
            Ask("GET", name),
            Ask("DELETE", name),
            Ask("DELETE", path),
            Ask("GET", path),
        ),
    )


def _labelled(obj: Any) -> Any:
    return {**obj["metadata"], "labels": {"app": "x"}}


_MAP = config("m")
_DELETE_OPTIONS: tuple[dict[str, Any] | list[Any], ...] = (
    {"propagationPolicy": "Odd"},
    {"propagationPolicy": "Foreground", "orphanDependents": True},
    {"gracePeriodSeconds": -1},
    {"gracePeriodSeconds": "x"},
    {"preconditions": {"uid": "x"}},
    {"preconditions": {"resourceVersion": "1"}},
    {"dryRun": ["Some"]},
    {"kind": "Pod", "apiVersion": "v1"},
    {"own": 1},
    [],
)


OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "m", "uid": "none"}
_ODD_META: tuple[dict[str, Any], ...] = (
    *({"name": name} for name in ("", "UPPER", "a" * 254, "a.b", "a..b", "-a", "a_b", "ä", 3)),
    {"name": "x", "labels": {"": "a"}},
    {"name": "x", "labels": {"a": "b" * 64}},
    {"name": "x", "labels": {"a" * 64: "b"}},
    {"name": "x", "labels": {"A.example/a": "b"}},
    {"name": "x", "labels": {"a": None}},
    {"name": "x", "labels": []},
    {"name": "x", "labels": {"a": 1}},
    {"name": "x", "annotations": {"a b": "c"}},
    {"name": "x", "annotations": {"a": {}}},
    {"name": "x", "annotations": {"a": "b" * 263000}},
    {"name": "x", "finalizers": ["a"]},
    {"name": "x", "finalizers": ["a/b/c"]},
    {"name": "x", "finalizers": ["UP/x", ""]},
    {"name": "x", "ownerReferences": [{}]},
    {"name": "x", "ownerReferences": [OWNER]},
    {"name": "x", "ownerReferences": [{**OWNER, "controller": True}] * 2},
    {"name": "x", "ownerReferences": [{**OWNER, "kind": ""}]},
    {"name": "x", "ownerReferences": [{**OWNER, "uid": ""}]},
    {"name": "x", "ownerReferences": [{**OWNER, "kind": "Event"}]},
    {"name": "x", "generation": 7},
    {"name": "x", "generateName": "UP"},
    {"generateName": "UP"},
    {"generateName": "gen-", "uid": "x", "selfLink": "y", "creationTimestamp": None},
    {"name": "x", "creationTimestamp": "yesterday"},
    {"name": "x", "deletionGracePeriodSeconds": "a"},
    {"name": "x", "managedFields": [{}]},
    {"name": "x", "own": 1},
)
_STALE = "999999"


def _metadata_of(path: str, obj: dict[str, Any]) -> Case:
    return Case(
        f"metadata-{path.rpartition('/')[2]}",
        tuple(Ask("POST", f"{path}?dryRun=All", {**obj, "metadata": one}) for one in _ODD_META),
    )


CASES = (
    *(_each(*each) for each in EACH),
    _metadata_of(MAPS, _MAP),
    _metadata_of(NADS, nad("x")),
    Case(
        "namespaces",
        (
            Ask("POST", NAMESPACES, {"metadata": {"name": "{ns}-a", "labels": {"x": "y"}}}),
            Ask("POST", NAMESPACES, {"metadata": {"name": "a.b"}}),
            Ask("GET", f"{NAMESPACES}/{{ns}}-a"),
            Ask("PATCH", f"{NAMESPACES}/{{ns}}-a", {"metadata": {"labels": {"x": None}}}, MERGE),
            Ask(
                "PATCH",
                f"{NAMESPACES}/{{ns}}-a",
                {"metadata": {"labels": {"kubernetes.io/metadata.name": "x"}}},
                MERGE,
            ),
            Ask("PATCH", f"{NAMESPACES}/{{ns}}-a", {"spec": {"finalizers": []}}, MERGE),
            Ask("PATCH", f"{NAMESPACES}/{{ns}}-a/status", {"status": {"phase": "Odd"}}, MERGE),
            Ask("DELETE", f"{NAMESPACES}/default"),
            Ask("DELETE", f"{NAMESPACES}/{{ns}}-a"),
            Ask("POST", "/api/v1/namespaces/{ns}-a/configmaps", _MAP),
            Ask("POST", "/api/v1/namespaces/absent/configmaps", _MAP),
            Ask(
                "POST",
                "/apis/k8s.cni.cncf.io/v1/namespaces/absent/network-attachment-definitions",
                nad("x"),
            ),
        ),
    ),
    Case(
        "nodes",
        (
            Ask("POST", NODES, node("{ns}-n", labels={"a": "b"})),
            Ask("GET", f"{NODES}/{{ns}}-n"),
            Ask("PATCH", f"{NODES}/{{ns}}-n", {"spec": {"unschedulable": True}}, MERGE),
            Ask("PATCH", f"{NODES}/{{ns}}-n", {"spec": {"taints": [{"key": "a"}]}}, MERGE),
            Ask(
                "PATCH",
                f"{NODES}/{{ns}}-n",
                {"spec": {"taints": [{"key": "a", "effect": "Odd"}]}},
                MERGE,
            ),
            Ask("PATCH", f"{NODES}/{{ns}}-n", {"spec": {"podCIDR": "10.0.0.0/33"}}, MERGE),
            Ask("PATCH", f"{NODES}/{{ns}}-n", {"spec": {"podCIDR": "10.0.0.0/24"}}, MERGE),
            Ask("PATCH", f"{NODES}/{{ns}}-n", {"status": {"phase": "Running"}}, MERGE),
            Ask(
                "PATCH",
                f"{NODES}/{{ns}}-n/status",
                {
                    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
                    "metadata": {"annotations": {"x": "y"}},
                },
                MERGE,
            ),
            Ask("GET", f"{NODES}/{{ns}}-n/status"),
            Ask("DELETE", f"{NODES}/{{ns}}-n"),
        ),
    ),
    Case(
        "conflicts",
        (
            Ask("POST", MAPS, _MAP),
            Ask("PUT", f"{MAPS}/m", {**_MAP, "metadata": {"name": "m", "resourceVersion": _STALE}}),
            Ask("PUT", f"{MAPS}/m", {**_MAP, "metadata": {"name": "m", "resourceVersion": "x"}}),
            Ask("PUT", f"{MAPS}/m", {**_MAP, "metadata": {"name": "m", "uid": "other"}}),
            Ask("PUT", f"{MAPS}/m", {**_MAP, "metadata": {}}),
            Ask("PUT", f"{MAPS}/m", {**_MAP, "metadata": {"name": "n"}}),
            Ask("PUT", f"{MAPS}/absent", config("absent")),
            Ask("PATCH", f"{MAPS}/m", {"metadata": {"resourceVersion": _STALE}}, MERGE),
            Ask("PATCH", f"{MAPS}/m", {"metadata": {"uid": "other"}}, MERGE),
            Ask("POST", NADS, nad("n")),
            Ask("PUT", f"{NADS}/n", nad("n")),
            Ask("PUT", f"{NADS}/n", nad("n", resourceVersion=_STALE)),
            Ask("PUT", f"{NADS}/absent", nad("absent")),
            Ask("PUT", f"{NADS}/absent", nad("absent", resourceVersion="1")),
            Ask("POST", LEASES, lease("l")),
            Ask("PUT", f"{LEASES}/l", lease("l")),
            Ask("PUT", f"{LEASES}/absent", lease("absent")),
            Ask("PUT", f"{NADS}/n", lambda answers: {**answers[9], "spec": {"config": "{ }"}}),
        ),
    ),
    Case(
        "deletes",
        (
            Ask("POST", MAPS, config("held", finalizers=["example.com/a"])),
            Ask("DELETE", f"{MAPS}/held"),
            Ask("DELETE", f"{MAPS}/held"),
            Ask("PATCH", f"{MAPS}/held", {"metadata": {"finalizers": ["example.com/b"]}}, MERGE),
            Ask("PATCH", f"{MAPS}/held", {"metadata": {"finalizers": None}}, MERGE),
            Ask("GET", f"{MAPS}/held"),
            Ask("POST", NADS, nad("held", finalizers=["example.com/a"])),
            Ask("DELETE", f"{NADS}/held?propagationPolicy=Foreground"),
            Ask("PATCH", f"{NADS}/held", {"metadata": {"finalizers": []}}, MERGE),
            Ask("GET", f"{NADS}/held"),
            Ask("POST", MAPS, _MAP),
            *(Ask("DELETE", f"{MAPS}/m?dryRun=All", options) for options in _DELETE_OPTIONS),
            Ask("DELETE", f"{MAPS}/m?dryRun=Some"),
            Ask("DELETE", f"{MAPS}/m?gracePeriodSeconds=x"),
            Ask("DELETE", f"{MAPS}/m?propagationPolicy=Orphan"),
            Ask("DELETE", f"{MAPS}?labelSelector=a%3Db"),
            Ask("DELETE", f"{MAPS}?dryRun=All"),
            Ask("DELETE", MAPS),
            Ask("DELETE", NADS),
        ),
    ),
    Case(
        "pod-deletes",
        (
            Ask("POST", PODS, pod("free")),
            Ask("DELETE", f"{PODS}/free"),
            Ask("POST", PODS, pod("bound", {"nodeName": "n"})),
            Ask("DELETE", f"{PODS}/bound?dryRun=All"),
            Ask("DELETE", f"{PODS}/bound", {"gracePeriodSeconds": 20}),
            Ask("DELETE", f"{PODS}/bound", {"gracePeriodSeconds": 25}),
            Ask("DELETE", f"{PODS}/bound", {"gracePeriodSeconds": 5}),
            Ask("DELETE", f"{PODS}/bound", {"gracePeriodSeconds": 0}),
            Ask("GET", f"{PODS}/bound"),
        ),
    ),
    Case(
        "bodies",
        (
            Ask("POST", MAPS, b"{"),
            Ask("POST", MAPS, b""),
            Ask("POST", MAPS, b"null"),
            Ask("POST", MAPS, b"3"),
            Ask("POST", MAPS, b'{"metadata": {"name": "m"}, "data": {"a": 1}}'),
            Ask("POST", MAPS, b'{"metadata": {"name": "m"}, "data": []}'),
            Ask("POST", f"{MAPS}?dryRun=All", b'{"metadata": {"name": "m"}, "data": {"a": null}}'),
            Ask("POST", f"{MAPS}?dryRun=All", b'{"metadata": {"name": "m"}, "data": {"a b": ""}}'),
            Ask("POST", f"{MAPS}?dryRun=All", b"metadata: {name: written}\n", "application/yaml"),
            Ask("POST", MAPS, b"a: [", "application/yaml"),
            Ask("POST", MAPS, _MAP, "text/plain"),
            Ask("POST", f"{MAPS}?dryRun=All", _MAP, ""),
            Ask("POST", f"{MAPS}?dryRun=Some", _MAP),
            Ask("POST", f"{MAPS}?fieldValidation=Odd", _MAP),
            Ask("POST", f"{MAPS}?fieldManager={'x' * 129}", _MAP),
            Ask(
                "POST",
                f"{MAPS}?fieldValidation=Strict",
                b'{"metadata": {"name": "m", "name": "n"}, "data": {"a": "", "a": ""}}',
            ),
            Ask("POST", f"{MAPS}?dryRun=All", b'{"metadata": {"name": "m", "name": "n"}}'),
            Ask("POST", MAPS, config("m", {"a": "x" * 1048577})),
            Ask("POST", MAPS, b" " * (3 * 1024 * 1024 + 1)),
            Ask("POST", NADS, nad("big", "x" * 1_600_000)),
        ),
    ),
)
