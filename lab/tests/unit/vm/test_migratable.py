"""Which machines can move, by KubeVirt's rules and with its reasons."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.objects import nic, vmi
from weft_lab.vm import migratable


def machine(interface: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = vmi("vm", nic("overlay", "nad"), **more)
    made["spec"]["networks"].append({"name": "default", "pod": {}})
    made["spec"]["domain"]["devices"]["interfaces"].append({"name": "default", **interface})
    return made


def test_a_machine_behind_its_pod_moves() -> None:
    assert migratable.refusal(machine({"masquerade": {}})) == ()


def test_a_bridge_on_the_pods_network_needs_kubevirts_annotation() -> None:
    bridged = machine({"bridge": {}})
    assert migratable.refusal(bridged)[0] == "InterfaceNotLiveMigratable"
    bridged["metadata"]["annotations"] = {migratable.ALLOWED_BRIDGE: ""}
    assert migratable.refusal(bridged) == ()


@pytest.mark.parametrize("strategy", ["LiveMigrate", "LiveMigrateIfPossible", "None", ""])
def test_a_machine_that_keeps_its_node_from_being_drained_warns_of_it(strategy: str) -> None:
    made = machine({"bridge": {}}, evictionStrategy=strategy)
    text = "EvictionStrategy is set but vmi is not migratable; cannot migrate VMI"
    assert migratable.warning(made).startswith(text) is (strategy == "LiveMigrate")
    assert not migratable.warning(machine({"masquerade": {}}, evictionStrategy=strategy))


@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        ({"hostDisk": {"path": "/d/x"}}, "DisksNotLiveMigratable"),
        ({"persistentVolumeClaim": {"claimName": "c"}}, "DisksNotLiveMigratable"),
        ({"hostDisk": {"path": "/d/x", "shared": True}}, ""),
        ({"emptyDisk": {"capacity": "1Gi"}}, ""),
        ({"containerDisk": {"image": "i"}}, ""),
    ],
)
def test_disks_must_be_seen_by_both_nodes_or_be_copied(volume: dict[str, Any], reason: str) -> None:
    made = machine({"masquerade": {}}, volumes=[{"name": "disk", **volume}])
    assert "".join(migratable.refusal(made)[:1]) == reason
