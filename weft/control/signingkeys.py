"""Reads the cluster manager's public keys from their ConfigMap."""

from __future__ import annotations

from weft import names
from weft.api.podsignature import TrustedKeys
from weft.kube import cache, resources
from weft.kube.client import Client, Object


def watch(client: Client, namespace: str) -> cache.Cache:
    """The cache of that one ConfigMap."""
    selector = f"metadata.name={names.SIGNING_KEYS}"
    return cache.Cache(client, resources.CONFIGMAPS, namespace=namespace, field_selector=selector)


async def known(keys: cache.Cache) -> None:
    """Returns when the ConfigMap holds a key."""
    key = f"{keys.namespace}/{names.SIGNING_KEYS}"
    await keys.wait_for(key, lambda obj: bool(read(obj)), None)


def read(obj: Object | None) -> TrustedKeys:
    """The keys that the ConfigMap holds, none where it is not there."""
    return TrustedKeys.parse((obj or {}).get("data") or {})


def trusted(keys: cache.Cache) -> TrustedKeys:
    return read(next(iter(keys.objects()), None))
