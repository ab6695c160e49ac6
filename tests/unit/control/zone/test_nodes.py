"""Nodes as a zone reads them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from weft import __version__, model, names
from weft.control.zone import nodes


def test_chassis_and_endpoints_out_of_what_is_kept():
    notes = {
        names.NODE_CHASSIS_ID: "c2",
        names.NODE_ENCAP_IPS: '["192.0.2.2"]',
        "large": "x" * 1000,
    }
    meta = {"name": "node2", "uid": "u", "resourceVersion": "1", "annotations": notes}
    kept = nodes.slim({"metadata": meta, "status": {"images": ["x"] * 50}})
    assert "status" not in kept
    assert "large" not in kept["metadata"]["annotations"]
    assert nodes.read(kept) == model.NodeInfo("node2", "c2", ("192.0.2.2",))


async def test_an_agent_says_which_version_it_is() -> None:
    patches: list[Any] = []
    there = nodes.slim({"metadata": {"name": "node2", "uid": "u", "resourceVersion": "1"}})

    async def patch(*_: Any) -> None:
        patches.append(_[-1]["metadata"]["annotations"])

    own = model.NodeInfo("node2", "c2", ("192.0.2.2",))
    api, cache = SimpleNamespace(patch=patch), {"node2": there}
    notes = nodes.announcement(own, primary=False)
    lack = nodes.unannounced(cache, own, notes)  # type: ignore[arg-type]
    assert lack is not None
    assert f"Node node2: does not say {names.NODE_CHASSIS_ID}" in str(lack)
    await nodes.announce(api, cache, own, notes)  # type: ignore[arg-type]
    assert patches == [{**CHASSIS, names.VERSION: __version__}]
    there["metadata"]["annotations"] = patches[0]
    cache["node2"] = nodes.slim(there)
    assert nodes.unannounced(cache, own, notes) is None  # type: ignore[arg-type]
    await nodes.announce(api, cache, own, notes)  # type: ignore[arg-type]
    assert len(patches) == 1


CHASSIS = {names.NODE_CHASSIS_ID: "c2", names.NODE_ENCAP_IPS: '["192.0.2.2"]'}
SOUND = {**CHASSIS, names.NODE_ID: "7", names.NODE_SUBNETS: '{"default":["10.128.2.0/23"]}'}


def node(**changes: str) -> dict[str, Any]:
    return {"metadata": {"name": "node2", "annotations": {**SOUND, **changes}}}


@pytest.mark.parametrize("note", [names.NODE_SUBNETS, names.NODE_TRANSIT, names.NODE_GATEWAY])
def test_a_part_that_is_nonsense_takes_nothing_else_away(note: str) -> None:
    broken = node(**{note: "{", names.NODE_ID: "x"})
    before = nodes.read(node())
    assert before is not None
    assert nodes.read(broken, before) == before
    alone = nodes.read(broken)
    assert alone is not None
    assert (alone.chassis, alone.encap_ips, alone.id) == ("c2", ("192.0.2.2",), 0)


def test_what_is_gone_is_not_as_it_was() -> None:
    before = nodes.read(node())
    less = nodes.read({"metadata": {"name": "node2", "annotations": CHASSIS}}, before)
    assert less == model.NodeInfo("node2", "c2", ("192.0.2.2",))
