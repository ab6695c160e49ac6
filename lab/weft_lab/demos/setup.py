"""Sets a demo up: applies its manifests and waits for its guests.

three_vms.py, policies.py and tenants.py say what is checked then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from weft import errors
from weft.kube import cache, client, resources
from weft.model import ObjectKey
from weft_lab.demos import machines, manifests

BOOT_SECONDS = 300.0  # four guests may share two slow cores

Report = Callable[[str, float | None], None]


async def prepare(
    api: client.Client,
    objects: Sequence[Mapping[str, Any]],
    report: Report,
    *,
    patience: float = BOOT_SECONDS,
) -> dict[str, machines.Machine]:
    """Apply the objects and return the machines among them by "namespace/name", ready.

    Raises Unavailable when a guest is not so within `patience` seconds; says which.
    """
    await manifests.apply(api, objects)
    keys = [resources.key(obj) for obj in objects if obj["kind"] == "VirtualMachine"]
    async with following(api, resources.VMIS) as vmis:
        return await _booted(api, vmis, keys, report, patience)


@contextlib.asynccontextmanager
async def following(
    api: client.Client, res: resources.Resource, namespace: str = ""
) -> AsyncIterator[cache.Cache]:
    """Runs a cache of a kind of object while the block runs."""
    found = cache.Cache(api, res, namespace=namespace)
    running = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def pods_ready(
    api: client.Client, names: Sequence[str], *, patience: float = BOOT_SECONDS
) -> None:
    """Until these pods of `default` are ready. Raises NotReady."""

    def is_ready(pod: Mapping[str, Any]) -> bool:
        conditions = (pod.get("status") or {}).get("conditions") or ()
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    async with following(api, resources.PODS, "default") as pods:
        keys = (ObjectKey("default", name) for name in names)
        await asyncio.gather(*(pods.wait_for(key, is_ready, patience) for key in keys))


async def _booted(
    api: client.Client,
    vmis: cache.Cache,
    keys: Sequence[ObjectKey],
    report: Report,
    patience: float,
) -> dict[str, machines.Machine]:
    ready: dict[str, machines.Machine] = {}
    report("booting the guests", 0.0)

    async def one(key: ObjectKey) -> None:
        vmi = await vmis.wait_for(key, machines.settled, patience)
        ready[str(key)] = machines.read(vmi)
        report("booting the guests", len(ready) / len(keys))

    outcomes = await asyncio.gather(*(one(key) for key in keys), return_exceptions=True)
    for key, outcome in zip(keys, outcomes, strict=True):
        if isinstance(outcome, errors.NotReady | TimeoutError):
            raise errors.Unavailable(
                f"the guest is not up: {await _last_words(api, key)}",
                where=f"VirtualMachine {key}",
                hint="see its events: kubectl describe vmi,pod -A",
            ) from outcome
        if isinstance(outcome, BaseException):
            raise outcome
    return {str(key): ready[str(key)] for key in keys}


async def _last_words(api: client.Client, key: ObjectKey) -> str:
    """The newest Warning about the machine or its pod."""
    namespace, name = key
    events: list[dict[str, Any]] = await api.list(resources.EVENTS, namespace)
    about = [
        event
        for event in events
        if event.get("type") == "Warning" and name in event["involvedObject"].get("name", "")
    ]
    about.sort(key=lambda event: event.get("lastTimestamp") or "")
    return str(about[-1]["message"]) if about else "it did not finish booting in time"
