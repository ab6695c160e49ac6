from __future__ import annotations

from typing import Any

import pytest

from lab.tests.support.memory_cluster import World, config, crd, pod
from weft_lab.apiserver import (
    patches,
    status,
    writes,
)


def refused(caught: Any, code: int, *words: str) -> None:
    assert caught.value.code == code, caught.value
    for word in words:
        assert word in str(caught.value)


async def test_create_fills_in_what_the_server_owns(world: World) -> None:
    given = pod(generateName="x")
    given["metadata"] |= {"selfLink": "/x", "managedFields": [{}]}
    given["status"] = {"phase": "Running"}
    found = world.create("pods", given)
    meta = found["metadata"]
    assert meta["namespace"] == "default"
    assert meta["uid"]
    assert meta["creationTimestamp"]
    assert int(meta["resourceVersion"]) > 1
    assert "managedFields" not in meta
    assert found["status"]["phase"] == "Pending"
    assert found["spec"]["restartPolicy"] == "Always"
    assert found["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"


async def test_generated_names_differ(world: World) -> None:
    names = {
        world.create("configmaps", {"metadata": {"generateName": "x-"}})["metadata"]["name"]
        for _ in range(50)
    }
    assert len(names) == 50
    assert all(name.startswith("x-") and len(name) == 7 for name in names)


async def test_create_twice_conflicts(world: World) -> None:
    world.create("configmaps", config())
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", config())
    refused(caught, 409, 'configmaps "c" already exists')
    assert caught.value.reason == "AlreadyExists"


async def test_the_namespace_must_exist(world: World) -> None:
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", config(), namespace="nowhere")
    refused(caught, 404, 'namespaces "nowhere" not found')


@pytest.mark.parametrize("name", ["Web", "a_b", "-a", "a" * 254, "a..b"])
async def test_names_are_checked(world: World, name: str) -> None:
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", config(name))
    refused(caught, 422, "metadata.name", name[:20])


async def test_no_name_at_all(world: World) -> None:
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", {"metadata": {}})
    refused(caught, 422, "name or generateName is required")


async def test_labels_and_annotations_are_checked(world: World) -> None:
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", config(labels={"a": "b c", "-x": "1"}))
    refused(caught, 422, "metadata.labels", "b c", "-x")
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", config(annotations={"a": "x" * 300_000}))
    refused(caught, 422, "metadata.annotations: Too long")


async def test_unknown_fields(world: World) -> None:
    bad = {**config(), "colour": "red"}
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", dict(bad), validation="Strict")
    refused(caught, 400, 'strict decoding error: unknown field "colour"')
    assert "colour" not in world.create("configmaps", dict(bad), validation="Warn")


async def test_wrong_types(world: World) -> None:
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", {"metadata": {"name": "x"}, "data": {"a": 1}})
    refused(caught, 400, "cannot be handled as a ConfigMap", ".data.a")


async def test_wrong_kind_version_and_namespace(world: World) -> None:
    for extra, word in (
        ({"kind": "Secret"}, 'no kind "Secret" is registered'),
        ({"apiVersion": "v2"}, 'registered for version "v2"'),
    ):
        with pytest.raises(status.ApiError) as caught:
            world.create("configmaps", {**config(), **extra})
        refused(caught, 400, word)
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", config(namespace="other"))
    refused(caught, 400, "namespace of the provided object does not match")


async def test_dry_run_stores_nothing(world: World) -> None:
    before = world.cluster.store.revision
    assert world.create("configmaps", config(), dry_run=True)["metadata"]["uid"]
    assert world.get("configmaps", "c") is None
    assert world.cluster.store.revision == before


async def test_update_wants_the_latest_version(world: World) -> None:
    first = world.create("configmaps", config())
    second = world.update("configmaps", {**first, "data": {"a": "2"}})
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    with pytest.raises(status.ApiError) as caught:
        world.update("configmaps", {**first, "data": {"a": "3"}})
    refused(caught, 409, "the object has been modified")


async def test_an_update_of_nothing_changes_nothing(world: World) -> None:
    first = world.create("configmaps", config())
    again = world.update("configmaps", first)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_update_keeps_what_the_server_owns(world: World) -> None:
    first = world.create("configmaps", config())
    found = world.update("configmaps", {"metadata": {"name": "c", "namespace": "default"}})
    assert found["metadata"]["uid"] == first["metadata"]["uid"]
    assert "data" not in found


async def test_another_uid_conflicts(world: World) -> None:
    first = world.create("configmaps", config())
    first["metadata"]["uid"] = "other"
    with pytest.raises(status.ApiError) as caught:
        world.update("configmaps", first)
    refused(caught, 409, "Precondition failed: UID")


async def test_status_and_the_rest_are_written_apart(world: World) -> None:
    first = world.create("pods", pod())
    changed = {**first, "status": {"phase": "Running"}}
    changed["metadata"] = {**first["metadata"], "labels": {"a": "b"}}
    found = world.update("pods", changed)
    assert found["status"]["phase"] == "Pending"
    assert found["metadata"]["labels"] == {"a": "b"}
    found["status"] = {"phase": "Running"}
    found["spec"] = {}
    found = world.update("pods", found, "status")
    assert found["status"] == {"phase": "Running", "qosClass": "BestEffort"}
    assert found["spec"]["containers"]


async def test_what_a_pod_runs_is_settled(world: World) -> None:
    first = world.create("pods", pod())
    image = {"spec": {"containers": [{"name": "main", "image": "other"}]}}
    strategic = "application/strategic-merge-patch+json"
    assert world.patch("pods", "web", strategic, image)["spec"]["containers"][0]["image"] == "other"
    with pytest.raises(status.ApiError) as caught:
        world.patch("pods", "web", strategic, {"spec": {"hostname": "x"}})
    refused(caught, 422, "spec: Forbidden: pod updates may not change fields other than")
    assert first["spec"]["containers"][0]["image"] == "busybox:1"


async def test_custom_resources(world: World) -> None:
    schema = {
        "type": "object",
        "required": ["size"],
        "properties": {"size": {"type": "integer"}, "on": {"type": "boolean", "default": True}},
    }
    world.create("customresourcedefinitions", crd(schema, subresources={"status": {}}))
    await world.settle()
    found = world.create("widgets", {"metadata": {"name": "w"}, "spec": {"size": 1, "x": 2}})
    assert found["spec"] == {"size": 1, "on": True}
    assert found["metadata"]["generation"] == 1
    found["spec"]["size"] = 2
    found["status"] = {"done": True}
    found = world.update("widgets", found)
    assert found["metadata"]["generation"] == 2
    assert "status" not in found
    with pytest.raises(status.ApiError) as caught:
        world.create("widgets", {"metadata": {"name": "v"}, "spec": {"size": "big"}})
    refused(caught, 422, 'Widget.example.com "v" is invalid', "spec.size", "integer")
    del found["metadata"]["resourceVersion"]
    with pytest.raises(status.ApiError) as caught:
        world.update("widgets", found)
    refused(caught, 422, "metadata.resourceVersion", "must be specified for an update")


async def test_apply_creates_then_follows_the_owner(world: World) -> None:
    apply = "application/apply-patch+yaml"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    world.patch("configmaps", "c", apply, {**body, "data": {"a": "1", "b": "1"}})
    found = world.patch("configmaps", "c", apply, {**body, "data": {"a": "1"}})
    assert found["data"] == {"a": "1"}
    with pytest.raises(status.ApiError) as caught:
        world.patch("configmaps", "c", apply, {**body, "data": {"a": "2"}}, manager="other")
    refused(caught, 409, 'Apply failed with 1 conflict: conflict with "test": .data.a')
    assert caught.value.details is not None
    assert caught.value.details["causes"][0]["reason"] == "FieldManagerConflict"
    merge = "application/merge-patch+json"
    found = world.patch("configmaps", "c", merge, {"data": {"a": "3"}}, manager="editor")
    assert {one["manager"] for one in found["metadata"]["managedFields"]} == {"test", "editor"} - {
        "test"
    }


async def test_json_patch(world: World) -> None:
    world.create("configmaps", config())
    media = "application/json-patch+json"
    add = [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "remove", "path": "/data/a"}]
    assert "data" not in world.patch("configmaps", "c", media, add)
    with pytest.raises(status.ApiError) as caught:
        world.patch("configmaps", "c", media, add)
    refused(caught, 422, "the server rejected our request")
    with pytest.raises(status.ApiError) as caught:
        world.patch("configmaps", "c", media, {"not": "a list"})
    refused(caught, 400, "error decoding patch")


async def test_a_patch_may_pin_the_version(world: World) -> None:
    world.create("configmaps", config())
    body = {"metadata": {"resourceVersion": "1"}, "data": {"a": "2"}}
    with pytest.raises(status.ApiError) as caught:
        world.patch("configmaps", "c", "application/merge-patch+json", body)
    refused(caught, 409, "modified")


async def test_immutable_configuration(world: World) -> None:
    world.create("configmaps", {**config(), "immutable": True})
    with pytest.raises(status.ApiError) as caught:
        world.patch("configmaps", "c", "application/merge-patch+json", {"data": {"a": "2"}})
    refused(caught, 422, "immutable")


async def test_secrets_keep_text_in_base64(world: World) -> None:
    found = world.create("secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    assert found["data"] == {"a": "Yg=="}
    assert "stringData" not in found
    with pytest.raises(status.ApiError) as caught:
        world.create("secrets", {"metadata": {"name": "t"}, "data": {"a": "?"}})
    refused(caught, 400, "illegal base64 data at input byte 0")


async def test_an_object_is_no_larger_than_etcd_keeps_it(widgets: World) -> None:
    revision = widgets.cluster.store.revision
    large = {"metadata": {"name": "large"}, "spec": {"o": "x" * writes.OBJECT_LIMIT}}
    with pytest.raises(status.ApiError, match="at most 1572864 are kept") as caught:
        widgets.create("widgets", large)
    assert caught.value.code == 413
    assert widgets.cluster.store.revision == revision
    with pytest.raises(status.ApiError, match="at most 1572864 are kept"):
        widgets.patch("widgets", "w", patches.MERGE, {"spec": large["spec"]})
    assert widgets.cluster.store.revision == revision


async def test_strict_validation_knows_what_stands_twice(world: World) -> None:
    twice: dict[str, Any] = {"duplicates": ('duplicate field "data.a"',)}
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", config("c"), validation="Strict", **twice)
    assert caught.value.code == 400
    assert str(caught.value) == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap:'
        ' strict decoding error: duplicate field "data.a"'
    )
    target = world.target("configmaps")
    writes.create(world.cluster, target, config("c"), writes.Options(**twice))
    assert target.warnings == ['duplicate field "data.a"']
    target = world.target("configmaps")
    ignored = writes.Options(validation="Ignore", **twice)
    writes.create(world.cluster, target, config("d"), ignored)
    assert target.warnings == []


async def test_a_key_of_a_config_map_is_of_text_or_of_bytes(world: World) -> None:
    twice = {"metadata": {"name": "c"}, "data": {"a": "1"}, "binaryData": {"a": "MQ=="}}
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", twice)
    refused(caught, 422, "data[a]", "duplicate of key present in binaryData")
