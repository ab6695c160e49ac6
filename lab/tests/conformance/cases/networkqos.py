"""Rules in CEL and in schema, those of NetworkQoS: what is taken, and what is said of the rest."""

from __future__ import annotations

import copy
from typing import Any

from lab.tests.conformance.exchange import APPLY, MERGE, Ask, Case
from tests.support import qos

QOSES = "/apis/k8s.ovn.org/v1alpha1/namespaces/{ns}/networkqoses"


def _made(obj: qos.Object, name: str) -> Any:
    made = copy.deepcopy(obj)
    del made["metadata"]["namespace"]
    made["metadata"]["name"] = name
    return made


def _tried(objects: dict[str, qos.Object]) -> tuple[Ask, ...]:
    return tuple(
        Ask("POST", f"{QOSES}?dryRun=All", _made(each, f"n{number}"))
        for number, each in enumerate(objects.values())
    )


def _changed(**spec: Any) -> Ask:
    return Ask("PATCH", f"{QOSES}/one", {"spec": spec}, MERGE)


def _ready(node: str, *conditions: Any) -> Ask:
    body = {
        "apiVersion": "k8s.ovn.org/v1alpha1",
        "kind": "NetworkQoS",
        "metadata": {"name": "one"},
        "status": {"conditions": list(conditions)},
    }
    path = f"{QOSES}/one/status?fieldManager={node}&force=true"
    return Ask("PATCH", path, body, APPLY)


def _condition(node: str, message: str = "") -> Any:
    return {
        "type": f"Ready-In-Zone-{node}",
        "status": "True",
        "reason": "Success",
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


CASES = (
    Case("networkqos-valid", _tried(qos.VALID)),
    Case("networkqos-invalid", _tried(qos.INVALID)),
    Case(
        "networkqos-changed",
        (
            Ask("POST", QOSES, _made(qos.networkqos_of("one", {"dscp": 1}), "one")),
            _changed(networkSelectors=[qos.BY_CUDN]),
            _changed(networkSelectors=None),
            _changed(priority=5),
        ),
    ),
    Case(
        "networkqos-conditions",
        (
            Ask("POST", QOSES, _made(qos.networkqos_of("one", {"dscp": 1}), "one")),
            _ready("node1", _condition("node1")),
            _ready("node2", _condition("node2")),
            Ask("PATCH", f"{QOSES}/one/status", {"status": {"status": "applied"}}, MERGE),
            _ready("node2", _condition("node2", "again")),
            _ready("node1"),
        ),
    ),
)
