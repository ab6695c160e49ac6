"""Writes a condition of weft into the status of somebody else's object, beside those of others."""

from __future__ import annotations

from weft.api import conditions
from weft.kube import events
from weft.kube.client import Client
from weft.kube.errors import NotFound
from weft.kube.resources import Resource
from weft.model import ObjectKey


async def write(
    client: Client,
    res: Resource,
    key: ObjectKey,
    *,
    type: str,
    reason: str = "",
    message: str = "",
    uid: str = "",
) -> bool:
    """Makes the condition True, or removes it if there is no reason. Returns whether that was new.

    `uid`: only of that object; "" for any of the name. Raises an ApiError: NotFound if it is gone,
    Conflict if somebody else has written it meanwhile.
    """
    present = await client.get(res, key.name, key.namespace)
    meta, now = present["metadata"], events.now()
    listed = conditions.beside(present.get("status"), type, reason, message, now)
    if listed is None or uid not in ("", meta["uid"]):
        return False
    body = {
        "metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
        "status": {"conditions": listed},
    }
    try:
        await client.patch(res, key.name, key.namespace, body, subresource="status")
    except NotFound:  # KubeVirt's instances have no such subresource
        await client.patch(res, key.name, key.namespace, body)
    return True
