"""The plugin as Multus' dynamic networks controller has it called: on pods that run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from lab.tests.support import cni
from lab.tests.support.cni import BLUE, Pod, Runtime
from weft import names
from weft.kube import client, resources

pytestmark = pytest.mark.real
RED: dict[str, Any] = {
    **BLUE,
    "name": "red",
    "netAttachDefName": "default/red",
    "subnets": "10.101.0.0/24",
}
NONE = {**BLUE, "name": "none", "netAttachDefName": "default/none"}


@pytest.fixture(scope="module")
def node(cni_lab: Any) -> Iterator[Runtime]:
    with cni.runtime(cni_lab, "internal") as made:
        for config in (BLUE, RED):
            made.api(partial(client.Client.create, res=resources.NADS, obj=cni.nad_object(config)))
        yield made


def call(node: Runtime, command: str, pod: Pod, config: Any, interface: str) -> dict[str, Any]:
    """As Multus' /delegate does it: without a prevResult, and with these arguments alone."""
    args = f"K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod.name};K8S_POD_UID={pod.uid}"
    return node.call(command, pod, config, interface, CNI_ARGS=args)


def edit(node: Runtime, pod: Pod, networks: str) -> None:
    body = {"metadata": {"annotations": {names.NETWORKS: networks}}}
    node.api(lambda api: api.patch(resources.PODS, pod.name, "default", body))


def report(node: Runtime, pod: Pod, *interfaces: str) -> None:
    """The network-status that the controller writes after its calls."""
    listed: list[dict[str, Any]] = [{"name": "cbr0", "interface": "eth0", "default": True}]
    for each in interfaces:
        nad, _, interface = each.partition("@")
        listed.append({"name": f"default/{nad}", "interface": interface})
    notes = {names.NETWORK_STATUS: json.dumps(listed)}

    async def write(api: client.Client) -> None:
        body = {"metadata": {"annotations": notes}}
        await api.patch(resources.PODS, pod.name, "default", body)
        status = {"status": {"phase": "Running", "podIP": "10.244.0.9"}}
        await api.patch(resources.PODS, pod.name, "default", status, subresource="status")

    node.api(write)


@pytest.fixture
def running(node: Runtime) -> Iterator[Pod]:
    """A pod that runs with one interface on `blue`."""
    pod = node.pod({"name": "blue", "interface": "net1"})
    assert node.call("ADD", pod, BLUE)["status"] == 0
    report(node, pod, "blue@net1")
    yield pod
    for interface, config in (("net1", BLUE), ("net2", RED)):
        assert node.call("DEL", pod, config, interface)["status"] == 0
    node.remove(pod)


def test_an_interface_comes_later_and_goes_alone(node: Runtime, running: Pod) -> None:
    edit(node, running, "blue@net1, red@net2")
    made = call(node, "ADD", running, RED, "net2")
    assert made["status"] == 0, made
    report(node, running, "blue@net1", "red@net2")
    seen = node.look(running, "net2")
    assert seen["mac"] == made["answer"]["interfaces"][-1]["mac"]
    checked = {**RED, "prevResult": made["answer"]}
    assert call(node, "CHECK", running, checked, "net2")["status"] == 0

    edit(node, running, "blue@net1")
    valid = [{"containerID": running.sandbox, "ifname": each} for each in ("net1", "net2")]
    listed = {**RED, "cni.dev/valid-attachments": valid}
    assert node.call("GC", running, listed)["status"] == 0
    assert node.look(running, "net2") is not None, "who collects garbage knows it"
    assert call(node, "DEL", running, RED, "net2")["status"] == 0
    report(node, running, "blue@net1")
    assert node.look(running, "net2") is None
    assert node.look(running, "net1") is not None
    assert call(node, "DEL", running, RED, "net2")["status"] == 0, "again"


def test_what_undoes_a_refused_add_leaves_the_interface_of_that_name(
    node: Runtime, running: Pod
) -> None:
    """The controller adds first: under a name that another network's interface has yet."""
    edit(node, running, "red@net1")
    refused = call(node, "ADD", running, RED, "net1")
    assert refused["answer"]["code"] == 4, refused
    assert call(node, "DEL", running, RED, "net1")["status"] == 0
    assert node.look(running, "net1") is not None
    assert call(node, "DEL", running, BLUE, "net1")["status"] == 0
    report(node, running)
    assert node.look(running, "net1") is None
    assert call(node, "ADD", running, RED, "net1")["status"] == 0
    assert call(node, "DEL", running, RED, "net1")["status"] == 0


def test_a_network_that_is_not_there_harms_no_other(node: Runtime, running: Pod) -> None:
    edit(node, running, "blue@net1, none@net3, red@net2")
    assert call(node, "ADD", running, RED, "net2")["status"] == 0
    with node.hurried(1.0):
        late = call(node, "ADD", running, NONE, "net3")
    assert late["status"] == 1
    assert "default/none" in late["answer"]["msg"]


def test_an_interface_that_is_asked_for_no_more_is_given_up_at_once(
    node: Runtime, running: Pod
) -> None:
    edit(node, running, "blue@net1")
    refused = call(node, "ADD", running, RED, "net2")
    assert refused["status"] == 1
    assert "has no element for default/red with interface net2" in refused["answer"]["msg"]
