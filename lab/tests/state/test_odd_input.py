"""Whatever a client sends, it gets an answer, and the next client finds the server well."""

import asyncio
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.tests.support.memory_cluster import World, config, crd, pod
from weft_lab.apiserver import deletion, protobuf, request, selectors, status

MEDIA = (
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/json-patch+json",
)
FULL_POD = pod(
    volumes=[{"name": "v", "secret": {"secretName": "s"}}],
    tolerations=[{"key": "a", "operator": "Exists"}],
)
FULL_POD["spec"]["containers"][0] |= {
    "ports": [{"containerPort": 80}],
    "env": [{"name": "A", "value": "b"}],
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    "resources": {"limits": {"cpu": 1}},
}
FULL_POD["metadata"] |= {
    "labels": {"a": "b"},
    "annotations": {"a": "b"},
    "finalizers": ["x.io/y"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "u"}],
    "managedFields": [{"manager": "m"}],
}
FULL_CRD = crd(
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "x", "enum": ["x"]}}},
    additionalPrinterColumns=[{"name": "a", "type": "string", "jsonPath": ".a"}],
    subresources={"status": {}},
    selectableFields=[{"jsonPath": ".a"}],
)
SERVICE = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}
NODE = {"metadata": {"name": "n"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
EVENT = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default"}}
LEASE = {"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 5}}
SEEDS = {
    "pods": FULL_POD,
    "customresourcedefinitions": FULL_CRD,
    "configmaps": config(),
    "secrets": {"metadata": {"name": "s"}, "data": {"a": "Yg=="}, "stringData": {"b": "c"}},
    "services": SERVICE,
    "nodes": NODE,
    "events": EVENT,
    "leases": LEASE,
    "namespaces": {"metadata": {"name": "ns"}},
}
odd = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x", "[", "a/b/c"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "$patch"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        for step in value if isinstance(value, dict) else range(len(value)):
            found += places(value[step], (*path, step))
    return found


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Any]:
    """A good object with one odd value somewhere."""
    plural = draw(st.sampled_from(sorted(SEEDS)))
    obj = deepcopy(SEEDS[plural])
    path = draw(st.sampled_from(places(obj)))
    place: Any = obj
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = draw(odd)
    return plural, obj


def attempt(act: Any) -> None:
    refusal = None
    try:
        act()
    except status.ApiError as error:
        refusal = error
    assert refusal is None or (400 <= refusal.code < 500 and refusal.what), refusal


@settings(max_examples=60, deadline=None)
@given(spoiled(), st.sampled_from(MEDIA), odd)
def test_odd_objects_are_answered(found: tuple[str, Any], media: str, patch: Any) -> None:
    plural, obj = found

    async def run() -> None:
        world = await World.begin()
        attempt(lambda: world.create(plural, deepcopy(obj)))
        await world.settle()
        name = SEEDS[plural]["metadata"]["name"]
        attempt(lambda: world.patch(plural, name, media, deepcopy(obj)))
        attempt(lambda: world.patch(plural, name, media, {"spec": patch, "metadata": patch}))
        attempt(lambda: world.patch(plural, name, media, patch))
        await world.settle()
        if world.get(plural, name):
            attempt(lambda: world.delete(plural, name))
        await world.settle()
        world.create("configmaps", config("still-well"))
        await world.settle()

    asyncio.run(run())


@given(st.binary(max_size=60))
def test_odd_protobuf_is_answered(data: bytes) -> None:
    attempt(lambda: protobuf.decode(b"k8s\x00" + data))


@given(odd)
def test_odd_delete_options_are_answered(body: Any) -> None:
    attempt(lambda: deletion.read_request(body, {}))
    attempt(lambda: deletion.read_request({"gracePeriodSeconds": body, "preconditions": body}, {}))


@given(st.text(max_size=20))
def test_odd_paths_and_selectors_are_answered(text: str) -> None:
    request.parse_path("/api/v1/" + text)
    request.parse_path(text)
    attempt(lambda: selectors.parse_labels(text))
    attempt(lambda: selectors.parse_fields(text, ("a",)))
    attempt(lambda: request.parse_accept(text, ""))


@pytest.mark.parametrize("body", [b"[", b'"', b"{]", b"\xff"])
def test_odd_bytes_are_answered(body: bytes) -> None:
    for media in ("application/json", "application/yaml"):
        attempt(lambda media=media: request.parse_body(body, media))
