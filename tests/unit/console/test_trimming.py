"""Pages show the same of trimmed objects as of whole ones, and secrets are not kept."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from bench import estate
from tests.support import consoled
from weft import names
from weft.console import pages
from weft.console.page import Reading
from weft.console.trimming import trimmed
from weft.kube import resources
from weft.kube.resources import Resource

SIZE = estate.Size(12, networks=2, policies=2, machines=3, events=6)
ASKED = {
    "matrix": consoled.asked({"network": "net1", "port": "tcp/8080"}),
    "machine": consoled.asked(path={"namespace": "s1", "name": "vm1"}),
    "policy": consoled.asked(path={"namespace": "s1", "name": "p1"}),
    "network": consoled.asked(path={"name": "net1"}),
}


def cluster() -> dict[Resource, list[dict[str, Any]]]:
    pods = [estate.pod(each, SIZE) for each in range(SIZE.plain)]
    pods += [estate.launcher(each, SIZE) for each in range(SIZE.machines)]
    for number, pod in enumerate(pods):
        notes = pod["metadata"]["annotations"]
        key = notes[names.NETWORKS].partition(",")[0]
        entry = {"mac_address": f"0a:58:00:00:00:{number:02x}", "ip_addresses": ["10.1.0.9/24"]}
        notes[names.POD_NETWORKS] = json.dumps({key: entry})
        pod["status"] = estate.running(number)
    _as_sidecar(pods[3]["spec"])
    pods[5]["metadata"]["ownerReferences"] = _owner("Job", "nightly")
    instances = [estate.instance(1, SIZE)]
    instances[0]["status"] = estate.instance_status(1)
    without = {"autoattachGraphicsDevice": False, "autoattachSerialConsole": False}
    instances[0]["spec"]["domain"]["devices"] |= without
    networks = [estate.made(resources.NETWORKS, estate.network(each)) for each in range(2)]
    for one in networks:
        one["status"] = {"network": one["metadata"]["name"], "topology": "layer2"}
    nads = [estate.nad(each) for each in range(SIZE.networks)]
    for number, one in enumerate(nads):
        one["metadata"]["annotations"] = {names.NETWORK_NAME: estate.network(number)}
    machines = [estate.machine(each, SIZE) for each in range(SIZE.machines)]
    machines[0]["spec"]["runStrategy"] = "Halted"
    machines[2]["spec"] |= {"runStrategy": None, "running": False}
    for one in machines:
        held = [{"type": "Ready", "status": "False", "reason": "GuestNotRunning", "message": "off"}]
        one["status"] = {"printableStatus": "Stopped", "conditions": held}
    nodes = [estate.node(each) for each in range(2)]
    for one in nodes:
        lost = {"type": "Ready", "status": "False", "reason": "NotReady", "message": "no kubelet"}
        one["status"] = {"conditions": [lost], "nodeInfo": {"kubeletVersion": "v1.34.2"}}
    spaces = [estate.made(resources.NAMESPACES, estate.space(each)) for each in range(10)]
    spaces[0]["metadata"]["labels"] = {"team": "a"}
    found = {
        resources.PODS: pods,
        resources.VMS: machines,
        resources.VMIS: instances,
        resources.NODES: nodes,
        resources.NETWORKS: networks,
        resources.NADS: nads,
        resources.NAMESPACES: spaces,
        resources.MULTINETWORKPOLICIES: [_by_port(estate.policy(each, SIZE)) for each in range(2)],
        resources.EVENTS: [_varied(each) for each in range(SIZE.events)],
        resources.REPLICASETS: [_controller(resources.REPLICASETS, "app0-bcdfgh", "Rollout")],
        resources.JOBS: [_controller(resources.JOBS, "nightly", "CronJob")],
        resources.CONFIGMAPS: [estate.made(resources.CONFIGMAPS, names.SIGNING_KEYS)],
    }
    for kind in found:
        for number, one in enumerate(found[kind]):
            one["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{number:02}Z"
    return found


def _as_sidecar(spec: dict[str, Any]) -> None:
    """The port is that of a sidecar alone."""
    sidecar = {**spec["containers"].pop(), "restartPolicy": "Always"}
    spec["initContainers"] = [sidecar]
    for container in spec["containers"]:
        del container["ports"]


def _by_port(policy: dict[str, Any]) -> dict[str, Any]:
    """For all pods of its namespace, from namespaces of one team, to a port by its name."""
    peer = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
    rules = [{"from": [peer], "ports": [{"protocol": "TCP", "port": "http"}]}]
    policy["metadata"]["annotations"] = {names.POLICY_FOR: "default/net0, default/net1"}
    return {**policy, "spec": {"podSelector": {}, "ingress": rules}}


def _owner(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"apiVersion": "v1", "kind": kind, "name": name, "uid": name, "controller": True}]


def _controller(kind: Resource, name: str, above: str) -> dict[str, Any]:
    return estate.made(kind, name, uid=name, ownerReferences=_owner(above, name))


def _varied(number: int) -> dict[str, Any]:
    """Old Events count by themselves, newer ones in a series or not at all."""
    found = estate.event(number)
    if number == 1:
        found |= {"series": {"count": 7, "lastObservedTime": "2026-01-02T00:00:00Z"}}
    elif number == 2:
        found |= {"count": 5}
    elif number == 3:
        found |= {"source": None, "reportingComponent": "weft", "lastTimestamp": None}
        found |= {"eventTime": "2026-01-03T00:00:00Z"}
    return found


@pytest.mark.parametrize("name", pages.MODULES)
def test_a_page_of_trimmed_objects_is_that_of_whole_ones(name: str) -> None:
    page = next(one for one in pages.listed() if one.name == name)
    asked = ASKED.get(name, consoled.asked(path={"namespace": "s1", "name": "vm1"}))
    whole = cluster()
    cut = {kind: [trimmed(kind, one) for one in copy.deepcopy(whole[kind])] for kind in whole}
    assert page.view(Reading(cut), asked) == page.view(Reading(whole), asked)


def test_what_machines_and_secrets_hold_is_not_kept() -> None:
    disk = {"cloudInitNoCloud": {"userData": "password: x"}}
    machine = estate.machine(1, SIZE)
    machine["spec"]["template"]["spec"]["volumes"] = [{"name": "init", **disk}]
    keys = {**estate.made(resources.CONFIGMAPS, "keys"), "data": {"key": "password: x"}}
    for kind, obj in ((resources.VMS, machine), (resources.CONFIGMAPS, keys)):
        kept = trimmed(kind, obj)
        assert "password" not in json.dumps(kept)
        assert kept["metadata"]["name"] == obj["metadata"]["name"]
