"""NICs of a running pod come and go by edits of its annotation: Multus' dynamic networks.

The pod's network-status tells which interfaces it has: whoever calls the plugin writes it after.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support import cluster_world as world
from tests.support.cluster_world import address, allocations, managed, messages, settled
from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from weft import names
from weft.api import pod as api_pod
from weft.api import podsignature, selection
from weft.app import settings
from weft.app.cluster import Manager
from weft.control import decisions
from weft.control.cluster import unplugging
from weft.kube.resources import CONFIGMAPS, NADS, NODES, PODS
from weft.metrics import Histogram, Metric

NETWORKS = {"blue": "10.1.0.0/24", "red": "10.2.0.0/24"}
PRIMARY = settings.ClusterManager(workers=4, cluster_subnets="10.128.0.0/14/23")
BOTH = (names.POD_NETWORKS, names.POD_NETWORKS_SIGNATURE)


def cluster() -> MemoryApi:
    api = MemoryApi()
    for name, subnets in NETWORKS.items():
        api.put(NADS, world.nad(name, subnets=subnets))
    return api


def edit(api: MemoryApi, name: str, networks: object) -> None:
    text = networks if isinstance(networks, str) or networks is None else json.dumps(networks)
    change = {"metadata": {"annotations": {names.NETWORKS: text}}}
    api.change(PODS, f"default/{name}", change)


def report(api: MemoryApi, name: str, *interfaces: str) -> None:
    """The network-status of a pod that runs: each "<nad>@<interface>", behind its eth0."""
    listed: list[dict[str, Any]] = [{"name": "cbr0", "interface": "eth0", "default": True}]
    for each in interfaces:
        nad, _, interface = each.partition("@")
        listed.append({"name": f"default/{nad}", "interface": interface})
    change = {
        "metadata": {"annotations": {names.NETWORK_STATUS: json.dumps(listed)}},
        "status": {"phase": "Running", "podIP": "10.244.0.9"},
    }
    api.change(PODS, f"default/{name}", change)


def macs(api: MemoryApi, name: str) -> dict[str, str]:
    return {key: each["mac_address"] for key, each in allocations(api, name).items()}


def proof(api: MemoryApi, name: str) -> dict[str, str]:
    notes = api.of(PODS, f"default/{name}")["metadata"]["annotations"]
    return {key: notes[key] for key in BOTH}


def verified(api: MemoryApi, name: str) -> podsignature.SignedAllocations:
    (keys,) = api.all(CONFIGMAPS).values()
    trusted = podsignature.TrustedKeys.parse(keys["data"])
    pod = api_pod.read(api.of(PODS, f"default/{name}"))
    return podsignature.verify(pod.ref, pod.proof, trusted)


@asynccontextmanager
async def running(
    api: MemoryApi,
    networks: object = "blue",
    interfaces: tuple[str, ...] = ("blue@net1",),
    options: settings.ClusterManager = world.OPTIONS,
) -> AsyncIterator[Manager]:
    """A manager, and a pod `one` that runs with its first networks."""
    api.put(PODS, world.pod("one", networks))
    async with managed(api, options) as manager:
        await settled(api, manager)
        report(api, "one", *interfaces)
        await settled(api, manager)
        yield manager


async def test_a_nic_of_a_running_pod_comes_and_goes() -> None:
    api = cluster()
    async with running(api) as manager:
        before = allocations(api, "one")["default/blue"]
        edit(api, "one", "blue, red")
        await settled(api, manager)
        assert address(api, "one", "default/red") == "10.2.0.1/24"
        assert allocations(api, "one")["default/blue"] == before
        report(api, "one", "blue@net1", "red@net2")
        edit(api, "one", "blue")
        await settled(api, manager)
        assert address(api, "one", "default/red") == "10.2.0.1/24", "its interface is there yet"
        api.put(PODS, world.pod("two", [{"name": "red", "ips": ["10.2.0.1"]}]))
        await settled(api, manager)
        assert not allocations(api, "two"), "the address is not free yet"
        report(api, "one", "blue@net1")
        await settled(api, manager)
        assert allocations(api, "one") == {"default/blue": before}
        assert address(api, "two", "default/red") == "10.2.0.1/24"
        assert messages(api, "one") == []


async def test_the_last_nic_goes_too_and_another_comes() -> None:
    api = cluster()
    async with running(api) as manager:
        edit(api, "one", None)
        report(api, "one")
        await settled(api, manager)
        assert allocations(api, "one") == {}
        assert verified(api, "one").serial == decisions.LOSS, "it is signed that there is none"
    async with managed(api) as manager:
        await settled(api, manager)
        assert messages(api, "one") == [], "nothing of it is lost"
        edit(api, "one", "red")
        await settled(api, manager)
        assert address(api, "one", "default/red") == "10.2.0.1/24"
        assert verified(api, "one").serial == decisions.LOSS


async def test_a_manager_that_comes_later_lets_go_what_was_unplugged_meanwhile() -> None:
    api = cluster()
    async with running(api, "blue, red", ("blue@net1", "red@net2")):
        pass
    edit(api, "one", "blue")
    report(api, "one", "blue@net1")
    async with managed(api) as manager:
        await settled(api, manager)
        assert set(allocations(api, "one")) == {"default/blue"}


@pytest.mark.parametrize("networks", ["[{", ["garbled"]], ids=["no JSON", "no objects"])
async def test_a_request_that_nobody_can_read_takes_nothing_away(networks: object) -> None:
    api = cluster()
    async with running(api) as manager:
        before = allocations(api, "one")
        edit(api, "one", networks)
        report(api, "one")
        await settled(api, manager)
        assert allocations(api, "one") == before
        (told,) = messages(api, "one")
        assert told.startswith("NetworksChangeRefused: ")


@pytest.mark.parametrize("word", [None, "[]", "{garbage"])
async def test_without_a_network_status_nothing_is_taken_away(word: str | None) -> None:
    api = cluster()
    async with running(api) as manager:
        before = allocations(api, "one")
        edit(api, "one", "red")
        change = {"metadata": {"annotations": {names.NETWORK_STATUS: word}}}
        api.change(PODS, "default/one", change)
        await settled(api, manager)
        assert allocations(api, "one")["default/blue"] == before["default/blue"]


async def test_what_a_pod_had_before_is_not_its_own_again() -> None:
    """The manager's own signature of an earlier time, put back by the pod's owner."""
    api = cluster()
    async with running(api, "blue, red", ("blue@net1", "red@net2")) as manager:
        earlier = proof(api, "one")
        edit(api, "one", "blue")
        report(api, "one", "blue@net1")
        await settled(api, manager)
        api.put(PODS, world.pod("two", [{"name": "red", "ips": ["10.2.0.1"]}]))
        await settled(api, manager)
        assert address(api, "two", "default/red") == "10.2.0.1/24"
        api.change(PODS, "default/one", {"metadata": {"annotations": earlier}})
        await settled(api, manager)
        assert set(allocations(api, "one")) == {"default/blue"}
        (told,) = messages(api, "one")
        assert told.startswith("PodNetworksOverwritten: ")
        assert "is older than what the cluster manager wrote for this pod last" in told


async def test_two_nics_of_one_nad_keep_theirs_whichever_goes() -> None:
    api = cluster()
    both = ("blue@net1", "blue@net2")
    async with running(api, "blue, blue", both) as manager:
        first, second = (macs(api, "one")[key] for key in ("default/blue", "default/blue/1"))
        edit(api, "one", "blue@net2")
        await settled(api, manager)
        assert list(macs(api, "one").values()) == [first, second]
        report(api, "one", "blue@net2")
        await settled(api, manager)
        assert macs(api, "one") == {"default/blue/1": second}
        edit(api, "one", "blue@net2, blue@net3")
        await settled(api, manager)
        assert set(macs(api, "one")) == {"default/blue", "default/blue/1"}
    async with managed(api) as manager:
        report(api, "one", "blue@net2", "blue@net3")
        edit(api, "one", "blue@net3")
        await settled(api, manager)
        report(api, "one", "blue@net3")
        await settled(api, manager)
        assert set(macs(api, "one")) == {"default/blue"}


async def test_an_interface_of_another_name_is_another_nic() -> None:
    """Multus' controller adds the new one before it removes the old one."""
    api = cluster()
    async with running(api) as manager:
        old = macs(api, "one")["default/blue"]
        edit(api, "one", "blue@data0")
        await settled(api, manager)
        assert macs(api, "one")["default/blue"] == old
        new = macs(api, "one")["default/blue/1"]
        report(api, "one", "blue@net1", "blue@data0")
        await settled(api, manager)
        assert set(macs(api, "one")) == {"default/blue", "default/blue/1"}
        report(api, "one", "blue@data0")
        await settled(api, manager)
        assert macs(api, "one") == {"default/blue/1": new}


async def test_a_nic_that_is_asked_for_and_given_up_again_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unplugging, "GRACE", 0.0)
    api = cluster()
    async with running(api) as manager:
        edit(api, "one", "blue, red")
        await settled(api, manager)
        edit(api, "one", "blue")
        await settled(api, manager)
        assert set(allocations(api, "one")) == {"default/blue"}
        api.put(PODS, world.pod("two", [{"name": "red", "ips": ["10.2.0.1"]}]))
        await settled(api, manager)
        assert address(api, "two", "default/red") == "10.2.0.1/24"


async def test_a_nic_that_is_on_its_way_keeps_its_allocation_through_edits() -> None:
    """The plugin was called with it, and network-status comes later."""
    api = cluster()
    async with running(api) as manager:
        edit(api, "one", "blue, blue@data0")
        await settled(api, manager)
        before = allocations(api, "one")
        edit(api, "one", "blue")
        await settled(api, manager)
        edit(api, "one", "blue, blue@data0")
        await settled(api, manager)
        report(api, "one", "blue@net1", "blue@data0")  # of the first call
        await settled(api, manager)
        assert allocations(api, "one") == before
        edit(api, "one", "blue")
        report(api, "one", "blue@net1")
        await settled(api, manager)
        assert set(allocations(api, "one")) == {"default/blue"}, "it has been unplugged"


async def test_a_nic_that_may_be_on_its_way_delays_no_other_allocation() -> None:
    """Nor the figure of how long allocations take, by which an alert judges."""
    api = cluster()

    def made(manager: Manager) -> int:
        taken = manager.figures()[Metric.ALLOCATION]
        assert isinstance(taken, Histogram)
        return sum(counts[-1] for _, counts, _ in taken.series())

    async with running(api) as manager:
        edit(api, "one", "blue, blue@data0")
        await settled(api, manager)
        edit(api, "one", "blue")
        await settled(api, manager)
        before = made(manager)
        edit(api, "one", "blue, red")
        await settled(api, manager)
        assert set(allocations(api, "one")) == {"default/blue", "default/blue/1", "default/red"}
        assert made(manager) == before + 1


async def test_a_nic_whose_status_comes_back_goes_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody emptied it for a moment: whether the NIC was made is not known any more."""
    monkeypatch.setattr(unplugging, "GRACE", 0.1)
    api = cluster()
    async with running(api, "blue, blue", ("blue@net1", "blue@net2")) as manager:
        edit(api, "one", "blue")
        change = {"metadata": {"annotations": {names.NETWORK_STATUS: "[]"}}}
        api.change(PODS, "default/one", change)
        await settled(api, manager)
        report(api, "one", "blue@net1")
        async with asyncio.timeout(PATIENCE):
            while set(allocations(api, "one")) != {"default/blue"}:
                await settled(api, manager)


async def test_a_network_that_is_full_gets_an_event_and_costs_the_other_nics_nothing() -> None:
    api = cluster()
    api.put(NADS, world.nad("tiny", subnets="10.3.0.0/30"))
    api.put(PODS, world.pod("first", "tiny"))
    api.put(PODS, world.pod("second", "tiny"))
    async with running(api) as manager:
        before = allocations(api, "one")
        edit(api, "one", "blue, tiny, red")
        await settled(api, manager)
        after = allocations(api, "one")
        assert after.pop("default/red")
        assert after == before
        (told,) = messages(api, "one")
        assert told.startswith("ErrorAllocatingPod: ")
        api.remove(PODS, "default/first")
        await settled(api, manager)
        assert address(api, "one", "default/tiny")


async def test_the_first_interface_stays_as_it_is() -> None:
    api = cluster()
    api.put(NODES, world.node("node1"))
    async with running(api, "blue", ("blue@net1",), PRIMARY) as manager:
        before = allocations(api, "one")
        change = {"metadata": {"annotations": {names.CHOSEN_DEFAULT: "default/red"}}}
        api.change(PODS, "default/one", change)
        await settled(api, manager)
        assert allocations(api, "one") == before
        (told,) = messages(api, "one")
        assert "adding default/red is refused" in told


async def test_a_pod_that_tells_nothing_of_its_interfaces_holds_only_so_many() -> None:
    """Nothing of it departs, and each edit asks for something new."""
    api = cluster()
    async with running(api) as manager:
        change = {"metadata": {"annotations": {names.NETWORK_STATUS: "{"}}}
        api.change(PODS, "default/one", change)
        for each in range(3):
            edit(api, "one", ", ".join(f"blue@n{each * 20 + n}" for n in range(20)))
            await settled(api, manager)
        assert len(allocations(api, "one")) == selection.MAX_ATTACHMENTS
        assert any("holds 32 allocations already" in each for each in messages(api, "one"))
        api.put(PODS, world.pod("two", ", ".join(["red"] * 32)))
        await settled(api, manager)
        assert len(allocations(api, "two")) == 32, "as many as a pod may name"


async def test_a_pod_with_all_nics_gets_another_when_one_is_gone() -> None:
    api = cluster()
    all_ = [f"blue@net{number}" for number in range(1, 33)]
    async with running(api, ", ".join(all_), tuple(all_)) as manager:
        edit(api, "one", ", ".join([*all_[1:], "red@other"]))
        await settled(api, manager)
        assert "default/red" not in allocations(api, "one")
        (told,) = messages(api, "one")
        assert told.startswith("ErrorAllocatingPod: ")
        assert "holds 32 allocations already" in told
        report(api, "one", *all_[1:])
        await settled(api, manager)
        assert address(api, "one", "default/red") == "10.2.0.1/24"


@pytest.mark.parametrize("others", [{"default": {"mac_address": "0a:58:0a:f4:00:09"}}, {"x/y": {}}])
async def test_a_running_pod_with_words_of_another_plugin_gets_its_first_nic(
    others: dict[str, object],
) -> None:
    """It was made before weft came: none of its networks is weft's, and nothing of it is lost."""
    api = cluster()
    pod = world.pod("one", None)
    pod["metadata"]["annotations"] = {names.POD_NETWORKS: json.dumps(others)}
    api.put(PODS, pod)
    report(api, "one")
    async with managed(api) as manager:
        await settled(api, manager)
        edit(api, "one", "red")
        await settled(api, manager)
        assert address(api, "one", "default/red") == "10.2.0.1/24"
        assert allocations(api, "one").items() > others.items(), "another plugin's stays"
        assert messages(api, "one") == []


@asynccontextmanager
async def replayed(api: MemoryApi, owner: str, heir: str) -> AsyncIterator[Manager]:
    """A manager that finds two pods with one signed address of `red`: its earlier holder put its
    own old annotations back while no manager ran, after it had unplugged the NIC."""
    api.put(PODS, world.pod(owner, "blue, red"))
    async with managed(api) as manager:
        await settled(api, manager)
        report(api, owner, "blue@net1", "red@net2")
        await settled(api, manager)
        earlier = proof(api, owner)
        edit(api, owner, "blue")
        report(api, owner, "blue@net1")
        await settled(api, manager)
        api.put(PODS, world.pod(heir, [{"name": "red", "ips": ["10.2.0.1"]}]))
        await settled(api, manager)
        report(api, heir, "red@net1")
        await settled(api, manager)
        assert address(api, heir, "default/red") == "10.2.0.1/24"
    edit(api, owner, "blue, red")
    report(api, owner, "blue@net1", "red@net2")
    api.change(PODS, f"default/{owner}", {"metadata": {"annotations": earlier}})
    async with managed(api) as manager:
        await settled(api, manager)
        yield manager


ORDERS = pytest.mark.parametrize(("owner", "heir"), [("a", "b"), ("b", "a")])


@ORDERS
@pytest.mark.parametrize("more", ["", "tiny"], ids=["alone", "waits for another network, too"])
async def test_who_got_an_address_after_another_keeps_it_over_a_change_of_manager(
    owner: str, heir: str, more: str
) -> None:
    api = cluster()
    api.put(NADS, world.nad("tiny", subnets="10.3.0.0/30"))
    for each in ("full1", "full2"):
        api.put(PODS, world.pod(each, "tiny"))
    async with replayed(api, owner, heir) as manager:
        if more:
            edit(api, heir, [{"name": "red", "ips": ["10.2.0.1"]}, {"name": more}])
            await settled(api, manager)
        edit(api, owner, "blue")
        report(api, owner, "blue@net1")
        await settled(api, manager)
        assert set(allocations(api, owner)) == {"default/blue"}
        assert address(api, heir, "default/red") == "10.2.0.1/24"
        api.put(PODS, world.pod("third", [{"name": "red", "ips": ["10.2.0.1"]}]))
        await settled(api, manager)
        assert not allocations(api, "third"), "its holder runs"
        assert any("held by Pod default/" + heir in each for each in messages(api, "third"))


@ORDERS
async def test_a_signature_put_back_while_no_manager_runs_gives_nobody_anothers_address(
    owner: str, heir: str
) -> None:
    """The next manager knows nothing of what was taken away; the agents may have restarted."""
    api = cluster()
    async with replayed(api, owner, heir) as manager:
        api.put(PODS, world.pod("third", [{"name": "red", "ips": ["10.2.0.1"]}]))
        await settled(api, manager)
        assert any("held by Pod default/" + heir in each for each in messages(api, "third"))
        assert any("held by Pod default/" + heir in each for each in messages(api, owner))
        both = [verified(api, each).allocations["default/red"] for each in (owner, heir)]
        assert both[0].addresses == both[1].addresses
        assert both[0].given < both[1].given, "an agent knows who has it"
        change = {"metadata": {"labels": {"a": "b"}}}
        api.change(PODS, f"default/{owner}", change)  # what is signed again stays as old as it was
        edit(api, owner, "blue, red, red")
        await settled(api, manager)
        again = verified(api, owner).allocations
        assert again["default/red"].given == both[0].given
        assert again["default/red/1"].given == both[1].given


async def test_a_loss_of_any_pod_counts_for_all_pods() -> None:
    api = cluster()
    async with running(api, "blue, red", ("blue@net1", "red@net2")) as manager:
        assert {each.given for each in verified(api, "one").allocations.values()} == {0}
        edit(api, "one", "blue")
        report(api, "one", "blue@net1")
        await settled(api, manager)
    async with managed(api) as manager:
        api.put(PODS, world.pod("two", "red"))
        api.put(PODS, world.pod("none", None))
        await settled(api, manager)
        assert verified(api, "two").allocations["default/red"].given == 1
        assert verified(api, "one").serial == decisions.LOSS
        assert (
            names.POD_NETWORKS_SIGNATURE
            not in api.of(PODS, "default/none")["metadata"]["annotations"]
        )
