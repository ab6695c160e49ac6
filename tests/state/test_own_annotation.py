"""A pod's own words about its allocations: nothing is gained by them, and nothing lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from tests.support import cluster_world as world
from tests.support.cluster_world import address, allocations, manage, managed, messages, settled
from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from weft import names
from weft.api import pod as api_pod
from weft.api import podsignature
from weft.app import settings
from weft.kube.resources import CONFIGMAPS, NADS, NODES, PODS, SECRETS

Object = dict[str, Any]
BOTH = (names.POD_NETWORKS, names.POD_NETWORKS_SIGNATURE)
PRIMARY = settings.ClusterManager(workers=4, cluster_subnets="10.128.0.0/14/23")
STOLEN = {"mac_address": "0a:58:0a:01:00:01", "ip_addresses": ["10.1.0.1/24"], "tunnel_id": 10}


def notes(api: MemoryApi, name: str) -> dict[str, str]:
    annotations = api.of(PODS, f"default/{name}")["metadata"]["annotations"]
    return {key: annotations[key] for key in BOTH if key in annotations}


def annotate(api: MemoryApi, name: str, annotations: dict[str, str | None]) -> None:
    api.change(PODS, f"default/{name}", {"metadata": {"annotations": annotations}})


def run(api: MemoryApi, name: str) -> None:
    api.change(PODS, f"default/{name}", {"status": {"phase": "Running"}})


def proved(api: MemoryApi, name: str) -> dict[str, Any]:
    """What an agent takes for the manager's word."""
    (keys,) = api.all(CONFIGMAPS).values()
    trusted = podsignature.TrustedKeys.parse(keys["data"])
    seen = api_pod.read(api.of(PODS, f"default/{name}"), primary=True)
    return dict(podsignature.verify(seen.ref, seen.proof, trusted).allocations)


def created_with(name: str, text: str, **spec: Any) -> Object:
    pod = world.pod(name, **spec)
    pod["metadata"]["annotations"][names.POD_NETWORKS] = text
    pod["metadata"]["creationTimestamp"] = "2026-03-01T00:00:00Z"
    return pod


def blue() -> MemoryApi:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, world.pod("p1"))
    return api


@pytest.mark.parametrize("is_down", [False, True], ids=["manager up", "manager down"])
async def test_a_new_pods_own_annotation_is_overwritten(is_down: bool) -> None:
    api = blue()
    await manage(api)
    thief = created_with("thief", json.dumps({"default/blue": STOLEN}))
    if is_down:
        api.put(PODS, thief)
    async with managed(api) as manager:
        await settled(api, manager)
        api.put(PODS, thief) if not is_down else None
        await settled(api, manager)
    assert address(api, "p1") == "10.1.0.1/24"
    assert address(api, "thief") == "10.1.0.2/24"
    assert set(proved(api, "thief")) == {"default/blue"}
    (message,) = messages(api, "thief")
    assert message.startswith(
        "PodNetworksOverwritten: Pod default/thief: k8s.ovn.org/pod-networks: "
    )
    assert "was not written by the cluster manager" in message


async def test_another_pods_signed_annotation_is_nobodys_word() -> None:
    api = blue()
    await manage(api)
    thief = created_with("thief", "")
    thief["metadata"]["annotations"] |= notes(api, "p1")
    api.put(PODS, thief)
    await manage(api)
    assert address(api, "thief") == "10.1.0.2/24"
    assert "differs from what the cluster manager wrote for this pod" in messages(api, "thief")[0]


async def test_a_pod_made_again_under_a_name_has_not_its_predecessors_words() -> None:
    api = blue()
    await manage(api)
    before = notes(api, "p1")
    api.remove(PODS, "default/p1")
    api.put(PODS, world.pod("p2"))
    await manage(api)
    assert address(api, "p2") == "10.1.0.1/24"
    again = created_with("p1", "")
    again["metadata"] |= {"uid": "another"}
    again["metadata"]["annotations"] |= before
    api.put(PODS, again)
    await manage(api)
    assert address(api, "p1") == "10.1.0.2/24"


async def test_a_pod_made_again_from_its_own_manifest_is_a_new_pod() -> None:
    """As `kubectl get pod -o yaml` gives it, with what its node told of its predecessor."""
    api = blue()
    told = [{"name": "default/blue", "interface": "net1"}]
    async with managed(api) as manager:
        await settled(api, manager)
        run(api, "p1")
        annotate(api, "p1", {names.NETWORK_STATUS: json.dumps(told)})
        before = dict(api.of(PODS, "default/p1")["metadata"]["annotations"])
        api.remove(PODS, "default/p1")
        again = created_with("p1", "")
        again["metadata"] |= {"uid": "another"}
        again["metadata"]["annotations"] |= before
        api.put(PODS, again)
        await settled(api, manager)
        assert set(proved(api, "p1")) == {"default/blue"}
        assert not [each for each in messages(api, "p1") if each.startswith("PodNetworksLost")]


async def test_the_node_routers_address_is_nobodys_on_the_primary_network() -> None:
    api = MemoryApi()
    api.put(NODES, world.node("node1"))
    await manage(api, PRIMARY)
    entry = {"mac_address": "0a:58:0a:80:00:01", "ip_addresses": ["10.128.0.1/23"]}
    thief = created_with("thief", json.dumps({"default": {**entry, "role": "primary"}}))
    del thief["metadata"]["annotations"][names.NETWORKS]
    api.put(PODS, thief)
    await manage(api, PRIMARY)
    assert address(api, "thief", "default") == "10.128.0.3/23"
    assert "default" in proved(api, "thief")


CHANGES: dict[str, Callable[[dict[str, str]], dict[str, str | None]]] = {
    "removed": lambda was: {names.POD_NETWORKS: None},
    "garbled": lambda was: {names.POD_NETWORKS: "{garbage"},
    "signature removed": lambda was: {names.POD_NETWORKS_SIGNATURE: None},
    "signature garbled": lambda was: {names.POD_NETWORKS_SIGNATURE: "{}"},
    "both removed": lambda was: dict.fromkeys(BOTH),
    "one byte": lambda was: {names.POD_NETWORKS: was[names.POD_NETWORKS].replace("0.1", "0.7")},
    "emptied": lambda was: {names.POD_NETWORKS: "{}"},
    "all and the request": lambda was: {**dict.fromkeys(BOTH), names.NETWORKS: None},
    "garbled request": lambda was: {names.POD_NETWORKS: "{", names.NETWORKS: "[{"},
}


@pytest.mark.parametrize(
    ("change", "phase"),
    # A pod that is not wired yet may request something else.
    [(each, "Running") for each in CHANGES]
    + [(each, "Pending") for each in CHANGES if "request" not in each],
)
@pytest.mark.parametrize("options", [world.OPTIONS, PRIMARY], ids=["secondary", "primary"])
async def test_what_is_edited_later_is_written_again(
    change: str, phase: str, options: settings.ClusterManager
) -> None:
    api = blue()
    api.put(NODES, world.node("node1"))
    async with managed(api, options) as manager:
        await settled(api, manager)
        api.change(PODS, "default/p1", {"status": {"phase": phase}})
        before = notes(api, "p1")
        annotate(api, "p1", CHANGES[change](before))
        await settled(api, manager)
        assert notes(api, "p1") == before
        api.put(PODS, world.pod("p2"))
        await settled(api, manager)
        assert address(api, "p2") == "10.1.0.2/24"


async def test_an_entry_added_for_a_network_of_wefts_is_taken_off() -> None:
    api = blue()
    api.put(NADS, world.nad("red", subnets="10.2.0.0/24"))
    async with managed(api) as manager:
        await settled(api, manager)
        run(api, "p1")
        before = notes(api, "p1")
        entries = {**allocations(api, "p1"), "default/red": STOLEN, "default/other": {"x": 1}}
        annotate(api, "p1", {names.POD_NETWORKS: json.dumps(entries)})
        await settled(api, manager)
        assert set(allocations(api, "p1")) == {"default/blue", "default/other"}
        assert before[BOTH[1]] == notes(api, "p1")[BOTH[1]]


@pytest.mark.parametrize("change", [key for key in CHANGES if "request" not in key])
async def test_edited_while_no_manager_runs_a_running_pods_address_is_not_chosen_anew(
    change: str,
) -> None:
    """Only its node knows what it has; the node's agent puts it back."""
    api = blue()
    api.put(NADS, world.nad("red", subnets="10.2.0.0/24"))
    await manage(api)
    run(api, "p1")
    annotate(api, "p1", {names.NETWORK_STATUS: '[{"name": "default/blue", "interface": "net1"}]'})
    before = notes(api, "p1")
    annotate(api, "p1", CHANGES[change](before))
    edited = notes(api, "p1")
    async with managed(api) as manager:
        await settled(api, manager)
        assert notes(api, "p1") == edited
        assert [each for each in messages(api, "p1") if each.startswith("PodNetworksLost: ")]
        api.put(PODS, world.pod("p2"))
        api.put(PODS, world.pod("p3", "red"))
        await settled(api, manager)
        assert not allocations(api, "p2"), "it could be what p1 has"
        assert address(api, "p3", "default/red"), "other networks go on"
        assert (
            "until the cluster manager knows again what Pod default/p1 has"
            in messages(api, "p2")[0]
        )
        annotate(api, "p1", dict(before))
        await settled(api, manager)
        assert notes(api, "p1") == before
        assert address(api, "p2") == "10.1.0.2/24"


@pytest.mark.parametrize("end", ["time", "pod"])
async def test_nobody_waits_for_long_for_what_is_not_put_back(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft.control.cluster.unknown.PATIENCE", 0.01 if end == "time" else 999.0)
    api = blue()
    await manage(api)
    run(api, "p1")
    annotate(api, "p1", {names.POD_NETWORKS: "{", names.POD_NETWORKS_SIGNATURE: None})
    api.put(PODS, world.pod("p2"))
    async with managed(api) as manager:
        await settled(api, manager)
        if end == "pod":
            assert not allocations(api, "p2")
            api.remove(PODS, "default/p1")
        async with asyncio.timeout(PATIENCE):
            async for _, pod in api.watch(PODS, "0"):
                if (
                    pod["metadata"]["name"] == "p2"
                    and names.POD_NETWORKS in (pod["metadata"]["annotations"])
                ):
                    break
        await settled(api, manager)
    assert address(api, "p2") == "10.1.0.1/24"


async def test_a_garbled_request_frees_nothing_at_a_restart() -> None:
    api = blue()
    await manage(api)
    run(api, "p1")
    annotate(api, "p1", {names.NETWORKS: "[{"})
    api.put(PODS, world.pod("p2"))
    await manage(api)
    assert address(api, "p2") == "10.1.0.2/24"


@pytest.mark.parametrize("fate", ["before", "after"])
@pytest.mark.parametrize("victim", range(8))
async def test_killed_at_each_write_a_thief_gains_nothing(fate: str, victim: int) -> None:
    api = blue()
    api.put(PODS, created_with("thief", json.dumps({"default/blue": STOLEN})))
    dead = api.die_at(victim, fate)
    async with managed(api) as manager:
        for _ in range(200):
            if dead.is_set():
                break
            if manager.writer is not None and api.is_drained() and not len(manager.writer):
                annotate(api, "thief", {names.POD_NETWORKS: json.dumps({"default/blue": STOLEN})})
                run(api, "p1")
                annotate(api, "p1", {names.POD_NETWORKS: None})
                await settled(api, manager)
                break
            await asyncio.sleep(0)
    api.spoil = lambda verb, kind, key: ""
    await manage(api)
    held = [proved(api, name).get("default/blue") for name in ("p1", "thief")]
    macs = {each.mac for each in held if each is not None}
    assert len(macs) == sum(each is not None for each in held)
    assert held[1] is not None


async def test_before_anything_was_signed_the_first_who_came_keeps_what_he_has() -> None:
    for order in permutations(range(3)):
        api = MemoryApi()
        api.put(NADS, world.nad("blue"))
        entry = json.dumps({"default/blue": {**STOLEN, "ip_addresses": ["10.1.0.5/24"]}})
        pods = [created_with("younger", entry), created_with("elder", entry), world.pod("new")]
        for pod, created in zip(pods, ("2026-01-03", "2026-01-02", "2026-03-01"), strict=True):
            pod["metadata"]["creationTimestamp"] = f"{created}T00:00:00Z"
            pod["status"]["phase"] = "Running" if pod is not pods[2] else "Pending"
        for index in order:
            api.put(PODS, pods[index])
        async with managed(api) as manager:
            await settled(api, manager)
        assert address(api, "elder") == "10.1.0.5/24"
        assert set(proved(api, "elder")) == {"default/blue"}
        assert names.POD_NETWORKS_SIGNATURE not in notes(api, "younger")
        assert address(api, "new") not in ("", "10.1.0.5/24")
        assert any("held by Pod default/elder" in each for each in messages(api, "younger"))
        assert "adopt" not in next(iter(api.all(SECRETS).values()))["data"]


async def test_what_came_after_the_first_key_is_never_adopted() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    await manage(api)
    thief = created_with("thief", json.dumps({"default/blue": STOLEN}))
    thief["status"]["phase"] = "Running"
    api.put(PODS, thief)
    await manage(api)
    assert names.POD_NETWORKS_SIGNATURE not in notes(api, "thief")
    assert messages(api, "thief")[0].startswith("PodNetworksLost: ")


@pytest.mark.parametrize("victim", range(7))
@pytest.mark.parametrize("fate", ["before", "after"])
async def test_killed_while_it_adopts_the_next_one_finishes(victim: int, fate: str) -> None:
    api = blue()
    for name in ("p1", "p2"):
        pod = world.pod(name)
        number = name[-1]
        entry = {"mac_address": f"0a:58:0a:01:00:0{number}", "tunnel_id": 10 + int(number)}
        text = json.dumps({"default/blue": {**entry, "ip_addresses": [f"10.1.0.2{number}/24"]}})
        pod["metadata"]["annotations"][names.POD_NETWORKS] = text
        pod["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
        pod["status"]["phase"] = "Running"
        api.put(PODS, pod)
    dead = api.die_at(victim, fate)
    async with managed(api) as manager:
        for _ in range(500):
            await asyncio.sleep(0)
        assert dead.is_set() or manager.is_started
    api.spoil = lambda verb, kind, key: ""
    await manage(api)
    for name in ("p1", "p2"):
        assert str(proved(api, name)["default/blue"].addresses[0]) == f"10.1.0.2{name[-1]}/24"
    assert "adopt" not in next(iter(api.all(SECRETS).values()))["data"]


async def test_a_lost_key_cuts_nobody_off_and_frees_nothing() -> None:
    api = blue()
    await manage(api)
    run(api, "p1")
    first = world.signer(api).id
    (secret,) = api.all(SECRETS)
    api.remove(SECRETS, secret)
    api.put(PODS, world.pod("p2"))
    await manage(api)
    assert world.signer(api).id != first
    assert address(api, "p1") == "10.1.0.1/24"
    assert address(api, "p2") == "10.1.0.2/24"
    (keys,) = api.all(CONFIGMAPS).values()
    assert set(keys["data"]) == {first, world.signer(api).id}
    by = json.loads(notes(api, "p1")[names.POD_NETWORKS_SIGNATURE])["by"]
    assert by == world.signer(api).id, "signed anew, so that the old key can be taken away"


async def test_a_lost_public_key_is_written_again_while_the_manager_runs() -> None:
    api = blue()
    async with managed(api) as manager:
        await settled(api, manager)
        (key,) = api.all(CONFIGMAPS)
        api.remove(CONFIGMAPS, key)
        await settled(api, manager)
        assert set(proved(api, "p1")) == {"default/blue"}
        api.change(CONFIGMAPS, key, {"data": {world.signer(api).id: None}})
        await settled(api, manager)
        assert set(proved(api, "p1")) == {"default/blue"}


async def test_with_both_keys_lost_what_runs_is_signed_anew() -> None:
    api = blue()
    await manage(api)
    run(api, "p1")
    api.change(PODS, "default/p1", {"metadata": {"creationTimestamp": "2026-01-02T00:00:00Z"}})
    for res in (SECRETS, CONFIGMAPS):
        (key,) = api.all(res)
        api.remove(res, key)
    api.put(PODS, world.pod("p2"))
    await manage(api)
    assert address(api, "p1") == "10.1.0.1/24"
    assert set(proved(api, "p1")) == {"default/blue"}
    assert address(api, "p2") == "10.1.0.2/24"


async def test_a_secret_that_is_no_key_is_reported_and_nothing_is_written() -> None:
    api = blue()
    meta = {"name": names.SIGNING_KEY, "namespace": "default", "uid": "s"}
    api.put(SECRETS, {"metadata": meta, "data": {"key": "bm9uc2Vuc2U="}})
    async with managed(api) as manager:
        for _ in range(100):
            await asyncio.sleep(0)
        (reason,) = [each for each in manager.not_ready() if "Secret" in each]
        assert f"Secret default/{names.SIGNING_KEY}: data.key: is no Ed25519 key" in reason
        assert not notes(api, "p1")
