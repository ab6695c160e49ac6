"""Nodes in, ids and parts of networks out; and pods from their node's part, whatever happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support import cluster_world as world
from tests.support.cluster_world import address, allocations, manage, managed, messages, settled
from tests.support.memory_api import MemoryApi
from weft import names
from weft.alloc import ids
from weft.kube.resources import EVENTS, NADS, NODES, PODS, Resource

PRIMARY = replace(world.OPTIONS, cluster_subnets="10.128.0.0/20/23")  # eight nodes
RED = world.nad("red", topology="layer3", subnets="10.1.0.0/22/24")  # four nodes


def bare(name: str, node: str = "node1", **spec: Any) -> dict[str, Any]:
    return world.pod(name, "", nodeName=node, **spec)


def put_nodes(api: MemoryApi, count: int = 3) -> None:
    for number in range(1, count + 1):
        api.put(NODES, world.node(f"node{number}"))


async def test_every_node_gets_id_transit_addresses_and_subnet() -> None:
    api = MemoryApi()
    put_nodes(api, 2)
    await manage(api, PRIMARY)
    assert world.notes(api, "node1") == {
        "node-id": 2,
        "node-transit-switch-port-ifaddr": {"ipv4": "100.88.0.2/16", "ipv6": "fd97::2/64"},
        "node-subnets": {"default": ["10.128.0.0/23"]},
    }
    assert world.notes(api, "node2")["node-subnets"] == {"default": ["10.128.2.0/23"]}
    assert world.written(api) == ["Node", "Node"], "one patch a node"


async def test_every_pod_gets_an_address_of_its_nodes_subnet() -> None:
    api = MemoryApi()
    put_nodes(api)
    api.put(NADS, world.nad("blue"))
    api.put(PODS, bare("one"))
    api.put(PODS, world.pod("two", "blue", nodeName="node2"))
    api.put(PODS, bare("host", hostNetwork=True))
    await manage(api, PRIMARY)
    assert allocations(api, "one") == {
        "default": {
            "ip_addresses": ["10.128.0.3/23"],
            "mac_address": "0a:58:0a:80:00:03",
            "gateway_ips": ["10.128.0.1"],
            "routes": [{"dest": "10.128.0.0/20", "nextHop": "10.128.0.1"}],
            "ip_address": "10.128.0.3/23",
            "gateway_ip": "10.128.0.1",
            "role": "primary",
        }
    }
    assert address(api, "two", "default") == "10.128.2.3/23"
    assert address(api, "two") == "10.1.0.1/24"
    assert allocations(api, "host") == {}
    assert [kind for _, kind, _ in api.writes].count("Pod") == 2, "one patch a pod"


async def test_a_pod_on_a_node_that_is_not_there_is_reported_what_to_do() -> None:
    api = MemoryApi()
    api.put(PODS, bare("one", "node7"))
    await manage(api, PRIMARY)
    (event,) = [one for one in api.all(EVENTS).values() if one["involvedObject"]["name"] == "one"]
    assert event["message"].startswith("Node node7: does not exist (")
    assert "another node" in event["message"]


async def test_without_the_setting_nobody_touches_pods_or_nodes() -> None:
    api = MemoryApi()
    theirs = '{"default":["10.244.0.0/24"]}'
    api.put(NODES, world.node("node1", node_subnets=theirs))
    api.put(NADS, world.nad("blue"))
    api.put(PODS, bare("bare"))
    api.put(PODS, world.pod("one"))
    await manage(api)
    assert allocations(api, "bare") == {}
    assert world.notes(api, "node1") == {"node-subnets": json.loads(theirs)}
    assert set(world.written(api)) == {"NetworkAttachmentDefinition", "Pod"}


async def test_a_secondary_networks_part_goes_to_nodes_with_pods_on_it() -> None:
    api = MemoryApi()
    theirs = '{"default":["10.244.0.0/24"]}'
    api.put(NODES, world.node("node1", node_subnets=theirs, node_id="7"))
    api.put(NODES, world.node("node2"))
    api.put(NADS, RED)
    api.put(PODS, world.pod("one", "red"))
    async with managed(api) as manager:
        await settled(api, manager)
        assert messages(api, "one") == [], "waiting for the node's part is nobody's fault"
        entry = allocations(api, "one")["default/red"]
        assert entry["ip_addresses"] == ["10.1.0.3/24"]
        assert entry["routes"] == [{"dest": "10.1.0.0/22", "nextHop": "10.1.0.1"}]
        assert "gateway_ips" not in entry
        assert "tunnel_id" not in entry
        notes = world.notes(api, "node1")
        assert notes["node-subnets"] == {"default": ["10.244.0.0/24"], "red": ["10.1.0.0/24"]}
        assert (notes["node-id"], world.notes(api, "node2")) == (7, {})
        api.remove(PODS, "default/one")
        api.remove(NADS, "default/red")
        await settled(api, manager)
        assert world.notes(api, "node1")["node-subnets"] == {"default": ["10.244.0.0/24"]}


@pytest.mark.parametrize("wiped", ["", names.NODE_SUBNETS, names.NODE_ID])
async def test_a_restart_comes_to_the_same_and_what_was_wiped_comes_back(wiped: str) -> None:
    api = MemoryApi()
    put_nodes(api)
    api.put(NADS, RED)
    for number in range(1, 4):
        api.put(PODS, world.pod(f"p{number}", "red", nodeName=f"node{number}"))
    await manage(api, PRIMARY)
    before = {key: api.of(NODES, key)["metadata"]["annotations"] for key in api.all(NODES)}
    given = {name: allocations(api, name) for name in ("p1", "p2", "p3")}
    writes = list(api.writes)
    await manage(api, PRIMARY)
    assert api.writes == writes, "nothing to do, nothing written"
    async with managed(api, PRIMARY) as manager:
        await settled(api, manager)
        if wiped:
            api.change(NODES, "node2", {"metadata": {"annotations": {wiped: None}}})
            await settled(api, manager)
    assert before == {key: api.of(NODES, key)["metadata"]["annotations"] for key in api.all(NODES)}
    assert given == {name: allocations(api, name) for name in ("p1", "p2", "p3")}


async def test_what_a_node_had_is_free_when_it_goes() -> None:
    api = MemoryApi()
    put_nodes(api, 8)
    async with managed(api, PRIMARY) as manager:
        await settled(api, manager)
        gone = world.notes(api, "node4")
        api.put(NODES, world.node("late"))
        await settled(api, manager)
        assert "node-subnets" not in world.notes(api, "late")
        (message,) = messages(api, "late")
        assert message.startswith("NodeSubnetsExhausted: Node late: no IPv4 subnet is free")
        api.remove(NODES, "node4")
        await settled(api, manager)
        assert world.notes(api, "late")["node-subnets"] == gone["node-subnets"]


async def test_a_node_without_an_id_is_reported_and_gets_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ids.NodeIds, "last", ids.NodeIds.first + 1)
    api = MemoryApi()
    put_nodes(api)
    api.put(PODS, bare("one", "node3"))
    async with managed(api, PRIMARY) as manager:
        await settled(api, manager)
        for name, reason in (("node3", "NodeIdsExhausted"), ("one", "ErrorAllocatingPod")):
            (message,) = messages(api, name)
            assert message.startswith(f"{reason}: Node node3: no Node id is free")
        api.remove(NODES, "node1")
        await settled(api, manager)
        assert world.notes(api, "node3")["node-id"] == 2
        assert address(api, "one", "default")


async def test_a_part_stays_its_nodes_while_pods_have_addresses_of_it() -> None:
    """A Node that is deleted under its pods, and comes back as another chassis say."""
    api = MemoryApi()
    put_nodes(api, 8)
    api.put(PODS, bare("one"))
    async with managed(api, PRIMARY) as manager:
        await settled(api, manager)
        before = world.notes(api, "node1")["node-subnets"]
        api.remove(NODES, "node1")
        api.put(NODES, world.node("late"))
        await settled(api, manager)
        assert "node-subnets" not in world.notes(api, "late")
        api.put(NODES, world.node("node1", node_id="9"))
        await settled(api, manager)
        assert world.notes(api, "node1")["node-subnets"] == before
        api.remove(NODES, "node1")
        await settled(api, manager)
        api.remove(PODS, "default/one")
        await settled(api, manager)
        assert world.notes(api, "late")["node-subnets"] == before


SWAPPED = {"node1": '{"default":["10.128.2.0/23"]}', "node2": '{"default":["10.128.0.0/23"]}'}


@pytest.mark.parametrize("away", [False, True], ids=["seen", "away"])
@pytest.mark.parametrize(
    "edits",
    [{"node1": None, "node2": None}, {"node1": SWAPPED["node1"]}, SWAPPED],
    ids=["lost", "overlapping", "swapped"],
)
async def test_what_somebody_writes_to_nodes_moves_no_part(
    edits: dict[str, str | None], away: bool
) -> None:
    api = MemoryApi()
    put_nodes(api)
    for number in (1, 2):
        api.put(PODS, bare(f"p{number}", f"node{number}"))
    await manage(api, PRIMARY)
    before = {node: world.notes(api, node) for node in api.all(NODES)}
    api.remove(NODES, "node3")  # nor does what is free come first

    def edit() -> None:
        for node, text in edits.items():
            notes = {names.NODE_SUBNETS: text}
            api.change(NODES, node, {"metadata": {"annotations": notes}})

    if away:
        edit()
    async with managed(api, PRIMARY) as manager:
        await settled(api, manager)
        if not away:
            edit()
            await settled(api, manager)
    for node in ("node1", "node2"):
        assert world.notes(api, node) == before[node]
        told = [each for each in messages(api, node) if "leave it to weft cluster-manager" in each]
        assert bool(told) == bool(edits.get(node))
    assert messages(api, "p1") == messages(api, "p2") == []


async def test_a_cluster_that_becomes_dual_stack_and_single_again() -> None:
    dual = replace(PRIMARY, cluster_subnets="10.128.0.0/20/23,fd00:10::/60/64")
    api = MemoryApi()
    put_nodes(api, 2)
    api.put(PODS, bare("old", "node2"))
    await manage(api, PRIMARY)
    api.remove(NODES, "node1")
    before = world.notes(api, "node2")["node-subnets"]["default"]
    api.put(PODS, bare("new", "node2"))
    await manage(api, dual)
    both = world.notes(api, "node2")["node-subnets"]["default"]
    assert both == [*before, "fd00:10::/64"]
    given = {name: allocations(api, name)["default"]["ip_addresses"] for name in ("old", "new")}
    assert given == {
        "old": ["10.128.2.3/23"],
        "new": ["10.128.2.4/23", "fd00:10::3/64"],
    }
    await manage(api, dual)
    assert world.notes(api, "node2")["node-subnets"]["default"] == both
    await manage(api, PRIMARY)
    assert world.notes(api, "node2")["node-subnets"]["default"] == before
    assert messages(api, "node2") == messages(api, "old") == []
    assert ["OutsideNodeSubnet" in each for each in messages(api, "new")] == [True]


async def test_a_full_node_keeps_nobody_else_waiting() -> None:
    options = replace(PRIMARY, cluster_subnets="10.128.0.0/26/29")  # four pods a node
    api = MemoryApi()
    put_nodes(api, 2)
    async with managed(api, options) as manager:
        for number in range(6):
            api.put(PODS, bare(f"p{number}"))
            await settled(api, manager)
        api.put(PODS, bare("elsewhere", "node2"))
        await settled(api, manager)
        assert address(api, "elsewhere", "default")
        for name in ("p4", "p5"):
            (message,) = messages(api, name)
            assert "network default: no address is free in subnet 10.128.0.0/29" in message
            assert "run pods on other nodes than node1" in message
        for gone, served in (("p2", "p4"), ("p0", "p5")):
            api.remove(PODS, f"default/{gone}")
            await settled(api, manager)
            assert address(api, served, "default"), "who waits longest comes first"


async def test_a_pod_whose_node_has_another_part_now_is_reported() -> None:
    api = MemoryApi()
    put_nodes(api, 1)
    for name in ("old", "new"):
        api.put(PODS, bare(name))
    await manage(api, PRIMARY)
    text = json.dumps(allocations(api, "old"))
    text = text.replace(address(api, "old", "default"), "10.128.2.3/23")
    api.change(PODS, "default/old", world.signed(api, "old", json.loads(text)))
    await manage(api, PRIMARY)
    (message,) = [each for each in messages(api, "old") if each.startswith("OutsideNodeSubnet")]
    assert (
        "lies outside of 10.128.0.0/23, the subnet of its node node1: no route leads to it"
        in message
    )
    assert messages(api, "new") == []


async def test_a_part_that_no_pod_uses_goes_to_who_lacks_one() -> None:
    api = MemoryApi()
    put_nodes(api, 6)
    api.put(NADS, RED)
    for number in range(1, 5):
        api.put(PODS, world.pod(f"p{number}", "red", nodeName=f"node{number}"))
    async with managed(api, PRIMARY) as manager:
        await settled(api, manager)
        third = world.notes(api, "node3")["node-subnets"]["red"]
        api.remove(PODS, "default/p3")
        await settled(api, manager)
        assert world.notes(api, "node3")["node-subnets"]["red"] == third, "nobody needs it yet"
        seen = list(api.writes)
        api.put(PODS, world.pod("p5", "red", nodeName="node5"))
        await settled(api, manager)
        assert "red" not in world.notes(api, "node3")["node-subnets"]
        assert world.notes(api, "node5")["node-subnets"]["red"] == third
        assert address(api, "p5", "default/red")
        assert messages(api, "p5") == messages(api, "node5") == []
        patched = [key for _, kind, key in api.writes[len(seen) :] if kind == "Node"]
        assert patched == ["node3", "node5"], "taken back before it is given"
        # All are used again: two wait, and the next that is let go serves the first of them.
        api.put(PODS, world.pod("p6", "red", nodeName="node6"))
        api.put(PODS, world.pod("p3", "red", uid="again", nodeName="node3"))
        await settled(api, manager)
        assert "no IPv4 subnet is free" in messages(api, "p6")[-1]
        api.remove(PODS, "default/p1")
        api.remove(PODS, "default/p2")
        await settled(api, manager)
        assert address(api, "p3", "default/red")
        assert address(api, "p6", "default/red")
        assert {"default"} == set(world.notes(api, "node1")["node-subnets"])


async def test_exhausted_parts_of_one_network_harm_nothing_else() -> None:
    api = MemoryApi()
    put_nodes(api, 5)
    api.put(NADS, RED)
    for number in range(1, 6):
        api.put(PODS, world.pod(f"p{number}", "red", nodeName=f"node{number}"))
        api.put(PODS, bare(f"b{number}", f"node{number}"))
    async with managed(api, PRIMARY) as manager:
        await settled(api, manager)
        without = [n for n in range(1, 6) if not address(api, f"p{n}", "default/red")]
        assert len(without) == 1
        (late,) = without
        assert all(address(api, f"b{number}", "default") for number in range(1, 6))
        assert set(world.notes(api, f"node{late}")["node-subnets"]) == {"default"}
        assert any("NodeSubnetsExhausted" in message for message in messages(api, f"node{late}"))
        assert "no IPv4 subnet is free" in messages(api, f"p{late}")[-1]
        other = 1 if late != 1 else 2
        api.remove(PODS, f"default/p{other}")
        api.remove(NODES, f"node{other}")
        await settled(api, manager)
        assert address(api, f"p{late}", "default/red")


async def test_of_two_nodes_with_one_subnet_the_elder_keeps_it() -> None:
    api = MemoryApi()
    one = '{"default":["10.128.4.0/23"]}'
    for name, created in (("a", "2026-01-02T00:00:00Z"), ("b", "2026-01-01T00:00:00Z")):
        made = world.node(name, node_subnets=one, node_id="3")
        made["metadata"]["creationTimestamp"] = created
        api.put(NODES, made)
    await manage(api, PRIMARY)
    assert world.notes(api, "b")["node-subnets"] == {"default": ["10.128.4.0/23"]}
    assert world.notes(api, "b")["node-id"] == 3
    assert world.notes(api, "a")["node-subnets"] == {"default": ["10.128.0.0/23"]}
    assert world.notes(api, "a")["node-id"] == 2


@pytest.mark.parametrize("text", ["{", '{"default":["x"]}', '{"default":["10.9.0.0/23"]}'])
async def test_nonsense_on_a_node_is_replaced(text: str) -> None:
    api = MemoryApi()
    api.put(NODES, world.node("node1", node_subnets=text))
    api.put(PODS, bare("one"))
    await manage(api, PRIMARY)
    assert world.notes(api, "node1")["node-subnets"] == {"default": ["10.128.0.0/23"]}
    assert address(api, "one", "default")


@pytest.mark.parametrize("order", ["pod first", "node first"])
async def test_whichever_comes_first(order: str) -> None:
    api = MemoryApi()
    steps: list[Callable[[], object]] = [
        lambda: api.put(PODS, bare("one")),
        lambda: put_nodes(api, 1),
    ]
    async with managed(api, PRIMARY) as manager:
        for step in steps if order == "pod first" else steps[::-1]:
            step()
            await settled(api, manager)
        assert address(api, "one", "default") == "10.128.0.3/23"


@pytest.mark.parametrize("fate", ["before", "after"])
@pytest.mark.parametrize("victim", range(6))
async def test_killed_at_each_write_no_two_share_anything(fate: str, victim: int) -> None:
    api = MemoryApi()
    put_nodes(api, 2)
    api.put(NADS, RED)
    for number in range(1, 3):
        api.put(PODS, world.pod(f"p{number}", "red", nodeName=f"node{number}"))
    count, dead = 0, asyncio.Event()

    def spoil(verb: str, kind: Resource, key: str) -> str:
        nonlocal count
        count += 1
        if count <= victim and not dead.is_set():
            return ""
        fated = "before" if dead.is_set() else fate
        dead.set()
        return fated

    api.spoil = spoil
    async with managed(api, PRIMARY):
        await dead.wait()
    api.spoil = lambda verb, kind, key: ""
    await manage(api, PRIMARY)
    subnets = [
        subnet
        for key in api.all(NODES)
        for listed in world.notes(api, key)["node-subnets"].values()
        for subnet in listed
    ]
    assert len(subnets) == len(set(subnets)) == 4
    for number in range(1, 3):
        held = world.notes(api, f"node{number}")["node-subnets"]
        for key, network in (("default", "default"), ("default/red", "red")):
            given = address(api, f"p{number}", key).rpartition(".")[0]
            assert given == held[network][0].rpartition(".")[0]


async def test_a_network_of_the_clusters_range_is_refused() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", subnets="10.128.1.0/24"))
    await manage(api, PRIMARY)
    (message,) = messages(api, "blue")
    assert "overlaps 10.128.0.0/20, the default network" in message


async def test_a_pod_may_choose_another_first_network() -> None:
    api = MemoryApi()
    put_nodes(api, 1)
    api.put(NADS, world.nad("blue"))
    chosen = bare("one")
    chosen["metadata"]["annotations"][names.CHOSEN_DEFAULT] = "default/blue"
    api.put(PODS, chosen)
    await manage(api, PRIMARY)
    assert set(allocations(api, "one")) == {"default/blue"}


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ([{"name": "blue", "ips": ["10.1.0.9"]}], "changing ips of default/blue is refused"),
        (
            [{"name": "blue", "mac": "02:00:00:00:00:09"}],
            "changing mac of default/blue is refused",
        ),
        ("[{", "is not valid JSON"),
    ],
)
async def test_a_running_pods_addresses_stay_as_they_are(networks: object, message: str) -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", subnets="10.1.0.0/24"))
    api.put(PODS, world.pod("one", [{"name": "blue", "ips": ["10.1.0.5"]}]))
    async with managed(api) as manager:
        await settled(api, manager)
        given = allocations(api, "one")
        api.change(PODS, "default/one", {"status": {"phase": "Running"}})
        text = networks if isinstance(networks, str) else json.dumps(networks)
        api.change(PODS, "default/one", {"metadata": {"annotations": {names.NETWORKS: text}}})
        await settled(api, manager)
        (told,) = messages(api, "one")
        assert told.startswith("NetworksChangeRefused: Pod default/one: ")
        assert message in told
        assert "restart" in told
        assert allocations(api, "one") == given
        back = json.dumps([{"name": "blue", "ips": ["10.1.0.5"]}])
        api.change(PODS, "default/one", {"metadata": {"annotations": {names.NETWORKS: back}}})
        await settled(api, manager)
        assert len(messages(api, "one")) == 1


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (None, "removing default/blue is refused"),
        ("default/green", "adding default/green, removing default/blue is refused"),
    ],
)
async def test_a_running_pods_first_interface_stays_as_it_is(
    chosen: str | None, message: str
) -> None:
    api = MemoryApi()
    put_nodes(api, 1)
    for name, subnets in (("blue", "10.1.0.0/24"), ("green", "10.2.0.0/24")):
        api.put(NADS, world.nad(name, subnets=subnets))
    one = bare("one")
    one["metadata"]["annotations"] = {names.CHOSEN_DEFAULT: "default/blue"}
    api.put(PODS, one)
    async with managed(api, PRIMARY) as manager:
        await settled(api, manager)
        given = allocations(api, "one")
        assert set(given) == {"default/blue"}
        api.change(PODS, "default/one", {"status": {"phase": "Running"}})
        change = {"metadata": {"annotations": {names.CHOSEN_DEFAULT: chosen}}}
        api.change(PODS, "default/one", change)
        await settled(api, manager)
        assert allocations(api, "one") == given
        (told,) = messages(api, "one")
        assert told.startswith(f"NetworksChangeRefused: Pod default/one: {names.CHOSEN_DEFAULT}: ")
        assert message in told
    async with managed(api, PRIMARY) as manager:  # nor does one that never saw the earlier request
        await settled(api, manager)
        assert allocations(api, "one") == given


async def test_a_pod_that_another_plugin_wired_is_prepared_for_its_next_start() -> None:
    api = MemoryApi()
    put_nodes(api, 1)
    api.put(PODS, bare("old"))
    api.change(PODS, "default/old", {"status": {"phase": "Running"}})
    await manage(api, PRIMARY)
    assert address(api, "old", "default") == "10.128.0.3/23"
    assert messages(api, "old") == []
