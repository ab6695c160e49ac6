"""Who holds which address, and which nobody uses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weft import names
from weft.observe import addresses
from weft.observe.addresses import HeldAddress, Objects, Unused

CREATED = "2026-02-01T10:00:00Z"
BLUE = {
    "metadata": {
        "name": "blue",
        "namespace": "default",
        "annotations": {names.NETWORK_NAME: "blue"},
    }
}
NODE = {"metadata": {"name": "node1"}}


def pod(
    name: str = "web",
    *,
    ips: tuple[str, ...] = ("10.9.0.1/24",),
    claim: str = "",
    phase: str = "Running",
    vm: str = "",
    node: str = "node1",
) -> dict[str, Any]:
    requested = {"name": "blue", **({"ipam-claim-reference": claim} if claim else {})}
    given = {"ip_addresses": list(ips), "mac_address": "0a:58:0a:09:00:01"}
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "creationTimestamp": CREATED,
            "labels": {names.VM_NAME: vm} if vm else {},
            "annotations": {
                names.NETWORKS: json.dumps([requested]),
                names.POD_NETWORKS: json.dumps({"default/blue": given}),
            },
        },
        "spec": {"nodeName": node},
        "status": {"phase": phase},
    }


def claim(
    name: str = "web.blue", *, network: str = "blue", ips: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    meta = {
        "name": name,
        "namespace": "default",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    } | more
    spec = {"network": network, "interface": "net1"}
    return {"metadata": meta, "spec": spec, "status": {"ips": list(ips)}}


def held(
    *objects: dict[str, Any], nodes: Any = (NODE,), machines: Any = (), **options: Any
) -> list[HeldAddress]:
    claims = [each for each in objects if "network" in each["spec"]]
    pods = [each for each in objects if "network" not in each["spec"]]
    there = Objects(pods, claims, [BLUE], nodes, machines)
    found, problems = addresses.held(there, **options)
    assert not problems
    return found


def test_a_pod_holds_an_address_of_each_family() -> None:
    four, six = held(pod(ips=("10.9.0.1/24", "fd00::1/64")))
    assert (four.address, six.address) == ("10.9.0.1/24", "fd00::1/64")
    assert (four.network, four.held_by, four.nodes, four.since, four.unused) == (
        *("blue", "Pod default/web", ("node1",)),
        *(CREATED, ""),
    )


def test_the_holder_of_a_machines_address_is_the_machine() -> None:
    found = held(pod(vm="db", claim="db.blue"), claim("db.blue", ips=("10.9.0.1/24",)), machines=())
    (one,) = found
    assert (one.held_by, one.claim, one.unused) == (
        "VirtualMachine default/db",
        "default/db.blue",
        "",
    )
    assert one.since == "2026-01-01T00:00:00Z", "since the claim exists"


def test_two_pods_of_a_machine_that_migrates_hold_one_address() -> None:
    (one,) = held(
        pod("source", claim="db.blue"),
        pod("target", claim="db.blue", node="node2"),
        claim("db.blue", ips=("10.9.0.1/24",)),
        nodes=None,
    )
    assert one.nodes == ("node1", "node2")


def test_what_a_finished_pod_had_is_free() -> None:
    assert held(pod(phase="Succeeded")) == []


MACHINE = {"metadata": {"name": "db", "namespace": "default"}}
LABEL: dict[str, Any] = {"labels": {names.CLAIM_VM: "db"}}
OWNED: dict[str, Any] = {"ownerReferences": [{"kind": "VirtualMachine", "name": "db"}]}
IPS = ("10.9.0.1/24",)


@pytest.mark.parametrize(
    ("objects", "options", "reason"),
    [
        ([claim(ips=IPS)], {}, Unused.RESERVED),
        ([claim(ips=IPS, **LABEL)], {"machines": (MACHINE,)}, Unused.MACHINE_STOPPED),
        ([claim(ips=IPS, **OWNED)], {"machines": (MACHINE,)}, Unused.MACHINE_STOPPED),
        ([claim(ips=IPS, **LABEL)], {"machines": None}, Unused.MACHINE_STOPPED),
        ([claim(ips=IPS, **LABEL)], {}, Unused.MACHINE_GONE),
        ([claim(ips=IPS), pod(claim="web.blue", phase="Failed")], {}, Unused.POD_FINISHED),
        ([claim(ips=IPS, network="red")], {}, Unused.NETWORK_GONE),
        ([claim()], {}, Unused.NOT_ALLOCATED),
        ([pod(node="node9")], {}, Unused.NODE_GONE),
        ([pod(node="node9", claim="web.blue"), claim(ips=IPS)], {}, Unused.NODE_GONE),
        ([pod(node="node9")], {"nodes": None}, ""),
    ],
)
def test_why_nobody_uses_an_address(
    objects: list[dict[str, Any]], options: dict[str, Any], reason: str
) -> None:
    (one,) = held(*objects, **options)
    assert one.unused == reason
    assert bool(one.message) == bool(reason)


def test_a_claim_that_was_refused_says_why() -> None:
    refused = claim()
    conditions = [
        {
            "type": "IPsAllocated",
            "status": "False",
            "reason": "SubnetExhausted",
            "message": "no address is free",
        }
    ]
    refused["status"] = {"ips": [], "conditions": conditions}
    (one,) = held(refused)
    assert (one.address, one.unused, one.message) == ("", "SubnetExhausted", "no address is free")


def test_what_cannot_be_read_is_named() -> None:
    broken = pod("forged")
    broken["metadata"]["annotations"][names.POD_NETWORKS] = "{"
    there = Objects([broken, pod()], [{"metadata": {"name": "bad", "namespace": "x"}}], [BLUE])
    found, problems = addresses.held(there)
    assert [each.held_by for each in found] == ["Pod default/web"]
    assert len(problems) == 2
    assert "default/forged" in problems[0]
    assert "x/bad" in problems[1]


def test_only_of_some_namespaces() -> None:
    assert len(held(pod(), claim(ips=IPS), namespaces=("default",))) == 2
    assert held(pod(), claim(ips=IPS), namespaces=("other",)) == []


def test_a_machine_that_migrates_without_a_claim_is_listed_once_on_both_nodes() -> None:
    source, target = pod("launcher-1", vm="db"), pod("launcher-2", vm="db", node="node2")
    (one,) = held(source, target, nodes=(NODE, {"metadata": {"name": "node2"}}))
    assert (one.held_by, one.nodes, one.unused) == (
        *("VirtualMachine default/db", ("node1", "node2")),
        "",
    )


def test_a_claim_that_its_machine_does_not_name_is_in_use_while_the_machine_runs() -> None:
    labels = {names.CLAIM_VM: "db"}
    (one,) = held(pod(vm="db"), claim("db.lan", ips=("10.9.0.1/24",), labels=labels))
    assert (one.claim, one.held_by, one.unused) == (
        *("default/db.lan", "VirtualMachine default/db"),
        "",
    )
    others = held(pod(vm="db"), claim("db.lan", ips=("10.9.0.2/24",), labels=labels))
    assert [each.unused for each in others] == ["", Unused.MACHINE_GONE]


def test_a_claim_that_keeps_a_mac_alone_is_reserved() -> None:
    kept = claim("db-mac")
    condition = {"type": "IPsAllocated", "status": "True", "reason": "SuccessfulAllocation"}
    kept["status"]["conditions"] = [{**condition, "message": "MAC 02:00:00:00:00:07 is kept"}]
    (one,) = held(kept)
    assert (one.mac, one.address, one.unused) == ("02:00:00:00:00:07", "", Unused.RESERVED)
