"""Clones and restores of virtual machines, as KubeVirt makes them: whose addresses each has.

KubeVirt's clone gives each interface the MAC of `newMacAddresses`, or an empty one, and copies all
annotations that no filter holds back; its restore changes nothing but names and volumes.
"""

from __future__ import annotations

import copy
import json

import pytest

from tests.state.test_machine_claims import begun, claims, delete, put, remove
from tests.state.test_machine_identity import (
    MAC,
    at,
    claim,
    machine,
    network,
    of,
    start,
    stop,
)
from tests.support import cluster_world
from tests.support.cluster_world import stored
from tests.support.manager_state import World
from tests.support.objects import Object
from weft import names
from weft.api import conditions
from weft.kube.resources import IPAMCLAIMS, PODS, VMIS, VMS, Resource

OTHER_MAC = "02:00:00:00:00:08"
ADDRESS = "10.1.0.9"


def template(vm: Object) -> Object:
    found: Object = vm["spec"]["template"]
    return found


def cloned(vm: Object, new_mac: str = "", without: tuple[str, ...] = ()) -> Object:
    """A VirtualMachineClone's target; `without`: annotations that its filters hold back."""
    made = stored(copy.deepcopy(vm), "VirtualMachine-clone")
    made["metadata"] |= {"name": "clone", "creationTimestamp": "2027-01-01T00:00:00Z"}
    notes = template(made)["metadata"].get("annotations") or {}
    template(made)["metadata"]["annotations"] = {
        key: value for key, value in notes.items() if key not in without
    }
    for each in template(made)["spec"]["domain"]["devices"]["interfaces"]:
        each["macAddress"] = new_mac
    return made


def restored(vm: Object, name: str, uid: str) -> Object:
    """The target of a VirtualMachineRestore that did not exist."""
    made = stored(copy.deepcopy(vm), uid)
    made["metadata"] |= {"name": name, "creationTimestamp": "2027-01-01T00:00:00Z"}
    return made


def asking(vm: Object, address: str) -> Object:
    """The machine asks for an address."""
    text = json.dumps({"lan": [f"{address}/24"]})
    template(vm)["metadata"].setdefault("annotations", {})[names.MACHINE_ADDRESSES] = text
    return vm


def conflict(there: World, name: str, resource: Resource = VMS) -> str:
    """The reason of weft's condition, "" without one."""
    status = there.of(resource, f"default/{name}").get("status") or {}
    found = [
        each
        for each in status.get("conditions") or ()
        if each["type"] == conditions.MACHINE_CONFLICT and each["status"] == conditions.TRUE
    ]
    return str(found[0]["reason"]) if found else ""


@pytest.mark.parametrize("new_mac", ["", OTHER_MAC])
def test_a_clone_has_an_identity_of_its_own(new_mac: str) -> None:
    there = network(persistentIPs="vm")
    manager = begun(there)
    original = machine("original", mac=MAC)
    put(manager, VMS, original)
    start(manager, "original", mac=MAC)
    put(manager, VMS, cloned(original, new_mac))
    start(manager, "clone", mac=new_mac)
    address, mac = of(there, "clone")
    assert address
    assert address != of(there, "original")[0]
    assert mac not in ("", MAC)
    assert not new_mac or mac == new_mac
    assert sorted(claims(there)) == ["default/clone.lan", "default/original.lan"]
    assert not at(manager, "clone")
    assert not conflict(there, "clone")


def test_a_clone_without_filters_that_asks_for_its_originals_address_waits_and_says_so() -> None:
    there = network(persistentIPs="vm")
    manager = begun(there)
    original = asking(machine("original", mac=MAC), ADDRESS)
    put(manager, VMS, original)
    assert there.of(IPAMCLAIMS, "default/original.lan")["status"]["ips"]
    put(manager, VMS, cloned(original))
    assert conflict(there, "clone") == "MachineClaimRefused"
    assert not conflict(there, "original")
    filtered = cloned(original, without=(names.MACHINE_ADDRESSES,))
    put(manager, VMS, filtered)
    assert not conflict(there, "clone")


def test_a_clone_that_names_its_originals_claim_waits_until_that_stops() -> None:
    there = network()
    manager = begun(there)
    put(manager, IPAMCLAIMS, claim(ips=[ADDRESS], mac=MAC))
    original = machine("original", "mine")
    put(manager, VMS, original)
    start(manager, "original", "mine")
    put(manager, VMS, cloned(original))
    assert conflict(there, "clone") == "MachineClaimRefused"
    start(manager, "clone", "mine")
    assert of(there, "clone") == ("", "")
    assert conflict(there, "clone", VMIS) == "MachineClaimRefused", "KubeVirt copies it from there"
    assert not conflict(there, "original", VMIS)
    stop(manager, "original")
    assert of(there, "clone") == (f"{ADDRESS}/24", MAC)
    assert not conflict(there, "clone", VMIS)
    stop(manager, "clone")
    assert not conflict(there, "clone")


def test_a_restore_in_place_keeps_what_the_machine_has() -> None:
    there = network(persistentIPs="vm")
    manager = begun(there)
    vm = machine("db", mac=MAC)
    put(manager, VMS, vm)
    start(manager, "db", mac=MAC)
    first = of(there, "db")
    stop(manager, "db")
    put(manager, VMS, {**vm, "metadata": {**vm["metadata"], "generation": 2}})
    manager = begun(there)
    start(manager, "db", mac=MAC)
    assert of(there, "db") == first
    assert not conflict(there, "db")


def test_a_restore_of_a_machine_that_is_gone_has_its_mac_and_a_claim_of_its_own() -> None:
    there = network(persistentIPs="vm")
    manager = begun(there)
    vm = machine("db", mac=MAC, uid="lost")
    put(manager, VMS, vm)
    assert claims(there)["default/db.lan"]["metadata"]["ownerReferences"][0]["uid"] == "lost"
    put(manager, VMS, restored(vm, "db", "VirtualMachine-db"))
    start(manager, "db", mac=MAC)
    assert of(there, "db") == ("", ""), "the claim is yet the lost machine's"
    assert conflict(there, "db", VMIS) == "MachineClaimRefused"
    delete(manager, IPAMCLAIMS, "default/db.lan")  # as the garbage collector does
    assert of(there, "db")[1] == MAC
    owner = claims(there)["default/db.lan"]["metadata"]["ownerReferences"][0]
    assert owner["uid"] == "VirtualMachine-db"
    assert not conflict(there, "db", VMIS)


def test_a_restore_beside_its_original_has_its_mac_and_waits_for_it() -> None:
    there = network(persistentIPs="vm")
    manager = begun(there)
    vm = machine("db", mac=MAC)
    put(manager, VMS, vm)
    start(manager, "db", mac=MAC)
    put(manager, VMS, restored(vm, "second", "VirtualMachine-second"))
    assert conflict(there, "second") == "MachineIdentityConflict"
    put(manager, VMIS, machine("second", mac=MAC, kind=VMIS))
    assert conflict(there, "second", VMIS) == "MachineIdentityConflict"
    patched = restored(machine("db", mac=OTHER_MAC), "third", "VirtualMachine-third")
    put(manager, VMS, patched)  # as `patches` of the restore have it
    assert not conflict(there, "third")
    assert not conflict(there, "db", VMIS)


def test_a_condition_goes_with_its_cause_and_leaves_those_of_others() -> None:
    there = network()
    manager = begun(there)
    put(manager, VMS, machine("original", mac=MAC))
    copied = machine("clone", mac=MAC, year=2027)
    ready = {"type": "Ready", "status": "False", "reason": "VMINotExists"}
    put(manager, VMS, {**copied, "status": {"conditions": [ready]}})
    listed = there.of(VMS, "default/clone")["status"]["conditions"]
    assert [each["type"] for each in listed] == ["Ready", conditions.MACHINE_CONFLICT]
    assert "default/original too, which is older" in listed[1]["message"]
    begun(there)
    assert there.of(VMS, "default/clone")["status"]["conditions"] == listed, "nothing is new"
    remove(manager, VMS, "default/original")
    assert there.of(VMS, "default/clone")["status"]["conditions"] == [ready]


def message(there: World, name: str) -> str:
    """The message of weft's condition at a machine, "" without one."""
    status = there.of(VMS, f"default/{name}").get("status") or {}
    found = [e for e in status.get("conditions") or () if e["type"] == conditions.MACHINE_CONFLICT]
    return str(found[0]["message"]) if found else ""


def test_a_stopped_machine_says_so_as_soon_as_a_pod_has_what_it_asks_for() -> None:
    """And no more as soon as that lets go: nothing happens to the machine itself."""
    there = network()
    manager = begun(there)
    put(manager, VMS, asking(machine("db", mac=MAC), ADDRESS))
    assert not conflict(there, "db")
    listed = [{"name": "blue", "ips": [f"{ADDRESS}/24"], "mac": OTHER_MAC}]
    put(manager, PODS, cluster_world.pod("web", listed))
    assert conflict(there, "db") == "MachineIdentityConflict"
    assert f'"{ADDRESS}": is held by Pod default/web' in message(there, "db")
    remove(manager, PODS, "default/web")
    assert not conflict(there, "db")
    put(manager, PODS, cluster_world.pod("api", [{"name": "blue", "mac": MAC}]))
    assert f'"{MAC}": is held by Pod default/api' in message(there, "db")
    put(manager, PODS, {**there.of(PODS, "default/api"), "status": {"phase": "Succeeded"}})
    assert not conflict(there, "db")
    assert len([each for each in at(manager, "db") if "is held by" in each]) == 2


def test_a_stopped_machine_says_so_as_soon_as_a_claim_keeps_what_it_asks_for() -> None:
    there = network()
    manager = begun(there)
    put(manager, VMS, asking(machine("db"), ADDRESS))
    put(manager, IPAMCLAIMS, claim(ips=[ADDRESS]))
    assert f'"{ADDRESS}": is held by IPAMClaim default/mine' in message(there, "db")
    remove(manager, IPAMCLAIMS, "default/mine")
    assert not conflict(there, "db")


def test_a_stopped_machine_says_so_as_soon_as_another_uses_the_claim_that_it_names() -> None:
    there = network()
    manager = begun(there)
    put(manager, IPAMCLAIMS, claim())
    for name in ("one", "two"):
        put(manager, VMS, machine(name, "mine"))
    assert not conflict(there, "two")
    start(manager, "one", "mine")
    assert "is used by Pod default/virt-launcher-one" in message(there, "two")
    assert not conflict(there, "one", VMIS)
    stop(manager, "one")
    assert not conflict(there, "two")
    assert not conflict(there, "one")


def test_of_very_many_that_ask_for_what_a_pod_gets_the_oldest_hear_of_it() -> None:
    """Anybody can make many, and pods that come and go."""
    there = network()
    manager = begun(there)
    every = [f"db{number:03}" for number in range(102)]
    for name in every:
        put(manager, VMS, machine(name, mac=MAC))
    put(manager, PODS, cluster_world.pod("api", [{"name": "blue", "mac": MAC}]))
    heard = [each for each in every if "is held by Pod default/api" in message(there, each)]
    assert heard == every[:100]
    assert all(message(there, each) for each in every[1:])
