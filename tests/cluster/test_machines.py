"""Virtual machines on stock Kubernetes, by the objects that KubeVirt writes, and by packets.

KubeVirt itself does not run there: `kubevirt.py` does what its controllers do. Its kinds come after
weft has started, and go while it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.access import Object
from tests.cluster.cluster import until
from tests.cluster.kubevirt import CRDS, INTERFACE, Machines, defined
from tests.cluster.room import Room
from tests.cluster.spec import CONTROL
from weft import names
from weft.api import conditions, ipamclaim

pytestmark = pytest.mark.cluster
NETWORK = "machines"
MAC, ADDRESS = "02:00:00:00:97:50", "10.97.0.50"
MANAGER = "system:serviceaccount:weft-system:weft-cluster-manager"


@pytest.fixture(scope="module")
def there(here: Room) -> Iterator[Machines]:
    """`near` and `far` are pods of two nodes on a network that keeps machines' addresses."""
    here.access.machines("defines the kinds of KubeVirt")
    nodes = here.access.nodes()
    if len(nodes) < 2:
        pytest.skip("machines move between two nodes")
    config: dict[str, Any] = {"allowPersistentIPs": True, "persistentIPs": "vm"}
    here.apply(here.nad(NETWORK, "10.97.0.0/24", **config))
    here.run(
        here.pod("near", NETWORK, node=nodes[0]),
        here.pod("far", NETWORK, node=nodes[-1]),
    )
    here.answers("near", here.addresses("far")[0])
    with defined(here.access):
        yield Machines(here)
    here.delete("near", "far")


def claim(there: Machines, name: str) -> Object:
    """The claim of a machine's NIC, as soon as it is there."""
    found = f"{name}.lan"
    until(
        lambda: there.room.kubectl("get", "ipamclaim", found, "--ignore-not-found"),
        f"IPAMClaim {found}",
    )
    return there.get("ipamclaim", found)


def identity(there: Machines, pod: str) -> tuple[str, str]:
    """Address and MAC of a launcher."""
    (entry,) = [each for each in there.room.status(pod) if each["interface"] == INTERFACE]
    (address,) = entry["ips"]
    assert address in there.room.inside(pod, "ip", "address", "show", INTERFACE)
    assert entry["mac"] in there.room.inside(pod, "ip", "link", "show", INTERFACE)
    return str(address), str(entry["mac"])


def answered(there: Machines, address: str) -> None:
    for peer in ("near", "far"):
        there.room.answers(peer, address)


def heard(there: Machines, address: str, *pods: str) -> dict[str, bool]:
    """Which of these pods any packet comes to, while both peers have answers of an address."""
    before = {pod: there.received(pod) for pod in pods}
    answered(there, address)
    return {pod: there.received(pod) > before[pod] for pod in pods}


def conflict(there: Machines, kind: str, name: str) -> str:
    """The message of weft's condition, "" for none."""
    listed = (there.get(kind, name).get("status") or {}).get("conditions") or ()
    found = [each for each in listed if each["type"] == conditions.MACHINE_CONFLICT]
    assert all(each["status"] == "True" for each in found)
    return found[0]["message"] if found else ""


def test_a_machine_keeps_address_and_mac_and_its_claim_is_there_before_its_pod(
    there: Machines,
) -> None:
    nodes = there.room.access.nodes()
    machine = there.declare("db", NETWORK)
    made = claim(there, "db")["metadata"]
    (owner,) = made["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("VirtualMachine", machine["metadata"]["uid"])
    assert made["labels"] == {names.CLAIM_VM: "db"}
    assert made["finalizers"] == [names.CLAIM_PROTECTION]

    first = there.start("db", nodes[0])
    there.room.ready(first)
    before = identity(there, first)
    answered(there, before[0])
    kept = claim(there, "db")
    assert ipamclaim.condition(kept)[:2] == ("True", ipamclaim.SUCCESS)
    assert [each.partition("/")[0] for each in kept["status"]["ips"]] == [before[0]]

    there.stop("db", first)
    there.room.run(there.room.pod("between", NETWORK))
    assert there.room.addresses("between") != [before[0]]
    there.room.delete("between")
    second = there.start("db", nodes[-1])
    there.room.ready(second)
    assert second != first
    assert identity(there, second) == before
    answered(there, before[0])
    there.stop("db", second)


def test_a_migration_moves_the_packets_and_a_failed_one_does_not(there: Machines) -> None:
    """Both pods are there at the same time, with one address: one of them hears its packets."""
    nodes = there.room.access.nodes()
    source = there.start("db", nodes[0])
    there.room.ready(source)
    there.runs("db", nodes[0])
    own = identity(there, source)
    answered(there, own[0])

    migration, target = there.migrate("db", nodes[-1])
    there.room.ready(target)
    assert identity(there, target) == own
    assert heard(there, own[0], source, target) == {source: True, target: False}
    assert not there.room.reaches(target, there.room.addresses("near")[0]), "its port is shut"
    there.hand_over("db", migration, source, target)
    assert heard(there, own[0], source, target) == {source: True, target: False}

    there.pause(source)
    there.arrive("db", migration)
    moved = {source: False, target: True}
    until(lambda: heard(there, own[0], source, target) == moved, "the packets to move")
    there.room.answers(target, there.room.addresses("near")[0])
    there.end(source)
    answered(there, own[0])

    failing, third = there.migrate("db", nodes[0])
    there.room.ready(third)
    there.hand_over("db", failing, target, third)
    assert heard(there, own[0], target, third) == {target: True, third: False}
    there.fail("db", failing)
    assert heard(there, own[0], target, third) == {target: True, third: False}
    there.room.delete(third)
    assert heard(there, own[0], target) == {target: True}
    assert identity(there, target) == own
    there.stop("db", target)


def test_of_two_machines_that_ask_for_the_same_the_second_says_who_has_it(there: Machines) -> None:
    nodes = there.room.access.nodes()
    there.declare("one", NETWORK, mac=MAC, addresses=ADDRESS)
    first = there.start("one", nodes[0])
    there.room.ready(first)
    assert identity(there, first) == (ADDRESS, MAC)
    there.declare("two", NETWORK, mac=MAC, addresses=ADDRESS)
    told = there.room.event("two", "MachineIdentityConflict", "VirtualMachine")
    assert MAC in told
    assert "one.lan" in told
    until(lambda: ADDRESS in conflict(there, "vm", "two"), "the condition of the machine")
    second = there.start("two", nodes[-1])
    until(lambda: ADDRESS in conflict(there, "vmi", "two"), "the condition of the instance")
    there.room.event(second, "ErrorAllocatingPod", "Pod")
    assert not conflict(there, "vm", "one")
    answered(there, ADDRESS)

    # Instance, pod and claim go with their machine by Kubernetes' own garbage collector.
    there.room.kubectl("delete", "vm", "one")
    there.room.wait("delete", f"pod/{first}", "ipamclaim/one.lan")
    there.room.ready(second)
    assert identity(there, second) == (ADDRESS, MAC)
    answered(there, ADDRESS)
    until(lambda: not conflict(there, "vmi", "two"), "the condition to go")
    there.room.kubectl("delete", "vm", "two", "db")
    there.room.wait("delete", f"pod/{second}", "ipamclaim/two.lan", "ipamclaim/db.lan")


def test_its_rights_are_those_that_it_needs(there: Machines) -> None:
    """The API server has refused nothing of what weft asked of machines and their claims."""
    asked = set()
    path = there.room.access.machines().machine(CONTROL).folder / "log/audit.log"
    with path.open() as lines:
        whole = (line for line in lines if line.endswith("\n"))  # the last may still be written
        for each in (json.loads(line) for line in whole if MANAGER in line):
            about = each.get("objectRef") or {}
            if about.get("apiGroup") == "kubevirt.io" or about.get("resource") == "ipamclaims":
                asked.add((each["verb"], about["resource"], each["responseStatus"]["code"]))
    done = {
        *(("watch", "virtualmachineinstancemigrations", 200), ("patch", "virtualmachines", 200)),
        *(("patch", "virtualmachineinstances", 200), ("create", "ipamclaims", 201)),
    }
    assert done <= asked, "the control: this is where it is written"
    assert not [each for each in asked if each[-1] in (401, 403)]


def test_weft_goes_on_when_the_kinds_are_gone(there: Machines) -> None:
    there.room.access.kubectl("delete", "--wait", *CRDS)
    there.room.run(there.room.pod("after", NETWORK))
    answered(there, there.room.addresses("after")[0])
    there.room.delete("after")
