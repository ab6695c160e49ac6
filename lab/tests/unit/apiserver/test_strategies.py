"""The rules of the small kinds: what is refused, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from lab.tests.support.memory_cluster import World, config
from weft_lab.apiserver import (
    status,
    strategies,
)


async def test_configuration_holds_a_mebibyte(world: World) -> None:
    large = {**config("large"), "data": {"a": "x" * (strategies.DATA_LIMIT + 1)}}
    with pytest.raises(status.ApiError, match="Too long: may not be more than 1048576 bytes"):
        world.create("configmaps", large)
    with pytest.raises(status.ApiError, match="Too long: may not be more than 1048576 bytes"):
        world.create("secrets", {"metadata": {"name": "large"}, "stringData": large["data"]})


def test_a_namespace_keeps_the_finalizers_that_it_is_made_with() -> None:
    spec = {"finalizers": ["example.com/a", "odd"]}
    made: dict[str, Any] = {"metadata": {"name": "a"}, "spec": spec}
    strategies.create_namespace(made)
    assert made["spec"]["finalizers"] == ["example.com/a", "odd", "kubernetes"]
    causes = strategies.validate_namespace(made)
    assert [(one.field, one.message.split(":")[0]) for one in causes] == [
        ("spec.finalizers", "Invalid value")
    ]


def test_the_type_of_a_secret_stays() -> None:
    secret = {"type": ""}
    strategies.default_secret(secret)
    assert secret["type"] == "Opaque"
    changed = strategies.validate_immutable({"type": "example.com/a"}, secret)
    assert [one.field for one in changed] == ["type"]


def test_nodes_events_and_leases() -> None:
    taint = {"spec": {"taints": [{"key": "a", "effect": "Never"}]}}
    assert [one.field for one in strategies.validate_node(taint)] == ["metadata.taints[0].effect"]
    about = {"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "b"}}
    assert strategies.validate_event(about)
    cluster = {"metadata": {"namespace": "default"}, "involvedObject": {"kind": "Node"}}
    assert not strategies.validate_event(cluster)
    assert strategies.validate_lease({"spec": {"leaseDurationSeconds": 0}})
    assert not strategies.validate_lease({"spec": {}})


def test_events_are_the_same_in_both_forms() -> None:
    event = {"message": "m", "involvedObject": {"kind": "Pod"}, "count": 1, "reason": "r"}
    assert strategies.event_to_core(strategies.event_from_core(event)) == event
