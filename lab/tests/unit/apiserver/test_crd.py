from copy import deepcopy
from typing import Any

import pytest

from lab.tests.support.memory_cluster import crd as definition
from weft_lab.apiserver import crd


def fields(found: dict[str, Any]) -> list[str]:
    return [cause.field for cause in crd.validate(found)]


def test_a_crd_becomes_a_resource() -> None:
    found = definition(
        additionalPrinterColumns=[
            {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
            {"name": "Words", "type": "string", "jsonPath": ".spec.words"},
            {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        subresources={"status": {}},
        selectableFields=[{"jsonPath": ".spec.colour"}],
    )
    crd.create(found)
    resource = crd.to_resource(found)
    assert resource.id == "widgets.example.com"
    assert resource.singular == "widget"
    assert resource.items_kind == "WidgetList"
    assert resource.short == ("wd",)
    assert resource.selectable == {"spec.colour": ("spec", "colour")}
    version = resource.version("v1")
    assert version.has_status
    assert version.definition == "com.example.v1.Widget"
    obj = {"metadata": {"name": "x"}, "spec": {"on": True, "words": ["a"]}}
    assert [column.cell(obj) for column in version.columns] == ["x", True, '["a"]', None]


def test_acceptance() -> None:
    found = definition()
    crd.create(found)
    states = {one["type"]: one["status"] for one in found["status"]["conditions"]}
    assert states == {"NamesAccepted": "True", "Established": "True"}
    assert found["status"]["storedVersions"] == ["v1"]
    assert crd.validate(found) == []


def test_a_definition_that_is_deleted_waits_for_its_objects() -> None:
    found = definition()
    crd.create(found)
    assert "finalizers" not in found["metadata"]
    crd.begin_deletion(found)
    assert found["metadata"]["finalizers"] == [crd.CLEANUP]
    assert found["status"]["conditions"][-1]["type"] == "Terminating"
    before = deepcopy(found)
    found["metadata"]["deletionTimestamp"] = before["metadata"]["deletionTimestamp"] = "2026"
    crd.begin_deletion(found)
    assert found == before


def test_versions_are_ordered_by_their_maturity() -> None:
    found = definition()
    one = found["spec"]["versions"][0]
    names = ["v1alpha3", "v1", "v2beta1", "v11", "other"]
    found["spec"]["versions"] = [{**one, "name": name, "storage": name == "v1"} for name in names]
    crd.create(found)
    ordered = [version.name for version in crd.to_resource(found).versions]
    assert ordered == ["v11", "v1", "v2beta1", "v1alpha3", "other"]


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("metadata", "name"), "other", "metadata.name"),
        (("spec", "group"), "", "spec.group"),
        (("spec", "scope"), "Galaxy", "spec.scope"),
        (("spec", "conversion"), {"strategy": "Webhook"}, "spec.conversion.strategy"),
        (("spec", "versions"), [], "spec.versions"),
        (("spec", "names", "kind"), "", "spec.names.kind"),
    ],
)
def test_rules(path: tuple[str, ...], value: Any, field: str) -> None:
    found = definition()
    place: Any = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert field in fields(found)


def test_rules_of_versions() -> None:
    bad = {"name": "n", "type": "string", "jsonPath": "["}
    found = definition(additionalPrinterColumns=[bad])
    found["spec"]["versions"][0]["schema"] = {}
    assert fields(found) == [
        "spec.versions[0].schema.openAPIV3Schema",
        "spec.versions[0].additionalPrinterColumns[0].jsonPath",
    ]


def test_identity_is_kept() -> None:
    old, new = definition(), definition()
    new["spec"]["scope"] = "Cluster"
    new["spec"]["names"]["kind"] = "Gadget"
    found = [cause.field for cause in crd.validate_change(new, old)]
    assert found == ["spec.scope", "spec.names.kind"]
