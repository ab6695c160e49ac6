"""Holds which of the cluster manager's decisions this process has verified, by pod.

Remembers what was verified last, by pod uid, so that a pod whose labels change costs no signature,
and so that a text which proves nothing takes nothing from a pod that runs.
"""

from __future__ import annotations

from typing import Any

from weft import names
from weft.api import decision
from weft.api.decision import Decision, Trusted
from weft.kube import cache, resources
from weft.kube.client import Client

Object = dict[str, Any]


def texts(pod: Object) -> decision.Proof:
    """What a pod's two annotations say: allocations, and the signature over them."""
    notes = pod["metadata"].get("annotations") or {}
    return notes.get(names.POD_NETWORKS) or "", notes.get(names.POD_NETWORKS_SIGNATURE) or ""


class Decisions:
    """`trusted` are the keys by which a signature is known now."""

    def __init__(self) -> None:
        self.trusted = Trusted()
        self._known: dict[str, Decision] = {}  # by pod uid

    def read(self, pod: Object) -> Decision:
        """The decision on the pod; raises InvalidInput if the signature does not prove it."""
        uid = pod["metadata"]["uid"]
        known = self._known.get(uid)
        is_same = known is not None and (known.text, known.signature) == texts(pod)
        if known is not None and is_same and known.by in self.trusted:
            return known
        decided = decision.read(pod, self.trusted)
        if decided.allocations:
            self._known[uid] = decided
        return decided

    def last(self, uid: str) -> Decision:
        """The last decision that was verified for a pod, whatever its annotations say now."""
        return self._known.get(uid, decision.NOTHING)

    def note(self, uid: str, decided: Decision) -> None:
        """Notes a decision of this process itself, which needs no verification."""
        self._known[uid] = decided

    def forget(self, uid: str) -> None:
        self._known.pop(uid, None)


def watch_keys(client: Client, namespace: str) -> cache.Cache:
    """The cache of the one ConfigMap with the public keys."""
    selector = f"metadata.name={names.SIGNING_KEYS}"
    return cache.Cache(client, resources.CONFIGMAPS, namespace=namespace, field_selector=selector)


async def known(keys: cache.Cache) -> None:
    """Returns when the ConfigMap holds a key."""
    key = f"{keys.namespace}/{names.SIGNING_KEYS}"
    await keys.wait_for(key, lambda obj: bool(Trusted.parse(obj.get("data") or {})), None)


def trusted(keys: cache.Cache) -> Trusted:
    """The keys that the ConfigMap holds, none where it is not there."""
    found = [obj.get("data") or {} for obj in keys.objects()]
    return Trusted.parse(found[0]) if found else Trusted()
