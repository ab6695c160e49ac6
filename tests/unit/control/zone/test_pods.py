"""What a zone is told of pods: what was proved to be the cluster manager's word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.columns import members
from tests.support.signed import Notary
from weft import model, names
from weft.api import pod as reading
from weft.api import podendpoint
from weft.control import endpointsmark, signingkeys
from weft.control.zone import pods, state
from weft.model import ObjectKey

DECIDED = {
    "default/blue": {
        "ip_addresses": ["10.1.0.5/24"],
        "mac_address": "0a:58:0a:01:00:05",
        "tunnel_id": 11,
    }
}


def pod(**changed: Any) -> dict[str, Any]:
    notes = {
        names.NETWORKS: "blue",
        names.POD_NETWORKS: json.dumps(DECIDED),
        "other": "x" * 1000,
    }
    return {
        "metadata": {
            "name": "web",
            "namespace": "default",
            "uid": "u1",
            "resourceVersion": "7",
            "labels": {"vm": "vm1", "app": "x"},
            "annotations": changed.get("annotations", notes),
            "managedFields": [{}],
        },
        "spec": {"nodeName": "node1", "containers": [{}], **changed.get("spec", {})},
        "status": {"phase": changed.get("phase", "Running"), "conditions": [{}]},
    }


class Scene:
    """A zone that is told of pods as an agent tells it, without an API server."""

    def __init__(self, *, start: bool = True, endpoints: bool = False) -> None:
        self.notary = Notary()
        self.zone = state.Zone("node1", "c1")
        spec = model.NetworkSpec("blue", model.Topology.LAYER2, 1300)
        self.zone.set_nad(
            ObjectKey("default", "blue"), state.DeclaredNetwork(model.Network(spec, 1))
        )
        self.events: list[str] = []
        self.pods, self.keys = Objects(), Objects()
        followed: Any = self.pods
        keys: Any = self.keys
        self.endpoints = Objects()
        others: Any = self.endpoints if endpoints else None
        self.zone_pods = pods.ZonePods(self.zone, followed, keys, self._settle, self._warn, others)
        self.publish(self.notary.public)
        if start:
            self.zone_pods.start()

    def publish(self, keys: dict[str, str] | None) -> None:
        meta = {"name": "keys", "namespace": "weft"}
        found = signingkeys.read({"metadata": meta, "data": keys}) if keys is not None else None
        self.keys.put(ObjectKey("weft", "keys"), found)

    def put(self, obj: dict[str, Any] | None, key: str = "default/web") -> None:
        self.pods.put(
            ObjectKey.parse(key), reading.read(obj, primary=True) if obj is not None else None
        )

    def put_endpoint(self, obj: dict[str, Any] | None, key: str = "default/web") -> None:
        """That of a pod, whose annotations are whole."""
        found = None
        if obj is not None:
            whole = reading.read(obj)
            found = podendpoint.of(whole, whole.proof)
        self.endpoints.put(ObjectKey.parse(key), found)

    def ports(self) -> dict[str, str]:
        """Each port's addresses as the zone's rows have them."""
        nb, _ = self.zone.desired()
        rows = [row for row in nb if row.table == "Logical_Switch_Port"]
        return {row.key: " ".join(map(str, members(row.columns["addresses"]))) for row in rows}

    def _settle(self) -> None:
        self.zone_pods.emit_refusals()

    def _warn(self, pod: model.PodRef, reason: str, message: str) -> None:
        self.events.append(f"{pod.name} {reason}: {message}")


class Objects:
    """The part of an informer that tells of changes."""

    namespace = "weft"

    def __init__(self) -> None:
        self.objects_by_key: dict[ObjectKey, Any] = {}
        self.reader: Any = None
        self.woken: list[ObjectKey] = []

    def put(self, key: ObjectKey, obj: Any) -> None:
        old = self.objects_by_key.pop(key, None)
        if obj is not None:
            self.objects_by_key[key] = obj
        if self.reader is not None:
            self.reader(key, old, obj)

    def get(self, key: ObjectKey) -> Any:
        return self.objects_by_key.get(key)

    def objects(self) -> list[Any]:
        return list(self.objects_by_key.values())

    def subscribe(self, reader: Any) -> None:
        self.reader = reader
        for key, obj in list(self.objects_by_key.items()):
            reader(key, None, obj)

    def wake(self, key: ObjectKey) -> None:
        self.woken.append(key)


WEB = {"default.blue_default_web": "0a:58:0a:01:00:05 10.1.0.5"}


def test_what_is_not_signed_is_not_acted_upon() -> None:
    scene = Scene()
    scene.put(pod())
    assert scene.ports() == {}
    scene.put(scene.notary.sign(pod()))
    assert scene.ports() == WEB


@pytest.mark.parametrize(
    "change",
    [
        {names.POD_NETWORKS: None},
        {names.POD_NETWORKS: "{"},
        {names.POD_NETWORKS_SIGNATURE: None},
        {names.POD_NETWORKS: json.dumps(DECIDED).replace("0.5", "0.6")},
        {names.POD_NETWORKS: None, names.POD_NETWORKS_SIGNATURE: None},
        {names.POD_NETWORKS: None, names.POD_NETWORKS_SIGNATURE: None, names.NETWORKS: None},
    ],
)
def test_what_was_proved_stays_whatever_is_written_later(change: dict[str, str | None]) -> None:
    scene = Scene()
    scene.put(scene.notary.sign(pod()))
    edited = scene.notary.sign(pod())
    for name, text in change.items():
        edited["metadata"]["annotations"].pop(name)
        if text is not None:
            edited["metadata"]["annotations"][name] = text
    scene.put(edited)
    assert scene.ports() == WEB
    edited["status"]["phase"] = "Succeeded"
    scene.put(edited)
    assert scene.ports() == {}


def test_a_pod_made_again_has_nothing_of_its_predecessor() -> None:
    scene = Scene()
    first = scene.notary.sign(pod())
    scene.put(first)
    scene.put(None)
    first["metadata"]["uid"] = "u2"
    scene.put(first)
    assert scene.ports() == {}


def test_a_pod_that_came_before_its_key_is_looked_at_again() -> None:
    scene = Scene()
    other = Notary()
    scene.put(other.sign(pod()))
    assert scene.ports() == {}
    scene.publish({**scene.notary.public, **other.public})
    assert scene.ports() == WEB
    assert scene.pods.woken == [ObjectKey("default", "web")]


@pytest.mark.parametrize("data", [{}, None, {"abc": "nonsense"}])
def test_without_keys_nothing_that_is_known_goes(data: dict[str, str] | None) -> None:
    scene = Scene()
    scene.put(scene.notary.sign(pod()))
    scene.publish(data)
    scene.put(scene.notary.sign(pod(spec={"x": 1})))
    assert scene.ports() == WEB


def test_an_agent_that_starts_knows_from_its_ports_what_was_edited_meanwhile() -> None:
    scene = Scene(start=False)
    signed = scene.notary.sign(pod())
    notes = signed["metadata"]["annotations"]
    proof = notes[names.POD_NETWORKS], notes[names.POD_NETWORKS_SIGNATURE]
    scene.zone_pods.recall(model.PodRef(model.ObjectKey("default", "web"), "u1"), proof)
    scene.zone_pods.recall(model.PodRef(model.ObjectKey("default", "other"), "u9"), proof)
    scene.zone_pods.recall(model.PodRef(model.ObjectKey("default", "old"), "u8"), ("", ""))
    scene.put(pod(annotations={names.NETWORKS: "blue", names.POD_NETWORKS: "{"}))
    for name, uid in (("other", "u9"), ("old", "u8")):
        forged = pod()
        forged["metadata"] |= {"name": name, "uid": uid}
        scene.put(forged, f"default/{name}")
    scene.zone_pods.start()
    assert scene.zone_pods.trouble == ""
    assert scene.ports() == WEB


def test_what_a_zone_waits_for_before_its_start_is_named() -> None:
    scene = Scene(start=False, endpoints=True)
    assert "does not say that all PodEndpoints are written" in scene.zone_pods.trouble
    scene.publish(None)
    assert "no key of the cluster manager is known" in scene.zone_pods.trouble


def duplicate(scene: Scene, name: str, created: str, phase: str) -> dict[str, Any]:
    made = pod(phase=phase)
    made["metadata"] |= {"name": name, "uid": name, "creationTimestamp": created}
    return scene.notary.sign(made)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(
    ("phases", "winner"),
    [
        (("Running", "Running"), "elder"),
        (("Pending", "Running"), "younger"),
        (("Pending", "Pending"), "elder"),
    ],
)
def test_an_address_is_one_pods_whichever_comes_first(
    order: tuple[int, int], phases: tuple[str, str], winner: str
) -> None:
    scene = Scene()
    both = [
        duplicate(scene, "elder", "2026-01-01", phases[0]),
        duplicate(scene, "younger", "2026-01-02", phases[1]),
    ]
    for index in order:
        scene.put(both[index], f"default/{both[index]['metadata']['name']}")
    loser = "younger" if winner == "elder" else "elder"
    assert list(scene.ports()) == [f"default.blue_default_{winner}"]
    assert f"held by Pod default/{winner}" in scene.events[-1]
    assert scene.events[-1].startswith(f"{loser} AddressRefused: Pod default/{loser}, attachment")
    assert f"held by Pod default/{winner}" in scene.zone_pods.trouble
    assert scene.zone_pods.refusal(ObjectKey("default", loser), "default/blue") is not None
    scene.put(None, f"default/{winner}")
    assert list(scene.ports()) == [f"default.blue_default_{loser}"]
    assert scene.zone_pods.trouble == ""


def test_a_servers_mac_is_no_pods() -> None:
    scene = Scene()
    thief = pod()
    text = json.dumps(DECIDED).replace("0a:58:0a:01:00:05", names.SERVER_MAC)
    thief["metadata"]["annotations"][names.POD_NETWORKS] = text
    scene.put(scene.notary.sign(thief))
    assert scene.ports() == {}
    assert "belongs to the network's DHCP server and router" in scene.events[0]


def test_who_waits_behind_others_is_reported_once_and_answered_as_it_is() -> None:
    scene = Scene()
    for day, name in enumerate(("first", "second", "third"), 1):
        scene.put(duplicate(scene, name, f"2026-01-0{day}", "Pending"), f"default/{name}")
    assert len(scene.events) == 2
    scene.put(None, "default/first")
    assert len(scene.events) == 2
    assert "held by Pod default/second" in scene.zone_pods.trouble
    assert "held by Pod default/second" in str(
        scene.zone_pods.refusal(ObjectKey("default", "third"), "default/blue")
    )


def elsewhere(scene: Scene, uid: str = "u2", node: str = "node2") -> dict[str, Any]:
    made = pod(spec={"nodeName": node})
    made["metadata"]["uid"] = uid
    return scene.notary.sign(made)


def test_pods_of_other_nodes_are_known_by_their_endpoints() -> None:
    scene = Scene(endpoints=True)
    scene.put_endpoint(elsewhere(scene))
    assert [port.node for port in scene.zone.ports_on("blue")] == ["node2"]
    scene.put_endpoint(None)
    assert not list(scene.zone.ports_on("blue"))


def test_an_endpoint_that_is_not_signed_counts_for_nothing() -> None:
    scene = Scene(endpoints=True)
    forged = elsewhere(scene)
    forged["metadata"]["annotations"][names.POD_NETWORKS] = json.dumps(DECIDED).replace(
        "0.5", "0.6"
    )
    scene.put_endpoint(forged)
    assert not list(scene.zone.ports_on("blue"))


def test_an_endpoint_of_this_node_counts_for_nothing() -> None:
    scene = Scene(endpoints=True)
    scene.put_endpoint(elsewhere(scene, node="node1"))
    assert not list(scene.zone.ports_on("blue"))


@pytest.mark.parametrize("first", ["the pod goes", "the endpoint comes"])
def test_a_pod_that_moves_is_where_it_is_now_whichever_watch_is_first(first: str) -> None:
    scene = Scene(endpoints=True)
    scene.put(scene.notary.sign(pod()))
    scene.put_endpoint(elsewhere(scene, uid="u1", node="node1"))
    if first == "the pod goes":
        scene.put(None)
        scene.put_endpoint(elsewhere(scene))
    else:
        scene.put_endpoint(elsewhere(scene))
        assert [port.node for port in scene.zone.ports_on("blue")] == ["node1"]
        scene.put(None)
    assert [(port.node, port.pod.uid) for port in scene.zone.ports_on("blue")] == [("node2", "u2")]


def test_a_pod_that_comes_here_counts_before_the_endpoint_of_the_former_one_goes() -> None:
    scene = Scene(endpoints=True)
    scene.put_endpoint(elsewhere(scene))
    scene.put(scene.notary.sign(pod()))
    assert scene.ports() == WEB
    scene.put_endpoint(None)
    assert scene.ports() == WEB


def test_it_says_so_when_the_manager_keeps_no_endpoints() -> None:
    scene = Scene(endpoints=True)
    assert "PodEndpoints" in scene.zone_pods.trouble
    scene.publish({**scene.notary.public, endpointsmark.ENDPOINTS: endpointsmark.WRITTEN})
    assert not scene.zone_pods.trouble
    assert not Scene().zone_pods.trouble
