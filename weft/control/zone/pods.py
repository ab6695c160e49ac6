"""What does a Pod mean to a zone: where it runs, and what the cluster manager decided for it?"""

from __future__ import annotations

import logging
from typing import Any

from weft import errors, model, names
from weft.api import podnetworks, podports
from weft.control.zone import state
from weft.kube import cache, resources
from weft.kube.client import Client

log = logging.getLogger(__name__)

_DONE = ("Succeeded", "Failed")
_NOTES = (names.NETWORKS, names.CHOSEN_DEFAULT, names.POD_NETWORKS)


def read(obj: dict[str, Any], *, primary: bool = False) -> state.Pod | None:
    """None for a pod that holds no ports: without allocations, unscheduled, or finished.

    `primary`: weft serves the cluster's own network too.
    """
    meta, spec = obj["metadata"], obj.get("spec") or {}
    notes = meta.get("annotations") or {}
    node = spec.get("nodeName")
    if names.POD_NETWORKS not in notes or not node or spec.get("hostNetwork"):
        return None
    if (obj.get("status") or {}).get("phase") in _DONE:
        return None
    try:
        allocations = podnetworks.parse(obj, primary=primary)
    except errors.InvalidInput as error:
        log.warning("%s", error)
        return None
    if not allocations:
        return None
    ref = model.PodRef(meta["namespace"], meta["name"], meta.get("uid", ""))
    return state.Pod(ref, node, allocations, meta.get("labels") or {}, podports.named(obj))


def watch(client: Client) -> cache.Cache:
    """All pods of the cluster, each with no more than what a node's parts read of it."""
    return cache.Cache(client, resources.PODS, keep=slim)


def slim(obj: dict[str, Any]) -> dict[str, Any]:
    """Identity, labels, selection, allocations, place, named ports and end; a pod without a
    selection, hardly that."""
    meta = obj["metadata"]
    notes = meta.get("annotations") or {}
    kept = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    if not any(key in notes for key in _NOTES):
        return {"metadata": kept}
    kept["annotations"] = {key: notes[key] for key in _NOTES if key in notes}
    kept["labels"] = meta.get("labels") or {}
    spec = obj.get("spec") or {}
    slimmed = {key: spec[key] for key in ("nodeName", "hostNetwork") if key in spec}
    ports = [port for port in podports.listed(obj) if port.get("name")]
    if ports:
        slimmed["containers"] = [{"ports": ports}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": kept,
        "spec": slimmed,
        "status": {"phase": (obj.get("status") or {}).get("phase", "")},
    }
