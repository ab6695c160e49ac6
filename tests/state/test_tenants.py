"""No pod and no NAD gets into another tenant's network, in any order, after any restart."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from tests.support import cluster_world as world
from tests.support.cluster_world import manage, managed, messages, settled
from tests.support.memory_api import MemoryApi
from weft import names
from weft.app import settings
from weft.kube.resources import EVENTS, IPAMCLAIMS, NADS, NAMESPACES, PODS

Object = dict[str, Any]
BLUE = "ta/blue"


def nad(namespace: str, name: str = "blue", created: int = 1, **config: Any) -> Object:
    made = world.nad(name, "blue", namespace, **config)
    made["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:0{created}Z"
    return made


def pod(namespace: str, name: str, networks: object) -> Object:
    return world.pod(name, networks, namespace=namespace)


def given(api: MemoryApi, key: str) -> dict[str, Any]:
    annotations = api.of(PODS, key)["metadata"]["annotations"]
    found: dict[str, Any] = json.loads(annotations.get(names.POD_NETWORKS, "{}"))
    return found


def owner(api: MemoryApi, key: str) -> str | None:
    found = api.of(NADS, key)["metadata"].get("annotations") or {}
    return found.get(names.NETWORK_OWNER)


def runs(api: MemoryApi, key: str) -> None:
    api.change(PODS, key, {"status": {"phase": "Running"}})


async def test_a_pod_does_not_get_into_a_network_by_naming_it() -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta"))
    api.put(PODS, pod("ta", "web", "blue"))
    api.put(PODS, pod("tb", "thief", "ta/blue"))
    api.put(PODS, pod("default", "curious", [{"name": "blue", "namespace": "ta"}]))
    await manage(api)
    assert given(api, "ta/web")
    for key in ("tb/thief", "default/curious"):
        assert not given(api, key)
        (message,) = messages(api, key.partition("/")[2])
        assert 'may not use network "blue" through NetworkAttachmentDefinition ta/blue' in message
        assert "to allowedNamespaces" in message


async def test_a_pod_does_not_get_in_as_its_first_interface_either() -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta"))
    thief = pod("tb", "thief", "")
    thief["metadata"]["annotations"] = {names.CHOSEN_DEFAULT: "ta/blue"}
    api.put(PODS, thief)
    await manage(api)
    assert not given(api, "tb/thief")
    assert "may not use network" in messages(api, "thief")[0]


async def test_what_a_pod_writes_itself_holds_nothing_of_a_foreign_network() -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta"))
    thief = pod("tb", "thief", "ta/blue")
    taken = '{"ta/blue": {"ip_addresses": ["10.1.0.1/24"], "mac_address": "0a:58:0a:01:00:01"}}'
    thief["metadata"]["annotations"][names.POD_NETWORKS] = taken
    api.put(PODS, thief)
    api.put(PODS, pod("ta", "web", [{"name": "blue", "ips": ["10.1.0.1"]}]))
    await manage(api)
    assert given(api, "ta/web")[BLUE]["ip_address"] == "10.1.0.1/24"


async def test_a_second_nad_does_not_get_in_by_the_networks_name() -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta"))
    api.put(NADS, nad("tb", "mine", 2))
    api.put(PODS, pod("tb", "thief", [{"name": "mine", "ips": ["10.1.0.200"]}]))
    await manage(api)
    assert owner(api, BLUE) == BLUE
    assert owner(api, "tb/mine") is None
    assert not given(api, "tb/thief")
    for name in ("mine", "thief"):
        assert (
            'may not declare network "blue": it belongs to namespace ta' in messages(api, name)[0]
        )


@pytest.mark.parametrize("order", [*permutations(("ta", "tb", "tc"))])
async def test_who_comes_first_owns_it_in_every_order_and_after_every_restart(
    order: tuple[str, ...],
) -> None:
    for restarts in (False, True):
        api = MemoryApi()
        if restarts:
            for each in order:
                api.put(NADS, nad(each, created=1))  # all in one second
                await manage(api)
        else:
            async with managed(api) as manager:
                for each in order:
                    api.put(NADS, nad(each, created=1))
                    await settled(api, manager)
        await manage(api)
        first = f"{order[0]}/blue"
        for each in order:
            assert owner(api, f"{each}/blue") == (first if f"{each}/blue" == first else None)


@pytest.mark.parametrize("order", [("nico", "default"), ("default", "nico")])
@pytest.mark.parametrize("created", [(1, 2), (1, 1)], ids=["later", "in one second"])
async def test_one_network_in_a_tenants_and_a_global_namespace(
    order: tuple[str, str], created: tuple[int, int]
) -> None:
    """As the demo of three machines declares it, whichever is first."""
    api = MemoryApi()
    for place, when in zip(order, created, strict=True):
        api.put(NADS, nad(place, created=when))
        api.put(PODS, pod(place, f"of-{place}", "blue"))
        await manage(api)
    api.put(PODS, pod("nico", "across", "default/blue"))
    api.put(PODS, pod("tb", "stranger", "default/blue"))
    await manage(api)
    for key in ("nico/of-nico", "default/of-default", "nico/across"):
        assert given(api, key)
    # A tenant's network is not opened to everybody by the administrator's joining it.
    assert bool(given(api, "tb/stranger")) == (order[0] == "default")
    if order[0] == "nico":
        refusals = [each for each in messages(api, "blue") if each.startswith("ForeignNetwork")]
        assert len(refusals) == 1
        assert "belongs to namespace nico" in refusals[0]
        assert "does not admit it" in refusals[0]


async def test_global_namespaces_are_a_setting() -> None:
    options = settings.ClusterManager(workers=4, global_namespaces="shared, nets")
    api = MemoryApi()
    api.put(NADS, nad("shared"))
    api.put(PODS, pod("tb", "web", "shared/blue"))
    await manage(api)
    assert not given(api, "tb/web")
    await manage(api, options)
    assert given(api, "tb/web")


async def test_who_is_let_in_and_by_label_the_moment_the_label_is_there() -> None:
    api = MemoryApi()
    chosen = {"matchLabels": {"tier": "trusted"}}
    api.put(NADS, nad("ta", allowedNamespaces=["tb"], namespaceSelector=chosen))
    api.put(NAMESPACES, world.namespace("tb"))
    api.put(NAMESPACES, world.namespace("tc"))
    api.put(NADS, nad("tc", "own", 2))
    for each, named in (("tb", "ta/blue"), ("tc", "ta/blue"), ("tc", "own")):
        api.put(PODS, pod(each, named.replace("/", "-"), named))
    async with managed(api) as manager:
        await settled(api, manager)
        assert given(api, "tb/ta-blue")
        assert not given(api, "tc/ta-blue")
        assert owner(api, "tc/own") is None
        api.change(NAMESPACES, "tc", {"metadata": {"labels": {"tier": "trusted"}}})
        await settled(api, manager)
        assert given(api, "tc/ta-blue")
        assert given(api, "tc/own")
        assert owner(api, "tc/own") == BLUE


@pytest.mark.parametrize("restart", [False, True])
async def test_an_edit_of_who_may_use_it_counts_for_new_pods_alone(restart: bool) -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta", allowedNamespaces=["tb"]))
    api.put(NADS, nad("tb", "own", 2))
    api.put(PODS, pod("tb", "one", "ta/blue"))
    api.put(PODS, pod("tb", "two", "own"))
    async with managed(api) as manager:
        await settled(api, manager)
        before = given(api, "tb/one"), given(api, "tb/two")
        assert all(before)
        runs(api, "tb/one")
        runs(api, "tb/two")
        api.change(NADS, BLUE, {"spec": nad("ta")["spec"]})
        if not restart:
            await settled(api, manager)
    async with managed(api) as manager:
        api.put(PODS, pod("tb", "late", "ta/blue"))
        api.put(PODS, pod("tb", "later", "own"))
        # What runs still holds its addresses.
        asked = [{"name": "blue", "ips": [before[0][BLUE]["ip_address"].partition("/")[0]]}]
        api.put(PODS, pod("ta", "clash", asked))
        await settled(api, manager)
        assert (given(api, "tb/one"), given(api, "tb/two")) == before
        assert not given(api, "tb/late")
        assert not given(api, "tb/later")
        assert not given(api, "ta/clash")
        api.change(NADS, BLUE, {"spec": nad("ta", allowedNamespaces=["tb"])["spec"]})
        await settled(api, manager)
        assert given(api, "tb/late")
        assert given(api, "tb/later")


async def test_notes_that_a_tenant_writes_make_it_no_owner() -> None:
    """Its NAD may even be the older one, of another network so far."""
    api = MemoryApi()
    old = nad("tb", "mine", 0)
    old["spec"] = world.nad("mine", "red", "tb")["spec"]
    api.put(NADS, old)
    async with managed(api) as manager:
        await settled(api, manager)
        api.put(NADS, nad("ta"))
        await settled(api, manager)
        config = nad("tb", "mine")["spec"]["config"]
        notes = {
            names.NETWORK_NAME: "blue",
            names.NETWORK_ID: api.of(NADS, BLUE)["metadata"]["annotations"][names.NETWORK_ID],
            names.NETWORK_OWNER: "tb/mine",
            names.ACCEPTED_CONFIG: config,
        }
        api.change(
            NADS, "tb/mine", {"spec": {"config": config}, "metadata": {"annotations": notes}}
        )
        api.put(PODS, pod("tb", "thief", "mine"))
        await settled(api, manager)
        assert owner(api, BLUE) == BLUE
        assert owner(api, "tb/mine") is None
        assert not given(api, "tb/thief")


async def test_what_a_new_nad_says_was_accepted_was_not() -> None:
    """Its text is broken, so that what was accepted before would count."""
    api = MemoryApi()
    api.put(NADS, nad("ta"))
    async with managed(api) as manager:
        await settled(api, manager)
        forged = nad("tb", "forged")
        config = forged["spec"]["config"]
        forged["spec"]["config"] = config[:-1]
        forged["metadata"]["annotations"] = {
            names.NETWORK_NAME: "blue",
            names.NETWORK_ID: api.of(NADS, BLUE)["metadata"]["annotations"][names.NETWORK_ID],
            names.NETWORK_OWNER: "tb/forged",
            names.ACCEPTED_CONFIG: config,
        }
        api.put(NADS, forged)
        await settled(api, manager)
        assert not api.of(NADS, "tb/forged")["metadata"]["annotations"]


async def test_the_owner_stays_it_when_its_notes_are_taken_off_or_its_text_breaks() -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta", allowedNamespaces=["tb"]))
    api.put(NADS, nad("tb", "own", 2, allowedNamespaces=["tc"]))
    api.put(PODS, pod("ta", "web", "blue"))
    async with managed(api) as manager:
        await settled(api, manager)
        bare = nad("ta", allowedNamespaces=["tb"])
        api.put(NADS, bare)  # as `kubectl replace` does
        await settled(api, manager)
        assert owner(api, BLUE) == owner(api, "tb/own") == BLUE
        api.change(NADS, BLUE, {"spec": {"config": "{"}})
        api.put(PODS, pod("tc", "thief", "tb/own"))
        await settled(api, manager)
        assert owner(api, "tb/own") == BLUE
        assert not given(api, "tc/thief")


async def test_a_network_goes_to_the_next_that_it_let_in_when_its_owner_is_gone() -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta", allowedNamespaces=["tb"]))
    api.put(NADS, nad("tb", "own", 2))
    api.put(NADS, nad("tc", "waits", 3))
    async with managed(api) as manager:
        await settled(api, manager)
        api.remove(NADS, BLUE)
        await settled(api, manager)
        assert owner(api, "tb/own") == "tb/own"
        again = nad("ta", created=4, allowedNamespaces=["tb", "tc"])
        again["metadata"]["uid"] = "another"
        api.put(NADS, again)
        api.put(PODS, pod("ta", "web", "blue"))
        await settled(api, manager)
        assert owner(api, "tb/own") == "tb/own"
        assert not given(api, "ta/web")
        assert "belongs to namespace tb" in messages(api, "web")[0]


async def test_a_claim_of_another_namespace_keeps_nothing_of_a_network() -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta", allowPersistentIPs=True))
    claim = {
        "metadata": {"name": "grab", "namespace": "tb", "uid": "claim"},
        "spec": {"network": "blue", "interface": "net1"},
        "status": {"ips": ["10.1.0.7/24"]},
    }
    api.put(IPAMCLAIMS, claim)
    api.put(PODS, pod("ta", "web", [{"name": "blue", "ips": ["10.1.0.7"]}]))
    await manage(api)
    assert given(api, "ta/web")[BLUE]["ip_address"] == "10.1.0.7/24"


async def test_a_claim_is_used_by_pods_of_its_own_namespace_alone() -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta", allowPersistentIPs=True, allowedNamespaces=["tb"]))
    claim = {
        "metadata": {"name": "vm", "namespace": "ta", "uid": "claim"},
        "spec": {"network": "blue", "interface": "net1"},
        "status": {"ips": ["10.1.0.7/24"]},
    }
    api.put(IPAMCLAIMS, claim)
    asked = [{"name": "blue", "namespace": "ta", "ipam-claim-reference": "vm"}]
    api.put(PODS, pod("tb", "thief", asked))
    api.put(PODS, pod("ta", "own", asked))
    await manage(api)
    assert given(api, "ta/own")[BLUE]["ip_address"] == "10.1.0.7/24"
    assert not given(api, "tb/thief")
    assert "IPAMClaim tb/vm: does not exist" in messages(api, "thief")[0]


async def test_nothing_is_reported_or_written_again_after_a_restart() -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta", allowedNamespaces=["tb"]))
    api.put(NADS, nad("tb", "own", 2))
    api.put(PODS, pod("tb", "one", "own"))
    await manage(api)
    before, told = list(api.writes), len(api.all(EVENTS))
    await manage(api)
    assert api.writes == before
    assert len(api.all(EVENTS)) == told


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_story_of_two_tenants_ends_the_same_with_a_new_manager_at_each_step(
    restarts: bool,
) -> None:
    api = MemoryApi()
    let_in = nad("ta", allowedNamespaces=["tb"])["spec"]
    steps: list[Callable[[], object]] = [
        lambda: api.put(NADS, nad("ta")),
        lambda: api.put(NADS, nad("tb", "own", 1)),
        lambda: api.put(PODS, pod("ta", "web", "blue")),
        lambda: api.put(PODS, pod("tb", "one", "own")),
        lambda: api.change(NADS, BLUE, {"spec": let_in}),
        lambda: api.put(PODS, pod("tb", "two", "ta/blue")),
        lambda: runs(api, "tb/two"),
        lambda: api.change(NADS, BLUE, {"spec": nad("ta")["spec"]}),
        lambda: api.put(PODS, pod("tb", "three", "ta/blue")),
        lambda: api.change(NADS, BLUE, {"spec": nad("ta", subnets="10.2.0.0/24")["spec"]}),
    ]
    if restarts:
        for step in steps:
            step()
            await manage(api)
    else:
        async with managed(api) as manager:
            for step in steps:
                step()
                await settled(api, manager)
    found = {key: bool(given(api, key)) for key in api.all(PODS)}
    assert found == {"ta/web": True, "tb/one": True, "tb/two": True, "tb/three": False}
    notes = api.of(NADS, BLUE)["metadata"]["annotations"]
    assert "10.1.0.0/24" in notes[names.ACCEPTED_CONFIG]
    assert notes[names.NETWORK_OWNER] == BLUE
    held = [
        address for key in found for e in given(api, key).values() for address in e["ip_addresses"]
    ]
    assert len(held) == len(set(held)) == 3


@pytest.mark.parametrize(
    ("home", "phase", "holds_back"),
    [
        ("tb", "Pending", False),
        ("tb", "Running", False),
        ("ta", "Pending", False),
        ("ta", "Running", True),  # it may hold an address that its node alone knows
    ],
)
async def test_a_forged_status_holds_back_nobody_on_anothers_network(
    home: str, phase: str, holds_back: bool
) -> None:
    api = MemoryApi()
    api.put(NADS, nad("ta"))
    await manage(api)
    liar = pod(home, "liar", "other")
    told = [{"name": "ta/blue", "interface": "net1"}]
    liar["metadata"]["annotations"][names.NETWORK_STATUS] = json.dumps(told)
    liar["status"] = {"phase": phase, "podIP": "10.244.0.9"}
    api.put(PODS, liar)
    async with managed(api) as manager:
        api.put(PODS, pod("ta", "web", "blue"))
        await settled(api, manager)
        assert bool(given(api, "ta/web")) is not holds_back
