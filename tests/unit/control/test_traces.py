"""What an uninstall removes from objects, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from weft import names
from weft.control import traces
from weft.model import ObjectKey

BY_KIND = {each.resource.kind: each for each in traces.ALL}


def obj(annotations: dict[str, str] | None = None, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", "annotations": annotations or {}, **meta}}


@pytest.mark.parametrize("each", traces.ALL, ids=lambda each: str(each.resource.kind))
def test_all_keys_of_weft_go_and_others_stay(each: traces.Traces) -> None:
    mine = dict.fromkeys((each.proof, *each.keys), "v")
    patch = traces.cleaning(each, obj({**mine, "other": "stays"}))
    assert patch == {"metadata": {"annotations": dict.fromkeys(sorted(mine))}}
    assert traces.cleaning(each, obj({"other": "stays"})) is None


@pytest.mark.parametrize("kind", ["Pod", "Node", "NetworkAttachmentDefinition"])
def test_keys_of_ovn_kubernetes_are_left_to_it(kind: str) -> None:
    """The same keys, without the one that only weft writes."""
    theirs = dict.fromkeys(BY_KIND[kind].keys, "v")
    assert traces.cleaning(BY_KIND[kind], obj(theirs)) is None


def test_a_finalizer_goes_alone_and_only_from_what_was_read() -> None:
    found = obj(finalizers=["a", names.NETWORK_IN_USE, "b"], resourceVersion="7")
    assert traces.cleaning(BY_KIND["NetworkAttachmentDefinition"], found) == {
        "metadata": {"finalizers": ["a", "b"], "resourceVersion": "7"}
    }


def test_conditions_of_others_stay() -> None:
    ready = {"type": "Ready"}
    assert traces.conditions({"status": {"conditions": [ready, {"type": "OVNKnownFaults"}]}}) == [
        ready
    ]
    assert traces.conditions({"status": {"conditions": [ready]}}) is None
    assert traces.conditions({}) is None


def test_pods_that_would_lose_a_network_are_those_that_run() -> None:
    signed = {names.POD_NETWORKS_SIGNATURE: "s"}
    pods: list[Mapping[str, Any]] = [
        obj(signed, namespace="n") | {"status": {"phase": "Running"}},
        obj(signed, namespace="done") | {"status": {"phase": "Succeeded"}},
        obj(namespace="without") | {"status": {"phase": "Running"}},
    ]
    assert list(traces.users(pods)) == [ObjectKey("n", "x")]


def test_labels_of_physical_networks_go_and_others_stay() -> None:
    own = f"{names.PHYSICAL_NETWORK_LABEL}rack"
    found = obj(labels={own: "true", "kubernetes.io/hostname": "n"})
    assert traces.cleaning(BY_KIND["Node"], found) == {"metadata": {"labels": {own: None}}}
    assert traces.cleaning(BY_KIND["Pod"], found) is None
