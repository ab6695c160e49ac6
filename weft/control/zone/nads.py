"""Parses a NetworkAttachmentDefinition once, for the node's zone and for CNI calls.

A NAD counts in the zone once the cluster manager has given its network an id, with the
configuration that the manager accepted last. The manager reports invalid NADs; the node does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from weft import errors, model, names, tunnelkeys
from weft.api import nad, objects, userdefined
from weft.control.zone import state
from weft.control.zone.networks import FOLLOWER, OWNER
from weft.kube import resources
from weft.model import ObjectKey
from weft.policy.networkqos import UNMARKED, NadMarks

_CURRENT, _STALE = "current", "stale"  # in sort order: a current NAD leads


@dataclass(frozen=True, slots=True)
class Nad:
    """A parsed NAD; `version` (resourceVersion) and `error` do not count in `==`.

    `spec` is the configuration that the cluster manager accepted last, before that the NAD's own;
    None for another plugin's NAD, or with an `error`. `annotated_…` are the manager's annotations.
    `is_current`: the accepted configuration is the one in the NAD now.
    """

    key: ObjectKey
    uid: str
    version: str = field(default="", compare=False)
    created: str = ""
    spec: model.NetworkSpec | None = None
    error: errors.InvalidInput | None = field(default=None, compare=False)
    problem: str = ""  # the error's text
    annotated_name: str = ""
    annotated_id: str = ""
    annotated_owner: str = ""
    is_current: bool = True
    marks: NadMarks = UNMARKED

    def network(self) -> model.NetworkSpec | None:
        """Returns what the NAD declares, None for another plugin's; raises InvalidInput."""
        if self.error is not None:
            raise self.error
        return self.spec

    @property
    def is_bare(self) -> bool:
        """Whether it lacks the cluster manager's annotations."""
        return not (self.annotated_name or self.annotated_id)


def read(obj: dict[str, Any], *, default_mtu: int) -> Nad:
    """Parses a NAD; `default_mtu` (bytes) counts where it names none."""
    meta = obj["metadata"]
    annotations = meta.get("annotations") or {}
    config = (obj.get("spec") or {}).get("config")
    accepted = annotations.get(names.ACCEPTED_CONFIG) or config
    spec, error = None, None
    try:
        document = {"metadata": meta, "spec": {"config": accepted}}
        spec = nad.parse(document, default_mtu=default_mtu)
    except errors.InvalidInput as found:
        error = found
    return Nad(
        key=objects.key(obj),
        uid=meta.get("uid", ""),
        version=meta.get("resourceVersion", ""),
        created=meta.get("creationTimestamp", ""),
        spec=spec,
        error=error,
        problem=str(error or ""),
        annotated_name=annotations.get(names.NETWORK_NAME, ""),
        annotated_id=annotations.get(names.NETWORK_ID, ""),
        annotated_owner=annotations.get(names.NETWORK_OWNER, ""),
        is_current=accepted == config,
        marks=NadMarks(meta.get("labels") or {}, _rendered_by(meta, spec)),
    )


def _rendered_by(meta: dict[str, Any], spec: model.NetworkSpec | None) -> str:
    """The kind that a NAD is rendered from; "" if it is written by hand.

    Anybody can write an ownerReference. The cluster manager accepts the name of such a network only
    from what it rendered, or in the UserDefinedNetwork's own namespace.
    """
    named = userdefined.named_by(spec.name) if spec is not None else None
    if named is None or named.namespace not in ("", meta.get("namespace")):
        return ""
    kind = resources.UDNS if named.namespace else resources.CUDNS
    want = kind.api_version, kind.kind, named.name
    for each in meta.get("ownerReferences") or ():
        if each.get("controller") is True:
            found = each.get("apiVersion"), each.get("kind"), each.get("name")
            return kind.kind if found == want else ""
    return ""


def declared_network(seen: Nad) -> state.DeclaredNetwork | None:
    """Returns the network that a NAD declares; None for another plugin's, an invalid one, or one
    without an id."""
    spec, number = seen.spec, seen.annotated_id
    if spec is None or seen.annotated_name != spec.name or not number.isdecimal():
        return None
    if not 0 < int(number) < tunnelkeys.MAX_NETWORKS:
        return None
    # Without an annotated owner, a NAD with an unaccepted edit does not lead an unchanged one.
    age = (
        OWNER if seen.annotated_owner == str(seen.key) else FOLLOWER,
        _CURRENT if seen.is_current else _STALE,
        seen.created,
    )
    network = model.Network(spec, int(number), owner=seen.key)
    return state.DeclaredNetwork(network, age, seen.marks)


def standing(seen: Nad, before: state.DeclaredNetwork | None) -> state.DeclaredNetwork | None:
    """Does the same, but keeps `before` while the cluster manager's annotations are missing.

    `kubectl replace` removes them under running pods, and the manager puts them back; the manager
    itself removes them only when no pod is left. Meanwhile an owner keeps its network; a NAD that
    owned none does not lead another.
    """
    if before is not None and seen.is_bare:
        return replace(before, age=(before.age[0], _STALE, *before.age[2:]))
    return declared_network(seen)


def check_use(zone: state.Zone, seen: Nad | None, pod: ObjectKey, *, runs: bool) -> None:
    """Raises NotReady if a pod (by key) may not use a NAD; a pod that `runs` is not checked.

    Nor is a NAD that is missing (None) or invalid: nothing is allocated through it.
    """
    if seen is not None and seen.spec is not None and not runs:
        zone.networks.check(seen.key, seen.spec.name, pod)
