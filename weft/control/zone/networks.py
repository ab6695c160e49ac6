"""Parses a NetworkAttachmentDefinition for a zone.

A definition counts once the cluster manager has given its network an id, and as it was when the
cluster manager accepted it last; what is wrong with one is the cluster manager's to tell.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from weft import errors, model, names
from weft.api import nad
from weft.control.zone import pods, state
from weft.control.zone.definitions import FOLLOWER, OWNER
from weft.kube import resources

_CURRENT, _STALE = "current", "stale"  # in the order of who leads


def read(obj: dict[str, Any], *, default_mtu: int) -> state.Definition | None:
    """None for another plugin's definition, a wrong one, or one that has no id yet."""
    meta = obj["metadata"]
    notes = meta.get("annotations") or {}
    number = notes.get(names.NETWORK_ID, "")
    try:
        said = spec(obj, default_mtu=default_mtu)
    except errors.InvalidInput:
        return None
    if said is None or notes.get(names.NETWORK_NAME) != said.name or not number.isdecimal():
        return None
    if not 0 < int(number) < names.MAX_NETWORKS:
        return None
    key = f"{meta['namespace']}/{meta['name']}"
    # Without a noted owner, a definition with an edit that was not accepted does not
    # lead an unchanged one.
    age = (
        OWNER if notes.get(names.NETWORK_OWNER) == key else FOLLOWER,
        _STALE if _config(obj) != _current(obj) else _CURRENT,
        meta.get("creationTimestamp", ""),
    )
    return state.Definition(model.Network(said, int(number), owner=key), age)


def standing(
    obj: dict[str, Any], before: state.Definition | None, *, default_mtu: int
) -> state.Definition | None:
    """The same; what it meant `before` while the cluster manager's notes are off it.

    `kubectl replace` takes them off under pods that run, until the cluster manager puts them back;
    it takes them off itself only when no pod is left. Meanwhile its network is still its owner's,
    and another definition leads where it owned none.
    """
    notes = obj["metadata"].get("annotations") or {}
    if before is not None and not notes.keys() & {names.NETWORK_NAME, names.NETWORK_ID}:
        return replace(before, age=(before.age[0], _STALE, *before.age[2:]))
    return read(obj, default_mtu=default_mtu)


def spec(obj: dict[str, Any], *, default_mtu: int) -> model.NetworkSpec | None:
    """What a definition declares, None for another plugin's; InvalidInput says what is wrong."""
    document = {"metadata": obj["metadata"], "spec": {"config": _config(obj)}}
    return nad.parse(document, default_mtu=default_mtu)


def check_use(
    zone: state.Zone, obj: dict[str, Any] | None, pod: dict[str, Any], default_mtu: int
) -> None:
    """Raises NotReady if a pod that is not wired yet may not use a definition.

    None of one that is not there, or is wrong: nobody is allocated anything through that.
    """
    if obj is None or pods.runs(pod):
        return
    try:
        said = spec(obj, default_mtu=default_mtu)
    except errors.InvalidInput:
        return
    if said is not None:
        zone.definitions.check(resources.key(obj), said.name, resources.key(pod))


def _config(obj: dict[str, Any]) -> Any:
    notes = obj["metadata"].get("annotations") or {}
    return notes.get(names.ACCEPTED_CONFIG) or _current(obj)


def _current(obj: dict[str, Any]) -> Any:
    return (obj.get("spec") or {}).get("config")
