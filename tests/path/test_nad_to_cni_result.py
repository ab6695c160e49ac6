"""From a NAD and a pod to the CNI result, through every part: one path for each kind of network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.path.follow import CHASSIS, NODE, Followed, decided, follow, of_kind
from tests.support import cluster_world
from tests.support.columns import members
from tests.support.manager_state import Manager
from tests.support.objects import Object, nad, named, node, pod
from weft import names
from weft.api import defaultnetwork, nodeinfo, selection
from weft.api import nad as nads
from weft.control.cluster.outcome import Ref
from weft.kube.resources import IPAMCLAIMS, NADS, PODS
from weft.model import ObjectKey

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted(EXAMPLES.rglob("*.yaml"))


def example(name: str) -> list[Object]:
    listed = yaml.safe_load_all((EXAMPLES / "networks" / name).read_text())
    return [placed(obj) if obj["kind"] == "Pod" else obj for obj in listed if obj]


def placed(obj: Object) -> Object:
    return {**obj, "spec": {**obj["spec"], "nodeName": NODE}}


def the_node() -> Object:
    return node(NODE, nodeinfo.render_zone(CHASSIS, ("192.0.2.1",)))


def columns(followed: Followed, *which: str) -> dict[str, Any]:
    return {each: followed.port.columns[each] for each in which}


def device(result: Object) -> str:
    """The one that the plugin made on the node, beside the pod's."""
    own, inner = result["interfaces"]
    assert inner["sandbox"] == "/run/netns/web"
    return str(own["name"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_every_example_is_good(path: Path) -> None:
    objects = list(yaml.safe_load_all(path.read_text()))
    for nad_object in of_kind(objects, "NetworkAttachmentDefinition"):
        assert nads.problems(nad_object) == []
        assert nads.ignored_keys(nad_object) == []
    for each in of_kind(objects, "Pod"):
        assert selection.problems(each) == []


def test_layer2() -> None:
    world, _ = decided(nad("blue", "10.1.0.0/24", mtu=1300), pod("web", "blue", node=NODE))
    seen = follow(world)
    assert seen.annotation == {
        "ip_addresses": ["10.1.0.1/24"],
        "mac_address": "0a:58:0a:01:00:01",
        "ip_address": "10.1.0.1/24",
        "tunnel_id": 10,
        "role": "secondary",
    }
    assert seen.port.columns["addresses"] == {"0a:58:0a:01:00:01 10.1.0.1"}
    assert seen.port.columns["port_security"] == {"0a:58:0a:01:00:01 10.1.0.1/24"}
    assert seen.port.columns["options"] == {
        "requested-chassis": CHASSIS,
        "iface-id-ver": "uid-web",
        "requested-tnl-key": "10",
    }
    assert seen.result == {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": device(seen.result)},
            {
                "name": "net1",
                "mac": "0a:58:0a:01:00:01",
                "sandbox": "/run/netns/web",
                "mtu": 1300,
            },
        ],
        "ips": [{"address": "10.1.0.1/24", "interface": 1}],
        "routes": [],
        "dns": {},
    }


def test_dual_stack_and_a_router_by_name() -> None:
    world, _ = decided(*example("dual-stack.yaml"))
    of = {
        name: follow(world, f"default/campus-{name}", nad="default/campus")
        for name in ("router", "guest")
    }
    addresses = {name: seen.annotation["ip_addresses"] for name, seen in of.items()}
    assert addresses == {
        "router": ["10.30.0.1/16", "fd00:30::1:1/64"],
        "guest": ["10.30.0.2/16", "fd00:30::1:0/64"],
    }
    for name, seen in of.items():
        assert [each["address"] for each in seen.result["ips"]] == addresses[name]
        (member,) = members(seen.port.columns["addresses"])
        assert str(member).split()[1:] == [each.partition("/")[0] for each in addresses[name]]


def test_without_subnets_addresses_are_the_pods_own() -> None:
    world, _ = decided(*example("flat.yaml"))
    first = follow(world, "default/flat-client", "field0", "default/flat")
    second = follow(world, "default/flat-client", "net2", "default/flat")
    assert [seen.annotation.get("ip_addresses") for seen in (first, second)] == [
        ["192.0.2.10/24"],
        None,
    ]
    assert [seen.annotation["tunnel_id"] for seen in (first, second)] == [10, 11]
    assert [seen.result["ips"] for seen in (first, second)] == [
        [{"address": "192.0.2.10/24", "interface": 1}],
        [],
    ]
    macs = [seen.result["interfaces"][1]["mac"] for seen in (first, second)]
    assert len({*macs}) == 2
    assert second.port.columns["port_security"] == {macs[1]}, "its MAC alone"


def test_a_fixed_address_and_mac_and_nobody_else_has_them() -> None:
    thief = pod("thief", [{"name": "office", "ips": ["10.40.0.10"]}], node=NODE)
    world, manager = decided(*example("static.yaml"), thief)
    seen = follow(world, "default/printer", nad="default/office")
    assert seen.result["interfaces"][1]["mac"] == "02:00:00:00:00:10"
    assert seen.result["ips"] == [{"address": "10.40.0.10/24", "interface": 1}]
    assert seen.port.columns["addresses"] == {"02:00:00:00:00:10 10.40.0.10"}
    clerk = follow(world, "default/clerk", "desk", "default/office")
    assert clerk.result["ips"] == [{"address": "10.40.0.32/24", "interface": 1}]
    assert names.POD_NETWORKS not in world.objects[Ref(PODS, ObjectKey("default", "thief"))][
        "metadata"
    ].get("annotations", {})
    (told,) = [event.message for event in manager.events if event.about.name == "thief"]
    assert (
        "Pod default/thief, attachment default/office to network office: "
        'ips "10.40.0.10": is held by Pod default/printer'
    ) in told


def test_layer3_has_its_nodes_subnet_and_routes_to_the_rest() -> None:
    world, _ = decided(
        the_node(),
        nad("blue", "10.64.0.0/16/24,fd64::/48/64", topology="layer3"),
        pod("web", "blue", node=NODE),
    )
    seen = follow(world)
    assert seen.annotation["ip_addresses"] == ["10.64.0.3/24", "fd64::3/64"]
    assert seen.annotation["routes"] == [
        {"dest": "10.64.0.0/16", "nextHop": "10.64.0.1"},
        {"dest": "fd64::/48", "nextHop": "fd64::1"},
    ]
    assert "tunnel_id" not in seen.annotation, "keys of a node's own switch are its zone's"
    assert seen.result["routes"] == [
        {"dst": "10.64.0.0/16", "gw": "10.64.0.1"},
        {"dst": "fd64::/48", "gw": "fd64::1"},
    ]
    assert seen.result["interfaces"][1]["mtu"] == 1400, "the cluster's default"
    routers = {row.columns["mac"] for row in seen.rows["Logical_Router_Port"]}
    assert names.address_mac("10.64.0.1") in routers


def test_a_claim_keeps_the_address_for_the_next_pod() -> None:
    claim = named(IPAMCLAIMS, "vm") | {"spec": {"network": "blue", "interface": "net1"}}
    asks = [{"name": "blue", "ipam-claim-reference": "vm"}]
    world, manager = decided(
        nad("blue", "10.1.0.0/24", allowPersistentIPs=True), claim, pod("web", asks, node=NODE)
    )
    first = follow(world)
    assert world.objects[Ref(IPAMCLAIMS, ObjectKey("default", "vm"))]["status"]["ips"] == [
        "10.1.0.1/24"
    ]
    world.remove(PODS, "default/web")
    manager.notify(Ref(PODS, ObjectKey("default", "web")))
    for name, networks in (("other", "blue"), ("next", asks)):
        made = cluster_world.pod(name, networks)
        manager.notify(world.put(PODS, made))
        manager.settle()
    assert follow(world, "default/next").result["ips"] == first.result["ips"]
    assert follow(world, "default/other").result["ips"] != first.result["ips"]


def test_the_default_network_gives_gateway_and_default_route() -> None:
    primary = defaultnetwork.parse("10.128.0.0/14/23", mtu=1400)
    world, _ = decided(the_node(), pod("web", node=NODE), primary=primary)
    seen = follow(world, interface="eth0", nad="", primary=primary)
    assert seen.annotation["ip_addresses"] == ["10.128.0.3/23"]
    assert seen.annotation["role"] == "primary"
    assert seen.result["ips"] == [
        {"address": "10.128.0.3/23", "interface": 1, "gateway": "10.128.0.1"}
    ]
    assert seen.result["routes"][0] == {"dst": "0.0.0.0/0", "gw": "10.128.0.1"}


def test_one_network_in_two_namespaces() -> None:
    pods = [pod("a", "backplane", node=NODE, namespace=where) for where in ("default", "shop")]
    world, _ = decided(
        *of_kind(example("demo.yaml"), "NetworkAttachmentDefinition"),
        pods[0],
        {**pods[1], "metadata": {**pods[1]["metadata"], "uid": "uid-of-the-shops"}},
    )
    first, second = (
        follow(world, f"{where}/a", nad=f"{where}/backplane") for where in ("default", "shop")
    )
    assert first.annotation == {
        "ip_addresses": ["10.20.0.16/24"],
        "mac_address": "0a:58:0a:14:00:10",
        "ip_address": "10.20.0.16/24",
        "tunnel_id": 10,
        "role": "secondary",
    }
    assert (second.annotation["ip_address"], second.annotation["tunnel_id"]) == (
        "10.20.0.17/24",
        11,
    )
    assert first.port.parent == second.port.parent, "one switch"


def test_a_restarted_manager_knows_all_again() -> None:
    objects = example("dual-stack.yaml")
    late = cluster_world.pod("late", "campus")
    ends = []
    for is_restarted in (False, True):
        world, manager = decided(*objects)
        if is_restarted:
            manager = Manager(world, lambda refs: refs.reverse())
            manager.settle()
        manager.notify(world.put(PODS, late))
        manager.settle()
        annotations = {
            ref.key: json.loads(obj["metadata"]["annotations"][names.POD_NETWORKS])
            for ref, obj in world.objects.items()
            if ref.resource is PODS
        }
        assert len(annotations) == 3
        ends.append(annotations)
    assert ends[0] == ends[1]
    assert NADS in {ref.resource for ref in world.objects}
