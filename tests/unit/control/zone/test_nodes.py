"""What an agent publishes of its node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from weft import __version__, model, names
from weft.api import nodeinfo
from weft.control.zone import nodes, objects


async def test_an_agent_says_where_it_is_and_which_version_it_is() -> None:
    patches: list[Any] = []

    async def patch(*_: Any) -> None:
        patches.append(_[-1]["metadata"]["annotations"])

    own = model.NodeInfo("node2", "c2", ("192.0.2.2",))
    api: Any = SimpleNamespace(patch=patch)
    there = objects.node({"metadata": {"name": "node2"}})
    desired = nodes.announcement(own, primary=False)
    lack = nodes.unannounced(there, own, desired)
    assert lack is not None
    assert f"Node node2: does not say {names.NODE_CHASSIS_ID}" in str(lack)
    await nodes.announce(api, there, own, desired)
    assert patches == [
        {
            names.NODE_CHASSIS_ID: "c2",
            names.NODE_ENCAP_IPS: '["192.0.2.2"]',
            names.VERSION: __version__,
            names.NODE_BRIDGE_MAPPINGS: None,
        }
    ]
    told = objects.node({"metadata": {"name": "node2", "annotations": patches[0]}})
    assert nodes.unannounced(told, own, desired) is None
    await nodes.announce(api, told, own, desired)
    assert len(patches) == 1


async def test_mappings_are_an_annotation_and_labels_and_go_again() -> None:
    """A name that no label can have is in the annotation alone."""
    own = model.NodeInfo("node2", "c2", ("192.0.2.2",))
    mappings = {"rack": "br-rack", "not a label": "br-x"}
    label = f"{names.PHYSICAL_NETWORK_LABEL}rack"
    desired = nodes.announcement(own, primary=False, mappings=mappings)
    text = '{"not a label":"br-x","rack":"br-rack"}'
    assert desired.annotations[names.NODE_BRIDGE_MAPPINGS] == text
    assert desired.labels == {label: "true"}
    assert nodeinfo.physical_networks(text) == {"rack", "not a label"}
    patches: list[Any] = []

    async def patch(*_: Any) -> None:
        patches.append(_[-1]["metadata"])

    api: Any = SimpleNamespace(patch=patch)
    gone = f"{names.PHYSICAL_NETWORK_LABEL}gone"
    kept = {gone: "true", "kubernetes.io/hostname": "node2"}
    meta = {"name": "node2", "annotations": dict(desired.annotations), "labels": kept}
    there = objects.node({"metadata": meta})
    await nodes.announce(api, there, own, desired)
    assert [each["labels"] for each in patches] == [{gone: None, label: "true"}]
    there = objects.node({"metadata": {**meta, "labels": {label: "true"}}})
    assert nodes.unannounced(there, own, desired) is None
    lack = nodes.unannounced(there, own, nodes.announcement(own, primary=False))
    assert lack is not None
    assert f"{names.NODE_BRIDGE_MAPPINGS}, {label}" in str(lack)


@pytest.mark.parametrize("text", ["", "{", "[]", '"rack"', "null"])
def test_a_broken_annotation_of_mappings_names_no_network(text: str) -> None:
    assert nodeinfo.physical_networks(text) == frozenset()
