"""Objects in, annotations out: whatever the order, whenever the manager dies, whatever is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import cluster_world as world
from tests.support.cluster_world import address, allocations, manage, managed, messages, settled
from tests.support.memory_api import MemoryApi
from weft import names
from weft.control.cluster.outcome import Outcome, Ref
from weft.control.cluster.state import Cluster
from weft.kube.resources import NADS, PODS, Resource

Step = Callable[[MemoryApi], object]

LIMITS = {"egressRate": 10_000_000, "egressBurst": 20_000_000}
BLUE_IN_OTHER = world.nad("blue", namespace="other")
STEPS: list[Step] = [
    lambda api: api.put(NADS, world.nad("blue")),
    lambda api: api.put(NADS, BLUE_IN_OTHER),
    lambda api: api.put(NADS, world.nad("plain", subnets=None)),
    lambda api: api.put(PODS, world.pod("one")),
    lambda api: api.put(PODS, world.pod("two", "blue, other/blue, plain")),
    lambda api: api.put(
        PODS, world.pod("three", [{"name": "blue", "ips": ["10.1.0.77"], "bandwidth": LIMITS}])
    ),
    lambda api: api.put(PODS, world.pod("four", [{"name": "blue"}, {"name": "blue"}])),
]
EXPECTED = {
    "one": {"default/blue"},
    "two": {"default/blue", "other/blue", "default/plain"},
    "three": {"default/blue"},
    "four": {"default/blue", "default/blue/1"},
}


def entries(api: MemoryApi) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for key in api.all(PODS):
        name = key.removeprefix("default/")
        for attachment, entry in allocations(api, name).items():
            yield name, attachment, entry


def check_whole(api: MemoryApi) -> None:
    """Everybody has what was asked for, and nobody has what another one has."""
    assert {name: set(allocations(api, name)) for name in EXPECTED} == EXPECTED
    check_unique(api)
    assert allocations(api, "three")["default/blue"]["ip_addresses"] == ["10.1.0.77/24"]
    assert allocations(api, "three")["default/blue"]["bandwidth"] == LIMITS
    assert "bandwidth" not in allocations(api, "one")["default/blue"]
    assert allocations(api, "two")["default/plain"]["ip_addresses"] is None
    ids = {
        obj["metadata"]["annotations"][names.NETWORK_ID]
        for obj in api.all(NADS).values()
        if obj["metadata"]["annotations"][names.NETWORK_NAME] == "blue"
    }
    assert len(ids) == 1


def check_unique(api: MemoryApi) -> None:
    held = [entry for _, key, entry in entries(api) if key.split("/")[1] == "blue"]
    addresses = [each for entry in held for each in entry["ip_addresses"]]
    for values in (addresses, [e["mac_address"] for e in held], [e["tunnel_id"] for e in held]):
        assert len(values) == len(set(values))


def check_never_changed(api: MemoryApi) -> None:
    """An entry that was written once stays as it is for as long as its pod lives."""
    seen: dict[tuple[str, str], Any] = {}
    for _, kind, _, obj in api.history:
        if kind != PODS.kind:
            continue
        text = obj["metadata"]["annotations"].get(names.POD_NETWORKS, "{}")
        for key, entry in json.loads(text).items():
            assert seen.setdefault((obj["metadata"]["uid"], key), entry) == entry


@pytest.mark.parametrize("steps", [STEPS, STEPS[::-1]], ids=["forward", "reversed"])
async def test_in_both_directions_at_once_or_step_by_step(steps: list[Step]) -> None:
    for one_by_one in (False, True):
        api = MemoryApi()
        async with managed(api) as manager:
            for step in steps:
                step(api)
                if one_by_one:
                    await settled(api, manager)
            await settled(api, manager)
        check_whole(api)
        check_never_changed(api)


@pytest.mark.parametrize("steps", [STEPS, STEPS[::-1]], ids=["forward", "reversed"])
async def test_restarted_after_each_step(steps: list[Step]) -> None:
    api = MemoryApi()
    for step in steps:
        await manage(api)
        step(api)
    await manage(api)
    check_whole(api)
    check_never_changed(api)


async def test_a_restart_with_nothing_to_do_writes_nothing() -> None:
    api = MemoryApi()
    for step in STEPS:
        step(api)
    await manage(api)
    before = list(api.writes)
    await manage(api)
    assert api.writes == before


@pytest.mark.parametrize("fate", ["before", "after"])
@pytest.mark.parametrize("victim", range(10))  # three NADs, twice each, and four pods
async def test_killed_at_each_write_whether_it_arrived_or_not(fate: str, victim: int) -> None:
    api = MemoryApi()
    for step in STEPS:
        step(api)
    dead = api.die_at(victim, fate)
    async with managed(api):
        await dead.wait()
    api.spoil = lambda verb, kind, key: ""
    await manage(api)
    check_whole(api)
    check_never_changed(api)


async def test_a_write_whose_answer_was_lost_is_found_again() -> None:
    api = MemoryApi()
    for step in STEPS:
        step(api)
    lost: set[str] = set()

    def spoil(verb: str, kind: Resource, key: str) -> str:
        if kind is PODS and key not in lost:
            lost.add(key)
            return "after"
        return ""

    api.spoil = spoil
    await manage(api)
    assert len(lost) == len(EXPECTED)
    check_whole(api)
    check_never_changed(api)


async def test_another_writer_was_faster() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    async with managed(api) as manager:
        await settled(api, manager)
        theirs = {"mac_address": "0a:58:0a:01:00:63", "ip_addresses": ["10.1.0.99/24"]}
        entries = {"default/blue": {**theirs, "tunnel_id": 55}}

        def spoil(verb: str, kind: Resource, key: str) -> str:
            if kind is not PODS:
                return ""
            api.spoil = lambda verb, kind, key: ""
            api.change(PODS, key, world.signed(api, "one", entries))
            return ""

        api.put(PODS, world.pod("one"))
        api.spoil = spoil
        await settled(api, manager)
        assert address(api, "one") == ""
        assert allocations(api, "one")["default/blue"]["tunnel_id"] == 55
        requested = [{"name": "blue", "ips": ["10.1.0.99"]}]
        api.put(PODS, world.pod("two", requested))  # taken: the manager knows what the other wrote
        await settled(api, manager)
        assert not allocations(api, "two")


async def test_a_pod_waits_for_its_nad_and_goes_on_when_it_comes() -> None:
    api = MemoryApi()
    async with managed(api) as manager:
        api.put(PODS, world.pod("one"))
        await settled(api, manager)
        assert not allocations(api, "one")
        (message,) = messages(api, "one")
        assert message.startswith("ErrorAllocatingPod: NetworkAttachmentDefinition default/blue")
        api.put(NADS, world.nad("blue"))
        await settled(api, manager)
        assert address(api, "one") == "10.1.0.1/24"


async def test_a_broken_nad_is_reported_and_mended_later() -> None:
    api = MemoryApi()
    async with managed(api) as manager:
        api.put(NADS, world.raw_nad("blue", '{"cniVersion": "1.0.0", '))
        api.put(PODS, world.pod("one"))
        await settled(api, manager)
        (message,) = messages(api, "blue")
        assert message.startswith("InvalidConfig: Failed to parse network config: ")
        assert "is invalid" in messages(api, "one")[0]
        api.change(NADS, "default/blue", {"spec": world.nad("blue")["spec"]})
        await settled(api, manager)
        assert address(api, "one")


async def test_of_two_that_differ_the_newcomer_is_refused_and_its_pods_wait() -> None:
    api = MemoryApi()
    async with managed(api) as manager:
        api.put(NADS, world.nad("blue"))
        await settled(api, manager)
        other = world.nad("blue2", "blue", mtu=1300)
        other["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
        api.put(NADS, other)
        api.put(PODS, world.pod("one", "blue2"))
        await settled(api, manager)
        (message,) = messages(api, "blue2")
        assert message.startswith("InvalidConfig: ")
        for word in ("default/blue2", "default/blue,", "mtu"):
            assert word in message
            assert word in messages(api, "one")[-1]
        assert not api.of(NADS, "default/blue2")["metadata"].get("annotations")
        assert not allocations(api, "one")
        assert messages(api, "blue") == []
        api.change(NADS, "default/blue2", {"spec": world.nad("blue2", "blue")["spec"]})
        await settled(api, manager)
        assert address(api, "one", "default/blue2")
        assert api.of(NADS, "default/blue2")["metadata"]["annotations"][names.NETWORK_ID] == "1"


async def test_an_mtu_above_the_underlay_is_warned_of_and_served() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", mtu=9000))
    api.put(PODS, world.pod("one"))
    await manage(api)
    (message,) = messages(api, "blue")
    assert "9000" in message
    assert "1500" in message
    assert address(api, "one")


async def test_a_nad_deleted_under_its_pods_does_them_no_harm() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, world.pod("one"))
    async with managed(api) as manager:
        await settled(api, manager)
        given = allocations(api, "one")
        api.remove(NADS, "default/blue")
        api.put(PODS, world.pod("two"))
        api.put(NADS, world.nad("red"))
        await settled(api, manager)
        assert not allocations(api, "two")
        assert api.of(NADS, "default/red")["metadata"]["annotations"][names.NETWORK_ID] == "2"
        api.put(NADS, world.nad("blue"))
        await settled(api, manager)
        assert allocations(api, "one") == given
        assert api.of(NADS, "default/blue")["metadata"]["annotations"][names.NETWORK_ID] == "1"
        check_unique(api)
        assert address(api, "two")


@pytest.mark.parametrize("end", ["deleted", "completed"])
async def test_everything_is_released_once_when_a_pod_ends(end: str) -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", subnets="10.1.0.0/30"))  # two addresses
    api.put(PODS, world.pod("one"))
    api.put(PODS, world.pod("two"))
    async with managed(api) as manager:
        await settled(api, manager)
        for name in ("three", "four"):
            api.put(PODS, world.pod(name))
        await settled(api, manager)
        assert not allocations(api, "three")
        assert "no address is free" in messages(api, "three")[0]
        free = address(api, "one")
        if end == "completed":
            api.change(PODS, "default/one", {"status": {"phase": "Succeeded"}})
            await settled(api, manager)
            api.change(PODS, "default/one", {"metadata": {"labels": {"later": "change"}}})
            await settled(api, manager)
        api.remove(PODS, "default/one")
        await settled(api, manager)
        assert [address(api, name) for name in ("three", "four")] == [free, ""]


async def test_the_same_static_address_goes_to_the_second_when_the_first_is_gone() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    requested = [{"name": "blue", "ips": ["10.1.0.50"], "mac": "02:00:00:00:00:05"}]
    async with managed(api) as manager:
        api.put(PODS, world.pod("one", requested))
        await settled(api, manager)
        api.put(PODS, world.pod("two", requested))
        await settled(api, manager)
        assert not allocations(api, "two")
        (message,) = messages(api, "two")
        assert "held by Pod default/one" in message
        api.remove(PODS, "default/one")
        await settled(api, manager)
        entry = allocations(api, "two")["default/blue"]
        assert entry["ip_address"] == "10.1.0.50/24"
        assert entry["mac_address"] == "02:00:00:00:00:05"


async def test_a_pod_made_again_under_its_name_is_another_pod() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", subnets="10.1.0.0/31"))
    api.put(NADS, world.nad("blue", subnets="10.1.0.0/30"))
    async with managed(api) as manager:
        api.put(PODS, world.pod("one", uid="first"))
        await settled(api, manager)
        first = address(api, "one")
        api.remove(PODS, "default/one")
        api.put(PODS, world.pod("one", uid="second"))
        await settled(api, manager)
        assert address(api, "one")
        assert first
        api.put(PODS, world.pod("two"))
        await settled(api, manager)
        assert {address(api, "one"), address(api, "two")} == {"10.1.0.1/30", "10.1.0.2/30"}


async def test_all_or_nothing_and_no_address_is_kept_by_who_waits() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", subnets="10.1.0.0/30"))
    api.put(NADS, world.nad("red", subnets="10.2.0.0/30"))
    async with managed(api) as manager:
        for name, requested in [
            ("r1", "red"),
            ("r2", "red"),
            ("both", "blue, red"),
            ("b1", "blue"),
        ]:
            api.put(PODS, world.pod(name, requested))
            await settled(api, manager)
        assert not allocations(api, "both")
        api.put(PODS, world.pod("b2"))
        await settled(api, manager)
        assert address(api, "b1")
        assert address(api, "b2")
        for name in ("r1", "b2"):
            api.remove(PODS, f"default/{name}")
            await settled(api, manager)
        assert set(allocations(api, "both")) == {"default/blue", "default/red"}


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": {"nodeName": None}},
        {"spec": {"hostNetwork": True}},
        {"status": {"phase": "Succeeded"}},
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)
async def test_pods_that_are_none_of_its_business(changes: dict[str, Any]) -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, world.pod("one"))
    api.change(PODS, "default/one", changes)
    await manage(api)
    assert not allocations(api, "one")
    assert messages(api, "one") == []


async def test_a_pod_is_served_as_soon_as_it_has_a_node() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, world.pod("one", nodeName=None))
    async with managed(api) as manager:
        await settled(api, manager)
        assert not allocations(api, "one")
        api.change(PODS, "default/one", {"spec": {"nodeName": "node2"}})
        await settled(api, manager)
        assert address(api, "one")


async def test_other_plugins_networks_and_entries_are_left_alone() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(NADS, world.raw_nad("mac", '{"type": "macvlan", "name": "mac"}'))
    one = world.pod("one", "mac, blue")
    theirs = {"mac_address": "0a:58:0a:f4:00:05", "ip_addresses": ["10.244.0.5/24"], "x": 1}
    one["metadata"]["annotations"][names.POD_NETWORKS] = json.dumps({"default": theirs})
    api.put(PODS, one)
    await manage(api)
    assert set(allocations(api, "one")) == {"default", "default/blue"}
    assert allocations(api, "one")["default"] == theirs
    assert not api.of(NADS, "default/mac")["metadata"].get("annotations")


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ("[{", "is not valid JSON"),
        ([{"name": "blue", "ips": ["10.9.0.1"]}], "lies outside of subnet"),
        ([{"name": "blue", "mac": "xyz"}], "mac"),
    ],
)
async def test_a_request_that_cannot_be_met_is_reported_and_harms_nobody(
    requested: object, message: str
) -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, world.pod("bad", requested))
    api.put(PODS, world.pod("good"))
    async with managed(api) as manager:
        await settled(api, manager)
        assert address(api, "good")
        (told,) = messages(api, "bad")
        assert told.startswith("ErrorAllocatingPod: ")
        assert message in told
        assert "default/bad" in told
        fixed = {"metadata": {"annotations": {names.NETWORKS: "blue"}}}
        api.change(PODS, "default/bad", fixed)
        await settled(api, manager)
        assert address(api, "bad")


@pytest.mark.parametrize("count", [33, 4090])
async def test_a_pod_that_asks_for_too_many_networks_gets_none_of_them(count: int) -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", subnets="10.1.0.0/28"))
    api.put(PODS, world.pod("hog", ",".join(["blue"] * count)))
    async with managed(api) as manager:
        await settled(api, manager)
        api.put(PODS, world.pod("victim"))
        await settled(api, manager)
        assert address(api, "victim") == "10.1.0.1/28"
        (message,) = messages(api, "hog")
        assert f"Pod default/hog: {names.NETWORKS}: names {count} networks" in message
        assert "a pod can have 32 (name fewer" in message
        assert not allocations(api, "hog")


async def test_what_cannot_be_written_is_free_again_at_once_and_the_pod_is_reported() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", subnets="10.1.0.0/30"))
    hog = world.pod("hog", "blue, blue")
    hog["metadata"]["annotations"]["notes"] = "x" * ((256 << 10) - 200)
    api.put(PODS, hog)
    async with managed(api) as manager:
        await settled(api, manager)
        api.put(PODS, world.pod("victim"))
        await settled(api, manager)
        assert address(api, "victim")
        (message,) = messages(api, "hog")
        assert (
            "ErrorAllocatingPod: Pod default/hog: k8s.ovn.org/pod-networks: is refused" in message
        )
        assert "metadata.annotations: Too long" in message
        assert "shorten the pod's other annotations" in message
        api.change(PODS, "default/hog", {"metadata": {"annotations": {"notes": "short"}}})
        await settled(api, manager)
        assert not allocations(api, "hog"), "one address is left, and it asks for two"
        api.remove(PODS, "default/victim")
        await settled(api, manager)
        assert set(allocations(api, "hog")) == {"default/blue", "default/blue/1"}


async def test_a_pod_on_two_networks_of_one_range_is_reported() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(NADS, world.nad("red", subnets="10.1.0.0/16"))
    api.put(PODS, world.pod("one", "blue, red"))
    api.put(PODS, world.pod("two", "blue, blue"))
    await manage(api)
    (message,) = messages(api, "one")
    assert message.startswith("OverlappingSubnets: ")
    assert set(allocations(api, "one")) == {"default/blue", "default/red"}
    assert messages(api, "two") == []


async def test_a_request_in_another_plugins_words_is_reported() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    asks = world.pod("one", "blue")
    asks["metadata"]["annotations"]["blue.default.ovn.kubernetes.io/ip_address"] = "10.1.0.77"
    api.put(PODS, asks)
    api.put(PODS, world.pod("two", "blue"))
    await manage(api)
    (message,) = messages(api, "one")
    assert message.startswith("AnnotationIgnored: ")
    assert "blue.default.ovn.kubernetes.io/ip_address" in message
    assert messages(api, "two") == []


@pytest.mark.parametrize("changed", [False, True])
async def test_the_echo_of_a_pods_patch_decides_nothing_anew(
    changed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before the answer came or after it; what somebody else changed is looked at."""
    api, decided = MemoryApi(), []
    api.put(NADS, world.nad("blue"))
    decide = Cluster.decide

    def counted(cluster: Cluster, ref: Ref, now: str) -> Outcome:
        if ref.resource is PODS:
            decided.append(str(ref.key))
        return decide(cluster, ref, now)

    async with managed(api) as manager:
        api.put(PODS, world.pod("first"))
        await settled(api, manager)
        monkeypatch.setattr(Cluster, "decide", counted)
        api.put(PODS, world.pod("one"))
        await settled(api, manager)
        assert address(api, "one")
        if changed:
            api.change(
                PODS, "default/one", {"metadata": {"annotations": {names.POD_NETWORKS: "{}"}}}
            )
            await settled(api, manager)
    assert decided == ["default/one"] * (2 if changed else 1)
    assert address(api, "one")
