"""Every field of a machine is followed, makes no difference, or is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from weft_lab.vm import fields

_SPEC = yaml.safe_load(fields.CRD.read_text())["spec"]["versions"][0]["schema"]
MACHINE = _SPEC["openAPIV3Schema"]["properties"]["spec"]

PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def paths(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        below = f"{path}.{name}".lstrip(".")
        yield below
        yield from paths(inner.get("items", inner), f"{below}[]" if "items" in inner else below)
        if isinstance(inner.get("additionalProperties"), dict):
            yield f"{below}.memory"  # requests and limits name resources


def instance(**devices: object) -> dict[str, Any]:
    return {"domain": {"devices": devices}}


def test_the_tables_name_fields_that_there_are() -> None:
    known = set(paths(MACHINE["properties"]["template"]["properties"]["spec"]))
    assert len(known) > 500
    assert {*fields.FOLLOWED, *fields.HARMLESS, *fields.USUAL} <= known
    tables = (*fields.FOLLOWED, *fields.HARMLESS, *fields.USUAL)
    assert len(tables) == len(set(tables)), "a field has one place"


def test_a_field_of_kubevirt_that_no_table_has_is_reported() -> None:
    """Each field of the schema, alone in a machine: followed, harmless or usual, or named."""
    tables = fields.WITH_EFFECT
    named = 0
    for path in paths(MACHINE["properties"]["template"]["properties"]["spec"]):
        spec: Any = "value"
        for key in reversed(path.replace("[]", ".[]").split(".")):
            spec = [spec] if key == "[]" else {key: spec}
        known = any(path == each or path.startswith((f"{each}.", f"{each}[]")) for each in tables)
        lost = list(fields.unfollowed(spec))
        leads_on = any(
            each.startswith((f"{path}.", f"{path}[]")) for each in tables | {*fields.USUAL}
        )
        assert known or lost or leads_on, path
        assert not (known and lost), path
        named += bool(lost)
    assert named > 300


@pytest.mark.parametrize(
    ("spec", "lost"),
    [
        (instance(interfaces=[{"name": "a", "bridge": {}, "state": "down"}]), []),
        (
            instance(interfaces=[{"name": "a", "macAdress": "x"}]),
            ["domain.devices.interfaces[a].macAdress (did you mean macAddress?)"],
        ),
        (
            instance(interfaces=[{"name": "a", "dhcpOptions": {"ntpServers": ["10.0.0.1"]}}]),
            ["domain.devices.interfaces[a].dhcpOptions"],
        ),
        (instance(disks=[{"name": "d", "disk": {"bus": "virtio"}}]), []),
        (
            instance(disks=[{"name": "d", "disk": {"bus": "sata"}}]),
            ["domain.devices.disks[d].disk.bus"],
        ),
        ({"domain": {"machine": {"type": "q35"}, "features": {"acpi": {}}}}, []),
        ({"domain": {"machine": {"type": "pc-i440fx"}}}, ["domain.machine.type"]),
        ({"domain": {"clock": {"timezone": "Europe/Oslo"}}}, ["domain.clock"]),
        ({"tolerations": [{"operator": "Exists"}]}, ["tolerations"]),
        ({"domain": {"memroy": "1Gi"}}, ["domain.memroy (did you mean memory?)"]),
        ({"domain": {"resources": {"requests": {"memory": "1Gi"}}}}, []),
        ({"readinessProbe": {"tcpSocket": {"port": 1}}}, ["readinessProbe"]),
        ({"readinessProbe": None, "accessCredentials": []}, []),
        (
            {"volumes": [{"name": "c", "cloudInitNoCloud": {"secretRef": {"name": "s"}}}]},
            ["volumes[c].cloudInitNoCloud.secretRef"],
        ),
        ({"domain": []}, []),
        (
            instance(tpm={}, clientPassthrough={}, downwardMetrics={}, rng={}),
            [f"domain.devices.{each}" for each in ("tpm", "clientPassthrough", "downwardMetrics")],
        ),
        ({"domain": {"features": {"pvspinlock": {}, "smm": {}}}}, ["domain.features.pvspinlock"]),
        ({"domain": {"cpu": {"realtime": {}}}}, ["domain.cpu.realtime"]),
        (
            {"domain": {"devices": {"disks": [{"name": "d", "lun": {}}]}}},
            ["domain.devices.disks[d].lun"],
        ),
        ({"domain": {"devices": {"disks": [{"name": "d", "disk": {}}]}}}, []),
        ({"domain": {"devices": {"autoattachGraphicsDevice": True}}}, []),
        ({"domain": {"cpu": {}, "resources": {}, "devices": {}}, "affinity": {}}, []),
        (
            {"affinity": {"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": {}}]}}},
            [f"affinity.podAffinity.{PREFERRED}"],
        ),
        (
            {"topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}]},
            ["topologySpreadConstraints[0].whenUnsatisfiable"],
        ),
        ({"dnsPolicy": "Default"}, ["dnsPolicy"]),
        ({"dnsPolicy": "ClusterFirst"}, []),
    ],
)
def test_what_has_no_effect_is_named(spec: dict[str, Any], lost: list[str]) -> None:
    assert list(fields.unfollowed(spec)) == lost


def test_a_machines_own_fields() -> None:
    spec = {"runStrategy": "Always", "template": {}, "instancetype": {"name": "u1"}, "running": 1}
    assert fields.unfollowed_of_machine(spec) == ["instancetype"]


def test_what_kubevirt_does_not_know() -> None:
    template = {"spec": {"termination/GracePeriodSeconds": 30, "nodeSelector": {"any": "x"}}}
    obj = {"spec": {"runStrategy": "Always", "template": template, "lan": 1}}
    assert dict(fields.unknown(obj, "VirtualMachine")) == {
        "spec.template.spec.termination/GracePeriodSeconds": "terminationGracePeriodSeconds",
        "spec.lan": "",
    }


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("template.spec.hostname", "cloud-init"),
        ("template.spec.domain.devices", "Some of its fields"),
        ("template.spec.domain.devices.interfaces[].ports[].port", "may reach"),
        ("template.spec.serviceAccountName", "no difference"),
        ("template.spec.domain.machine.type", '"q35"'),
        ("template.spec.livenessProbe.exec", "Not followed"),
        ("instancetype", "Not followed"),
    ],
)
def test_kubectl_explains_what_becomes_of_a_field(path: str, message: str) -> None:
    assert message in fields.description(path)
