from typing import Any

import pytest

from lab.tests.support.memory_cluster import World, config, crd, pod
from weft_lab.apiserver import status


def owner(obj: dict[str, Any], **more: Any) -> dict[str, Any]:
    kind = obj["kind"]
    meta = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": kind,
        "name": meta["name"],
        "uid": meta["uid"],
        **more,
    }


async def test_dependents_follow_their_owner(world: World) -> None:
    first = world.create("configmaps", config("owner"))
    second = world.create("configmaps", config("second", ownerReferences=[owner(first)]))
    world.create("configmaps", config("third", ownerReferences=[owner(second)]))
    world.create("configmaps", config("other"))
    await world.settle()
    assert world.delete("configmaps", "owner")
    await world.settle()
    assert world.get("configmaps", "second") is None
    assert world.get("configmaps", "third") is None
    assert world.get("configmaps", "other")


async def test_of_two_owners_both_must_go(world: World) -> None:
    one, two = world.create("configmaps", config("one")), world.create("configmaps", config("two"))
    world.create("configmaps", config("child", ownerReferences=[owner(one), owner(two)]))
    await world.settle()
    world.delete("configmaps", "one")
    await world.settle()
    child = world.get("configmaps", "child")
    assert child
    assert [ref["name"] for ref in child["metadata"]["ownerReferences"]] == ["two"]
    world.delete("configmaps", "two")
    await world.settle()
    assert world.get("configmaps", "child") is None


async def test_orphans_stay_and_forget(world: World) -> None:
    one = world.create("configmaps", config("one"))
    world.create("configmaps", config("child", ownerReferences=[owner(one)]))
    await world.settle()
    world.delete("configmaps", "one", propagation="Orphan")
    await world.settle()
    assert world.get("configmaps", "one") is None
    child = world.get("configmaps", "child")
    assert child
    assert "ownerReferences" not in child["metadata"]


async def test_foreground_deletion_waits_for_dependents(world: World) -> None:
    one = world.create("configmaps", config("one"))
    reference = owner(one, blockOwnerDeletion=True)
    world.create(
        "configmaps", config("child", ownerReferences=[reference], finalizers=["x.io/wait"])
    )
    await world.settle()
    assert not world.delete("configmaps", "one", propagation="Foreground")
    await world.settle()
    assert world.get("configmaps", "one")
    merge = "application/merge-patch+json"
    world.patch("configmaps", "child", merge, {"metadata": {"finalizers": None}})
    await world.settle()
    assert world.get("configmaps", "child") is None
    assert world.get("configmaps", "one") is None


async def test_an_object_of_an_absent_owner_goes(world: World) -> None:
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "name": "ghost", "uid": "gone"}
    world.create("configmaps", config("child", ownerReferences=[ghost]))
    strange = {**ghost, "kind": "Unheard"}
    world.create("configmaps", config("kept", ownerReferences=[strange]))
    await world.settle()
    assert world.get("configmaps", "child") is None
    assert world.get("configmaps", "kept")


async def test_finalizers_hold_an_object(world: World) -> None:
    world.create("configmaps", config(finalizers=["x.io/a"]))
    assert not world.delete("configmaps", "c")
    held = world.get("configmaps", "c")
    assert held
    assert held["metadata"]["deletionTimestamp"]
    merge = "application/merge-patch+json"
    with pytest.raises(status.ApiError, match="no new finalizers"):
        world.patch("configmaps", "c", merge, {"metadata": {"finalizers": ["x.io/a", "x.io/b"]}})
    world.patch("configmaps", "c", merge, {"metadata": {"finalizers": []}})
    assert world.get("configmaps", "c") is None


async def test_a_namespace_takes_its_contents_along(world: World) -> None:
    world.create("namespaces", {"metadata": {"name": "room"}})
    await world.settle()
    assert world.get("serviceaccounts", "default", "room")
    world.create("configmaps", config(), namespace="room")
    world.create("pods", pod(nodeName="node1"), namespace="room")
    assert not world.delete("namespaces", "room")
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", config("late"), namespace="room")
    assert caught.value.code == 403
    assert caught.value.details is not None
    assert caught.value.details["causes"][0]["reason"] == "NamespaceTerminating"
    await world.settle()
    assert world.get("configmaps", "c", "room") is None
    space = world.get("namespaces", "room")
    assert space
    assert space["status"]["phase"] == "Terminating"
    assert world.delete("pods", "web", "room", grace=0)  # the kubelet has ended it
    await world.settle()
    assert world.get("namespaces", "room") is None


async def test_some_namespaces_stay(world: World) -> None:
    with pytest.raises(status.ApiError, match="may not be deleted"):
        world.delete("namespaces", "default")


async def test_a_crd_takes_its_objects_along(world: World) -> None:
    world.create("customresourcedefinitions", crd())
    await world.settle()
    world.create("widgets", {"metadata": {"name": "w"}, "spec": {}})
    world.delete("customresourcedefinitions", "widgets.example.com")
    await world.settle()
    assert world.get("customresourcedefinitions", "widgets.example.com") is None
    assert world.cluster.registry.get("widgets.example.com") is None


async def test_a_running_pod_is_given_time(world: World) -> None:
    world.create("pods", pod(nodeName="node1", terminationGracePeriodSeconds=5))
    assert not world.delete("pods", "web")
    held = world.get("pods", "web")
    assert held
    assert held["metadata"]["deletionGracePeriodSeconds"] == 5
    assert not world.delete("pods", "web", grace=2)
    held = world.get("pods", "web")
    assert held
    assert held["metadata"]["deletionGracePeriodSeconds"] == 2
    assert world.delete("pods", "web", grace=0)
    assert world.delete_is_not_found("pods", "web")


async def test_a_pod_that_runs_nowhere_goes_at_once(world: World) -> None:
    world.create("pods", pod())
    assert world.delete("pods", "web")


async def test_preconditions(world: World) -> None:
    world.create("pods", pod())
    with pytest.raises(status.ApiError, match="the UID in the precondition"):
        world.delete("pods", "web", uid="other")
