"""Networks that get no id, and what becomes of them."""

from __future__ import annotations

import pytest

from tests.support import cluster_world as world
from tests.support.cluster_world import managed, settled
from tests.support.memory_api import MemoryApi
from weft import names
from weft.alloc import ids
from weft.kube.resources import NADS


def network_id(api: MemoryApi, nad: str) -> str | None:
    found = api.of(NADS, nad)["metadata"].get("annotations", {}).get(names.NETWORK_ID)
    return None if found is None else str(found)


async def test_a_network_without_an_id_gets_the_next_that_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ids.NetworkIds, "last", 1)
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    async with managed(api) as manager:
        await settled(api, manager)
        api.put(NADS, world.nad("red"))
        await settled(api, manager)
        assert (network_id(api, "default/blue"), network_id(api, "default/red")) == ("1", None)
        api.remove(NADS, "default/blue")
        await settled(api, manager)
        assert network_id(api, "default/red") == "1"
