"""MultiNetworkPolicies on stock Kubernetes, by packets, with weft's CRD and upstream's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.access import Access, Object
from tests.cluster.cluster import until
from tests.cluster.room import Room, policy_for

pytestmark = pytest.mark.cluster
OURS = Path(__file__).resolve().parents[2] / "lab/weft_lab/crds/multi-networkpolicies.yaml"
GROUP = "k8s.cni.cncf.io"


def policy(room: Room, name: str, version: str = "v1beta1", **spec: Any) -> Object:
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "MultiNetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": room.namespace,
            "annotations": policy_for(f"{room.namespace}/guarded"),
        },
        "spec": spec,
    }


def only_friends(room: Room, name: str, version: str = "v1beta1", **port: Any) -> Object:
    """The pod `server` hears the pods with the label of friends, on a port if one is named."""
    rule: Object = {"from": [{"podSelector": {"matchLabels": {"who": "friend"}}}]}
    if port:
        rule["ports"] = [{"protocol": "TCP", **port}]
    return policy(
        room,
        name,
        version,
        podSelector={"matchLabels": {"who": "server"}},
        policyTypes=["Ingress"],
        ingress=[rule],
    )


@pytest.fixture(scope="module")
def guarded(here: Room) -> Iterator[Room]:
    """A server on one node; a friend and a stranger on another."""
    nodes = here.access.nodes()
    here.apply(here.nad("guarded", "10.60.0.0/24"))
    placed = {"server": nodes[0], "friend": nodes[-1], "stranger": nodes[-1]}
    here.run(
        *(
            here.pod(name, "guarded", node=node, labels={"who": name})
            for name, node in placed.items()
        )
    )
    script = "mkdir -p /www; for port in 81 82 83; do httpd -p $port -h /www; done"
    here.inside("server", "sh", "-c", script)
    yield here
    here.delete(*placed)


def opens(room: Room, pod: str, port: int) -> bool:
    """Whether a TCP connection to the server comes about."""
    address = room.addresses("server")[0]
    script = f"nc -w 3 {address} {port} </dev/null >/dev/null 2>&1; echo $?"
    return room.inside(pod, "sh", "-c", script).split()[-1] == "0"


def in_force(room: Room) -> None:
    until(lambda: not opens(room, "stranger", 81), "the policy to come into force")


def test_a_policy_admits_whom_it_names_and_nobody_else(guarded: Room) -> None:
    assert opens(guarded, "stranger", 81)
    guarded.apply(only_friends(guarded, "friends"))
    in_force(guarded)
    assert opens(guarded, "friend", 81)
    assert guarded.reaches("friend", guarded.addresses("server")[0])
    assert not guarded.reaches("stranger", guarded.addresses("server")[0])
    guarded.wait("condition=Bound", "multi-networkpolicy/friends")
    # Who becomes a friend is heard: selectors follow labels.
    guarded.kubectl("label", "pod", "stranger", "who=friend", "--overwrite")
    until(lambda: opens(guarded, "stranger", 81), "the label to count")
    guarded.kubectl("label", "pod", "stranger", "who=stranger", "--overwrite")
    in_force(guarded)
    guarded.kubectl("delete", "multi-networkpolicy", "friends")
    until(lambda: opens(guarded, "stranger", 81), "the policy to be gone")


def upstream(ours: Object) -> Object:
    """The CRD as Multus' authors publish it: without a status, and `endPort` in one alone.

    Through JSON: the versions of ours share their schema.
    """
    made: Object = json.loads(json.dumps(ours))
    for each in made["spec"]["versions"]:
        each.pop("subresources", None)
        each.pop("additionalPrinterColumns", None)
        each["schema"]["openAPIV3Schema"]["properties"].pop("status", None)
        each["storage"] = each["name"] == "v1beta2"
        if each["name"] == "v1beta1":
            _without(each["schema"], "endPort")
    return made


def _without(node: Any, name: str) -> None:
    if isinstance(node, dict):
        node.pop(name, None)
        for each in node.values():
            _without(each, name)


@pytest.fixture
def as_upstream(guarded: Room) -> Iterator[Room]:
    """With upstream's CRD in the place of ours, for one test."""
    guarded.access.machines("takes a CRD away, with its objects")
    ours = yaml.safe_load(OURS.read_text())
    try:
        _define(guarded.access, upstream(ours))
        yield guarded
    finally:
        _define(guarded.access, ours)


def _define(access: Access, crd: Object) -> None:
    name = crd["metadata"]["name"]
    if access.kubectl("get", "crd", name, "--ignore-not-found"):
        access.kubectl("delete", "crd", name)
    access.kubectl("create", "-f", "-", data=crd)
    access.wait("condition=Established", f"crd/{name}")


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_upstreams_crd_serves_both_its_versions(as_upstream: Room, version: str) -> None:
    as_upstream.apply(only_friends(as_upstream, f"by-{version}", version, port=81))
    in_force(as_upstream)
    assert opens(as_upstream, "friend", 81)
    assert not opens(as_upstream, "friend", 83)
    as_upstream.kubectl("delete", "multi-networkpolicy", f"by-{version}")
    until(lambda: opens(as_upstream, "stranger", 81), "the policy to be gone")


def test_a_range_of_ports_of_upstreams_second_version(as_upstream: Room) -> None:
    as_upstream.apply(only_friends(as_upstream, "range", "v1beta2", port=81, endPort=82))
    in_force(as_upstream)
    assert opens(as_upstream, "friend", 82)
