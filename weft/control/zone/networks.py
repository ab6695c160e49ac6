"""What does a NetworkAttachmentDefinition mean to a zone?

A definition counts once the cluster manager has given its network an id; what is wrong with one
is the cluster manager's to tell.
"""

from __future__ import annotations

from typing import Any

from weft import errors, model, names
from weft.api import nad
from weft.control.zone import state


def read(obj: dict[str, Any], *, default_mtu: int) -> state.Definition | None:
    """None for another plugin's definition, a wrong one, or one that has no id yet."""
    meta = obj["metadata"]
    notes = meta.get("annotations") or {}
    number = notes.get(names.NETWORK_ID, "")
    try:
        spec = nad.parse(obj, default_mtu=default_mtu)
    except errors.InvalidInput:
        return None
    if spec is None or notes.get(names.NETWORK_NAME) != spec.name or not number.isdecimal():
        return None
    if not 0 < int(number) < names.MAX_NETWORKS:
        return None
    age = (meta.get("creationTimestamp", ""), meta.get("uid", ""))
    return state.Definition(model.Network(spec, int(number)), age)
