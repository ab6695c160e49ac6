"""Parses a NetworkAttachmentDefinition for a node: once, for its zone and for CNI calls.

A NAD counts in the zone once the cluster manager has given its network an id, and as it was when
that accepted it last; what is wrong with one is the cluster manager's to tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from weft import errors, model, names
from weft.api import nad
from weft.control.zone import state
from weft.control.zone.networks import FOLLOWER, OWNER

_CURRENT, _STALE = "current", "stale"  # in the order of who leads


@dataclass(frozen=True, slots=True)
class Nad:
    """One NAD as read, at one `version` (resourceVersion), which makes no two differ.

    `spec` is what the cluster manager accepted last, or what the NAD says where it accepted nothing
    yet; None for another plugin's, and where an `error` says what is wrong. `noted_…` is what the
    cluster manager wrote of the network; `is_current`: what was accepted is what it says now.
    """

    key: str
    uid: str
    version: str = field(default="", compare=False)
    created: str = ""
    spec: model.NetworkSpec | None = None
    error: errors.InvalidInput | None = field(default=None, compare=False)
    problem: str = ""  # the error's text
    noted_name: str = ""
    noted_id: str = ""
    noted_owner: str = ""
    is_current: bool = True

    def network(self) -> model.NetworkSpec | None:
        """What the NAD declares, None for another plugin's; InvalidInput says what is wrong."""
        if self.error is not None:
            raise self.error
        return self.spec

    @property
    def is_bare(self) -> bool:
        """Whether the cluster manager's notes are off it."""
        return not (self.noted_name or self.noted_id)


def read(obj: dict[str, Any], *, default_mtu: int) -> Nad:
    meta = obj["metadata"]
    notes = meta.get("annotations") or {}
    said = (obj.get("spec") or {}).get("config")
    accepted = notes.get(names.ACCEPTED_CONFIG) or said
    spec, error = None, None
    try:
        document = {"metadata": meta, "spec": {"config": accepted}}
        spec = nad.parse(document, default_mtu=default_mtu)
    except errors.InvalidInput as found:
        error = found
    return Nad(
        key=f"{meta['namespace']}/{meta['name']}",
        uid=meta.get("uid", ""),
        version=meta.get("resourceVersion", ""),
        created=meta.get("creationTimestamp", ""),
        spec=spec,
        error=error,
        problem=str(error or ""),
        noted_name=notes.get(names.NETWORK_NAME, ""),
        noted_id=notes.get(names.NETWORK_ID, ""),
        noted_owner=notes.get(names.NETWORK_OWNER, ""),
        is_current=accepted == said,
    )


def definition(seen: Nad) -> state.DeclaredNetwork | None:
    """What a NAD means to a zone: None for another plugin's, a wrong one, or one without an id."""
    said, number = seen.spec, seen.noted_id
    if said is None or seen.noted_name != said.name or not number.isdecimal():
        return None
    if not 0 < int(number) < names.MAX_NETWORKS:
        return None
    # Without a noted owner, a NAD with an unaccepted edit does not lead an unchanged one.
    age = (
        OWNER if seen.noted_owner == seen.key else FOLLOWER,
        _CURRENT if seen.is_current else _STALE,
        seen.created,
    )
    return state.DeclaredNetwork(model.Network(said, int(number), owner=seen.key), age)


def standing(seen: Nad, before: state.DeclaredNetwork | None) -> state.DeclaredNetwork | None:
    """The same; what it meant `before` while the cluster manager's notes are off it.

    `kubectl replace` takes them off under pods that run, until the cluster manager puts them back;
    it takes them off itself only when no pod is left. Meanwhile its network is still its owner's,
    and another NAD leads where it owned none.
    """
    if before is not None and seen.is_bare:
        return replace(before, age=(before.age[0], _STALE, *before.age[2:]))
    return definition(seen)


def check_use(zone: state.Zone, seen: Nad | None, pod: str, *, runs: bool) -> None:
    """Raises NotReady if a pod, by key, that is not wired yet may not use a NAD.

    None of one that is not there, or is wrong: nobody is allocated anything through that.
    """
    if seen is not None and seen.spec is not None and not runs:
        zone.networks.check(seen.key, seen.spec.name, pod)
