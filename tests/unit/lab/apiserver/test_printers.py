from typing import Any

import orjson
import pytest

from weft.lab.apiserver import podprinter, printers, table
from weft.lab.apiserver.resources import Column, Version


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
    assert cells(printers.CONFIGMAPS, {"data": {"a": "1"}, "binaryData": {"b": ""}})["Data"] == "2"
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
    assert "object" not in bare["rows"][0]
    full = orjson.loads(table.render(version, [obj], {}, "Object"))
    assert full["rows"][0]["object"] == obj
