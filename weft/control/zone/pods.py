"""What does a Pod mean to a zone: where it runs, and what the cluster manager decided for it?"""

from __future__ import annotations

import logging
from typing import Any

from weft import errors, model, names
from weft.api import podnetworks
from weft.control.zone import state

log = logging.getLogger(__name__)

VM_LABEL = "vm.kubevirt.io/name"
_DONE = ("Succeeded", "Failed")


def read(obj: dict[str, Any]) -> state.Pod | None:
    """None for a pod that holds no ports: without allocations, unscheduled, or finished."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    notes = meta.get("annotations") or {}
    node = spec.get("nodeName")
    if names.POD_NETWORKS not in notes or not node or spec.get("hostNetwork"):
        return None
    if (obj.get("status") or {}).get("phase") in _DONE:
        return None
    try:
        allocations = podnetworks.parse(obj)
    except errors.InvalidInput as error:
        log.warning("%s", error)
        return None
    if not allocations:
        return None
    ref = model.PodRef(meta["namespace"], meta["name"], meta.get("uid", ""))
    return state.Pod(ref, node, allocations, (meta.get("labels") or {}).get(VM_LABEL, ""))
