from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from weft_lab.apiserver import builtin, podprinter, printers, structural, table
from weft_lab.apiserver.cluster import definition
from weft_lab.apiserver.resources import Column, Resource, Version


def cells(columns: tuple[Column, ...], obj: dict[str, Any]) -> dict[str, Any]:
    return {column.name: column.cell({"metadata": {"name": "x"}, **obj}) for column in columns}


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{}, {}]}, "status": status}


UP = {"ready": True, "state": {"running": {}}, "restartCount": 1}


@pytest.mark.parametrize(
    ("obj", "word"),
    [
        (pod(phase="Pending"), "Pending"),
        (pod(phase="Running", containerStatuses=[UP]), "Running"),
        (pod(phase="Failed", reason="Evicted"), "Evicted"),
        (
            pod(containerStatuses=[{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]),
            "CrashLoopBackOff",
        ),
        (
            pod(containerStatuses=[{"state": {"terminated": {"reason": "Completed"}}}]),
            "Completed",
        ),
        (pod(containerStatuses=[{"state": {"terminated": {"exitCode": 3}}}]), "ExitCode:3"),
        (pod(containerStatuses=[{"state": {"terminated": {"signal": 9}}}]), "Signal:9"),
        (
            {**pod(initContainerStatuses=[{"state": {}}]), "spec": {"initContainers": [1, 2]}},
            "Init:0/2",
        ),
        (
            pod(initContainerStatuses=[{"state": {"terminated": {"exitCode": 1}}}]),
            "Init:ExitCode:1",
        ),
        ({**pod(phase="Running"), "metadata": {"deletionTimestamp": "x"}}, "Terminating"),
        (
            pod(containerStatuses=[UP, {"state": {"terminated": {"reason": "Error"}}}]),
            "Error",
        ),
        (
            pod(containerStatuses=[{"state": {"terminated": {"reason": "Completed"}}}, UP]),
            "NotReady",
        ),
    ],
)
def test_a_pod_in_one_word(obj: dict[str, Any], word: str) -> None:
    assert podprinter.reason(obj) == word


def test_pods() -> None:
    found = cells(printers.PODS, pod(phase="Running", containerStatuses=[UP, {}], podIP="1.2.3.4"))
    assert found["Ready"] == "1/2"
    assert found["Restarts"] == "1"
    assert found["IP"] == "1.2.3.4"
    assert found["Node"] == "<none>"
    assert found["Readiness Gates"] == "<none>"
    gated: dict[str, Any] = {"spec": {"readinessGates": [{}]}}
    assert cells(printers.PODS, gated)["Readiness Gates"] == "0/1"


def test_nodes() -> None:
    node = {
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1"},
        },
    }
    found = cells(printers.NODES, node)
    assert found["Status"] == "Ready,SchedulingDisabled"
    assert found["Roles"] == "control-plane"
    assert found["Internal-IP"] == "10.0.0.1"
    assert cells(printers.NODES, {})["Status"] == "Unknown"


def test_the_rest() -> None:
    event = {"involvedObject": {"kind": "Pod", "name": "p"}, "message": " hi ", "count": 3}
    assert cells(printers.EVENTS, event)["Object"] == "pod/p"
    assert cells(printers.EVENTS, event)["Message"] == "hi"
    assert cells(printers.CONFIGMAPS, {"data": {"a": "1"}, "binaryData": {"b": ""}})["Data"] == 2
    service = {"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30000}]}}
    assert cells(printers.SERVICES, service)["Port(s)"] == "80:30000/TCP"
    subset = {"addresses": [{"ip": str(n)} for n in range(5)], "ports": [{"port": 80}]}
    found = cells(printers.ENDPOINTS, {"subsets": [subset]})["Endpoints"]
    assert found == "0:80,1:80,2:80 + 2 more..."
    assert cells(printers.LEASES, {"spec": {"holderIdentity": "me"}})["Holder"] == "me"


def test_a_table() -> None:
    obj = {"metadata": {"name": "x"}, "data": {}}
    version = Version("v1", {}, columns=printers.CONFIGMAPS)
    found = orjson.loads(table.render(version, [obj], {"resourceVersion": "3"}))
    assert found["kind"] == "Table"
    assert found["rows"][0]["cells"][0] == "x"
    assert found["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert "data" not in found["rows"][0]["object"]
    bare = orjson.loads(table.render(version, [obj], {}, "None"))
    assert bare["rows"][0]["object"] is None
    full = orjson.loads(table.render(version, [obj], {}, "Object"))
    assert full["rows"][0]["object"] == obj


def values(node: structural.Node, depth: int = 0) -> st.SearchStrategy[Any]:
    """Whatever a place of a type's schema can hold, as little of it as may be."""
    words = st.sampled_from(["", "x", "Ready", "True", "2026-01-01T00:00:00Z", "0001-01-01"])
    leaves: dict[str, st.SearchStrategy[Any]] = {
        "string": words,
        "integer": st.integers(-1, 70_000),
        "number": st.floats(allow_nan=False),
        "boolean": st.booleans(),
        "int-or-string": words | st.integers(-1, 1),
    }
    if node.kind in leaves:
        return leaves[node.kind]
    if depth == 8 or node.kind not in {"array", "object"}:
        return st.none()
    if node.kind == "array":
        return st.lists(st.none() | values(node.element, depth + 1), max_size=2)
    if node.extra is not None:
        return st.dictionaries(words, values(node.extra, depth + 1), max_size=2)
    fields = {
        name: st.deferred(lambda inner=inner: values(inner, depth + 1))  # type: ignore[misc]
        for name, inner in node.properties.items()
    }
    return st.fixed_dictionaries({}, optional=fields)


FORMS = [
    (resource, version)
    for resource in builtin.resources()
    for version in (*resource.versions, *([builtin.EVENTS_ALIAS] * (resource.id == "events")))
]


@pytest.mark.parametrize(
    ("resource", "version"), FORMS, ids=[one.api_version(form) + one.kind for one, form in FORMS]
)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_whatever_fits_a_type_can_be_shown(
    resource: Resource, version: Version, data: st.DataObject
) -> None:
    node = structural.Compiler(definition).compile(version.schema)
    obj = data.draw(values(node))
    structural.prune(node, obj)
    assume(not structural.mistyped(node, obj))
    obj["metadata"] = {**(obj.get("metadata") or {}), "name": "x"}
    (row,) = orjson.loads(table.render(version, [obj], {}))["rows"]
    assert len(row["cells"]) == len(table.columns_of(version))
