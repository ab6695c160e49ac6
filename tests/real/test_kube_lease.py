"""Two copies and one lease, on the embedded API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support import apiserver
from tests.support.patience import PATIENCE
from weft.kube import lease, resources
from weft.kube.client import Client

pytestmark = pytest.mark.real

# A leader is believed for longer than any test lasts: what ends it is what the test does.
TERMS = lease.Terms(valid=600, hold=300, renew=2)


class Copy:
    """One copy of a process that wants to lead."""

    def __init__(self, api: Client, name: str) -> None:
        self.leading = asyncio.Event()
        annotations = {"example/copy": name}
        self._elector = lease.Elector(api, "boss", "default", name, TERMS, annotations)
        self.task = asyncio.create_task(self._elector.lead(self._work))

    async def _work(self) -> None:
        self.leading.set()
        await asyncio.Event().wait()

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[Client]:
    async with (
        apiserver.running(folder) as running,
        Client.from_kubeconfig(str(running.kubeconfig)) as api,
    ):
        yield api


async def holder(api: Client) -> str:
    found = await api.get(resources.LEASES, "boss", "default")
    return str(found["spec"]["holderIdentity"])


async def annotations_of(api: Client) -> dict[str, str]:
    found = await api.get(resources.LEASES, "boss", "default")
    return dict(found["metadata"]["annotations"])


async def test_the_second_leads_when_the_first_gives_up(tmp_path: Path) -> None:
    async with server(tmp_path) as api:
        first = Copy(api, "first")
        await first.leading.wait()
        second = Copy(api, "second")
        assert await holder(api) == "first"
        assert await annotations_of(api) == {"example/copy": "first"}
        assert not second.leading.is_set()
        await first.end()
        async with asyncio.timeout(PATIENCE):  # and not when the first one's term is over
            await second.leading.wait()
        assert await holder(api) == "second"
        await second.end()
        assert await holder(api) == ""


async def test_a_silent_leader_is_replaced_and_a_robbed_one_stops(tmp_path: Path) -> None:
    async with server(tmp_path) as api:
        silent = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "boss", "namespace": "default"},
            "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 1},
        }
        await api.create(resources.LEASES, silent)
        heir = Copy(api, "heir")
        async with asyncio.timeout(PATIENCE):
            await heir.leading.wait()
        found = await api.get(resources.LEASES, "boss", "default")
        assert found["spec"]["leaseTransitions"] == 1
        body = {"spec": {"holderIdentity": "thief"}}
        await api.patch(resources.LEASES, "boss", "default", body)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(lease.Lost):
                await heir.task
        assert await holder(api) == "thief"
