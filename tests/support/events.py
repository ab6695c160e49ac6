"""What Events say of an object, as soon as they say it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.patience import PATIENCE
from weft.kube import resources
from weft.kube.client import Client


async def wait_for(api: Client, name: str, words: str, namespace: str = "default") -> str:
    """The first Event about `name` that contains `words`; fails with those that it saw instead."""
    listing = await api.list(resources.EVENTS, namespace)
    seen = [_message(event) for event in listing if _is_about(event, name)]
    for message in seen:
        if words in message:
            return message
    try:
        async with asyncio.timeout(PATIENCE):
            async for _, event in api.watch(resources.EVENTS, listing.resource_version, namespace):
                if _is_about(event, name):
                    seen.append(_message(event))
                    if words in seen[-1]:
                        return seen[-1]
    except TimeoutError:
        pass
    raise AssertionError(f"no Event about {name} contains {words!r}, but these came: {seen}")


def _is_about(event: dict[str, Any], name: str) -> bool:
    return bool(event["involvedObject"]["name"] == name)


def _message(event: dict[str, Any]) -> str:
    return str(event["message"])
