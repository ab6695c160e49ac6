"""One network's page: members from pods, and the Events about what belongs to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import consoled
from tests.support import objects as made
from tests.unit.observe.test_members import entry, nad, pod
from weft.console.page import NoSuchObject
from weft.console.pages import network
from weft.kube import resources

BLUE = {"name": "blue"}


def event(name: str, kind: str, about: str, namespace: str = "default") -> dict[str, Any]:
    involved = {"kind": kind, "name": about, "namespace": namespace}
    return {**made.named(resources.EVENTS, name), "involvedObject": involved, "reason": name}


def objects() -> dict[resources.Resource, list[Any]]:
    nads = [{"name": "default/blue", "accepted": False, "message": "is broken", "members": 1}]
    nodes = [{"name": "node1", "members": 1, "serving": False, "message": "is not ready"}]
    status = {"network": "blue", "networkAttachmentDefinitions": nads, "nodes": nodes}
    return {
        resources.NETWORKS: [{**made.named(resources.NETWORKS, "blue"), "status": status}],
        resources.NADS: [nad("blue", "blue")],
        resources.PODS: [
            pod("a", "blue", {"default/blue": entry(1, "10.9.0.1/24")}),
            pod("b", "", {}),
        ],
        resources.EVENTS: [
            event("own", "Network", "blue", ""),
            event("of-nad", "NetworkAttachmentDefinition", "blue"),
            event("of-pod", "Pod", "a"),
            event("foreign", "Pod", "b"),
            event("namesake", "Pod", "a", "elsewhere"),
        ],
    }


def test_members_are_pods_with_an_allocation_there() -> None:
    found = network.view(consoled.read(objects()), consoled.asked(path=BLUE))
    assert [(one.pod, one.addresses) for one in found.members.rows] == [("a", ("10.9.0.1",))]
    assert found.nodes[0].problem == "is not ready"
    assert found.declarations[0].problem == "is broken"


def test_events_are_those_of_the_network_its_nads_and_members() -> None:
    found = network.view(consoled.read(objects()), consoled.asked(path=BLUE))
    assert {one.reason for one in found.events} == {"own", "of-nad", "of-pod"}


def test_a_network_that_is_not_there() -> None:
    with pytest.raises(NoSuchObject, match="there is no such network"):
        network.view(consoled.read({}), consoled.asked(path=BLUE))
    denied = {resources.NETWORKS: "User cannot list it"}
    with pytest.raises(NoSuchObject, match="cannot list"):
        network.view(consoled.read({}, denied), consoled.asked(path=BLUE))
