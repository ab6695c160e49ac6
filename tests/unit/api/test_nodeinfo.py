"""What a Node says about its zone."""

from __future__ import annotations

from typing import Any

import pytest

from weft import errors, model, names
from weft.api import nodeinfo


def node(**annotations: object) -> dict[str, Any]:
    keys = {"chassis": names.NODE_CHASSIS_ID, "encap": names.NODE_ENCAP_IPS, "id": names.NODE_ID}
    named = {keys[key]: value for key, value in annotations.items()}
    return {"metadata": {"name": "node1", "annotations": named}}


def test_what_is_rendered_reads_back() -> None:
    written = nodeinfo.render_zone("c-1", ("192.0.2.1", "fd00::1")) | nodeinfo.render_id(7)
    assert nodeinfo.parse({"metadata": {"name": "node1", "annotations": written}}) == (
        model.NodeInfo("node1", "c-1", ("192.0.2.1", "fd00::1"), 7)
    )


def test_nothing_written_yet() -> None:
    assert nodeinfo.parse({"metadata": {"name": "node1"}}) == model.NodeInfo("node1")


@pytest.mark.parametrize(
    ("annotations", "rule"),
    [
        ({"chassis": "a b"}, "chassis name"),
        ({"chassis": "a,b"}, "chassis name"),
        ({"encap": "192.0.2.1"}, "not valid JSON"),
        ({"encap": '"192.0.2.1"'}, "list of strings"),
        ({"encap": '["192.0.2.300"]'}, "must be an address"),
        ({"id": "x"}, "whole number"),
        ({"id": "-1"}, "whole number"),
        ({"id": 5}, "must be a string"),
    ],
)
def test_refused(annotations: dict[str, object], rule: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rule):
        nodeinfo.parse(node(**annotations))
