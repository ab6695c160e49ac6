"""What a node agent follows."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from tests.support.signed import Notary
from weft import names
from weft.control import endpointsmark
from weft.control.zone import informers
from weft.kube.resources import CONFIGMAPS, PODENDPOINTS


def test_no_two_have_one_name() -> None:
    """They run as tasks by their names: of two that share one, only one would run."""
    found = informers.Informers(
        MemoryApi(), "node1", default_mtu=1400, primary=True, keys_namespace="weft-system"
    )
    names = [each.name for each in found.all()]
    assert len(set(names)) == len(names) == 8
    assert "nodes metadata.name=node1" in names


async def test_endpoints_are_listed_once_all_are_written() -> None:
    """Of an incomplete list, rows of running pods would go."""
    listed: list[Any] = []

    class Api(MemoryApi):
        async def list(self, res: Any, namespace: str = "", **options: Any) -> Any:
            listed.append(res)
            return await super().list(res, namespace, **options)

    api, meta = Api(), {"namespace": "weft-system", "name": names.SIGNING_KEYS, "uid": "k"}
    api.put(CONFIGMAPS, {"metadata": meta, "data": Notary().public})
    found = informers.Informers(
        *(api, "node1"),
        default_mtu=1400,
        primary=False,
        keys_namespace="weft-system",
        endpoints=True,
    )
    assert found.endpoints is not None
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in found.tasks().values()]
        for each in found.all():
            if each is not found.endpoints:
                await each.synced()
        assert PODENDPOINTS not in listed
        mark = {endpointsmark.ENDPOINTS: endpointsmark.WRITTEN}
        api.change(CONFIGMAPS, f"weft-system/{names.SIGNING_KEYS}", {"data": mark})
        await found.endpoints.synced()
        assert listed.count(PODENDPOINTS) == 1
        for task in tasks:
            task.cancel()
