"""Lists the annotations, labels and finalizers that weft leaves on objects; plans their removal.

ovn-kubernetes writes some of these keys too. They are weft's only on an object that also has an
annotation which only weft writes. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weft import names
from weft.kube import resources
from weft.kube.resources import Resource
from weft.model import ObjectKey

Object = Mapping[str, Any]

_FINALIZERS = (names.NETWORK_IN_USE, names.UDN_PROTECTION)


@dataclass(frozen=True, slots=True)
class Traces:
    """`proof`: the annotation that only weft writes; `keys`: the others that it writes with it.

    `labels`: how the keys of its labels begin; "" if it writes none.
    """

    resource: Resource
    proof: str = ""
    keys: tuple[str, ...] = ()
    labels: str = ""


ALL = (
    Traces(resources.PODS, names.POD_NETWORKS_SIGNATURE, (names.POD_NETWORKS,)),
    Traces(
        resources.NODES,
        names.VERSION,
        (
            *(names.NODE_CHASSIS_ID, names.NODE_ENCAP_IPS, names.NODE_ID),
            *(names.NODE_SUBNETS, names.NODE_TRANSIT, names.NODE_GATEWAY),
            names.NODE_BRIDGE_MAPPINGS,
        ),
        names.PHYSICAL_NETWORK_LABEL,
    ),
    Traces(
        resources.NADS,
        names.NETWORK_OWNER,
        (names.NETWORK_NAME, names.NETWORK_ID, names.ACCEPTED_CONFIG),
    ),
    Traces(resources.MULTINETWORKPOLICIES, names.ACCEPTED_POLICY),
    Traces(resources.UDNS),
    Traces(resources.CUDNS),
)


def cleaning(traces: Traces, obj: Object) -> dict[str, Any] | None:
    """Returns the merge patch that removes weft's keys from an object; None if it has none."""
    meta = obj["metadata"]
    annotations = meta.get("annotations") or {}
    finalizers = list(meta.get("finalizers") or ())
    patch: dict[str, Any] = {}
    if traces.proof in annotations:
        known = {traces.proof, *traces.keys} & set(annotations)
        patch["annotations"] = dict.fromkeys(sorted(known))
    labels = meta.get("labels") or {}
    if traces.labels and (own := [each for each in labels if each.startswith(traces.labels)]):
        patch["labels"] = dict.fromkeys(sorted(own))
    others = [each for each in finalizers if each not in _FINALIZERS]
    if others != finalizers:
        patch |= _finalizers(meta, others)
    return {"metadata": patch} if patch else None


def release(claim: Object) -> dict[str, Any] | None:
    """Returns the merge patch that lets an IPAMClaim go which weft made for a machine, when that is
    deleted; None for a claim of others, whose finalizer has the same name."""
    meta = claim["metadata"]
    finalizers = list(meta.get("finalizers") or ())
    others = [each for each in finalizers if each != names.CLAIM_PROTECTION]
    if others == finalizers or names.CLAIM_MADE_FOR not in (meta.get("annotations") or {}):
        return None
    return {"metadata": _finalizers(meta, others)}


def _finalizers(meta: Object, kept: list[str]) -> dict[str, Any]:
    return {"finalizers": kept, "resourceVersion": meta.get("resourceVersion")}


def conditions(node: Object) -> list[Object] | None:
    """Returns the conditions of a Node without weft's; None if it has none of weft's."""
    found = list((node.get("status") or {}).get("conditions") or ())
    kept = [each for each in found if each.get("type") not in names.CONDITIONS]
    return kept if len(kept) != len(found) else None


def users(pods: list[Object]) -> Iterator[ObjectKey]:
    """Yields the running pods that would lose a network of weft."""
    for pod in pods:
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        has_one = names.POD_NETWORKS_SIGNATURE in (pod["metadata"].get("annotations") or {})
        if has_one and not ended:
            yield resources.key(pod)
