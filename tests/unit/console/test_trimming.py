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

SIZE = estate.Size(12, networks=2, policies=2, machines=2, events=6)
ASKED = {
    "matrix": consoled.asked({"network": "net1"}),
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
    instances = [estate.instance(each, SIZE) for each in range(SIZE.machines)]
    for number, one in enumerate(instances):
        one["status"] = estate.instance_status(number)
    networks = [estate.made(resources.NETWORKS, estate.network(each)) for each in range(2)]
    for one in networks:
        one["status"] = {"network": one["metadata"]["name"], "topology": "layer2"}
    nads = [estate.nad(each) for each in range(SIZE.networks)]
    for number, one in enumerate(nads):
        one["metadata"]["annotations"] = {names.NETWORK_NAME: estate.network(number)}
    machines = [estate.machine(each, SIZE) for each in range(SIZE.machines)]
    machines[0]["spec"]["runStrategy"] = "Halted"
    spaces = [estate.made(resources.NAMESPACES, estate.space(each)) for each in range(10)]
    return {
        resources.PODS: pods,
        resources.VMS: machines,
        resources.VMIS: instances,
        resources.NODES: [estate.node(each) for each in range(2)],
        resources.NETWORKS: networks,
        resources.NADS: nads,
        resources.NAMESPACES: spaces,
        resources.MULTINETWORKPOLICIES: [estate.policy(each, SIZE) for each in range(2)],
        resources.EVENTS: [estate.event(each) for each in range(SIZE.events)],
    }


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
