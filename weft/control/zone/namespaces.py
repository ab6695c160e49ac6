"""Parses a Namespace for a zone: its labels, and its ACL logging."""

from __future__ import annotations

from typing import Any

from weft import names
from weft.api import policy
from weft.control.zone import policies
from weft.kube import cache, resources
from weft.kube.client import Client


def read(obj: dict[str, Any]) -> policies.Namespace:
    return policies.Namespace(obj["metadata"].get("labels") or {}, policy.logging(obj))


def watch(client: Client) -> cache.Cache:
    return cache.Cache(client, resources.NAMESPACES, keep=slim)


def slim(obj: dict[str, Any]) -> dict[str, Any]:
    """Its labels, and the one annotation that counts."""
    meta = obj["metadata"]
    kept = {key: meta[key] for key in ("name", "uid", "resourceVersion")}
    kept["labels"] = meta.get("labels") or {}
    notes = meta.get("annotations") or {}
    kept["annotations"] = {key: notes[key] for key in (names.ACL_LOGGING,) if key in notes}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": kept}
