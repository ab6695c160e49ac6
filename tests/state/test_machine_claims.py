"""IPAMClaims that weft makes for virtual machines: machines, claims and pods in any order."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import cluster_world, objects
from tests.support.cluster_world import stored
from tests.support.manager_state import Manager, World
from tests.support.memory_api import MemoryApi
from tests.support.objects import Object
from weft import names
from weft.control.cluster.outcome import Ref
from weft.kube import errors as kube_errors
from weft.kube.resources import IPAMCLAIMS, NADS, NODES, PODS, VMIMS, VMIS, VMS
from weft.model import ObjectKey

KEY = "default/blue"
CLAIM = "default/db.lan"
PROTECTION = "kubevirt.io/persistent-ipam"
SMALL = "10.1.0.0/30"  # two addresses


def nad(name: str = "blue", **config: Any) -> Object:
    config = {"allowPersistentIPs": True, "persistentIPs": "vm", **config}
    return cluster_world.nad(name, **config)


def vm(uid: str = "vm-1", **of: Any) -> Object:
    made = objects.machine("db", of.pop("networks", {"lan": "blue"}), **of)
    return stored(made, uid)


def vmi(uid: str = "vmi-1", machine: str = "vm-1", **of: Any) -> Object:
    made = objects.machine("db", of.pop("networks", {"lan": "blue"}), kind=VMIS, **of)
    if machine:
        owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "db"}
        made["metadata"]["ownerReferences"] = [{**owner, "uid": machine, "controller": True}]
    return stored(made, uid, nodeName="node1")


def interface(network: str) -> str:
    return f"pod{hashlib.sha256(network.encode()).hexdigest()[:11]}"


def launcher(
    name: str = "virt-launcher-1", element: Object | None = None, **networks: str
) -> Object:
    listed = [
        {"name": each, "interface": interface(network), **(element or {})}
        for network, each in (networks or {"lan": "blue"}).items()
    ]
    pod = cluster_world.pod(name, listed, uid=f"uid-{name}")
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "db"}
    pod["metadata"]["ownerReferences"] = [{**owner, "uid": "vmi-1", "controller": True}]
    return pod


def target(name: str = "virt-launcher-2", node: str = "node2", job: str = "job-1") -> Object:
    """The pod that a machine migrates to."""
    pod = launcher(name)
    pod["spec"]["nodeName"] = node
    pod["metadata"]["labels"] = {"kubevirt.io/migrationJobUID": job}
    return pod


def migration(uid: str = "job-1", machine: str = "db", phase: str = "Scheduling") -> Object:
    made = objects.named(VMIMS, f"migration-{uid}")
    return stored({**made, "spec": {"vmiName": machine}}, uid, phase=phase)


def world(*more: tuple[Any, Object], of: Object | None = None) -> World:
    made = World()
    made.put(NODES, cluster_world.node("node1"))
    made.put(NADS, of or nad())
    for res, obj in more:
        made.put(res, obj)
    return made


def inform(manager: Manager, *refs: Ref) -> None:
    for ref in refs:
        manager.notify(ref)
    manager.settle()


def begun(there: World) -> Manager:
    manager = Manager(there)
    manager.settle()
    return manager


def put(manager: Manager, res: Any, obj: Object) -> None:
    inform(manager, manager.world.put(res, obj))


def remove(manager: Manager, res: Any, key: str) -> None:
    manager.world.remove(res, key)
    inform(manager, Ref(res, ObjectKey.parse(key)))


def delete(manager: Manager, res: Any, key: str) -> None:
    manager.world.delete_kept(res, key)
    inform(manager, Ref(res, ObjectKey.parse(key)))


def held(there: World, pod: str = "virt-launcher-1", key: str = KEY) -> tuple[str, str]:
    """Address and MAC of a pod."""
    notes = there.of(PODS, f"default/{pod}")["metadata"]["annotations"]
    entry = json.loads(notes.get(names.POD_NETWORKS) or "{}").get(key, {})
    return entry.get("ip_address", ""), entry.get("mac_address", "")


def claims(there: World) -> dict[str, Object]:
    return there.all(IPAMCLAIMS)


def reported(manager: Manager) -> list[str]:
    return [each.message for each in manager.events if each.about.resource in (VMS, VMIS)]


def test_a_claim_is_made_before_the_pod_and_the_pod_has_what_it_keeps() -> None:
    there = world((VMS, vm()))
    manager = begun(there)
    meta = claims(there)[CLAIM]["metadata"]
    assert meta["labels"] == {"kubevirt.io/vm": "db"}
    assert meta["finalizers"] == ["kubevirt.io/persistent-ipam"]
    assert [(each["kind"], each["uid"]) for each in meta["ownerReferences"]] == [
        ("VirtualMachine", "vm-1")
    ]
    assert claims(there)[CLAIM]["spec"] == {"network": "blue", "interface": interface("lan")}
    put(manager, VMIS, vmi())
    before = launcher()["metadata"]["annotations"][names.NETWORKS]
    put(manager, PODS, launcher())
    address, mac = held(there)
    assert claims(there)[CLAIM]["status"]["ips"] == [address]
    assert mac
    notes = there.of(PODS, "default/virt-launcher-1")["metadata"]["annotations"]
    assert notes[names.NETWORKS] == before
    assert not reported(manager)


def test_address_and_mac_stay_from_instance_to_instance() -> None:
    there = world((VMS, vm()), (VMIS, vmi()), (PODS, launcher()))
    manager = begun(there)
    first = held(there)
    assert all(first)
    for number in (2, 3):
        remove(manager, PODS, f"default/virt-launcher-{number - 1}")
        remove(manager, VMIS, "default/db")
        put(manager, PODS, cluster_world.pod(f"other-{number}"))
        if number == 3:
            manager = begun(there)  # nothing but the claim remembers
        put(manager, VMIS, vmi(f"vmi-{number}"))
        put(manager, PODS, launcher(f"virt-launcher-{number}"))
        assert held(there, f"virt-launcher-{number}") == first


def test_without_the_key_a_machine_has_another_address_after_a_restart() -> None:
    """The control: only then is the pod warned."""
    there = world((VMS, vm()), (VMIS, vmi()), (PODS, launcher()), of=nad(persistentIPs=None))
    manager = begun(there)
    first = held(there)
    assert not claims(there)
    again = begun(there)  # which looks at the pod once more
    assert any("virtual machine db has another" in each.message for each in again.events)
    remove(manager, PODS, "default/virt-launcher-1")
    put(manager, PODS, cluster_world.pod("other"))
    put(manager, PODS, launcher("virt-launcher-2"))
    assert held(there, "virt-launcher-2") != first


def test_two_nics_on_one_network_have_a_claim_each() -> None:
    networks = {"lan": "blue", "backup": "blue"}
    there = world((VMS, vm(networks=networks)), (VMIS, vmi(networks=networks)))
    manager = begun(there)
    put(manager, PODS, launcher(lan="blue", backup="blue"))
    first, second = held(there)[0], held(there, key=f"{KEY}/1")[0]
    kept = {key: each["status"]["ips"] for key, each in claims(there).items()}
    assert kept == {CLAIM: [first], "default/db.backup": [second]}


def test_a_pod_waits_for_the_claim_of_its_nic() -> None:
    there = world((PODS, launcher()))
    manager = begun(there)
    assert held(there) == ("", "")
    put(manager, VMIS, vmi())
    assert held(there) == ("", ""), "its machine is not there yet"
    put(manager, VMS, vm())
    assert claims(there)[CLAIM]["status"]["ips"] == [held(there)[0]]


def test_an_instance_without_a_machine_owns_its_claim() -> None:
    there = world((VMIS, vmi(machine="")), (PODS, launcher()))
    manager = begun(there)
    (owner,) = claims(there)[CLAIM]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("VirtualMachineInstance", "vmi-1")
    assert all(held(there))
    remove(manager, PODS, "default/virt-launcher-1")
    remove(manager, VMIS, "default/db")
    delete(manager, IPAMCLAIMS, CLAIM)
    assert CLAIM not in claims(there)


def test_a_deleted_machine_frees_its_addresses_when_instance_and_pod_are_gone() -> None:
    there = world(
        (VMS, vm(finalizers=["x"])), (VMIS, vmi()), (PODS, launcher()), of=nad(subnets=SMALL)
    )
    manager = begun(there)
    for name in ("other", "waiting"):
        put(manager, PODS, cluster_world.pod(name))
    address = held(there)[0]
    delete(manager, VMS, "default/db")
    delete(manager, IPAMCLAIMS, CLAIM)
    remove(manager, PODS, "default/virt-launcher-1")
    assert CLAIM in claims(there), "its instance is there"
    assert held(there, "waiting") == ("", "")
    remove(manager, VMIS, "default/db")
    assert CLAIM not in claims(there)
    assert held(there, "waiting")[0] == address


def test_a_stale_claim_of_another_owner_is_never_taken_over() -> None:
    there = world((VMS, vm()))
    begun(there)
    remove(manager := begun(there), VMS, "default/db")
    put(manager, VMS, vm("vm-2"))
    put(manager, VMIS, vmi("vmi-2", "vm-2"))
    put(manager, PODS, launcher())
    assert held(there) == ("", "")
    (message,) = reported(manager)
    assert "VirtualMachine db (vm-1)" in message
    assert "VirtualMachine default/db (vm-2)" in message
    delete(manager, IPAMCLAIMS, CLAIM)
    assert all(held(there)), "the machine has a claim of its own now"


def test_a_claim_that_kubevirts_controller_made_is_used() -> None:
    """It leaves the interface empty, and names the claim in the pod."""
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "db", "uid": "vm-1"}
    theirs = {
        **objects.named(IPAMCLAIMS, "db.lan", ownerReferences=[{**owner, "controller": True}]),
        "spec": {"network": "blue", "interface": ""},
    }
    there = world((IPAMCLAIMS, stored(theirs)), (VMS, vm()), (VMIS, vmi()))
    there.put(PODS, launcher(element={"ipam-claim-reference": "db.lan"}))
    begun(there)
    assert not any(write[0] == "create" and write[1] == "IPAMClaim" for write in there.writes)
    assert claims(there)[CLAIM]["status"]["ips"] == [held(there)[0]]


def test_what_a_machine_asks_for_is_reserved_before_it_runs() -> None:
    mac, asked = "02:00:00:00:00:07", {"lan": ["10.1.0.7"]}
    of: Object = {"macs": {"lan": mac}, "addresses": json.dumps(asked)}
    there = world((VMS, vm(**of)))
    manager = begun(there)
    assert claims(there)[CLAIM]["status"]["ips"] == ["10.1.0.7/24"]
    put(manager, VMIS, vmi(**of))
    put(manager, PODS, launcher(element={"mac": mac}))
    assert held(there) == ("10.1.0.7/24", mac)


def test_a_conflict_is_reported_at_the_machine_before_it_runs() -> None:
    there = world((PODS, cluster_world.pod("web", [{"name": "blue", "ips": ["10.1.0.7"]}])))
    manager = begun(there)
    put(manager, VMS, vm(addresses='{"lan": ["10.1.0.7"]}'))
    (message,) = reported(manager)
    assert "is held by Pod default/web" in message


def test_another_address_is_kept_when_a_stopped_machine_asks_for_it() -> None:
    there = world((VMS, vm(addresses='{"lan": ["10.1.0.7"]}')))
    manager = begun(there)
    put(manager, VMS, vm(addresses='{"lan": ["10.1.0.8"]}'))
    assert claims(there)[CLAIM]["status"]["ips"] == ["10.1.0.8/24"]


def test_a_nic_that_moves_to_another_network_gets_another_claim() -> None:
    there = world((NADS, nad("green", subnets="10.2.0.0/24")), (VMS, vm()), (VMIS, vmi()))
    there.put(PODS, launcher())
    manager = begun(there)
    moved: Object = {"networks": {"lan": "green"}}
    put(manager, VMS, vm(**moved))
    assert claims(there)[CLAIM]["spec"]["network"] == "blue", "it runs with that"
    put(manager, PODS, {**launcher(), "status": {"phase": "Succeeded"}})
    remove(manager, VMIS, "default/db")
    assert claims(there)[CLAIM]["spec"]["network"] == "green"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"networks": {"LAN": "blue", "lan": "blue"}}, "differ in capitals alone"),
        ({"networks": {"la_n": "blue"}}, "is no name of an object"),
        ({"addresses": '{"lan": ["10.1.0.300"]}'}, "10.1.0.300"),
        ({"addresses": "{"}, "JSON"),
        ({"networks": {"lan": "blue", "far": "n" * 254}}, "at most 253 characters"),
        ({"networks": {"lan": "blue", "far": f"{'n' * 254}/blue"}}, "at most 253 characters"),
    ],
)
def test_what_cannot_be_followed_is_reported_at_the_machine(change: Object, words: str) -> None:
    there = world((VMS, vm(**change)))
    manager = begun(there)
    assert any(words in each for each in reported(manager))
    assert not reported(begun(world((VMS, vm(**change)), of=nad(type="bridge")))), "not weft's"


@given(st.permutations(range(4)), st.booleans())
def test_every_order_and_a_restart_give_the_same(order: list[int], restart: bool) -> None:
    steps: list[Callable[[World], Ref]] = [
        lambda there: there.put(NADS, nad()),
        lambda there: there.put(VMS, vm()),
        lambda there: there.put(VMIS, vmi()),
        lambda there: there.put(PODS, launcher()),
    ]
    there = World()
    there.put(NODES, cluster_world.node("node1"))
    manager = begun(there)
    for each in order:
        inform(manager, steps[each](there))
        if restart:
            manager = begun(there)
    assert claims(there)[CLAIM]["status"]["ips"] == [held(there)[0]]
    assert held(there)[0] == "10.1.0.1/24"
    writes = list(there.writes)
    begun(there)
    assert there.writes == writes


@pytest.mark.parametrize("subnets", ["10.1.0.0/24", None])
def test_a_pod_has_what_kubevirts_annotation_asks_for(subnets: str | None) -> None:
    """KubeVirt copies it from the machine; no claim is needed, nor subnets."""
    made = launcher()
    made["metadata"]["annotations"][names.MACHINE_ADDRESSES] = '{"lan": ["10.1.0.7/24"]}'
    of = nad(subnets=subnets, allowPersistentIPs=None, persistentIPs=None)
    there = world((PODS, made), of=of)
    begun(there)
    assert held(there)[0] == "10.1.0.7/24"
    del made["metadata"]["ownerReferences"]
    there = world((PODS, made), of=of)
    begun(there)
    assert held(there)[0] != "10.1.0.7/24", "the control: it is no machine's pod"


def test_a_machine_goes_on_with_a_claim_whose_deletion_waits() -> None:
    there = world((VMS, vm()), (VMIS, vmi()), (PODS, launcher()))
    manager = begun(there)
    first = held(there)
    delete(manager, IPAMCLAIMS, CLAIM)
    put(manager, VMIMS, migration())
    put(manager, PODS, target())
    assert held(there, "virt-launcher-2") == first, "it migrates"
    for name in ("virt-launcher-1", "virt-launcher-2"):
        remove(manager, PODS, f"default/{name}")
    remove(manager, VMIS, "default/db")
    put(manager, PODS, cluster_world.pod("other"))
    put(manager, VMIS, vmi("vmi-2"))
    put(manager, PODS, launcher("virt-launcher-3"))
    assert held(there, "virt-launcher-3") == first, "it starts again"
    remove(manager, PODS, "default/virt-launcher-3")
    remove(manager, VMIS, "default/db")
    remove(manager, VMS, "default/db")
    assert CLAIM not in claims(there)


def test_a_request_that_is_taken_back_before_the_claim_went_stops_nothing() -> None:
    asked: Object = {"addresses": '{"lan": ["10.1.0.7"]}'}
    there = world((VMS, vm(**asked)))
    manager = begun(there)
    there.delete_kept(IPAMCLAIMS, CLAIM)  # as the manager does for another request
    put(manager, VMS, vm(**asked))
    inform(manager, Ref(IPAMCLAIMS, ObjectKey.parse(CLAIM)))
    put(manager, VMIS, vmi(**asked))
    put(manager, PODS, launcher())
    assert held(there)[0] == "10.1.0.7/24"


def theirs(network: str = "blue") -> Object:
    """A claim that KubeVirt's IPAM controller made for the machine."""
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "db", "uid": "vm-1"}
    owners = [{**owner, "controller": True}]
    made = objects.named(IPAMCLAIMS, "db.lan", ownerReferences=owners, finalizers=[PROTECTION])
    return stored({**made, "spec": {"network": network, "interface": ""}})


@pytest.mark.parametrize("is_deleted", [False, True])
@pytest.mark.parametrize("network", ["blue", "ovnk-net"])
def test_the_finalizer_of_a_claim_of_others_stays(network: str, is_deleted: bool) -> None:
    there = world()
    manager = begun(there)
    put(manager, IPAMCLAIMS, theirs(network))  # before its machine
    if is_deleted:
        delete(manager, IPAMCLAIMS, CLAIM)
    put(manager, VMS, vm())
    remove(manager, VMS, "default/db")
    assert claims(there)[CLAIM]["metadata"]["finalizers"] == [PROTECTION]


def test_the_finalizer_of_a_claim_stays_when_it_is_known_before_its_machine() -> None:
    there = world((VMS, vm()))
    begun(there)
    vm_there = there.of(VMS, "default/db")
    there.remove(VMS, "default/db")
    manager = begun(there)
    put(manager, VMS, vm_there)
    assert claims(there)[CLAIM]["metadata"]["finalizers"] == [PROTECTION]


def test_a_claim_goes_with_the_last_pod_that_names_it() -> None:
    there = world((VMS, vm()))
    manager = begun(there)
    named = [{"name": "blue", "ipam-claim-reference": "db.lan"}]
    put(manager, PODS, cluster_world.pod("web", named))
    remove(manager, VMS, "default/db")
    delete(manager, IPAMCLAIMS, CLAIM)
    assert CLAIM in claims(there), "a pod uses it"
    remove(manager, PODS, "default/web")
    assert CLAIM not in claims(there)


@pytest.mark.parametrize("restart", [False, True])
def test_a_claim_whose_owners_were_taken_off_goes_when_it_is_deleted(restart: bool) -> None:
    there = world((VMS, vm()))
    manager = begun(there)
    claim = there.of(IPAMCLAIMS, CLAIM)
    del claim["metadata"]["ownerReferences"]  # kubectl delete vm --cascade=orphan
    put(manager, IPAMCLAIMS, claim)
    remove(manager, VMS, "default/db")
    if restart:
        manager = begun(there)
    assert CLAIM in claims(there)
    delete(manager, IPAMCLAIMS, CLAIM)
    assert CLAIM not in claims(there)


QUOTA = 'ipamclaims.k8s.cni.cncf.io "db.lan" is forbidden: exceeded quota: few'
RIGHT = 'ipamclaims is forbidden: User "weft" cannot create resource "ipamclaims" in API group ""'


@pytest.mark.parametrize("error", [QUOTA, RIGHT])
async def test_a_quota_of_the_namespace_is_reported_at_the_machine_alone(
    monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    api = World()
    api.put(NODES, cluster_world.node("node1"))
    api.put(NADS, nad())
    api.put(VMS, vm())
    tried = []

    async def create(res: Any, obj: Any) -> Any:
        if res is IPAMCLAIMS:
            tried.append(obj)
            raise kube_errors.Forbidden(403, "Forbidden", error)
        return await MemoryApi.create(api, res, obj)

    monkeypatch.setattr(api, "create", create)
    async with cluster_world.managed(api) as manager:
        await cluster_world.settled(api, manager)
        assert tried
        told = cluster_world.messages(api, "db")
        if error is QUOTA:
            assert any("exceeded quota" in each for each in told)
            assert len(tried) == 1, "it waits before it tries again"
            assert not manager.not_ready()
        else:
            assert RIGHT in str(manager.not_ready()), "a right that the manager lacks"
            assert not told


def test_a_mac_alone_takes_no_address_of_a_machine_that_never_runs() -> None:
    mac = "02:00:00:00:00:07"
    of: Object = {"macs": {"lan": mac}}
    there = world((VMS, vm(**of)))
    manager = begun(there)
    assert not claims(there)[CLAIM].get("status")
    put(manager, VMIS, vmi(**of))
    put(manager, PODS, launcher(element={"mac": mac}))
    first = held(there)
    assert first[0]
    assert first[1] == mac
    remove(manager, PODS, "default/virt-launcher-1")
    put(manager, PODS, cluster_world.pod("other"))
    put(manager, PODS, launcher("virt-launcher-2", element={"mac": mac}))
    assert held(there, "virt-launcher-2") == first


def test_the_claim_of_a_nic_that_is_gone_goes_when_no_pod_uses_it() -> None:
    both = {"lan": "blue", "backup": "blue"}
    there = world((VMS, vm(networks=both)), (VMIS, vmi(networks=both)))
    there.put(PODS, launcher(lan="blue", backup="blue"))
    manager = begun(there)
    renamed = {"lan": "blue", "spare": "blue"}
    put(manager, VMS, vm(networks=renamed))
    assert set(claims(there)) == {CLAIM, "default/db.backup"}, "it runs with that"
    remove(manager, VMIS, "default/db")
    assert set(claims(there)) == {CLAIM, "default/db.backup", "default/db.spare"}, "a pod uses it"
    remove(manager, PODS, "default/virt-launcher-1")
    assert set(claims(there)) == {CLAIM, "default/db.spare"}


def test_the_claim_of_a_nic_that_cannot_be_read_stays() -> None:
    there = world((VMS, vm(networks={"lan": "blue", "backup": "blue"})))
    manager = begun(there)
    put(manager, VMS, vm(networks={"lan": "a/b/c", "backup": "blue"}))
    assert set(claims(there)) == {CLAIM, "default/db.backup"}


def test_a_machine_migrates_though_it_asks_for_another_address_by_now() -> None:
    there = world((VMS, vm()), (VMIS, vmi()), (PODS, launcher()))
    manager = begun(there)
    first = held(there)
    asked = '{"lan": ["10.1.0.77"]}'
    put(manager, VMS, vm(addresses=asked))
    put(manager, VMIS, vmi(addresses=asked))
    put(manager, VMIMS, migration())
    second = target()
    second["metadata"]["annotations"][names.MACHINE_ADDRESSES] = asked
    put(manager, PODS, second)
    assert held(there, "virt-launcher-2") == first
    for number in (1, 2):
        remove(manager, PODS, f"default/virt-launcher-{number}")
    remove(manager, VMIS, "default/db")
    assert claims(there)[CLAIM]["status"]["ips"] == ["10.1.0.77/24"]


def test_a_machine_with_more_nics_than_allowed_gets_no_claims_and_loses_none() -> None:
    there = world((VMS, vm()))
    manager = begun(there)
    put(manager, VMS, vm(networks={f"lan{number}": "blue" for number in range(33)}))
    assert set(claims(there)) == {CLAIM}


async def test_without_the_right_to_list_machines_all_else_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = World()
    api.put(NODES, cluster_world.node("node1"))
    api.put(NADS, nad())
    api.put(PODS, cluster_world.pod("web"))
    api.put(VMS, vm())

    async def listed(res: Any, namespace: str = "", **more: Any) -> Any:
        if res in (VMS, VMIS):
            text = f'User "weft" cannot list resource "{res.plural}" in API group "kubevirt.io"'
            raise kube_errors.Forbidden(403, "Forbidden", text)
        return await MemoryApi.list(api, res, namespace, **more)

    monkeypatch.setattr(api, "list", listed)
    async with cluster_world.managed(api) as manager:
        async with asyncio.timeout(30):
            await cluster_world.settled(api, manager)
        assert cluster_world.address(api, "web")
        assert "virtualmachines" in str(manager.not_ready())
        assert not claims(api)
