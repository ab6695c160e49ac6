"""Which NIC a user's words name, and what is said when they name none or two."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import objects
from weft import errors, names
from weft.api import machine as machines_api
from weft.model import ObjectKey
from weft.observe.capture import choice
from weft.observe.members import Object

MACS = {"blue": "0a:58:0a:09:00:02", "red": "0a:58:0a:0a:00:02", "default": "0a:58:0a:80:00:02"}
NETWORKS = {ObjectKey("default", name): f"net-{name}" for name in ("blue", "red", "green")}


def pod(name: str = "web", *networks: str, default: bool = False, **changes: Any) -> Object:
    held = {f"default/{each}": {"mac_address": MACS.get(each, "")} for each in networks}
    if default:
        held["default"] = {"mac_address": MACS["default"]}
    chosen = ", ".join(networks)
    notes = {names.NETWORKS: chosen, names.POD_NETWORKS: json.dumps(held)}
    return {
        "metadata": {"namespace": "default", "name": name, "uid": "u", "annotations": notes},
        "spec": {"nodeName": "node1"},
        "status": {"phase": "Running"},
        **changes,
    }


def machine(name: str = "db", *nodes: str, runs_on: str = "node1") -> dict[str, Any]:
    """A virtual machine on network blue, with a pod on each node."""
    nics = (objects.nic("default", masquerade={}), objects.nic("data", "blue"))
    instance: Object = {
        "metadata": {"namespace": "default", "name": name},
        "spec": objects.vmi(name, *nics)["spec"],
        "status": {
            "phase": "Running",
            "nodeName": runs_on,
            "interfaces": [{"name": "data", "mac": MACS["blue"], "interfaceName": "enp2s0"}],
        },
    }
    chosen = [{"name": "blue", "interface": machines_api.pod_interface("data")}]
    pods = []
    for node in nodes or (runs_on,):
        one = pod(f"virt-launcher-{name}-{node}", "blue", spec={"nodeName": node})
        one["metadata"]["labels"] = {names.VM_NAME: name}
        one["metadata"]["annotations"][names.NETWORKS] = json.dumps(chosen)
        pods.append(one)
    return {"pods": pods, "instances": [instance]}


def chosen(text: str, nic: str = "", network: str = "", **found: Any) -> choice.Nic:
    return choice.choose(
        choice.target(text, "default"), nic, network, choice.Found(networks=NETWORKS, **found)
    )


@pytest.mark.parametrize("text", ["web", "default/web", "pod/web", "pod/default/web"])
def test_the_only_nic_of_a_pod(text: str) -> None:
    found = chosen(text, pods=[pod("web", "blue")])
    assert (found.network, found.interface, found.mac) == ("net-blue", "net1", MACS["blue"])
    assert (found.node, found.port) == ("node1", "default.blue_default_web")
    assert (found.owner, found.title) == ("default/web", "net1 (net-blue)")


@pytest.mark.parametrize(
    ("nic", "network"),
    [
        ("net2", ""),
        (MACS["red"].upper(), ""),
        ("", "net-red"),
        ("", "red"),
        ("", "default/red"),
        ("net2", "red"),
    ],
)
def test_one_of_several(nic: str, network: str) -> None:
    found = chosen("web", nic, network, pods=[pod("web", "blue", "red")])
    assert found.network == "net-red"


def test_the_default_network_is_chosen_by_name_only() -> None:
    whole = pod("web", "blue", default=True)
    assert chosen("web", pods=[whole]).network == "net-blue"
    assert chosen("web", "eth0", pods=[whole]).network == "default"
    assert chosen("web", pods=[pod("web", default=True)]).network == "default"


@pytest.mark.parametrize("nic", ["data", "enp2s0", machines_api.pod_interface("data"), ""])
def test_a_machines_nic_by_any_of_its_names(nic: str) -> None:
    found = chosen("vm/db", nic, **machine())
    assert (found.mac, found.machine) == (MACS["blue"], "db")
    assert (found.owner, found.title) == ("vm/default/db", "data (net-blue)")


def test_a_machine_that_migrates_is_where_its_guest_is() -> None:
    found = chosen("db", **machine("db", "node1", "node2", runs_on="node2"))
    assert found.node == "node2"


def test_a_guests_name_does_not_hide_another_nic() -> None:
    whole = machine()
    one = whole["pods"][0]
    notes = one["metadata"]["annotations"]
    notes[names.NETWORKS] = json.dumps([*json.loads(notes[names.NETWORKS]), {"name": "red"}])
    held = json.loads(notes[names.POD_NETWORKS])
    notes[names.POD_NETWORKS] = json.dumps({**held, "default/red": {"mac_address": MACS["red"]}})
    whole["instances"][0]["status"]["interfaces"][0]["interfaceName"] = "net2"
    assert chosen("vm/db", "net2", **whole).network == "net-red"


@pytest.mark.parametrize(
    ("text", "nic", "network", "what"),
    [
        ("web", "", "", "--nic: is needed: default/web has several NICs: net1 (net-blue)"),
        ("web", "eth7", "", '--nic "eth7": is no NIC of default/web; its NICs: net1'),
        ("web", "", "green", '--network "green": is no network of default/web'),
        ("web", "net1", "red", '--nic "net1": is no NIC of default/web'),
        ("gone", "", "", "is no pod or virtual machine"),
        ("vm/web", "", "", "is no virtual machine"),
        ("pod/other/web", "", "", "is no pod"),
    ],
)
def test_what_names_none_or_two(text: str, nic: str, network: str, what: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        chosen(text, nic, network, pods=[pod("web", "blue", "red")])
    assert what in str(refused.value)


@pytest.mark.parametrize("text", ["", "a/b/c", "vm/", "/web", "pod/a/b/c"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match="must be"):
        choice.target(text, "default")


def test_a_name_of_both_needs_its_kind() -> None:
    whole = machine("web")
    whole["pods"].append(pod("web", "blue"))
    with pytest.raises(errors.InvalidInput, match="write pod/default/web or vm/default/web"):
        chosen("web", **whole)
    assert chosen("pod/web", **whole).machine == ""
    assert chosen("vm/web", **whole).machine == "web"


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (pod("web", "blue", status={"phase": "Succeeded"}), "it has ended"),
        (pod("web", "blue", spec={}), "it waits for a node"),
        (pod("web"), "has no NIC on a network of weft"),
        (pod("web", "!"), "has no NIC"),
    ],
)
def test_a_pod_without_a_nic_that_works(one: Object, what: str) -> None:
    with pytest.raises(errors.NotReady, match=what):
        chosen("web", pods=[one])


def test_a_machine_that_does_not_run() -> None:
    whole = machine()
    with pytest.raises(errors.NotReady, match="does not run"):
        chosen("vm/db", instances=whole["instances"])
