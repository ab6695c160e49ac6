"""PodEndpoints are what the pods say, whoever changed what, and however often the manager ended."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from tests.support import cluster_world as objects_of
from tests.support.manager_state import SIGNER, Killed, Manager, World
from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from weft import names
from weft.api import pod as reading
from weft.api import podendpoint, podsignature
from weft.app import settings
from weft.control import endpointsmark
from weft.control.cluster import writer
from weft.control.cluster.outcome import Ref
from weft.kube import errors
from weft.kube.resources import CONFIGMAPS, NADS, NODES, PODENDPOINTS, PODS
from weft.model import ObjectKey

TRUSTED = podsignature.TrustedKeys.parse({SIGNER.id: SIGNER.public})

A = ObjectKey("default", "a")


def trusted(there: MemoryApi) -> podsignature.TrustedKeys:
    if isinstance(there, World):
        return TRUSTED
    signer = objects_of.signer(there)
    return podsignature.TrustedKeys.parse({signer.id: signer.public})


def world(*pods: str) -> World:
    found = World()
    found.put(NADS, objects_of.nad("blue"))
    found.put(NODES, objects_of.node("node1"))
    for name in pods:
        found.put(PODS, objects_of.pod(name, labels={"app": name}))
    return found


def managed(there: World) -> Manager:
    manager = Manager(there, endpoints=True)
    manager.settle()
    return manager


def change(manager: Manager, resource: Any, key: str, patch: dict[str, Any]) -> None:
    manager.notify(manager.world.change(resource, key, patch))
    manager.settle()


def endpoints(there: MemoryApi) -> dict[str, podendpoint.PodEndpoint]:
    return {key: podendpoint.read(obj) for key, obj in there.all(PODENDPOINTS).items()}


def whole(there: MemoryApi) -> dict[str, podendpoint.PodEndpoint]:
    """What each pod with a signed allocation says."""
    found = {}
    for key, obj in there.all(PODS).items():
        pod = reading.read(copy.deepcopy(obj))
        decided = podsignature.verify(pod.ref, pod.proof, trusted(there))
        if decided.allocations and not pod.is_completed:
            found[key] = podendpoint.of(pod, decided.prove())
    return found


def test_each_pod_on_a_network_has_one_that_says_the_same() -> None:
    there = world("a", "b")
    there.put(PODS, objects_of.pod("plain", None))
    managed(there)
    found = endpoints(there)
    assert sorted(found) == ["default/a", "default/b"]
    assert found == whole(there)
    assert there.has_endpoints


def test_it_follows_what_the_pod_becomes() -> None:
    there = world("a")
    manager = managed(there)
    before = there.of(PODENDPOINTS, "default/a")["metadata"]["uid"]
    change(manager, PODS, "default/a", {"status": {"phase": "Running"}})
    change(manager, PODS, "default/a", {"metadata": {"labels": {"app": None, "tier": "x"}}})
    (found,) = endpoints(there).values()
    assert found.pod.is_running
    assert found.pod.labels == {"tier": "x"}
    assert there.of(PODENDPOINTS, "default/a")["metadata"]["uid"] == before
    change(manager, PODS, "default/a", {"status": {"phase": "Succeeded"}})
    assert endpoints(there) == {}


def test_it_goes_with_the_pod() -> None:
    there = world("a", "b")
    manager = managed(there)
    there.remove(PODS, "default/a")
    manager.cluster.set_pod(A, None)
    manager.settle()
    assert sorted(endpoints(there)) == ["default/b"]


@pytest.mark.parametrize("field", ["node", "labels", "allocations", "podUID"])
def test_what_somebody_altered_is_written_again(field: str) -> None:
    there = world("a")
    manager = managed(there)
    altered = {"labels": {"app": "other"}, "allocations": {"text": "{}"}}.get(field, "other")
    change(manager, PODENDPOINTS, "default/a", {"spec": {field: altered}})
    assert endpoints(there) == whole(there)


def test_what_somebody_removed_or_added_is_put_right() -> None:
    there = world("a")
    manager = managed(there)
    foreign = copy.deepcopy(there.of(PODENDPOINTS, "default/a"))
    foreign["metadata"] |= {"name": "stray", "uid": "stray"}
    there.remove(PODENDPOINTS, "default/a")
    manager.cluster.set_endpoint(A, None)
    manager.notify(there.put(PODENDPOINTS, foreign))
    manager.settle()
    assert endpoints(there) == whole(there)


def test_while_annotations_are_overwritten_the_endpoint_stays() -> None:
    there = world("a")
    manager = managed(there)
    before = endpoints(there)
    forged = {"metadata": {"annotations": {names.POD_NETWORKS: "{}"}}}
    manager.notify(there.change(PODS, "default/a", forged))
    assert endpoints(there) == before
    manager.settle()
    assert endpoints(there) == before == whole(there)


def test_it_is_written_before_the_watch_brings_the_annotation() -> None:
    there = world("a")
    manager = Manager(there, endpoints=True)
    for _ in range(20):
        for ref, _ in manager.cluster.take_due():
            decided = manager.cluster.decide(ref, "")
            for patch in decided.patches:
                changed = there.apply(patch)
                manager.cluster.written(ref, patch)
                if ref.resource is not PODS and changed is not None:
                    manager.notify(changed)
            for each in decided.replacements:
                there.replace(each)
    assert endpoints(there) == whole(there) != {}


def test_a_new_pod_of_the_name_takes_the_endpoint_over() -> None:
    there = world("a")
    manager = managed(there)
    there.remove(PODS, "default/a")
    manager.notify(there.put(PODS, objects_of.pod("a", uid="second")))
    manager.settle()
    (found,) = endpoints(there).values()
    assert found.pod.uid == "second"
    assert endpoints(there) == whole(there)


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("at", range(12))
def test_killed_at_any_write_the_next_one_ends_the_same(at: int, arrives: bool) -> None:
    there = world("a", "b")
    there.lives = (at, arrives)
    for _ in range(3):
        try:
            managed(there)
        except Killed:
            continue
    assert there.has_endpoints
    assert sorted(endpoints(there)) == ["default/a", "default/b"]
    assert whole(there) == endpoints(there)


def test_a_manager_that_keeps_none_says_so() -> None:
    there = world("a")
    managed(there)
    Manager(there).settle()
    assert not there.has_endpoints


def test_a_second_run_writes_nothing() -> None:
    there = world("a", "b")
    managed(there)
    before = len(there.writes)
    second = Manager(there, endpoints=True)
    keys = Ref(CONFIGMAPS, ObjectKey("default", names.SIGNING_KEYS))
    assert not second.cluster.decide(keys, "").patches
    second.settle()
    assert len(there.writes) == before


def test_what_changed_while_no_manager_ran_is_put_right_and_agents_wait_until_then() -> None:
    there = world("a", "b", "c")
    managed(there)
    there.remove(PODS, "default/a")
    there.change(PODS, "default/b", {"metadata": {"labels": {"app": "other"}}})
    there.remove(PODENDPOINTS, "default/c")
    manager = Manager(there, endpoints=True)
    manager.look(Ref(CONFIGMAPS, ObjectKey("default", names.SIGNING_KEYS)))
    assert not there.has_endpoints
    manager.settle()
    assert sorted(endpoints(there)) == ["default/b", "default/c"]
    assert endpoints(there) == whole(there)
    assert there.has_endpoints


def test_a_manager_that_has_not_compared_leaves_what_the_last_one_said() -> None:
    there = world("a")
    managed(there)
    second = Manager(there, endpoints=None)
    second.settle()
    assert there.has_endpoints


def test_two_managers_do_not_undo_each_others_writes() -> None:
    """The first was frozen, and does not know what the second has written."""
    there = world("a", "b")
    first = managed(there)
    there.change(PODS, "default/a", {"status": {"phase": "Running"}})
    there.change(PODS, "default/b", {"status": {"phase": "Running"}})
    there.remove(PODS, "default/b")
    managed(there)
    there.put(PODS, objects_of.pod("b", uid="second"))
    managed(there)
    after = endpoints(there)
    assert after == whole(there)
    for key in ("a", "b"):
        first.notify(Ref(PODS, ObjectKey("default", key)))
        first.look(Ref(PODENDPOINTS, ObjectKey("default", key)))
    assert endpoints(there) == after


def test_annotations_that_are_taken_away_leave_no_endpoint_of_a_pod_that_never_had_one() -> None:
    there = world("a")
    first = Manager(there)
    first.settle()
    forged = {"metadata": {"annotations": {names.POD_NETWORKS_SIGNATURE: "x"}}}
    there.change(PODS, "default/a", forged)
    manager = Manager(there, endpoints=True)
    assert endpoints(there) == {}
    manager.settle()
    assert endpoints(there) == whole(there)


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("at", range(4))
def test_agents_learn_that_all_are_written_only_then(at: int, arrives: bool) -> None:
    there = world("a", "b")
    Manager(there).settle()  # a former manager, which kept none
    there.lives = (at, arrives)
    try:
        managed(there)
    except Killed:
        assert endpoints(there) == whole(there) or not there.has_endpoints
    managed(there)
    assert there.has_endpoints
    assert endpoints(there) == whole(there)


OPTIONS = settings.ClusterManager(workers=4, pod_endpoints=True)


def filled(*pods: str) -> MemoryApi:
    api = MemoryApi()
    for ref, obj in world(*pods).objects.items():
        api.put(ref.resource, obj)
    return api


async def test_the_writer_makes_replaces_and_removes_them() -> None:
    api = filled("a", "b")
    async with objects_of.managed(api, OPTIONS) as manager:
        await objects_of.settled(api, manager)
        assert sorted(endpoints(api)) == ["default/a", "default/b"]
        api.change(PODS, "default/a", {"status": {"phase": "Running"}})
        api.change(PODENDPOINTS, "default/b", {"spec": {"node": "elsewhere"}})
        await objects_of.settled(api, manager)
        assert endpoints(api) == whole(api)
        api.remove(PODS, "default/a")
        api.remove(PODENDPOINTS, "default/b")
        await objects_of.settled(api, manager)
        assert sorted(endpoints(api)) == ["default/b"]
        assert endpoints(api) == whole(api)


@pytest.mark.parametrize("fate", ["before", "after"])
@pytest.mark.parametrize("victim", range(14))
async def test_the_manager_ends_at_any_call_and_the_next_one_writes_the_rest(
    victim: int, fate: str
) -> None:
    api = filled("a", "b")
    dead = api.die_at(victim, fate)
    async with objects_of.managed(api, OPTIONS) as manager:
        settling = asyncio.create_task(objects_of.settled(api, manager))
        dying = asyncio.create_task(dead.wait())
        await asyncio.wait((settling, dying), return_when=asyncio.FIRST_COMPLETED)
        settling.cancel()
        dying.cancel()
    api.spoil = lambda verb, kind, key: ""
    await objects_of.manage(api, OPTIONS)
    assert sorted(endpoints(api)) == ["default/a", "default/b"]
    assert endpoints(api) == whole(api)


async def test_one_whose_kind_was_not_there_is_written_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "ABSENT", 0.01)
    api, made = filled("a"), asyncio.Event()
    refusals: list[Any] = []

    async def refused(res: Any, obj: Any) -> Any:
        if res is PODENDPOINTS and len(refusals) < 3:
            refusals.append(obj)
            raise errors.NotFound(404, "NotFound", "the server has no such kind")
        found = await MemoryApi.create(api, res, obj)
        if res is PODENDPOINTS:
            made.set()
        return found

    monkeypatch.setattr(api, "create", refused)
    async with objects_of.managed(api, OPTIONS) as manager:
        async with asyncio.timeout(PATIENCE):
            await made.wait()
        await objects_of.settled(api, manager)
    assert len(refusals) == 3
    assert endpoints(api) == whole(api)


async def test_without_the_kind_pods_get_their_networks_and_the_manager_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = filled("a")
    is_there, made = asyncio.Event(), asyncio.Event()

    async def create(res: Any, obj: Any) -> Any:
        found = await MemoryApi.create(api, res, obj)
        if res is PODENDPOINTS:
            made.set()
        return found

    async def listed(res: Any, namespace: str = "", **options: Any) -> Any:
        if res is PODENDPOINTS and not is_there.is_set():
            raise errors.NotFound(404, "NotFound", "the server has no such kind")
        return await MemoryApi.list(api, res, namespace, **options)

    monkeypatch.setattr(api, "list", listed)
    monkeypatch.setattr(api, "create", create)
    async with objects_of.managed(api, OPTIONS) as manager:
        await objects_of.settled(api, manager)
        assert objects_of.address(api, "a")
        assert "no such kind" in str(manager.not_ready())
        assert "podendpoints.yaml" in str(manager.not_ready())
        assert endpoints(api) == {}
        is_there.set()
        async with asyncio.timeout(PATIENCE):
            await made.wait()
        await objects_of.settled(api, manager)
        assert manager.not_ready() == []
    assert endpoints(api) == whole(api)


def refuse_endpoint_of_a(
    api: MemoryApi, monkeypatch: pytest.MonkeyPatch, error: errors.ApiError
) -> asyncio.Event:
    """Has the server refuse to create pod a's endpoint; returns what is set when it does."""
    refused = asyncio.Event()

    async def create(res: Any, obj: Any) -> Any:
        if res is PODENDPOINTS and obj["metadata"]["name"] == "a":
            refused.set()
            raise error
        return await MemoryApi.create(api, res, obj)

    monkeypatch.setattr(api, "create", create)
    return refused


@pytest.mark.parametrize(
    "error",
    [
        errors.Terminating(403, "Forbidden", "default is being terminated"),
        errors.Invalid(422, "Invalid", "spec.labels: Invalid value"),
        errors.Forbidden(403, "Forbidden", "exceeded quota: few"),
    ],
    ids=["the namespace ends", "invalid", "quota"],
)
async def test_one_that_the_server_refuses_keeps_agents_waiting_for_no_other(
    monkeypatch: pytest.MonkeyPatch, error: errors.ApiError
) -> None:
    api = filled("a", "b")
    await objects_of.manage(api)
    refused = refuse_endpoint_of_a(api, monkeypatch, error)
    async with objects_of.managed(api, OPTIONS) as manager:
        async with asyncio.timeout(PATIENCE):
            await refused.wait()
        await objects_of.settled(api, manager)
        assert sorted(endpoints(api)) == ["default/b"]
        (keys,) = api.all(CONFIGMAPS).values()
        assert endpointsmark.is_in(keys["data"])
        assert ("quota" in str(manager.not_ready())) is ("quota" in error.what)
        api.remove(PODS, "default/a")
        await objects_of.settled(api, manager)


async def test_without_the_right_to_write_any_agents_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    api = filled("a")
    await objects_of.manage(api)
    text = 'podendpoints is forbidden: User "weft" cannot create resource "podendpoints"'
    refused = refuse_endpoint_of_a(api, monkeypatch, errors.Forbidden(403, "Forbidden", text))
    async with objects_of.managed(api, OPTIONS) as manager:
        async with asyncio.timeout(PATIENCE):
            await refused.wait()
        await objects_of.settled(api, manager)
        assert text in str(manager.not_ready())
        (keys,) = api.all(CONFIGMAPS).values()
        assert not endpointsmark.is_in(keys["data"])
