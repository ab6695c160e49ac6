"""NADs to parse: one that is good, and changes to it."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest

from weft import errors, model
from weft.api import nad

GOOD: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "type": "ovn-k8s-cni-overlay",
    "name": "blue",
    "netAttachDefName": "ns1/blue",
    "topology": "layer2",
}
ABSENT = object()


def nad_object(config: object, **changes: object) -> dict[str, Any]:
    """The NAD ns1/blue with this configuration; a field changed to ABSENT is left out."""
    if isinstance(config, dict):
        merged = {**config, **changes}
        config = json.dumps({key: value for key, value in merged.items() if value is not ABSENT})
    return {"metadata": {"namespace": "ns1", "name": "blue"}, "spec": {"config": config}}


def parsed(**changes: object) -> model.NetworkSpec:
    spec = nad.parse(nad_object(GOOD, **changes))
    assert spec is not None
    return spec


def refused(obj: object, **options: Any) -> errors.InvalidInput:
    with pytest.raises(errors.InvalidInput) as caught:
        nad.parse(obj, **options)
    return caught.value


def only_problem(**changes: object) -> errors.InvalidInput:
    """The one problem of the good NAD so changed, told as the first."""
    obj = nad_object(GOOD, **changes)
    (problem,) = nad.problems(obj)
    assert str(refused(obj)) == str(problem)
    assert str(problem).startswith("NetworkAttachmentDefinition ns1/blue: spec.config.")
    return problem


def nets(*texts: str) -> tuple[model.Subnet, ...]:
    return tuple(ip_network(text) for text in texts)
