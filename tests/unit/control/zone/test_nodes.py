"""What an agent publishes of its node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from weft import __version__, model, names
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
        }
    ]
    told = objects.node({"metadata": {"name": "node2", "annotations": patches[0]}})
    assert nodes.unannounced(told, own, desired) is None
    await nodes.announce(api, told, own, desired)
    assert len(patches) == 1
