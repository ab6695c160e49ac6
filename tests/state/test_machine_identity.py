"""What a virtual machine has that names a claim, is a clone, or comes back: identities declared."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import pytest

from tests.state.test_machine_claims import (
    begun,
    claims,
    delete,
    held,
    interface,
    put,
    remove,
    reported,
)
from tests.support import cluster_world, objects
from tests.support.cluster_world import stored
from tests.support.manager_state import Manager, World
from tests.support.objects import Object
from weft import names
from weft.control.cluster.outcome import Ref
from weft.kube.resources import IPAMCLAIMS, NADS, NODES, PODS, VMIS, VMS

MAC = "02:00:00:00:00:07"


def machine(
    name: str, claim: str = "", mac: str = "", uid: str = "", kind: Any = VMS, year: int = 2026
) -> Object:
    made = objects.machine(name, {"lan": "blue"}, kind=kind, macs={"lan": mac} if mac else None)
    meta = made["metadata"] if kind is VMIS else made["spec"]["template"]["metadata"]
    if claim:
        meta["annotations"] = {names.MACHINE_CLAIMS: json.dumps({"lan": claim})}
    made = stored(made, uid or f"{kind.kind}-{name}")
    made["metadata"]["creationTimestamp"] = f"{year}-01-01T00:00:00Z"
    if kind is VMIS:
        owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": name}
        made["metadata"]["ownerReferences"] = [{**owner, "uid": f"VirtualMachine-{name}"}]
    return made


def launcher(name: str, claim: str = "", mac: str = "") -> Object:
    listed = [{"name": "blue", "interface": interface("lan"), **({"mac": mac} if mac else {})}]
    pod = cluster_world.pod(f"virt-launcher-{name}", listed)
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": name}
    uid = f"{VMIS.kind}-{name}"
    pod["metadata"]["ownerReferences"] = [{**owner, "uid": uid, "controller": True}]
    if claim:
        pod["metadata"]["annotations"][names.MACHINE_CLAIMS] = json.dumps({"lan": claim})
    return pod


def claim(name: str = "mine", **asked: Any) -> Object:
    notes = {names.IP_RESERVATION: json.dumps(asked)} if asked else {}
    made = objects.named(IPAMCLAIMS, name, "default", notes)
    return stored({**made, "spec": {"network": "blue", "interface": ""}})


def network(**config: Any) -> World:
    there = World()
    there.put(NODES, cluster_world.node("node1"))
    there.put(NADS, cluster_world.nad("blue", **{"allowPersistentIPs": True, **config}))
    return there


def start(manager: Manager, name: str, claim: str = "", mac: str = "") -> None:
    put(manager, VMIS, machine(name, claim, mac, kind=VMIS))
    put(manager, PODS, launcher(name, claim, mac))


def stop(manager: Manager, name: str) -> None:
    remove(manager, PODS, f"default/virt-launcher-{name}")
    remove(manager, VMIS, f"default/{name}")


def of(there: World, name: str) -> tuple[str, str]:
    return held(there, f"virt-launcher-{name}")


def at(manager: Manager, name: str) -> list[str]:
    """Messages of the Events at a machine."""
    return [
        each.message
        for each in manager.events
        if each.about.key.name == name and each.about.resource in (VMS, VMIS)
    ]


def test_a_nic_has_the_claim_that_its_machine_names() -> None:
    there = network()
    manager = begun(there)
    put(manager, IPAMCLAIMS, claim(ips=["10.1.0.9"], mac=MAC))
    put(manager, VMS, machine("db", "mine"))
    start(manager, "db", "mine")
    assert of(there, "db") == ("10.1.0.9/24", MAC)
    assert not reported(manager)
    stop(manager, "db")
    remove(manager, VMS, "default/db")
    manager = begun(there)
    put(manager, VMS, machine("db", "mine", uid="restored"))
    start(manager, "db", "mine")
    assert of(there, "db") == ("10.1.0.9/24", MAC), "a restored machine is the same"
    assert list(claims(there)) == ["default/mine"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "IPAMClaim default/mine: does not exist"),
        ({"allowPersistentIPs": None}, "has no allowPersistentIPs"),
    ],
)
def test_a_claim_that_does_not_serve_is_reported_before_the_machine_runs(
    config: Object, words: str
) -> None:
    there = network(**config)
    manager = begun(there)
    put(manager, VMS, machine("db", "mine"))
    (message,) = at(manager, "db")
    assert words in message


def test_of_two_machines_with_one_claim_the_second_waits_for_the_first() -> None:
    there = network()
    manager = begun(there)
    put(manager, IPAMCLAIMS, claim())
    for name in ("one", "two"):
        put(manager, VMS, machine(name, "mine"))
    start(manager, "one", "mine")
    first = of(there, "one")
    assert all(first)
    start(manager, "two", "mine")
    assert of(there, "two") == ("", "")
    assert any("is used by Pod default/virt-launcher-one" in each for each in at(manager, "two"))
    assert not at(manager, "one")
    stop(manager, "one")
    assert of(there, "two") == first


@pytest.mark.parametrize("is_first_there", [True, False])
def test_a_claim_passes_to_the_machine_that_its_annotation_names(is_first_there: bool) -> None:
    there = network(persistentIPs="vm")
    manager = begun(there)
    put(manager, VMS, machine("one"))
    start(manager, "one")
    first = of(there, "one")
    put(manager, VMS, machine("two", "one.lan"))
    start(manager, "two", "one.lan")
    stop(manager, "one")
    assert of(there, "two") == ("", ""), "nobody passed it on"
    assert any("weft/transfer-to=two" in each for each in at(manager, "two"))
    there.merge_patch(
        IPAMCLAIMS, "default/one.lan", {"metadata": {"annotations": {names.CLAIM_TRANSFER: "two"}}}
    )
    put(manager, IPAMCLAIMS, there.of(IPAMCLAIMS, "default/one.lan"))
    assert of(there, "two") == first
    meta = claims(there)["default/one.lan"]["metadata"]
    assert [each["name"] for each in meta["ownerReferences"]] == ["two"]
    assert names.CLAIM_TRANSFER not in meta["annotations"]
    if not is_first_there:
        remove(manager, VMS, "default/one")
    manager = begun(there)
    stop(manager, "two")
    start(manager, "two", "one.lan")
    assert of(there, "two") == first


def test_a_claim_in_use_does_not_pass() -> None:
    there = network(persistentIPs="vm")
    manager = begun(there)
    put(manager, VMS, machine("one"))
    start(manager, "one")
    first = of(there, "one")
    put(manager, VMS, machine("two", "one.lan"))
    start(manager, "two", "one.lan")
    there.merge_patch(
        IPAMCLAIMS, "default/one.lan", {"metadata": {"annotations": {names.CLAIM_TRANSFER: "two"}}}
    )
    put(manager, IPAMCLAIMS, there.of(IPAMCLAIMS, "default/one.lan"))
    assert of(there, "one") == first
    assert of(there, "two") == ("", "")
    stop(manager, "one")
    assert of(there, "two") == first


@pytest.mark.parametrize("restart", [False, True])
def test_a_claim_keeps_a_mac_on_a_network_without_subnets(restart: bool) -> None:
    there = network(subnets=None)
    manager = begun(there)
    put(manager, IPAMCLAIMS, claim(mac=MAC))
    assert there.of(IPAMCLAIMS, "default/mine")["status"]["conditions"][0]["message"] == (
        f"MAC {MAC} is kept"
    )
    if restart:
        manager = begun(there)
    put(manager, PODS, cluster_world.pod("thief", [{"name": "blue", "mac": MAC}]))
    assert held(there, "thief") == ("", "")
    put(manager, VMS, machine("db", "mine"))
    start(manager, "db", "mine")
    assert of(there, "db")[1] == MAC
    stop(manager, "db")
    put(manager, VMS, machine("other", "mine"))
    start(manager, "other", "mine")
    assert of(there, "other")[1] == MAC


def test_a_claim_without_a_reservation_keeps_a_mac_from_machine_to_machine() -> None:
    there = network(subnets=None)
    manager = begun(there)
    put(manager, IPAMCLAIMS, claim())
    put(manager, VMS, machine("db", "mine"))
    start(manager, "db", "mine")
    mac = of(there, "db")[1]
    stop(manager, "db")
    manager = begun(there)
    put(manager, VMS, machine("other", "mine"))
    start(manager, "other", "mine")
    assert of(there, "other")[1] == mac != ""


@pytest.mark.parametrize("config", [{}, {"subnets": None}, {"allowPersistentIPs": None}])
def test_a_clone_with_its_originals_mac_is_reported_before_it_runs(config: Object) -> None:
    there = network(**config)
    manager = begun(there)
    put(manager, VMS, machine("original", mac=MAC))
    assert not reported(manager)
    put(manager, VMS, machine("clone", mac=MAC, year=2027))
    (message,) = at(manager, "clone")
    assert "VirtualMachine default/original too, which is older" in message
    assert not at(manager, "original")
    start(manager, "original", mac=MAC)
    assert of(there, "original")[1] == MAC
    assert not at(manager, "original"), "its own pod has it"
    start(manager, "clone", mac=MAC)
    assert of(there, "clone") == ("", "")
    assert any("held by Pod default/virt-launcher-original" in e for e in at(manager, "clone"))
    stop(manager, "original")
    assert of(there, "clone")[1] == MAC


def test_many_machines_with_one_mac_are_judged_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = begun(network())
    judged, look = Counter[str](), manager.look

    def count(ref: Ref) -> None:
        judged[ref.key.name] += ref.resource is VMS
        look(ref)

    monkeypatch.setattr(manager, "look", count)
    machines = [f"db{number}" for number in range(20)]
    for number, name in enumerate(machines):
        put(manager, VMS, machine(name, mac=MAC, year=2000 + number))
    assert set(judged.values()) == {1}
    for before, name in itertools.pairwise(machines):
        assert f"VirtualMachine default/{before} too" in " ".join(at(manager, name))
    manager.events.clear()
    judged.clear()
    remove(manager, VMS, f"default/{machines[9]}")
    assert f"VirtualMachine default/{machines[8]} too" in " ".join(at(manager, machines[10]))
    assert judged.keys() == {machines[9], machines[10]}
    put(manager, VMS, machine(machines[0], year=2000))
    assert judged[machines[1]] == 1
    assert judged[machines[2]] == 0


def test_two_machines_may_have_one_mac_on_a_routed_network() -> None:
    """Each node has a switch of its own there."""
    there = network(topology="layer3", subnets="10.1.0.0/16/24", allowPersistentIPs=None)
    manager = begun(there)
    for name in ("one", "two"):
        put(manager, VMS, machine(name, mac=MAC))
    assert not reported(manager)


def test_a_mac_that_a_pod_has_is_reported_at_the_machine() -> None:
    there = network()
    there.put(PODS, cluster_world.pod("web", [{"name": "blue", "mac": MAC}]))
    manager = begun(there)
    put(manager, VMS, machine("db", mac=MAC))
    (message,) = at(manager, "db")
    assert f'macAddress "{MAC}": is held by Pod default/web' in message


@pytest.mark.parametrize("text", ['{"lan": 1}', '{"lan": "A b"}', '{"lan": "x", "b": "x"}', "no"])
def test_a_wrong_annotation_is_reported_at_the_machine(text: str) -> None:
    there = network()
    manager = begun(there)
    made = machine("db", "mine")
    made["spec"]["template"]["metadata"]["annotations"][names.MACHINE_CLAIMS] = text
    put(manager, VMS, made)
    assert names.MACHINE_CLAIMS in at(manager, "db")[0]


def test_a_named_claim_that_is_deleted_is_not_made_anew() -> None:
    there = network(persistentIPs="vm")
    manager = begun(there)
    put(manager, IPAMCLAIMS, claim())
    put(manager, VMS, machine("db", "mine"))
    start(manager, "db", "mine")
    first = of(there, "db")
    assert all(first)
    delete(manager, IPAMCLAIMS, "default/mine")
    assert of(there, "db") == first
    assert not claims(there)
