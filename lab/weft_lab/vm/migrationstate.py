"""Writes an instance's migrationState, as long as it is that of one and the same migration."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from weft import errors
from weft.kube import resources
from weft.kube.client import Client, Conflict, NotFound, Object
from weft_lab.vm import lifecycle, migration

ATTEMPTS = 10
EXPLAINING = 2.0  # seconds


async def write(
    client: Client, vmi: Object, changes: Mapping[str, Any], beside: Mapping[str, Any] | None = None
) -> Object | None:
    """Patch the fields of migrationState, and those `beside` it in the status.

    None where the instance has gone or ended, or its state is another migration's by now, or that
    migration has ended already. Another writer's version in between is read and written again.
    """
    meta, uid = vmi["metadata"], migration.state(vmi).get("migrationUid")
    for _ in range(ATTEMPTS):
        if _is_over(vmi, meta["uid"], uid):
            return None
        version = vmi["metadata"]["resourceVersion"]
        status = {"migrationState": dict(changes), **(beside or {})}
        body = {"metadata": {"resourceVersion": version}, "status": status}
        try:
            return await client.patch(
                resources.VMIS, meta["name"], meta["namespace"], body, subresource="status"
            )
        except Conflict:
            try:
                vmi = await client.get(resources.VMIS, meta["name"], meta["namespace"])
            except NotFound:
                return None
        except NotFound:
            return None
    return None


async def explain(client: Client, vmi: Object | None, reason: str) -> None:
    """Say why a migration is about to end. Its target ends by that, and who sees it first keeps
    what stands here. Where the API does not answer, the end is not put off."""
    with contextlib.suppress(errors.WeftError, TimeoutError):
        async with asyncio.timeout(EXPLAINING):
            if vmi is not None:
                await write(client, vmi, {"failureReason": reason})


def _is_over(vmi: Object, own: str, uid: object) -> bool:
    if vmi["metadata"]["uid"] != own or lifecycle.is_final(vmi):
        return True
    return migration.state(vmi).get("migrationUid") != uid or not migration.is_under_way(vmi)


async def label(client: Client, vmi: Object, labels: Mapping[str, str | None]) -> None:
    """Set or, with None, remove labels of an instance."""
    meta = vmi["metadata"]
    try:
        await client.patch(
            resources.VMIS, meta["name"], meta["namespace"], {"metadata": {"labels": labels}}
        )
    except NotFound:
        pass  # gone meanwhile
