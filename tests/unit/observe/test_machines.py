"""What a console shows of a machine: declared, allocated and reported, side by side."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import objects
from weft import names
from weft.api import machine as machines_api
from weft.model import ObjectKey
from weft.observe import machines
from weft.observe.members import Object

MAC = "0a:58:0a:09:00:02"


def vm(name: str = "db", *, status: str = "Running", **interface: Any) -> Object:
    nics = (objects.nic("default", masquerade={}), objects.nic("blue", "blue", **interface))
    template = {"spec": objects.vmi(name, *nics)["spec"]}
    return {
        "metadata": {"namespace": "default", "name": name, "creationTimestamp": "2026-11-30T00:00"},
        "spec": {"template": template},
        "status": {"printableStatus": status, "conditions": [condition("Ready")]},
    }


def condition(kind: str, status: str = "True") -> Object:
    return {"type": kind, "status": status, "reason": "", "message": ""}


def instance(of: Object, *reports: Object, phase: str = "Running", node: str = "node1") -> Object:
    status = {"phase": phase, "nodeName": node, "interfaces": list(reports)}
    conditions = [condition("Ready"), condition("AgentConnected")]
    spec = of["spec"]["template"]["spec"]
    return {**of, "spec": spec, "status": {**status, "conditions": conditions}}


def launcher(name: str, node: str = "node1", address: str = "10.9.0.2/24") -> Object:
    interface = machines_api.pod_interface("blue")
    chosen = [{"name": "blue", "namespace": "default", "interface": interface}]
    held = {"default/blue": {"ip_addresses": [address], "mac_address": MAC}}
    notes = {names.NETWORKS: json.dumps(chosen), names.POD_NETWORKS: json.dumps(held)}
    labels = {names.VM_NAME: name}
    meta = {"namespace": "default", "name": f"virt-launcher-{name}-{node}"}
    return {
        "metadata": {**meta, "annotations": notes, "labels": labels},
        "spec": {"nodeName": node},
        "status": {"phase": "Running"},
    }


def report(*addresses: str, name: str = "blue", mac: str = MAC, interface: str = "eth1") -> Object:
    return {"name": name, "mac": mac, "ipAddresses": list(addresses), "interfaceName": interface}


def only(*args: Any) -> machines.Machine:
    (found,) = machines.listed(*args)
    return found


def test_a_running_machine_has_what_was_declared_allocated_and_reported() -> None:
    one = vm()
    found = only([one], [instance(one, report("10.9.0.2", "fe80::1"))], [launcher("db")])
    assert found.key == ObjectKey("default", "db")
    assert (found.status, found.ready, found.node) == ("Running", True, "node1")
    assert found.pod == "virt-launcher-db-node1"
    assert found.actions == ("stop", "restart", "migrate")
    assert [each.type for each in found.conditions] == ["Ready", "AgentConnected"]
    assert found.nics[1] == machines.Nic(
        "blue",
        "virtio",
        "default/blue",
        "bridge",
        "Up",
        MAC,
        allocated=("10.9.0.2/24",),
        reported=("10.9.0.2", "fe80::1"),
        interface="eth1",
    )
    assert found.nics[0].network == "Pod networking"
    assert found.nics[0].binding == "masquerade"


def test_a_stopped_machine_shows_what_is_declared() -> None:
    found = only([vm(status="Stopped", macAddress=MAC, model="e1000")], [], [])
    assert (found.status, found.node, found.actions) == ("Stopped", "", ("start",))
    assert not found.has_screen
    assert not found.has_serial
    assert (found.nics[1].mac, found.nics[1].model, found.nics[1].state) == (MAC, "e1000", "Up")


def test_an_instance_without_a_machine_is_listed_without_actions() -> None:
    found = only([], [instance(vm("lone"), report())], [])
    assert (found.status, found.actions) == ("Running", ())


@pytest.mark.parametrize(
    ("declared", "reports", "state"),
    [
        ({}, [report()], "Up"),
        ({"state": "down"}, [report()], "Down"),
        ({"state": "absent"}, [], "Absent"),
        ({}, [], "Pending"),
    ],
)
def test_the_state_of_a_nic(declared: dict[str, Any], reports: list[Object], state: str) -> None:
    one = vm(**declared)
    assert only([one], [instance(one, *reports)], [launcher("db")]).nics[1].state == state


@pytest.mark.parametrize(
    ("reported", "differs"),
    [
        (("10.9.0.2",), False),
        (("10.9.0.2", "10.9.0.77"), False),
        (("10.9.0.77",), True),
        (("fe80::1", "fd00::5"), False),  # nothing of this family was given
        ((), False),
        (("<script>",), False),
    ],
)
def test_a_guest_with_other_addresses_than_its_own_is_marked(
    reported: tuple[str, ...], differs: bool
) -> None:
    one = vm()
    found = only([one], [instance(one, report(*reported))], [launcher("db")])
    assert found.nics[1].differs is differs


def test_while_it_migrates_the_pod_where_it_runs_counts() -> None:
    one = vm()
    pods = [launcher("db", "node2", "10.9.0.9/24"), launcher("db", "node1")]
    assert only([one], [instance(one, report())], pods).nics[1].allocated == ("10.9.0.2/24",)


def test_a_nic_that_only_the_guest_has_comes_last() -> None:
    one = vm()
    own = report("172.17.0.1", name="", mac="02:42:00:00:00:01", interface="docker0")
    last = only([one], [instance(one, report(), own)], [launcher("db")]).nics[-1]
    assert (last.name, last.interface, last.reported) == ("", "docker0", ("172.17.0.1",))


def test_a_pod_with_broken_annotations_costs_its_allocations_alone() -> None:
    one, pod = vm(), launcher("db")
    pod["metadata"]["annotations"][names.POD_NETWORKS] = "{"
    assert only([one], [instance(one, report())], [pod]).nics[1].allocated == ()


def test_machines_are_sorted_as_people_count() -> None:
    found = machines.listed([vm("db10"), vm("db9"), vm("db1")], [], [])
    assert [each.key.name for each in found] == ["db1", "db9", "db10"]
