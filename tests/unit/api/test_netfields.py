"""The table of fields says what the parser reads, and of which type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weft import errors
from weft.api import nad, netfields

WHOLE: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "n",
    "type": "ovn-k8s-cni-overlay",
    "netAttachDefName": "default/n",
    "topology": "layer2",
    "subnets": "10.1.0.0/24",
}
NAMES = {
    str: "must be a string",
    int: "must be a whole number",
    bool: "must be true or false",
    dict: "must be an object",
    list: "must be a list",
}
MISFIT: dict[type, Any] = {str: 5, int: "x", bool: "x", dict: "x", list: "x"}


def problems(config: dict[str, Any]) -> list[errors.InvalidInput]:
    meta = {"namespace": "default", "name": "n"}
    return nad.problems({"metadata": meta, "spec": {"config": json.dumps(config)}})


TYPES: dict[tuple[str, ...], Any] = {
    **{(name,): field.type for name, field in netfields.USED.items() if name != "type"},
    **{("dhcp", name): field.type for name, field in netfields.DHCP.items()},
    **{(name,): kind for name, kind in netfields.IGNORED.items()},
}


@pytest.mark.parametrize("path", TYPES, ids=".".join)
def test_a_field_has_the_type_that_is_reported(path: tuple[str, ...]) -> None:
    kind, config = TYPES[path], {**WHOLE, "dhcp": {}}
    place: dict[str, Any] = config if len(path) == 1 else config["dhcp"]
    assert problems(config) == []
    place[path[-1]] = MISFIT[kind]
    (found,) = [one for one in problems(config) if one.field.endswith(path[-1])]
    assert found.rule.startswith(NAMES[kind])


def test_what_is_required_is_missed() -> None:
    for name, field in netfields.USED.items():
        left = {key: value for key, value in WHOLE.items() if key != name}
        is_missed = name != "type" and any("missing" in one.rule for one in problems(left))
        assert is_missed == (field.default == "required" and name != "type")
