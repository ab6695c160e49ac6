"""Patches: JSON patch, merge patch and strategic merge patch of each kind that the lab serves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lab.tests.conformance.cases.objects import (
    ACCOUNTS,
    MAPS,
    NADS,
    NODES,
    PODS,
    SERVICES,
    config,
    nad,
    node,
    pod,
    service,
)
from lab.tests.conformance.cases.writes import EACH, OWNER
from lab.tests.conformance.exchange import JSON, MERGE, PATCH, STRATEGIC, Ask, Case, Said

_NOTE = {"metadata": {"annotations": {"a": "b"}}}


def _op(op: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "path": path, **more}


def _annotated(annotations: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations}}


def _operations(name: str) -> tuple[Ask, ...]:
    """What any object takes, in each language of patches."""
    add = {"op": "add", "path": "/metadata/annotations", "value": {"a": "b", "c/d": "e"}}
    return (
        Ask("PATCH", name, [add], PATCH),
        Ask("PATCH", name, [_op("test", "/metadata/annotations/a", value="b")], PATCH),
        Ask("PATCH", name, [_op("remove", "/metadata/annotations/c~1d")], PATCH),
        Ask("PATCH", name, [_op("remove", "/metadata/annotations")], PATCH),
        Ask("PATCH", name, _NOTE, MERGE),
        Ask("PATCH", name, {"metadata": {"annotations": None}}, MERGE),
        Ask("PATCH", name, _NOTE, STRATEGIC),
        Ask("PATCH", name, _annotated({"$patch": "replace", "x": "y"}), STRATEGIC),
        Ask("PATCH", name, _annotated({"$patch": "delete"}), STRATEGIC),
        Ask("PATCH", name, {"metadata": {"finalizers": ["example.com/a"]}}, STRATEGIC),
        Ask("PATCH", name, {"metadata": {"finalizers": ["example.com/b"]}}, STRATEGIC),
        Ask(
            "PATCH",
            name,
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}},
            STRATEGIC,
        ),
        Ask("PATCH", name, {"metadata": {"finalizers": None}}, STRATEGIC),
        Ask("PATCH", name, {}, STRATEGIC),
        Ask("PATCH", name, {}, MERGE),
        Ask("PATCH", name, [], PATCH),
        Ask("PATCH", name, {"kind": "Other"}, MERGE),
        Ask("PATCH", name, {"apiVersion": "v9"}, MERGE),
        Ask("PATCH", name, {"metadata": {"namespace": "other"}}, MERGE),
        Ask("PATCH", name, {"metadata": {"labels": {"a": "/"}}}, MERGE),
        Ask("PATCH", f"{name}?fieldValidation=Strict", {"own": 1}, MERGE),
        Ask("PATCH", f"{name}?fieldValidation=Warn", {"own": 1}, STRATEGIC),
        Ask(
            "PATCH",
            f"{name}?fieldValidation=Ignore",
            [_op("add", "/own", value=1)],
            PATCH,
        ),
        Ask("PATCH", f"{name}-absent", _NOTE, MERGE),
        Ask("PATCH", f"{name}-absent", [], PATCH),
        Ask("GET", name),
    )


def _each(path: str, obj: dict[str, Any]) -> Case:
    plural = path.rpartition("/")[2]
    return Case(
        f"patch-{plural}-{'new' if 'events.k8s.io' in path else 'x'}",
        (
            Ask("POST", path, obj),
            *_operations(f"{path}/{obj['metadata']['name']}"),
        ),
    )


_MAP = config("m", {"a": "1"}, annotations={"b/c": "2", "d": "3"})
_JSON_PATCHES: tuple[Any, ...] = (
    [_op("add", "/data/x", value="1"), _op("remove", "/data/a")],
    [_op("replace", "/metadata/annotations/b~1c", value="5")],
    [_op("test", "/metadata/annotations/d~0e", value="5")],
    [_op("replace", "/data/absent", value="5")],
    [_op("remove", "/data/absent")],
    [_op("remove", "/absent/absent")],
    [_op("add", "/absent/absent", value="5")],
    [_op("test", "/data/x", value="2")],
    [_op("test", "/data/absent", value=None)],
    [_op("test", "/data/absent", value="1")],
    [_op("test", "/data", value={"x": "1"})],
    [{"op": "move", "from": "/data/x", "path": "/data/y"}],
    [{"op": "move", "from": "/data/absent", "path": "/data/y"}],
    [{"op": "copy", "from": "/data/y", "path": "/data/z"}],
    [{"op": "copy", "from": "/data", "path": "/binaryData"}],
    [{"op": "copy", "from": "/data/absent", "path": "/data/w"}],
    [_op("odd", "/data/y", value="1")],
    [{"path": "/data/y", "value": "1"}],
    [{"op": "add", "value": "1"}],
    [{"op": "add", "path": "/data/n"}],
    [{"op": "replace", "path": "/data/y"}],
    [_op("add", "data/n", value="1")],
    [_op("add", "", value={})],
    [_op("add", "/data/y", value=1)],
    [_op("add", "/data", value=None)],
    [_op("add", "/metadata/finalizers", value=["example.com/a"])],
    [_op("add", "/metadata/finalizers/-", value="example.com/b")],
    [_op("add", "/metadata/finalizers/0", value="example.com/c")],
    [_op("add", "/metadata/finalizers/9", value="example.com/d")],
    [_op("add", "/metadata/finalizers/x", value="example.com/d")],
    [_op("remove", "/metadata/finalizers/9")],
    [_op("remove", "/metadata/finalizers/-1")],
    [_op("replace", "/metadata/finalizers/1", value="example.com/e")],
    [_op("replace", "/metadata/finalizers/-", value="example.com/e")],
    [_op("remove", "/metadata/finalizers")],
    [_op("remove", "/metadata/name")],
    [_op("remove", "/metadata/uid")],
    [_op("remove", "/metadata/resourceVersion")],
    [_op("remove", "/metadata")],
    [_op("remove", "/kind")],
    [_op("replace", "/metadata/name", value="other")],
    [_op("add", "/data", value={}), _op("add", "/data/q", value="1", own=1)],
    [_op("copy", "/data/r"), {"op": "copy", "from": 3, "path": "/data/r"}],
    [_op("add", "/data/t/u", value="1")],
    [_op("add", "/metadata/finalizers", value=["example.com/a", "example.com/b"])],
    [_op("test", "/metadata/finalizers/-1", value="example.com/b")],
    [_op("add", "/metadata/finalizers/-2", value="example.com/c")],
    [_op("replace", "/metadata/finalizers/-3", value="example.com/d")],
    [_op("remove", "/metadata/finalizers/-4")],
    [_op("remove", "/metadata/finalizers")],
    {"op": "add"},
    ["add"],
    None,
    3,
)


def _language(
    name: str, path: str, obj: dict[str, Any], media: str, patches: Any, last: str = "GET"
) -> Case:
    place = f"{path}/{obj['metadata']['name']}"
    return Case(
        f"patch-{name}",
        (
            Ask("POST", path, obj),
            *(
                Ask("PATCH", place, json.dumps(each).encode() if each in (None, 3) else each, media)
                for each in patches
            ),
            Ask(last, place),
        ),
    )


_POD = pod(
    "web",
    {
        "containers": [
            {"name": "a", "image": "registry.example/a:1", "env": [{"name": "X", "value": "1"}]},
            {"name": "b", "image": "registry.example/b:1"},
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "tolerations": [{"key": "t", "operator": "Exists"}],
    },
)
_POD_PATCHES: tuple[Any, ...] = (
    {"spec": {"containers": [{"name": "b", "image": "registry.example/b:2"}]}},
    {"spec": {"containers": [{"name": "c", "image": "registry.example/c:1"}]}},
    {"spec": {"containers": [{"name": "b", "$patch": "delete"}]}},
    {"spec": {"containers": [{"image": "registry.example/b:2"}]}},
    {"spec": {"containers": [{"$patch": "replace"}, {"name": "a"}]}},
    {"spec": {"containers": None}},
    {"spec": {"containers": []}},
    {"spec": {"containers": {}}},
    {"spec": {"containers": "x"}},
    {"spec": {"containers": [3]}},
    {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
    {
        "spec": {
            "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
            "containers": [{"name": "b", "image": "registry.example/b:3"}],
        }
    },
    {"spec": {"$setElementOrder/containers": 3}},
    {"spec": {"$setElementOrder/containers": ["a"]}},
    {"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}},
    {"spec": {"$retainKeys": ["containers"]}},
    {"spec": {"$patch": "odd"}},
    {"spec": {"$patch": "replace", "containers": [{"name": "a"}]}},
    {"spec": {"$patch": "delete"}},
    {"$patch": "replace"},
    {"$patch": "delete"},
    {"spec": {"activeDeadlineSeconds": 30}},
    {"spec": {"activeDeadlineSeconds": None}},
    {"spec": {"nodeName": "n"}},
    {"spec": {"tolerations": [{"key": "u", "operator": "Exists"}]}},
    {
        "spec": {
            "tolerations": [
                {"key": "t", "operator": "Exists"},
                {"key": "u", "operator": "Exists", "effect": "NoExecute"},
            ]
        }
    },
    {"metadata": {"labels": {"a": "b", "c": "d"}}},
    {"metadata": {"labels": {"a": None}}},
    {"metadata": {"labels": ["a"]}},
    {"metadata": {"finalizers": ["example.com/a", "example.com/b", "example.com/c"]}},
    {"metadata": {"finalizers": ["example.com/d", "example.com/b"]}},
    {
        "metadata": {
            "$setElementOrder/finalizers": ["example.com/c", "example.com/a"],
            "$deleteFromPrimitiveList/finalizers": ["example.com/b"],
        }
    },
    {"metadata": {"$deleteFromPrimitiveList/finalizers": 3}},
    {"metadata": {"$deleteFromPrimitiveList/labels": ["a"]}},
    {"metadata": {"$retainKeys": 3}},
    [],
)
_STATUS_PATCHES: tuple[Any, ...] = (
    {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
    {"status": {"conditions": [{"type": "Initialized", "status": "True"}]}},
    {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Tested"}]}},
    {"status": {"conditions": [{"type": "Ready", "$patch": "delete"}]}},
    {"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}},
    {"status": {"podIPs": [{"ip": "fd00::1"}]}},
    {
        "status": {
            "containerStatuses": [{"name": "a", "restartCount": 1, "image": "", "imageID": ""}]
        }
    },
    {"metadata": {"labels": {"of": "status"}}, "spec": {"nodeName": "other"}},
    {"status": None},
)
_NODE_PATCHES: tuple[Any, ...] = (
    {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
    {"spec": {"taints": [{"key": "b", "effect": "NoSchedule"}]}},
    {"spec": {"taints": [{"key": "a", "$patch": "delete"}]}},
    {"spec": {"taints": None}},
    {"metadata": {"labels": {"a": "b"}}},
    {"spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]}},
    {"spec": {"podCIDRs": ["fd00::/64"]}},
)
_SERVICE = service(
    "s", {"selector": {"a": "b"}, "ports": [{"name": "a", "port": 80}], "clusterIP": "None"}
)
_SERVICE_PATCHES: tuple[Any, ...] = (
    {"spec": {"ports": [{"name": "b", "port": 81}]}},
    {"spec": {"ports": [{"port": 80, "targetPort": "http"}]}},
    {"spec": {"ports": [{"port": 81, "$patch": "delete"}]}},
    {"spec": {"ports": [{"name": "c", "port": 80, "protocol": "UDP"}]}},
    {"spec": {"selector": {"a": "b"}}},
    {"spec": {"selector": {"$patch": "replace", "c": "d"}}},
    {"spec": {"selector": None}},
    {"spec": {"type": "Odd"}},
)
_ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}
_ACCOUNT_PATCHES: tuple[Any, ...] = (
    {"secrets": [{"name": "a"}], "imagePullSecrets": [{"name": "p"}]},
    {"secrets": [{"name": "b"}], "imagePullSecrets": [{"name": "q"}]},
    {"secrets": [{"name": "a", "$patch": "delete"}], "imagePullSecrets": None},
    {"automountServiceAccountToken": False},
    {"automountServiceAccountToken": None},
)
_MERGES: tuple[Any, ...] = (
    {"spec": {"config": "{ }"}},
    {"spec": None},
    {"spec": {"config": None}},
    {"spec": {"config": 3}},
    {"spec": []},
    {"spec": {"own": {"a": None}}},
    {"metadata": None},
    {"metadata": {"labels": {"a": "b", "c": None}}},
    {"metadata": {"generation": 9}},
    {"metadata": {"creationTimestamp": None}},
    {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    {"metadata": {"uid": "other"}},
    {"metadata": {"managedFields": []}},
    {"status": {"a": 1}},
    {"kind": None},
    {"apiVersion": None},
    [],
    None,
    3,
)


def _uid(obj: Any) -> Any:
    return obj["metadata"]["uid"]


def _owners(*found: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"ownerReferences": list(found)}}


def _owned_by(name: str, number: int) -> Callable[[Said], dict[str, Any]]:
    return lambda answers: _owners({**OWNER, "name": name, "uid": _uid(answers[number])})


CASES = (
    *(_each(*each) for each in EACH),
    _language("operations", MAPS, _MAP, PATCH, _JSON_PATCHES),
    _language("merges", NADS, nad("n"), MERGE, _MERGES),
    _language("pod", PODS, _POD, STRATEGIC, _POD_PATCHES),
    Case(
        "patch-pod-status",
        (
            Ask("POST", PODS, _POD),
            *(Ask("PATCH", f"{PODS}/web/status", each, STRATEGIC) for each in _STATUS_PATCHES),
        ),
    ),
    _language("node", NODES, node("{ns}-n"), STRATEGIC, _NODE_PATCHES, "DELETE"),
    _language("service", SERVICES, _SERVICE, STRATEGIC, _SERVICE_PATCHES),
    _language("account", ACCOUNTS, _ACCOUNT, STRATEGIC, _ACCOUNT_PATCHES),
    Case(
        "patch-owners",
        (
            Ask("POST", MAPS, config("a")),
            Ask("POST", MAPS, config("b")),
            Ask("POST", PODS, _POD),
            *(
                Ask("PATCH", f"{PODS}/web", each, STRATEGIC)
                for each in (
                    _owned_by("a", 0),
                    _owned_by("b", 1),
                    _owned_by("c", 1),
                    lambda answers: _owners({"uid": _uid(answers[0]), "$patch": "delete"}),
                    _owners({"name": "x"}),
                )
            ),
            Ask("GET", f"{PODS}/web"),
        ),
    ),
    Case(
        "patch-media",
        (
            Ask("POST", MAPS, _MAP),
            Ask("PATCH", f"{MAPS}/m", {"data": {"a": "2"}}, JSON),
            Ask("PATCH", f"{MAPS}/m", {"data": {"a": "2"}}, ""),
            Ask("PATCH", f"{MAPS}/m", {"data": {"a": "2"}}, f"{MERGE}; charset=utf-8"),
            Ask("PATCH", f"{MAPS}/m", b"{", MERGE),
            Ask("PATCH", f"{MAPS}/m", b"data: {a: b}", MERGE),
            Ask("PATCH", f"{MAPS}/m", b"[", PATCH),
            Ask("PATCH", f"{MAPS}/m", b"{", STRATEGIC),
            Ask("PATCH", f"{MAPS}/m", b"", STRATEGIC),
            Ask("PATCH", f"{MAPS}/m?force=true", {}, MERGE),
            Ask("PATCH", f"{MAPS}/m?dryRun=Some", {}, MERGE),
        ),
    ),
)
