"""What does a pod want of the cluster manager, and what must be remembered of a pod to know?

Pure: reads pod dicts. What a pod is given is not decided here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from weft import errors, model, names
from weft.api import selection

Object = dict[str, Any]

_KEPT_ANNOTATIONS = (names.NETWORKS, names.POD_NETWORKS)


def keep(pod: Object) -> Object:
    """The few fields that count; what repeats from pod to pod is stored once."""
    meta, spec = pod["metadata"], pod.get("spec") or {}
    kept = {name: meta[name] for name in ("name", "uid", "resourceVersion")}
    kept["namespace"] = sys.intern(meta["namespace"])
    if meta.get("deletionTimestamp"):
        kept["deletionTimestamp"] = meta["deletionTimestamp"]
    annotations = meta.get("annotations") or {}
    if names.NETWORKS in annotations:
        kept["annotations"] = {
            name: _interned(annotations[name]) for name in _KEPT_ANNOTATIONS if name in annotations
        }
    slim: Object = {"metadata": kept}
    if spec.get("nodeName"):
        slim["nodeName"] = sys.intern(spec["nodeName"])
    if spec.get("hostNetwork"):
        slim["hostNetwork"] = True
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        slim["completed"] = True
    return slim


def _interned(value: Any) -> Any:
    return sys.intern(value) if isinstance(value, str) and len(value) < 256 else value


def is_completed(pod: Object) -> bool:
    return bool(pod.get("completed"))


def is_due(pod: Object) -> bool:
    """Whether the pod is to have allocations: it asks, has a node, and still is to run."""
    return (
        "annotations" in pod["metadata"]
        and "nodeName" in pod
        and "hostNetwork" not in pod
        and "completed" not in pod
        and "deletionTimestamp" not in pod["metadata"]
    )


def are_alike(one: Object, other: Object) -> bool:
    """Whether two states of a pod ask for the same."""
    return {**one, "metadata": {**one["metadata"], "resourceVersion": ""}} == {
        **other,
        "metadata": {**other["metadata"], "resourceVersion": ""},
    }


def ask_alike(one: Object, other: Object) -> bool:
    """Whether two states of a pod have the same selection of networks."""
    texts = [(pod["metadata"].get("annotations") or {}).get(names.NETWORKS) for pod in (one, other)]
    return bool(texts[0] == texts[1])


def annotation(pod: Object) -> str:
    """What is annotated as allocated so far."""
    return str((pod["metadata"].get("annotations") or {}).get(names.POD_NETWORKS) or "")


def attachments(pod: Object) -> tuple[model.Attachment, ...]:
    """The attachments that the pod asks for; InvalidInput names the pod and the field."""
    annotations = pod["metadata"].get("annotations")
    if not annotations:
        return ()
    text = annotations.get(names.NETWORKS)
    try:
        return _parsed(pod["metadata"]["namespace"], text)
    except (errors.InvalidInput, TypeError):
        return selection.parse(pod)  # for a message about this very pod


@lru_cache(maxsize=1024)
def _parsed(namespace: str, text: str) -> tuple[model.Attachment, ...]:
    """Pods of one template ask in the same words: read once, stored once."""
    meta = {"namespace": namespace, "name": "", "annotations": {names.NETWORKS: text}}
    return selection.parse({"metadata": meta})


def nads(pod: Object) -> Iterable[str]:
    """Index: the NADs that a pod names; none if its wish cannot be read."""
    try:
        return {attachment.nad for attachment in attachments(pod)}
    except errors.InvalidInput:
        return ()


def claims(pod: Object) -> Iterable[str]:
    """Index: the IPAMClaims that a pod may mean, each in its NAD's and in the pod's namespace."""
    try:
        named = [each for each in attachments(pod) if each.ipam_claim]
    except errors.InvalidInput:
        return ()
    homes = {(each.nad.partition("/")[0], each.ipam_claim) for each in named}
    homes |= {(pod["metadata"]["namespace"], each.ipam_claim) for each in named}
    return {f"{namespace}/{name}" for namespace, name in homes}
