"""What Events say of an object, as soon as they say it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.patience import PATIENCE
from weft.kube import resources
from weft.kube.client import Client


async def wait_for(api: Client, name: str, words: str, namespace: str = "default") -> str:
    """The first Event about `name` that contains `words`."""
    listing = await api.list(resources.EVENTS, namespace)
    async with asyncio.timeout(PATIENCE):
        for event in listing:
            if _is_about(event, name, words):
                return str(event["message"])
        async for _, event in api.watch(resources.EVENTS, listing.resource_version, namespace):
            if _is_about(event, name, words):
                return str(event["message"])
    raise AssertionError


def _is_about(event: dict[str, Any], name: str, words: str) -> bool:
    return event["involvedObject"]["name"] == name and words in event["message"]
