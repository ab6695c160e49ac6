"""What the Network object of each network says, whatever happens to its NADs, pods and nodes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import cluster_world as objects_of
from tests.support.manager_state import NOW, Manager, World
from weft import names
from weft.control.cluster import networkstatuses
from weft.control.cluster.outcome import Ref
from weft.kube.resources import IPAMCLAIMS, NADS, NETWORKS, NODES, PODS
from weft.metrics import Metric
from weft.model import ObjectKey
from weft.reasons import Reason

CHASSIS = {"node_chassis_id": "one", "node_encap_ips": '["10.0.0.1"]'}


class Life:
    """A world with one manager, which hears of each change and writes all that is due."""

    def __init__(self) -> None:
        self.world = World()
        self.world.put(NODES, objects_of.node("node1", **CHASSIS))
        self.world.put(NADS, objects_of.nad("blue", subnets="10.1.0.0/29"))
        self.manager = Manager(self.world)
        self.manager.settle()

    def hears(self, ref: Ref) -> None:
        self.manager.notify(ref)
        self.manager.settle()

    def edit(self, key: str, **config: Any) -> None:
        namespace, name = key.split("/")
        text = objects_of.nad(name, namespace=namespace, **config)["spec"]["config"]
        self.hears(self.world.change(NADS, key, {"spec": {"config": text}}))

    def status(self, network: str = "blue") -> dict[str, Any]:
        return dict(self.world.of(NETWORKS, network)["status"])

    def condition(self, type: str, network: str = "blue") -> tuple[str, str]:
        (found,) = [x for x in self.status(network)["conditions"] if x["type"] == type]
        return found["status"], found["reason"]


@pytest.fixture
def life() -> Life:
    return Life()


def test_a_network_without_pods(life: Life) -> None:
    status = life.status()
    shown = ("network", "topology", "subnets", "owner", "members", "usedAddresses", "freeAddresses")
    assert [status[each] for each in shown] == [
        *("blue", "layer2", "10.1.0.0/29", "default/blue", 0, 0, 6)
    ]
    found = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert found == {
        "Accepted": ("True", "Accepted"),
        "Served": ("True", "NoMembers"),
        "AddressesFree": ("True", "Free"),
        "UpToDate": ("True", "UpToDate"),
    }


def test_members_come_and_go(life: Life) -> None:
    life.hears(life.world.put(PODS, objects_of.pod("one")))
    status = life.status()
    assert (status["members"], status["usedAddresses"], status["freeAddresses"]) == (1, 1, 5)
    assert status["nodes"] == [{"name": "node1", "members": 1, "serving": True, "message": ""}]
    assert status["networkAttachmentDefinitions"][0]["members"] == 1
    life.world.remove(PODS, "default/one")
    life.hears(Ref(PODS, ObjectKey.parse("default/one")))
    status = life.status()
    assert (status["members"], status["usedAddresses"], status["nodes"]) == (0, 0, [])


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"annotations": {names.NODE_CHASSIS_ID: None}}},
        {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
    ],
    ids=["not announced", "not ready"],
)
def test_a_node_that_does_not_serve(life: Life, change: dict[str, Any]) -> None:
    life.hears(life.world.put(PODS, objects_of.pod("one")))
    assert life.condition("Served") == ("True", "Served")
    life.hears(life.world.change(NODES, "node1", change))
    assert life.condition("Served") == ("False", "NodesNotReady")
    life.hears(life.world.put(NODES, objects_of.node("node1", **CHASSIS)))
    assert life.condition("Served") == ("True", "Served")


def test_no_address_is_free(life: Life) -> None:
    for number in range(6):
        life.hears(life.world.put(PODS, objects_of.pod(f"pod{number}")))
    assert life.condition("AddressesFree") == ("False", "Exhausted")


def test_an_edit_that_waits_says_which_pods_have_the_old(life: Life) -> None:
    life.hears(life.world.put(PODS, objects_of.pod("one")))
    life.edit("default/blue", subnets="10.1.0.0/29", mtu=1300)
    assert life.condition("UpToDate") == ("False", "EditWaits")
    (edit,) = life.status()["edits"]
    assert edit["fields"] == [{"name": "mtu", "declared": "1300", "inUse": "1400"}]
    assert (edit["podsWithOld"], edit["podsWithNew"]) == (1, 0)
    assert edit["oldPods"] == ["Pod default/one"]
    life.edit("default/blue", subnets="10.1.0.0/29")
    assert life.condition("UpToDate") == ("True", "UpToDate")
    assert life.status()["edits"] == []


def test_pods_that_keep_excluded_addresses(life: Life) -> None:
    for name in ("one", "two"):
        life.hears(life.world.put(PODS, objects_of.pod(name)))
    first = objects_of.address(life.world, "one")
    excluded = f"{first.partition('/')[0]}/32"
    life.edit("default/blue", subnets="10.1.0.0/29", excludeSubnets=excluded)
    assert life.condition("UpToDate") == ("False", "AddressesExcluded")
    (edit,) = life.status()["edits"]
    assert (edit["podsWithOld"], edit["podsWithNew"]) == (1, 1)
    assert (edit["oldPods"], edit["newPods"]) == (["Pod default/one"], ["Pod default/two"])


def test_an_edit_that_breaks_the_owner(life: Life) -> None:
    life.hears(life.world.put(PODS, objects_of.pod("one")))
    life.hears(life.world.change(NADS, "default/blue", {"spec": {"config": "{"}}))
    assert life.condition("Accepted") == ("False", "InvalidConfig")
    life.edit("default/blue", subnets="10.1.0.0/29")
    assert life.condition("Accepted") == ("True", "Accepted")


def invalid(network: str, **config: Any) -> dict[str, Any]:
    return objects_of.nad("bad", network, **{"subnets": "10.9.0.0/33", **config})


def test_a_nad_that_is_invalid_from_its_birth(life: Life) -> None:
    life.hears(life.world.put(NADS, invalid("red")))
    (event,) = [each for each in life.manager.events if each.reason is Reason.INVALID_CONFIG]
    (accepted,) = [x for x in life.status("red")["conditions"] if x["type"] == "Accepted"]
    assert (accepted["status"], accepted["reason"]) == ("False", "InvalidConfig")
    assert accepted["message"] == event.message, "the same words"
    assert life.condition("Served", "red") == ("Unknown", "NotAccepted")
    (nad,) = life.status("red")["networkAttachmentDefinitions"]
    assert (nad["name"], nad["accepted"]) == ("default/bad", False)
    assert "10.9.0.0/33" in nad["message"]
    figures = life.manager.cluster.figures(NOW)[Metric.NETWORK_CONDITION]
    assert isinstance(figures, dict)
    assert {at: value for at, value in figures.items() if at[0] == "red"} == {
        ("red", "Accepted"): 0.0
    }, "what nobody knows is no figure"


def test_it_has_its_status_after_a_restart_too(life: Life) -> None:
    life.hears(life.world.put(NADS, invalid("red")))
    status = life.status("red")
    life.world.remove(NETWORKS, "red")
    life.manager = Manager(life.world)
    life.manager.settle()
    assert life.status("red") == status


def test_its_mend_is_accepted_and_its_end_removes_the_status(life: Life) -> None:
    life.hears(life.world.put(NADS, invalid("red")))
    life.edit("default/bad", network="red", subnets="10.9.0.0/24")
    assert life.condition("Accepted", "red") == ("True", "Accepted")
    assert life.condition("Served", "red") == ("True", "NoMembers")
    life.edit("default/bad", network="red", subnets="10.9.0.0/33")
    assert life.condition("Accepted", "red") == ("False", "InvalidConfig")
    life.world.remove(NADS, "default/bad")
    life.hears(Ref(NADS, ObjectKey("default", "bad")))
    assert set(life.world.all(NETWORKS)) == {"blue"}


def test_one_that_names_no_network_has_a_status_by_its_own_name(life: Life) -> None:
    for text in ("{", '{"type": "ovn-k8s-cni-overlay", "topology": "layer2"}'):
        life.hears(life.world.put(NADS, objects_of.raw_nad("bad", text)))
        own = names.network_object("default/bad")
        assert set(life.world.all(NETWORKS)) == {"blue", own}
        assert life.status(own)["network"] == "default/bad"
        assert life.condition("Accepted", own) == ("False", "InvalidConfig")
    life.hears(life.world.put(NADS, invalid("red")))
    assert set(life.world.all(NETWORKS)) == {"blue", "red"}


def test_one_that_takes_the_default_networks_name_says_nothing_of_that(life: Life) -> None:
    life.hears(life.world.put(NADS, invalid("default")))
    assert set(life.world.all(NETWORKS)) == {"blue", names.network_object("default/bad")}


def test_an_invalid_nad_of_a_network_of_others_is_listed_there(life: Life) -> None:
    life.hears(life.world.put(NADS, invalid("blue")))
    assert life.condition("Accepted") == ("True", "Accepted")
    own, other = life.status()["networkAttachmentDefinitions"]
    assert (own["name"], other["name"], other["accepted"]) == (
        *("default/blue", "default/bad", False),
    )
    life.world.remove(NADS, "default/blue")
    life.hears(Ref(NADS, ObjectKey("default", "blue")))
    assert life.condition("Accepted") == ("False", "InvalidConfig")


def test_an_owner_that_an_edit_broke_has_a_status_when_its_last_pod_is_gone(life: Life) -> None:
    life.hears(life.world.put(PODS, objects_of.pod("one")))
    life.hears(life.world.change(NADS, "default/blue", {"spec": {"config": "{"}}))
    assert set(life.world.all(NETWORKS)) == {"blue"}, "the accepted network's"
    life.world.remove(PODS, "default/one")
    life.hears(Ref(PODS, ObjectKey("default", "one")))
    own = names.network_object("default/blue")
    assert set(life.world.all(NETWORKS)) == {own}, "its text names none any more"
    assert life.condition("Accepted", own) == ("False", "InvalidConfig")


def test_what_others_declare_makes_no_condition_false(life: Life) -> None:
    """Else any tenant could have every network look broken."""
    life.hears(life.world.put(NADS, objects_of.nad("mine", "blue", subnets="10.9.0.0/24")))
    assert life.condition("Accepted") == ("True", "Accepted")
    own, other = life.status()["networkAttachmentDefinitions"]
    assert (own["name"], own["accepted"]) == ("default/blue", True)
    assert (other["name"], other["accepted"]) == ("default/mine", False)
    assert "10.9.0.0/24" in other["message"]


def test_the_object_goes_with_the_network(life: Life) -> None:
    life.world.remove(NADS, "default/blue")
    life.hears(Ref(NADS, ObjectKey.parse("default/blue")))
    assert life.world.all(NETWORKS) == {}


def test_a_network_whose_last_nad_is_gone_stays_for_its_pods(life: Life) -> None:
    life.hears(life.world.put(PODS, objects_of.pod("one")))
    life.world.remove(NADS, "default/blue")  # as if somebody had taken the finalizer off
    life.hears(Ref(NADS, ObjectKey.parse("default/blue")))
    assert life.condition("Accepted") == ("False", "NoNetworkAttachmentDefinition")


def test_what_is_altered_deleted_or_made_by_others_is_put_right(life: Life) -> None:
    right = life.status()
    life.hears(life.world.change(NETWORKS, "blue", {"status": {"members": 7, "owner": "x/y"}}))
    assert life.status() == right
    life.world.remove(NETWORKS, "blue")
    life.hears(Ref(NETWORKS, ObjectKey.parse("blue")))
    assert life.status() == right
    life.hears(life.world.put(NETWORKS, {"metadata": {"name": "forged", "uid": "f"}}))
    assert set(life.world.all(NETWORKS)) == {"blue"}


def test_a_name_that_is_none_of_kubernetes(life: Life) -> None:
    life.hears(life.world.put(NADS, objects_of.nad("odd", "Blue_Net", subnets="10.2.0.0/24")))
    name = names.network_object("Blue_Net")
    assert life.status(name)["network"] == "Blue_Net"


def test_a_burst_is_one_write(life: Life) -> None:
    """Pods do not write: what is due is due once, after a while."""
    life.world.writes.clear()
    due: list[tuple[Ref, float]] = []
    for number in range(5):
        life.manager.notify(life.world.put(PODS, objects_of.pod(f"pod{number}")))
        for ref, after in life.manager.cluster.take_due():
            if ref.resource is NETWORKS:
                due.append((ref, after))
            else:
                life.manager.look(ref)
    assert {ref.key.name for ref, _ in due} == {"blue"}
    assert {after for _, after in due} == {networkstatuses.QUIET}
    assert not [each for each in life.world.writes if each[1] == NETWORKS.kind]
    life.manager.look(due[0][0])
    life.manager.settle()
    assert len([each for each in life.world.writes if each[1] == NETWORKS.kind]) == 1
    assert life.status()["members"] == 5


def test_a_cluster_without_the_kind_is_asked_rarely(life: Life) -> None:
    cluster = life.manager.cluster
    ref = Ref(NETWORKS, ObjectKey.parse("blue"))
    life.world.remove(NETWORKS, "blue")
    life.manager.notify(ref)
    cluster.take_due()
    (patch,) = cluster.decide(ref, NOW).patches
    assert cluster.keep_status(ref, patch, None), "that is news"
    assert cluster.take_due() == [(ref, networkstatuses.UNSERVED)]
    assert not cluster.keep_status(ref, patch, None), "it is news once"


def test_a_network_goes_with_a_nad_that_became_invalid_while_no_manager_ran(life: Life) -> None:
    life.world.change(NADS, "default/blue", {"spec": {"config": "{"}})
    life.manager = Manager(life.world)
    life.world.remove(NADS, "default/blue")
    life.hears(Ref(NADS, ObjectKey.parse("default/blue")))
    assert life.world.all(NETWORKS) == {}


def claim(*ips: str, created: str = "2026-01-30T08:00:00Z") -> dict[str, Any]:
    meta = {"name": "vm.blue", "namespace": "default", "uid": "c", "creationTimestamp": created}
    spec = {"network": "blue", "interface": "net1"}
    return {"metadata": meta, "spec": spec, "status": {"ips": list(ips)}}


def made_on(day: str, name: str, networks: object = "blue") -> dict[str, Any]:
    made = objects_of.pod(name, networks)
    made["metadata"]["creationTimestamp"] = f"{day}T08:00:00Z"
    return made


def test_allocations_are_counted_by_the_day_of_their_holders(life: Life) -> None:
    life.edit("default/blue", subnets="10.1.0.0/29", allowPersistentIPs=True)
    life.hears(life.world.put(PODS, made_on("2026-01-01", "old")))
    life.hears(life.world.put(PODS, made_on("2026-01-31", "young")))
    life.hears(life.world.put(IPAMCLAIMS, claim("10.1.0.6/29")))
    requested = [{"name": "blue", "ipam-claim-reference": "vm.blue"}]
    life.hears(life.world.put(PODS, made_on("2026-02-01", "launcher", requested)))
    assert life.status()["allocationsByDay"] == [
        {"day": "2026-01-01", "allocations": 1},
        {"day": "2026-01-30", "allocations": 1},  # of the claim, whatever pod uses it
        {"day": "2026-01-31", "allocations": 1},
    ]
    assert (life.status()["sizeAddresses"], life.status()["usedAddresses"]) == (6, 3)
    life.world.remove(PODS, "default/young")
    life.hears(Ref(PODS, ObjectKey.parse("default/young")))
    life.world.remove(IPAMCLAIMS, "default/vm.blue")
    life.hears(Ref(IPAMCLAIMS, ObjectKey.parse("default/vm.blue")))
    assert life.status()["allocationsByDay"] == [{"day": "2026-01-01", "allocations": 1}]


def test_metrics_say_how_long_the_addresses_last(life: Life) -> None:
    assert Metric.NETWORK_LASTS in life.manager.cluster.figures(NOW)
    assert life.manager.cluster.figures(NOW)[Metric.NETWORK_LASTS] == {}
    for number in range(2):
        life.hears(life.world.put(PODS, made_on("2026-01-31", f"pod{number}")))
    figures = life.manager.cluster.figures(NOW)
    assert figures[Metric.NETWORK_SIZE] == {("blue", "10.1.0.0/29"): 6}
    assert figures[Metric.NETWORK_LASTS] == {("blue",): 4 * 86400}, "four are free, one a day"
    later = life.manager.cluster.figures("2026-03-01T00:00:00Z")
    assert later[Metric.NETWORK_LASTS] == {}, "nothing was added for a week"


def test_metrics_count_claims_that_no_pod_uses(life: Life) -> None:
    life.edit("default/blue", subnets="10.1.0.0/29", allowPersistentIPs=True)
    life.hears(life.world.put(IPAMCLAIMS, claim("10.1.0.6/29")))
    assert life.manager.cluster.figures(NOW)[Metric.NETWORK_UNUSED] == {("blue",): 1}
    requested = [{"name": "blue", "ipam-claim-reference": "vm.blue"}]
    life.hears(life.world.put(PODS, made_on("2026-02-01", "launcher", requested)))
    assert life.manager.cluster.figures(NOW)[Metric.NETWORK_UNUSED] == {("blue",): 0}
    life.world.remove(PODS, "default/launcher")
    life.hears(Ref(PODS, ObjectKey.parse("default/launcher")))
    assert life.manager.cluster.figures(NOW)[Metric.NETWORK_UNUSED] == {("blue",): 1}


def test_a_localnet_says_which_nodes_lead_to_its_physical_network(life: Life) -> None:
    """From what their agents write, as it comes and goes, also under a running pod."""
    mappings = {names.NODE_BRIDGE_MAPPINGS: '{"rack": "br-rack"}'}
    config = {"topology": "localnet", "physicalNetworkName": "rack", "subnets": "10.2.0.0/24"}
    life.hears(life.world.put(NADS, objects_of.nad("vlan20", **config)))
    assert life.status("vlan20")["eligibleNodes"] == []
    assert life.condition("Served", "vlan20") == ("False", "NoBridgeMapping")
    for node in ("node2", "node1"):
        made = objects_of.node(node, **CHASSIS)
        made["metadata"]["annotations"] |= mappings
        life.hears(life.world.put(NODES, made))
    assert life.status("vlan20")["eligibleNodes"] == ["node1", "node2"]
    assert life.condition("Served", "vlan20") == ("True", "NoMembers")
    assert life.status()["eligibleNodes"] == [], "other topologies run everywhere"
    life.hears(life.world.put(PODS, objects_of.pod("web", "vlan20", node="node1")))
    assert life.condition("Served", "vlan20") == ("True", "Served")
    gone = {"metadata": {"annotations": {names.NODE_BRIDGE_MAPPINGS: None}}}
    life.hears(life.world.change(NODES, "/node1", gone))
    assert life.status("vlan20")["eligibleNodes"] == ["node2"]
    assert life.condition("Served", "vlan20") == ("False", "NodesNotReady")
    (node,) = life.status("vlan20")["nodes"]
    assert node["message"] == "lacks physical network rack in its ovn-bridge-mappings"


def test_two_localnets_on_one_vlan_are_told_apart_by_nobody(life: Life) -> None:
    config: dict[str, Any] = {"topology": "localnet", "physicalNetworkName": "rack"}
    for name in ("one", "two"):
        made = objects_of.nad(name, subnets="10.2.0.0/24", vlanID=20, **config)
        life.hears(life.world.put(NADS, made))
    told = [event for event in life.manager.events if event.reason is Reason.SHARED_VLAN]
    assert [event.about.name for event in told] == ["two"]
    assert "network two shares VLAN 20 of physical network rack with network one" in told[0].message
