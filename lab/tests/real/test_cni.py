"""The CNI plugin against a node with real OVN and OVS: what the specification asks, and undoing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from lab.tests.support import cni
from lab.tests.support.cni import BLUE, Runtime
from tests.support.patience import PATIENCE
from weft.kube import client, resources

pytestmark = pytest.mark.real
NOTHING: dict[str, list[str]] = {"ports": [], "devices": []}
GHOST = cni.Pod("ghost", "no-such-uid", "ghost")


@pytest.fixture(scope="module")
def network(cni_lab: Any) -> Any:
    with cni.runtime(cni_lab, "internal") as made:
        for config in (BLUE, {**BLUE, "name": "bare", "netAttachDefName": "default/bare"}):
            if config["name"] == "bare":
                config = {k: v for k, v in config.items() if k not in ("subnets", "mtu")}
            made.api(partial(client.Client.create, res=resources.NADS, obj=cni.nad_object(config)))
    return cni_lab


@pytest.fixture(scope="module", params=["internal", "veth"])
def node(request: pytest.FixtureRequest, network: Any) -> Iterator[Runtime]:
    with cni.runtime(network, request.param) as made:
        yield made


@pytest.fixture
def clean(node: Runtime) -> Iterator[Runtime]:
    assert node.left() == NOTHING
    yield node
    node.order("spoil", step="")
    assert node.left() == NOTHING


def refused(answer: dict[str, Any], code: int, *words: str) -> None:
    assert answer["status"] == 1, answer
    assert answer["answer"]["code"] == code, answer
    for word in words:
        assert word in answer["answer"]["msg"] + answer["answer"]["details"]


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_add_and_del_in_each_version(clean: Runtime, version: str) -> None:
    pod, config = clean.pod(), {**BLUE, "cniVersion": version}
    made = clean.call("ADD", pod, config)
    assert made["status"] == 0, made
    result = made["answer"]
    assert result["cniVersion"] == version
    inside = result["interfaces"][-1]
    addresses = sorted(entry["address"] for entry in result["ips"])
    assert clean.look(pod) == {
        "mac": inside["mac"], "mtu": 1300, "up": True, "addresses": addresses,
    }  # fmt: skip
    assert all(("version" in entry) == (version < "1") for entry in result["ips"])
    assert len(clean.left()["ports"]) == 1
    refused(clean.call("ADD", pod, config), 4, "CNI_IFNAME")
    assert clean.look(pod) is not None, "a refused second ADD took the first one's interface"
    for _ in range(2):
        assert clean.call("DEL", pod, config)["status"] == 0
    assert clean.look(pod) is None


CASES: list[tuple[str, str, dict[str, str], Any, int, str]] = [
    ("no command", "-", {}, None, 4, "CNI_COMMAND"),
    ("unknown command", "PLEASE", {}, None, 4, "CNI_COMMAND"),
    ("no container", "ADD", {"CNI_CONTAINERID": "-"}, None, 4, "CNI_CONTAINERID"),
    ("bad container", "ADD", {"CNI_CONTAINERID": "../x"}, None, 4, "CNI_CONTAINERID"),
    ("no netns", "ADD", {"CNI_NETNS": "-"}, None, 4, "CNI_NETNS"),
    ("no interface", "ADD", {"CNI_IFNAME": "-"}, None, 4, "CNI_IFNAME"),
    ("long interface", "ADD", {"CNI_IFNAME": "a" * 16}, None, 4, "15"),
    ("slash in interface", "ADD", {"CNI_IFNAME": "a/b"}, None, 4, "CNI_IFNAME"),
    ("bad arguments", "ADD", {"CNI_ARGS": "x"}, None, 4, "CNI_ARGS"),
    ("no pod", "ADD", {"CNI_ARGS": "-"}, None, 4, "K8S_POD_NAME"),
    ("netns that is none", "ADD", {"CNI_NETNS": "/etc/passwd"}, None, 3, "/etc/passwd"),
    ("netns that is gone", "ADD", {"CNI_NETNS": "/run/netns/none"}, None, 3, "none"),
    ("no JSON", "ADD", {}, "{", 6, "JSON"),
    ("no object", "ADD", {}, "[]", 6, "object"),
    ("empty input", "ADD", {}, " ", 6, "JSON"),
    ("no version", "ADD", {}, {**BLUE, "cniVersion": ""}, 1, "cniVersion"),
    ("old version", "ADD", {}, {**BLUE, "cniVersion": "0.2.0"}, 1, "0.3.1"),
    ("future version", "ADD", {}, {**BLUE, "cniVersion": "3.0.0"}, 1, "3.0.0"),
    ("no network name", "ADD", {}, {**BLUE, "name": ""}, 7, "name"),
    ("another type", "ADD", {}, {**BLUE, "type": "bridge"}, 7, "bridge"),
    ("no NAD", "ADD", {}, {**BLUE, "netAttachDefName": ""}, 7, "netAttachDefName"),
    ("odd prevResult", "ADD", {}, {**BLUE, "prevResult": 3}, 7, "prevResult"),
    ("CHECK without result", "CHECK", {}, BLUE, 7, "prevResult"),
    ("CHECK in 0.3.1", "CHECK", {}, {**BLUE, "cniVersion": "0.3.1"}, 1, "CHECK"),
    ("CHECK without netns", "CHECK", {"CNI_NETNS": "-"}, BLUE, 4, "CNI_NETNS"),
    ("GC in 1.0.0", "GC", {}, {**BLUE, "cniVersion": "1.0.0"}, 1, "GC"),
    ("GC without list", "GC", {}, BLUE, 7, "cni.dev/valid-attachments"),
    ("STATUS in 1.0.0", "STATUS", {}, {**BLUE, "cniVersion": "1.0.0"}, 1, "STATUS"),
    ("DEL without container", "DEL", {"CNI_CONTAINERID": "-"}, None, 4, "CNI_CONTAINERID"),
    ("DEL without interface", "DEL", {"CNI_IFNAME": "-"}, None, 4, "CNI_IFNAME"),
]


@pytest.fixture(scope="module")
def spare(node: Runtime) -> Any:
    return node.pod()


@pytest.mark.parametrize(
    ("command", "env", "config", "code", "word"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_refusals(
    clean: Runtime,
    spare: cni.Pod,
    command: str,
    env: dict[str, Any],
    config: Any,
    code: int,
    word: str,
) -> None:
    refused(clean.call(command, spare, config, **env), code, word)


def test_too_large_a_request_is_refused(clean: Runtime, spare: cni.Pod) -> None:
    refused(clean.call("ADD", spare, padding=4 << 20), 5, "bytes")


def test_version(clean: Runtime) -> None:
    answer = clean.call("VERSION", GHOST)
    assert answer["status"] == 0
    assert answer["answer"]["supportedVersions"][-1] == "1.1.0"


def test_del_of_what_never_was(clean: Runtime) -> None:
    environments: tuple[dict[str, Any], ...] = (
        {},
        {"CNI_NETNS": "-"},
        {"CNI_NETNS": "/run/netns/none"},
        {"CNI_ARGS": "-"},
    )
    for env in environments:
        assert clean.call("DEL", GHOST, **env)["status"] == 0


def test_del_after_namespace_and_pod_are_gone(clean: Runtime) -> None:
    pod = clean.pod()
    assert clean.call("ADD", pod)["status"] == 0
    clean.remove(pod)
    clean.order("netns", name=pod.sandbox, make=False)
    assert clean.call("DEL", pod)["status"] == 0


def test_a_late_del_of_an_older_sandbox(clean: Runtime) -> None:
    old = clean.pod()
    assert clean.call("ADD", old)["status"] == 0
    new = cni.Pod(old.name, old.uid, f"{old.sandbox}-again")
    clean.order("netns", name=new.sandbox)
    assert clean.call("ADD", new)["status"] == 0
    assert [b["sandbox"] for b in clean.order("bounds")] == [new.sandbox]
    assert clean.call("DEL", old)["status"] == 0
    assert [b["sandbox"] for b in clean.order("bounds")] == [new.sandbox]
    assert clean.look(new)["up"]
    assert clean.call("DEL", new)["status"] == 0


def test_check_sees_what_changed(clean: Runtime) -> None:
    pod = clean.pod()
    config = {**BLUE, "prevResult": clean.call("ADD", pod)["answer"]}
    assert clean.call("CHECK", pod, config)["status"] == 0
    address = config["prevResult"]["ips"][0]["address"]
    mac = config["prevResult"]["interfaces"][-1]["mac"]
    for change, back, word in (
        ({"mtu": 1290}, {"mtu": 1300}, "MTU 1290"),
        ({"address": "0a:58:00:00:00:99"}, {"address": mac}, "0a:58:00:00:00:99"),
    ):
        clean.order("change", name=pod.sandbox, interface="net1", **change)
        refused(clean.call("CHECK", pod, config), 100, word)
        clean.order("change", name=pod.sandbox, interface="net1", **back)
    assert clean.call("CHECK", pod, config)["status"] == 0
    clean.order("change", name=pod.sandbox, interface="net1", drop=address)
    refused(clean.call("CHECK", pod, config), 100, address)
    refused(clean.call("CHECK", pod, config, interface="net2"), 100, "not in the pod")
    assert clean.call("DEL", pod)["status"] == 0


def test_gc_keeps_what_the_runtime_knows(clean: Runtime) -> None:
    kept, gone = clean.pod(), clean.pod()
    other = clean.pod({"name": "bare"})
    bare = {**BLUE, "name": "bare", "netAttachDefName": "default/bare"}
    for pod, config in ((kept, BLUE), (gone, BLUE), (other, bare)):
        assert clean.call("ADD", pod, config)["status"] == 0
    valid = [{"containerID": kept.sandbox, "ifname": "net1"}]
    listed = {**BLUE, "cni.dev/valid-attachments": valid}
    assert clean.call("GC", GHOST, listed)["status"] == 0
    left = {bound["sandbox"] for bound in clean.order("bounds")}
    assert left == {kept.sandbox, other.sandbox}
    for pod, config in ((kept, BLUE), (gone, BLUE), (other, bare)):
        assert clean.call("DEL", pod, config)["status"] == 0


def test_several_interfaces_of_one_pod_on_one_network(clean: Runtime) -> None:
    pod = clean.pod({"name": "blue"}, {"name": "blue", "interface": "data0"}, {"name": "bare"})
    macs = set()
    for interface in ("net1", "data0"):
        made = clean.call("ADD", pod, interface=interface)
        assert made["status"] == 0, made
        macs.add(clean.look(pod, interface)["mac"])
    assert len(macs) == 2
    for interface in ("net1", "data0"):
        assert clean.call("DEL", pod, interface=interface)["status"] == 0


def test_an_interface_that_the_pod_did_not_ask_for(clean: Runtime, spare: cni.Pod) -> None:
    refused(clean.call("ADD", spare, interface="net7"), 7, "net7", "default/blue")


def test_a_taken_name_is_left_alone(clean: Runtime) -> None:
    pod = clean.pod()
    clean.order("add_link", name=pod.sandbox, interface="net1")
    before = clean.look(pod)
    refused(clean.call("ADD", pod), 4, "CNI_IFNAME")
    assert clean.look(pod) == before


def test_a_nad_that_does_not_exist(clean: Runtime) -> None:
    pod = clean.pod({"name": "later"})
    config = {**BLUE, "name": "later", "netAttachDefName": "default/later"}
    with clean.hurried(3):
        refused(clean.call("ADD", pod, config), 11, pod.name, "default/later")
    assert clean.look(pod) is None


def test_a_network_that_is_waited_for_is_blamed_on_the_one_that_holds_it_up(clean: Runtime) -> None:
    pod = clean.pod({"name": "blue"}, {"name": "later"})
    with clean.hurried(3):
        answer = clean.call("ADD", pod)
    refused(answer, 11, pod.name, "NetworkAttachmentDefinition default/later: does not exist")
    assert "default/blue" not in answer["answer"]["msg"]


def test_a_pod_that_goes_while_it_is_waited_for(clean: Runtime) -> None:
    with clean.hurried(1):
        refused(clean.call("ADD", GHOST, CNI_NETNS="/proc/self/ns/net"), 11, "ghost")


@pytest.mark.parametrize("step", ["write_port", "wait_for_port", "make_wire"])
def test_a_step_that_fails_leaves_nothing(clean: Runtime, step: str) -> None:
    pod = clean.pod()
    kind = clean.order("kind")
    if step == "make_wire":
        step = "make_veth" if kind == "veth" else "move_internal"
    clean.order("spoil", step=step)
    refused(clean.call("ADD", pod), 999)
    assert clean.left() == NOTHING
    assert clean.look(pod) is None
    clean.order("spoil", step="")
    assert clean.call("ADD", pod)["status"] == 0, "what failed before cannot be done again"
    assert clean.call("DEL", pod)["status"] == 0


def test_a_runtime_that_gives_up_leaves_nothing(clean: Runtime) -> None:
    pod = clean.pod()
    clean.order("pause", program="ovn-controller", stop=True)
    try:
        env = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": pod.sandbox,
            "CNI_NETNS": f"/run/netns/{pod.sandbox}",
            "CNI_IFNAME": "net1",
            "CNI_ARGS": pod.args,
        }
        clean.order("call", env=env, data=json.dumps(BLUE), give_up=True)
        # Nobody is told when the agent has undone what nobody waits for any more.
        end = time.monotonic() + PATIENCE
        while clean.left() != NOTHING and time.monotonic() < end:
            pass
        assert clean.left() == NOTHING
        with clean.hurried(15):  # time to come as far as to wait for ovn-controller
            refused(clean.call("ADD", pod), 11, "ovn-controller", pod.name)
        assert clean.left() == NOTHING
        assert clean.look(pod) is None
    finally:
        clean.order("pause", program="ovn-controller", stop=False)


def test_without_vswitchd(clean: Runtime) -> None:
    pod = clean.pod()
    assert clean.call("STATUS", GHOST)["status"] == 0
    clean.order("pause", program="ovs-vswitchd", stop=True)
    try:
        with clean.hurried(1):
            refused(clean.call("ADD", pod), 11, pod.name)
    finally:
        clean.order("pause", program="ovs-vswitchd", stop=False)
    assert clean.call("ADD", pod)["status"] == 0
    assert clean.call("DEL", pod)["status"] == 0


def test_status_is_answered_while_the_switchs_database_is_not(clean: Runtime) -> None:
    clean.order("pause", program="ovsdb-server", stop=True)
    try:
        refused(clean.call("STATUS", GHOST), 50, "database does not answer")
    finally:
        clean.order("pause", program="ovsdb-server", stop=False)
    assert clean.call("STATUS", GHOST)["status"] == 0


def test_the_agents_own_socket_is_private(clean: Runtime) -> None:
    assert clean.order("modes") == {"socket": "0o600", "folder": "0o700"}
