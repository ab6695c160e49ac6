"""What does a pod want of the cluster manager, and what must be remembered of a pod to know?

Pure: reads pod dicts. What a pod is given is not decided here.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson

from weft import errors, model, names
from weft.api import addressrequests, podports, selection
from weft.kube import resources
from weft.policy import access
from weft.policy.netpolicy import Protocol

Object = dict[str, Any]

_SILENT = ("runs", "told", "labels", "ports")
_KEPT_ANNOTATIONS = (
    names.NETWORKS,
    names.CHOSEN_DEFAULT,
    names.POD_NETWORKS,
    names.POD_NETWORKS_SIGNATURE,
)

# A pod's attachments beside the cluster's own network; a definition's key and a device's name.
_MOST_TOLD = selection.MAX_ATTACHMENTS + 1
_LONGEST_TOLD = 512
_LONGEST_SHARED = 4096  # characters of a selection that is stored once for all pods that have it


def keep(pod: Object, *, primary: bool = False) -> Object:
    """The few fields that count; what repeats from pod to pod is stored once.

    `primary`: weft serves the cluster's own network, so every pod counts.
    """
    meta, spec = pod["metadata"], pod.get("spec") or {}
    kept = {name: meta[name] for name in ("name", "uid", "resourceVersion")}
    kept["namespace"] = sys.intern(meta["namespace"])
    if meta.get("creationTimestamp"):
        kept["creationTimestamp"] = sys.intern(meta["creationTimestamp"])
    if meta.get("deletionTimestamp"):
        kept["deletionTimestamp"] = meta["deletionTimestamp"]
    annotations = meta.get("annotations") or {}
    has_networks = _counts(annotations)
    if primary or has_networks:
        kept["annotations"] = {
            name: _interned(text)
            for name, text in annotations.items()
            if name in _KEPT_ANNOTATIONS or addressrequests.is_request(name)
        }
    slim: Object = {"metadata": kept}
    if has_networks:
        slim |= _policed(pod)
        if machine := _machine(meta):
            slim["machine"] = machine
    if spec.get("nodeName"):
        slim["nodeName"] = sys.intern(spec["nodeName"])
    if spec.get("hostNetwork"):
        slim["hostNetwork"] = True
    elif primary:
        slim["primary"] = True
    status = pod.get("status") or {}
    phase = status.get("phase")
    if phase == "Running" or (names.NETWORK_STATUS in annotations and status.get("podIP")):
        wired = "runs" if phase == "Running" else "told"
        slim[wired] = (has_networks and _made(annotations)) or True
    if phase in ("Succeeded", "Failed"):
        slim["completed"] = True
    return slim


def _machine(meta: Object) -> str:
    """The virtual machine that the pod is made for: its instance keeps its name from run to run."""
    for owner in meta.get("ownerReferences") or ():
        group = str(owner.get("apiVersion", "")).partition("/")[0]
        of_instance = (group, owner.get("kind")) == (resources.VMIS.group, resources.VMIS.kind)
        if of_instance and owner.get("controller"):
            return str(owner["name"])
    return ""


def _made(annotations: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(key of the attachment, interface) as network-status tells them, which is in order."""
    try:
        listed = orjson.loads(annotations.get(names.NETWORK_STATUS) or "[]")
        told = [(str(each["name"]), str(each["interface"])) for each in listed]
    except (ValueError, TypeError, KeyError):
        return ()
    if len(told) > _MOST_TOLD or any(len(name) + len(each) > _LONGEST_TOLD for name, each in told):
        return ()  # no plugin writes that, and what is read here is kept
    seen: Counter[str] = Counter()
    found = []
    for name, interface in told:
        found.append((f"{name}/{seen[name]}" if seen[name] else name, interface))
        seen[name] += 1
    return _shared(tuple(found))


@lru_cache(maxsize=1024)
def _shared(made: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return made


def _policed(pod: Object) -> Object:
    """What policies ask of a pod: its labels, and the names of its ports."""
    labels, ports = pod["metadata"].get("labels"), podports.named(pod)
    found: Object = {}
    if labels:
        found["labels"] = {_interned(key): _interned(value) for key, value in labels.items()}
    if ports:
        found["ports"] = tuple((protocol, _interned(name)) for protocol, name in ports)
    return found


def _counts(annotations: Mapping[str, Any]) -> bool:
    """Whether the pod asks for networks, or did when it was given something."""
    if names.NETWORKS in annotations or names.CHOSEN_DEFAULT in annotations:
        return True
    decided = annotations.get(names.POD_NETWORKS)
    if not isinstance(decided, str):
        return False
    try:
        return set(orjson.loads(decided)) - {names.DEFAULT_NETWORK} != set()
    except (ValueError, TypeError):
        return True  # whoever broke it may have broken the manager's annotation, too


def _interned(value: Any) -> Any:
    return sys.intern(value) if isinstance(value, str) and len(value) < 256 else value


def is_completed(pod: Object) -> bool:
    return bool(pod.get("completed"))


def is_wired(pod: Object) -> bool:
    """Whether the pod has its interfaces already: they stay as they are for its life.

    That its network-status says so is enough, which may be forged: it gets nothing by it. One that
    no kubelet has given an address yet has none: it came with a copy of another pod's manifest.
    """
    return is_running(pod) or "told" in pod


def is_running(pod: Object) -> bool:
    """Whether the pod runs by its phase, which only a kubelet writes."""
    return "runs" in pod


def interfaces(pod: Object) -> Mapping[str, str]:
    """By attachment key: what the interface of a pod that is wired is called, as far as told."""
    made = pod.get("runs") or pod.get("told")
    return dict(made) if isinstance(made, tuple) else {}


def machine(pod: Object) -> str:
    """The virtual machine that the pod is made for, "" for none."""
    return str(pod.get("machine", ""))


def identity(pod: Object) -> str:
    """Whose NICs the pod's are: its machine's, or those of any pod of its name."""
    meta = pod["metadata"]
    kind, name = ("Machine", pod["machine"]) if "machine" in pod else ("Pod", meta["name"])
    return f"{kind}/{meta['namespace']}/{name}"


def owned(attachment: model.Attachment, pod: Object) -> model.Attachment:
    """The attachment with whose it is."""
    return replace(attachment, identity=f"{attachment.key}/{identity(pod)}")


def serves_primary(pod: Object) -> bool:
    """Whether the pod's entry of the cluster's own network is weft's."""
    return bool(pod.get("primary"))


def is_due(pod: Object, *, holds: bool = False) -> bool:
    """Whether the pod is to have allocations: it asks, has a node, and still is to run.

    `holds`: it has some, whether it still asks or not.
    """
    return (
        (holds or "annotations" in pod["metadata"])
        and "nodeName" in pod
        and "hostNetwork" not in pod
        and "completed" not in pod
        and "deletionTimestamp" not in pod["metadata"]
    )


def are_alike(one: Object, other: Object) -> bool:
    """Whether two states of a pod ask for the same; labels, or that it was wired, ask nothing."""
    return _asked(one) == _asked(other)


def _asked(pod: Object) -> Object:
    kept = {name: value for name, value in pod.items() if name not in _SILENT}
    return {**kept, "metadata": {**pod["metadata"], "resourceVersion": ""}}


def ask_alike(one: Object, other: Object) -> bool:
    """Whether two states of a pod have the same selection of networks."""
    return _texts(one) == _texts(other)


def _texts(pod: Object) -> tuple[object, object]:
    annotations = pod["metadata"].get("annotations") or {}
    return annotations.get(names.NETWORKS), annotations.get(names.CHOSEN_DEFAULT)


def annotation(pod: Object) -> str:
    """What is annotated as allocated so far."""
    return str((pod["metadata"].get("annotations") or {}).get(names.POD_NETWORKS) or "")


def labels(pod: Object) -> Mapping[str, str]:
    """The labels of a pod that has networks; nobody asks for others'."""
    return pod.get("labels") or {}


def are_policed_alike(one: Object, other: Object) -> bool:
    """Whether two states of a pod are the same to policies."""
    return _policed_by(one) == _policed_by(other)


def _policed_by(pod: Object) -> tuple[object, ...]:
    parts = (pod.get(name) for name in ("labels", "ports", "nodeName", "completed"))
    return annotation(pod), *parts


def named_ports(pod: Object) -> Iterable[tuple[Protocol, str]]:
    return pod.get("ports") or ()


def definitions(pod: Object) -> list[str]:
    """The definition of each attachment that the pod was given something for."""
    try:
        given = orjson.loads(annotation(pod) or "{}")
    except orjson.JSONDecodeError:
        return []
    keys = given if isinstance(given, dict) else ()
    return [names.definition_of(key) for key in keys if key != names.DEFAULT_NETWORK]


def attachments(pod: Object) -> tuple[model.Attachment, ...]:
    """The attachments that the pod asks for; InvalidInput names the pod and the field."""
    is_primary, texts = serves_primary(pod), _texts(pod)
    if sum(len(each) for each in texts if isinstance(each, str)) > _LONGEST_SHARED:
        return selection.parse(pod, primary=is_primary)  # no template's: not worth its memory
    try:
        return _parsed(pod["metadata"]["namespace"], *texts, is_primary)
    except (errors.InvalidInput, TypeError):
        return selection.parse(pod, primary=is_primary)  # for a message about this very pod


@lru_cache(maxsize=1024)
def _parsed(
    namespace: str, networks: object, chosen: object, primary: bool
) -> tuple[model.Attachment, ...]:
    """Pods of one template ask in the same words: read once, stored once."""
    annotations = {names.NETWORKS: networks, names.CHOSEN_DEFAULT: chosen}
    meta = {"namespace": namespace, "name": "", "annotations": annotations}
    return selection.parse({"metadata": meta}, primary=primary)


def left_over(
    asked: Iterable[model.Attachment], annotated: Iterable[str]
) -> Iterable[model.Attachment]:
    """What was given to the pod and is not asked for any more; the pod has it to its end."""
    known = {attachment.key for attachment in asked}
    for key in sorted(set(annotated) - known):
        nad = "" if key == names.DEFAULT_NETWORK else names.definition_of(key)
        yield model.Attachment(nad=nad, key=key, interface="")


def nads(pod: Object) -> Iterable[str]:
    """Index: the NADs that a pod names; none if its wish cannot be read."""
    try:
        return {attachment.nad for attachment in attachments(pod) if attachment.nad}
    except errors.InvalidInput:
        return ()


def guest(pod: Object) -> Iterable[str]:
    """Index: the namespace of a pod that names NADs of others, whose owners may let it in."""
    own = pod["metadata"]["namespace"]
    return (own,) if any(access.home(nad) != own for nad in nads(pod)) else ()


def node(pod: Object) -> Iterable[str]:
    """Index: the node on which a pod that counts is to run."""
    return (pod["nodeName"],) if "annotations" in pod["metadata"] and "nodeName" in pod else ()


def claims(pod: Object) -> Iterable[str]:
    """Index: the IPAMClaims that a pod may mean, each in its NAD's and in the pod's namespace."""
    try:
        named = [each for each in attachments(pod) if each.ipam_claim]
    except errors.InvalidInput:
        return ()
    homes = {(each.nad.partition("/")[0], each.ipam_claim) for each in named}
    homes |= {(pod["metadata"]["namespace"], each.ipam_claim) for each in named}
    return {f"{namespace}/{name}" for namespace, name in homes}


# Indexes of the pods' cache.
BY_NAD, BY_CLAIM, BY_NODE, BY_GUEST = "nad", "claim", "node", "guest"
INDEXES = {BY_NAD: nads, BY_CLAIM: claims, BY_NODE: node, BY_GUEST: guest}
