"""Addresses that a machine asks for reach its pod, or are refused."""

from __future__ import annotations

from typing import Any

import pytest

from lab.tests.unit.vm import manifests
from weft_lab.vm import launcherpod, requested, validation


def instance(text: str) -> dict[str, Any]:
    vmi = manifests.instance()
    vmi["metadata"]["annotations"] = {requested.ANNOTATION: text}
    return vmi


def test_they_stand_in_the_pods_selection() -> None:
    (name,) = (n["name"] for n in manifests.instance()["spec"]["networks"] if "multus" in n)
    vmi = instance(f'{{"{name}": ["10.1.0.5/24", "fd00::5"]}}')
    assert validation.instance_findings(vmi) == []
    (element,) = launcherpod.selection(vmi)
    assert element["ips"] == ["10.1.0.5/24", "fd00::5"]
    (without,) = launcherpod.selection(manifests.instance())
    assert "ips" not in without


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ('{"other": ["10.1.0.5"]}', "names other, which is no multus network"),
        ('{"default": ["10.1.0.5"]}', "names default, which is no multus network"),
        ("[" * 30, "is not JSON"),
    ],
)
def test_what_cannot_be_followed_is_refused(text: str, rule: str) -> None:
    vmi = instance(text)
    (found,) = validation.instance_findings(vmi)
    assert rule in str(found)
    assert "ips" not in launcherpod.selection(vmi)[0]
    vm = manifests.bent(
        manifests.machine(), "spec.template.metadata", {"annotations": {requested.ANNOTATION: text}}
    )
    assert any(rule in str(each) for each in validation.machine_findings(vm))


@pytest.mark.parametrize("wanted", ['"10.1.0.5"', '["x"]', "[5]", "[null]"])
def test_addresses_are_addresses(wanted: str) -> None:
    (name,) = (n["name"] for n in manifests.instance()["spec"]["networks"] if "multus" in n)
    (found,) = validation.instance_findings(instance(f'{{"{name}": {wanted}}}'))
    assert "must be a list of addresses" in str(found)
