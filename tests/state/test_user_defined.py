"""UserDefinedNetworks become NADs, whoever changed what, and however often the manager ended."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from tests.support import cluster_world as objects_of
from tests.support.manager_state import READERS, Killed, Manager, World
from weft import names
from weft.control.cluster.outcome import Ref
from weft.kube.resources import CUDNS, NADS, NAMESPACES, NODES, PODS, UDNS, Resource
from weft.model import ObjectKey

Object = dict[str, Any]
LAYER2 = {"role": "Secondary", "subnets": ["10.9.0.0/24", "fd00:9::/64"], "mtu": 1300}
RED_DB = ObjectKey("red", "db")


def udn(name: str = "db", namespace: str = "red", uid: str = "", **layer2: Any) -> Object:
    spec = {"topology": "Layer2", "layer2": {**LAYER2, **layer2}}
    meta = {"name": name, "namespace": namespace, "generation": 1}
    return objects_of.stored({"kind": UDNS.kind, "metadata": meta, "spec": spec}, uid)


def cudn(name: str = "pay", selector: Object | None = None, **layer2: Any) -> Object:
    chosen = {"matchLabels": {"team": "pay"}} if selector is None else selector
    network = {"topology": "Layer2", "layer2": {**LAYER2, **layer2}}
    spec = {"namespaceSelector": chosen, "network": network}
    meta = {"name": name, "generation": 1}
    return objects_of.stored({"kind": CUDNS.kind, "metadata": meta, "spec": spec})


def namespaces(there: World, **teams: str) -> World:
    for name, team in teams.items():
        labels = {"team": team} if team else {}
        there.put(NAMESPACES, objects_of.namespace(name, **labels))
    return there


def world(*objects: tuple[Resource, Object]) -> World:
    there = namespaces(World(), red="", a="pay", b="pay", c="")
    there.put(NODES, objects_of.node("node1"))
    for res, obj in objects:
        there.put(res, obj)
    return there


def managed(there: World, seed: int | None = None) -> Manager:
    chance = random.Random(seed)
    manager = Manager(there, order=(lambda refs: chance.shuffle(refs)) if seed else lambda refs: 0)
    manager.settle()
    return manager


def change(manager: Manager, res: Resource, key: str, patch: Object) -> None:
    manager.notify(manager.world.change(res, key, patch))
    manager.settle()


def delete(manager: Manager, res: Resource, key: str) -> None:
    manager.world.delete_kept(res, key)
    manager.notify(Ref(res, ObjectKey.parse(key)))
    manager.settle()


def remove(manager: Manager, res: Resource, key: str) -> None:
    manager.world.remove(res, key)
    manager.notify(Ref(res, ObjectKey.parse(key)))
    manager.settle()


def config(there: World, key: str) -> Object:
    found: Object = json.loads(there.of(NADS, key)["spec"]["config"])
    return found


def condition(there: World, res: Resource, key: str, type: str = "NetworkCreated") -> Object:
    listed = there.of(res, key)["status"].get("conditions", ())
    found: Object = next((each for each in listed if each["type"] == type), {})
    return found


def shown(there: World, res: Resource, key: str) -> tuple[str, str]:
    found = condition(there, res, key)
    return found.get("status", ""), found.get("reason", "")


CREATED = ("True", "NetworkAttachmentDefinitionCreated")


def test_a_udn_becomes_a_nad_of_its_name() -> None:
    made = udn()
    made["metadata"] |= {"labels": {"tier": "db"}}
    made["metadata"]["annotations"] = {"note": "mine", "k8s.ovn.org/x": "not carried"}
    there = world((UDNS, made))
    managed(there)
    nad = there.of(NADS, "red/db")
    assert config(there, "red/db") == {
        "cniVersion": "1.1.0",
        "type": "ovn-k8s-cni-overlay",
        "name": "red_db",
        "netAttachDefName": "red/db",
        "topology": "layer2",
        "role": "secondary",
        "subnets": "10.9.0.0/24,fd00:9::/64",
        "mtu": 1300,
    }
    meta = nad["metadata"]
    (owner,) = meta["ownerReferences"]
    assert owner["uid"] == there.of(UDNS, "red/db")["metadata"]["uid"]
    assert (owner["kind"], owner["name"], owner["controller"]) == (UDNS.kind, "db", True)
    assert meta["labels"] == {"k8s.ovn.org/user-defined-network": "", "tier": "db"}
    assert meta["finalizers"] == ["k8s.ovn.org/user-defined-network-protection"]
    assert meta["annotations"]["note"] == "mine"
    assert "k8s.ovn.org/x" not in meta["annotations"]
    assert meta["annotations"][names.NETWORK_NAME] == "red_db"
    assert there.of(UDNS, "red/db")["metadata"]["finalizers"] == meta["finalizers"]
    assert shown(there, UDNS, "red/db") == CREATED
    allocated = condition(there, UDNS, "red/db", "NetworkAllocationSucceeded")
    assert (allocated["status"], allocated["reason"]) == ("True", "NetworkAllocationSucceeded")


def test_a_pod_gets_an_address_of_it() -> None:
    there = world((UDNS, udn()))
    manager = managed(there)
    manager.notify(there.put(PODS, objects_of.pod("p", "db", namespace="red")))
    manager.settle()
    notes = there.of(PODS, "red/p")["metadata"]["annotations"][names.POD_NETWORKS]
    (found,) = json.loads(notes).values()
    assert found["ip_addresses"][0].startswith("10.9.0.")


def test_a_primary_one_is_refused_with_a_reason() -> None:
    there = world((UDNS, udn(role="Primary")))
    managed(there)
    found = condition(there, UDNS, "red/db")
    assert (found["status"], found["reason"]) == ("False", "SyncError")
    assert "primary network belongs to the cluster's primary CNI" in found["message"]
    assert not there.all(NADS)
    assert "finalizers" not in there.of(UDNS, "red/db")["metadata"]


def test_a_foreign_nad_of_the_name_is_never_adopted() -> None:
    foreign = objects_of.nad("db", "other", namespace="red")
    there = world((NADS, foreign), (UDNS, udn()))
    manager = managed(there)
    assert shown(there, UDNS, "red/db") == ("False", "SyncError")
    assert "foreign" in condition(there, UDNS, "red/db")["message"]
    assert there.of(NADS, "red/db")["spec"] == foreign["spec"]
    remove(manager, NADS, "red/db")
    assert config(there, "red/db")["name"] == "red_db"
    assert shown(there, UDNS, "red/db") == CREATED


@pytest.mark.parametrize(
    "altered",
    [
        {"spec": {"config": "{}"}},
        {"metadata": {"labels": {"k8s.ovn.org/user-defined-network": None, "more": "x"}}},
        {"metadata": {"finalizers": []}},
    ],
    ids=["config", "labels", "finalizers"],
)
def test_what_somebody_altered_is_written_again(altered: Object) -> None:
    there = world((UDNS, udn()))
    manager = managed(there)
    before = there.of(NADS, "red/db")
    change(manager, NADS, "red/db", altered)
    after = there.of(NADS, "red/db")
    for part in ("labels", "finalizers"):
        assert after["metadata"][part] == before["metadata"][part]
    assert after["spec"] == before["spec"]


def test_a_nad_that_somebody_deletes_is_made_again() -> None:
    there = world((UDNS, udn()))
    manager = managed(there)
    uid = there.of(NADS, "red/db")["metadata"]["uid"]
    delete(manager, NADS, "red/db")
    assert there.of(NADS, "red/db")["metadata"]["uid"] != uid
    assert shown(there, UDNS, "red/db") == CREATED


def used(there: World, namespace: str = "red", network: str = "db") -> Manager:
    manager = managed(there)
    manager.notify(there.put(PODS, objects_of.pod("p", network, namespace=namespace)))
    manager.settle()
    return manager


def test_a_deletion_waits_for_pods_and_says_for_which() -> None:
    there = world((UDNS, udn()))
    manager = used(there)
    delete(manager, UDNS, "red/db")
    assert shown(there, UDNS, "red/db") == ("False", "SyncError")
    assert "Pod red/p" in condition(there, UDNS, "red/db")["message"]
    (event,) = [each for each in manager.events if each.reason == "DeletionWaits"]
    assert "Pod red/p" in event.message
    manager.notify(there.put(PODS, objects_of.pod("late", "db", namespace="red")))
    manager.settle()
    late = there.of(PODS, "red/late")["metadata"]["annotations"]
    assert names.POD_NETWORKS not in late
    remove(manager, PODS, "red/p")
    assert not there.all(NADS)
    assert not there.all(UDNS)


def test_a_nad_deleted_under_pods_is_reported_and_made_again_when_they_are_gone() -> None:
    there = world((UDNS, udn()))
    manager = used(there)
    delete(manager, NADS, "red/db")
    assert shown(there, UDNS, "red/db") == ("False", "NetworkAttachmentDefinitionDeleted")
    remove(manager, PODS, "red/p")
    assert shown(there, UDNS, "red/db") == CREATED
    assert "deletionTimestamp" not in there.of(NADS, "red/db")["metadata"]


def test_a_cluster_wide_one_has_a_nad_in_each_chosen_namespace() -> None:
    there = world((CUDNS, cudn()))
    manager = managed(there)
    assert sorted(there.all(NADS)) == ["a/pay", "b/pay"]
    assert config(there, "a/pay")["name"] == config(there, "b/pay")["name"] == "cluster_udn_pay"
    found = condition(there, CUDNS, "pay")
    assert (found["status"], found["reason"]) == CREATED
    assert "a, b" in found["message"]
    owners = {
        nad["metadata"]["annotations"][names.NETWORK_OWNER] for nad in there.all(NADS).values()
    }
    assert owners == {"a/pay"}
    for name in ("a", "b"):
        manager.notify(there.put(PODS, objects_of.pod(name, "pay", namespace=name)))
    manager.settle()
    for name in ("a", "b"):
        assert names.POD_NETWORKS in there.of(PODS, f"{name}/{name}")["metadata"]["annotations"]


def test_it_follows_namespaces_that_come_go_gain_and_lose_labels() -> None:
    there = world((CUDNS, cudn()))
    manager = managed(there)
    change(manager, NAMESPACES, "c", {"metadata": {"labels": {"team": "pay"}}})
    change(manager, NAMESPACES, "a", {"metadata": {"labels": {"team": None}}})
    assert sorted(there.all(NADS)) == ["b/pay", "c/pay"]
    manager.notify(there.put(NAMESPACES, objects_of.namespace("d", team="pay")))
    manager.settle()
    assert sorted(there.all(NADS)) == ["b/pay", "c/pay", "d/pay"]
    assert condition(there, CUDNS, "pay")["message"].endswith("b, c, d")
    change(manager, NAMESPACES, "d", {"metadata": {"deletionTimestamp": "2026-02-02T00:00:00Z"}})
    assert sorted(there.all(NADS)) == ["b/pay", "c/pay"]
    selector = {"spec": {"namespaceSelector": {"matchLabels": {"team": "none"}}}}
    change(manager, CUDNS, "pay", selector)
    assert not there.all(NADS)
    assert shown(there, CUDNS, "pay") == CREATED


def test_a_namespace_that_loses_its_label_keeps_the_network_while_pods_use_it() -> None:
    there = world((CUDNS, cudn()))
    manager = used(there, "a", "pay")
    change(manager, NAMESPACES, "a", {"metadata": {"labels": {"team": None}}})
    found = condition(there, CUDNS, "pay")
    assert (found["status"], found["reason"]) == ("False", "NetworkAttachmentDefinitionSyncError")
    assert "Pod a/p" in found["message"]
    before = there.of(PODS, "a/p")["metadata"]["annotations"]
    remove(manager, PODS, "a/p")
    assert names.POD_NETWORKS in before
    assert sorted(there.all(NADS)) == ["b/pay"]
    assert shown(there, CUDNS, "pay") == CREATED


def test_a_cluster_wide_one_goes_when_the_last_pod_is_gone() -> None:
    there = world((CUDNS, cudn()))
    manager = used(there, "a", "pay")
    delete(manager, CUDNS, "pay")
    assert sorted(there.all(NADS)) == ["a/pay"]
    assert "Pod a/p" in condition(there, CUDNS, "pay")["message"]
    remove(manager, PODS, "a/p")
    assert not there.all(NADS)
    assert not there.all(CUDNS)


@pytest.mark.parametrize("namespace", ["red", "c"])
def test_nobody_declares_a_name_of_cluster_wide_ones_by_hand(namespace: str) -> None:
    squatter = objects_of.nad("x", "cluster_udn_pay", namespace=namespace, namespaceSelector={})
    there = world((NADS, squatter))
    manager = managed(there)
    assert names.NETWORK_ID not in there.of(NADS, f"{namespace}/x")["metadata"]["annotations"]
    manager.notify(there.put(CUDNS, cudn()))
    manager.settle()
    assert shown(there, CUDNS, "pay") == CREATED
    assert names.NETWORK_ID not in there.of(NADS, f"{namespace}/x")["metadata"]["annotations"]


def test_a_forged_owner_makes_no_nad_of_a_cluster_wide_one() -> None:
    forged = objects_of.nad("pay", "cluster_udn_pay", namespace="c")
    owner = {"apiVersion": "k8s.ovn.org/v1", "kind": CUDNS.kind, "name": "pay", "controller": True}
    forged["metadata"]["ownerReferences"] = [{**owner, "uid": "none"}]
    there = world((NADS, forged))
    manager = managed(there)
    assert names.NETWORK_ID not in there.of(NADS, "c/pay")["metadata"]["annotations"]
    manager.notify(there.put(CUDNS, cudn()))
    manager.settle()
    assert shown(there, CUDNS, "pay") == CREATED
    uid = there.of(CUDNS, "pay")["metadata"]["uid"]
    change(manager, NADS, "c/pay", {"metadata": {"ownerReferences": [{**owner, "uid": uid}]}})
    assert "c/pay" not in there.all(NADS)


def test_a_tenants_udn_takes_over_no_network_that_has_its_name() -> None:
    mine = objects_of.nad("x", "red_db", namespace="default")
    there = world((NADS, mine), (PODS, objects_of.pod("p", "x")))
    manager = managed(there)
    assert names.NETWORK_ID in there.of(NADS, "default/x")["metadata"]["annotations"]
    manager.notify(there.put(UDNS, udn()))
    manager.settle()
    assert shown(there, UDNS, "red/db") == ("False", "SyncError")
    assert "default/x" in condition(there, UDNS, "red/db")["message"]
    assert names.NETWORK_ID not in there.of(NADS, "red/db")["metadata"].get("annotations", {})
    assert not condition(there, UDNS, "red/db", "NetworkAllocationSucceeded")
    assert (
        there.of(NADS, "default/x")["metadata"]["annotations"][names.NETWORK_OWNER] == "default/x"
    )


def test_no_other_tenant_takes_the_name_of_a_udn_beforehand() -> None:
    squatter = objects_of.nad("x", "red_db", namespace="c", allowedNamespaces=["red"])
    there = world((NADS, squatter))
    manager = managed(there)
    assert names.NETWORK_ID not in there.of(NADS, "c/x")["metadata"]["annotations"]
    manager.notify(there.put(UDNS, udn()))
    manager.settle()
    assert shown(there, UDNS, "red/db") == CREATED


def test_a_nad_that_was_there_before_the_namespace_keeps_its_network() -> None:
    there = world((NADS, objects_of.nad("x", "late_db", namespace="c")))
    manager = managed(there)
    assert names.NETWORK_ID in there.of(NADS, "c/x")["metadata"]["annotations"]
    manager.notify(there.put(NAMESPACES, objects_of.namespace("late")))
    manager.settle()
    assert names.NETWORK_ID in there.of(NADS, "c/x")["metadata"]["annotations"]
    Manager(there).settle()
    assert names.NETWORK_ID in there.of(NADS, "c/x")["metadata"]["annotations"]


def test_of_two_that_ask_for_one_nad_the_older_has_it() -> None:
    there = world((CUDNS, cudn("db", {})), (UDNS, udn()))
    there.change(UDNS, "red/db", {"metadata": {"creationTimestamp": "2026-01-02T00:00:00Z"}})
    managed(there)
    assert config(there, "red/db")["name"] == "cluster_udn_db"
    assert shown(there, UDNS, "red/db") == ("False", "SyncError")
    assert "ClusterUserDefinedNetwork db" in condition(there, UDNS, "red/db")["message"]


def copy_of(there: World) -> World:
    """The same objects, for another manager."""
    other = World()
    for ref, obj in there.objects.items():
        other.put(ref.resource, obj)
    return other


def test_nodes_without_a_subnet_are_named() -> None:
    """The network has two subnets for nodes; pods of three ask for one."""
    made = udn()
    subnets = [{"cidr": "10.64.0.0/24", "hostSubnet": 25}]
    made["spec"] = {"topology": "Layer3", "layer3": {"role": "Secondary", "subnets": subnets}}
    there = world((UDNS, made))
    manager = managed(there)
    for number in (1, 2, 3):
        name = f"node{number}"
        manager.notify(there.put(NODES, objects_of.node(name)))
        manager.notify(there.put(PODS, objects_of.pod(name, "db", namespace="red", nodeName=name)))
        manager.settle()
    found = condition(there, UDNS, "red/db", "NetworkAllocationSucceeded")
    assert (found["status"], found["reason"]) == ("False", "InternalError")
    assert "Node node3" in found["message"]
    (event,) = [each for each in manager.events if each.reason == "NetworkAllocationFailed"]
    assert "Node node3" in event.message
    again = managed(copy_of(there))
    assert condition(again.world, UDNS, "red/db", "NetworkAllocationSucceeded") == found
    remove(manager, PODS, "red/node1")
    found = condition(there, UDNS, "red/db", "NetworkAllocationSucceeded")
    assert found["status"] == "True"
    assert shown(there, UDNS, "red/db") == CREATED


def test_conditions_of_others_stay() -> None:
    there = world((UDNS, udn()))
    other = {"type": "Other", "status": "True", "reason": "R", "message": "", "x": 1}
    there.change(UDNS, "red/db", {"status": {"conditions": [other]}})
    managed(there)
    assert there.of(UDNS, "red/db")["status"]["conditions"][0] == other
    assert shown(there, UDNS, "red/db") == CREATED


def summary(there: World) -> Object:
    """What does not depend on when things were written."""
    kept = {}
    for res in (NADS, UDNS, CUDNS, PODS):
        for key, obj in there.all(res).items():
            meta = {name: obj["metadata"].get(name) for name in ("labels", "finalizers")}
            notes = obj["metadata"].get("annotations") or {}
            order = (names.POD_NETWORKS_SIGNATURE, names.NETWORK_ID)  # as they happened to come
            held = {name: value for name, value in notes.items() if name not in order}
            conditions = [
                {name: each[name] for name in ("type", "status", "reason", "message")}
                for each in (obj.get("status") or {}).get("conditions", ())
            ]
            kept[f"{res.kind} {key}"] = (meta, held, obj["spec"], conditions)
    return kept


def life() -> World:
    pods = [(PODS, objects_of.pod("p", "db", namespace="red"))]
    pods += [(PODS, objects_of.pod(name, "pay", namespace=name)) for name in ("a", "b")]
    return world((UDNS, udn()), (CUDNS, cudn()), *pods)


def test_a_second_run_writes_nothing() -> None:
    there = life()
    managed(there)
    before = len(there.writes)
    managed(there)
    assert len(there.writes) == before


@pytest.mark.parametrize("seed", range(1, 9))
def test_the_order_of_objects_makes_no_difference(seed: int) -> None:
    fresh, shuffled = life(), life()
    managed(fresh)
    managed(shuffled, seed)
    assert summary(shuffled) == summary(fresh)


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("at", range(24))
def test_killed_at_any_write_the_next_one_ends_the_same(at: int, arrives: bool) -> None:
    fresh, there = life(), life()
    managed(fresh)
    there.lives = (at, arrives)
    for _ in range(3):
        try:
            managed(there)
        except Killed:
            continue
    assert summary(there) == summary(fresh)


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("at", range(16))
def test_killed_at_any_write_of_a_deletion_nothing_stays(at: int, arrives: bool) -> None:
    there = life()
    managed(there)
    there.delete_kept(UDNS, "red/db")
    there.delete_kept(CUDNS, "pay")
    for key in list(there.all(PODS)):
        there.remove(PODS, key)
    there.lives = (at, arrives)
    for _ in range(3):
        try:
            managed(there)
        except Killed:
            continue
    assert not summary(there)


def test_every_order_of_three_events_ends_the_same() -> None:
    """The label, the object and the pod, in each order."""
    ends = []
    for order in itertools.permutations(range(3)):
        there = namespaces(World(), a="")
        there.put(NODES, objects_of.node("node1"))
        manager = Manager(there)
        manager.settle()
        steps = (
            lambda there=there: there.change(
                NAMESPACES, "a", {"metadata": {"labels": {"team": "pay"}}}
            ),
            lambda there=there: there.put(CUDNS, cudn()),
            lambda there=there: there.put(PODS, objects_of.pod("p", "pay", namespace="a")),
        )
        for step in order:
            manager.notify(steps[step]())
            manager.settle()
        ends.append(summary(there))
    assert all(each == ends[0] for each in ends)


@pytest.mark.parametrize("count", [2, 30])
def test_a_status_that_comes_back_concerns_no_nad(count: int) -> None:
    """However many the object has; a change of what they are rendered from concerns them all."""
    there = namespaces(World(), **{f"n{number}": "pay" for number in range(count)})
    there.put(NODES, objects_of.node("node1"))
    there.put(CUDNS, cudn())
    manager = managed(there)
    ref = Ref(CUDNS, ObjectKey("", "pay"))
    seen = manager.cluster.take_due()
    assert not seen
    echo = {**there.objects[ref], "status": {"conditions": []}}
    manager.cluster.set_udn(ref, READERS[CUDNS](echo))
    assert [each for each, _ in manager.cluster.take_due()] == [ref]
    labelled = {**echo, "metadata": {**echo["metadata"], "labels": {"a": "b"}}}
    manager.cluster.set_udn(ref, READERS[CUDNS](labelled))
    assert len({each for each, _ in manager.cluster.take_due()} - {ref}) == count
