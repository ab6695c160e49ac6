"""Watches the ConfigMap of the cluster manager's public keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter

from weft import names
from weft.api.podsignature import TrustedKeys
from weft.control import endpointsmark
from weft.kube import cache, resources
from weft.kube.client import Client, Object
from weft.model import ObjectKey


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The keys in the ConfigMap, and whether it says that all PodEndpoints are written.

    `uid` and `version` (resourceVersion) do not count in `==`.
    """

    trusted: TrustedKeys
    has_endpoints: bool = False
    uid: str = field(default="", compare=False)
    version: str = field(default="", compare=False)


def watch(client: Client, namespace: str) -> cache.Informer[PublicKeys]:
    """Returns an informer of that one ConfigMap."""
    return cache.Informer(
        client,
        resources.CONFIGMAPS,
        read,
        attrgetter("uid", "version"),
        namespace=namespace,
        field_selector=f"metadata.name={names.SIGNING_KEYS}",
    )


def read(obj: Object) -> PublicKeys:
    """Parses the ConfigMap; skips entries that are no public keys."""
    meta = obj["metadata"]
    data = obj.get("data") or {}
    found = TrustedKeys.parse(data)
    return PublicKeys(
        found, endpointsmark.is_in(data), meta.get("uid", ""), meta.get("resourceVersion", "")
    )


async def known(keys: cache.Informer[PublicKeys], *, endpoints: bool = False) -> None:
    """Returns when the ConfigMap holds a key, and with `endpoints` says that all are written."""
    key = ObjectKey(keys.namespace, names.SIGNING_KEYS)

    def is_enough(found: PublicKeys) -> bool:
        return bool(found.trusted) and (found.has_endpoints or not endpoints)

    await keys.wait_for(key, is_enough, None)


def trusted(keys: cache.Informer[PublicKeys]) -> TrustedKeys:
    """Returns the keys that are known now; none where the ConfigMap does not exist."""
    found = next(iter(keys.objects()), None)
    return found.trusted if found is not None else TrustedKeys()


def has_endpoints(keys: cache.Informer[PublicKeys]) -> bool:
    """Returns whether the ConfigMap says that all PodEndpoints are written."""
    return any(found.has_endpoints for found in keys.objects())
