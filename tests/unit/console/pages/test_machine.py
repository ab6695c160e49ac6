"""One virtual machine's page: what belongs to it, and which paths its actions go to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import consoled
from tests.support import objects as made
from tests.unit.console.pages.test_machines import OBJECTS
from tests.unit.console.pages.test_network import event
from weft import errors
from weft.console.page import NoSuchObject
from weft.console.pages import machine
from weft.kube import resources
from weft.model import ObjectKey

DB = {"namespace": "default", "name": "db"}


def migration(name: str, since: str, vmi: str = "db", **state: Any) -> dict[str, Any]:
    whole = made.named(resources.VMIMS, name)
    whole["metadata"]["creationTimestamp"] = since
    status = {"phase": "Failed", "migrationState": state}
    return {**whole, "spec": {"vmiName": vmi}, "status": status}


def test_migrations_and_events_are_the_machines_own_the_latest_first() -> None:
    objects: dict[Any, list[Any]] = {
        **OBJECTS,
        resources.VMIMS: [
            migration("first", "2026-01-01T00:00:00Z", sourceNode="node1", targetNode="node2"),
            migration("second", "2026-01-02T00:00:00Z", failureReason="it was cancelled"),
            migration("foreign", "2026-01-03T00:00:00Z", "web"),
        ],
        resources.EVENTS: [
            event("of-vm", "VirtualMachine", "db"),
            event("of-pod", "Pod", "virt-launcher-db-node1"),
            event("foreign", "VirtualMachine", "web"),
        ],
    }
    found = machine.view(consoled.read(objects), consoled.asked(path=DB))
    assert [each.name for each in found.migrations] == ["second", "first"]
    assert found.migrations[0].reason == "it was cancelled"
    assert (found.migrations[1].source, found.migrations[1].target) == ("node1", "node2")
    assert {each.reason for each in found.events} == {"of-vm", "of-pod"}


def test_a_machine_that_is_not_there() -> None:
    with pytest.raises(NoSuchObject, match="no such virtual machine"):
        machine.view(consoled.read({}), consoled.asked(path=DB))
    denied = {resources.VMS: "User cannot list it"}
    with pytest.raises(NoSuchObject, match="cannot list"):
        machine.view(consoled.read({}, denied), consoled.asked(path=DB))


@pytest.mark.parametrize("name", ["..", "a/b", "a?x=1", "A", "", "a%2f", "x" * 254])
def test_what_is_no_name_never_becomes_a_path(name: str) -> None:
    for path in ({**DB, "name": name}, {**DB, "namespace": name}):
        with pytest.raises(errors.InvalidInput, match="is no object's name"):
            machine.key_of(consoled.asked(path=path))


def test_actions_go_to_kubevirts_subresources() -> None:
    path = machine.subresource("virtualmachines", ObjectKey("default", "db"), "start")
    group = "/apis/subresources.kubevirt.io/v1"
    assert path == f"{group}/namespaces/default/virtualmachines/db/start"
