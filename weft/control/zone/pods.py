"""Parses a Pod for a zone: its node, and what the cluster manager decided for it.

What a pod's annotations say counts where it is proved to be the cluster manager's word (ADR 0060);
what was proved stays so for as long as the pod runs, whatever its annotations say by then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from weft import errors, model, names
from weft.api import podports, podsignature
from weft.api.podsignature import SignedAllocations
from weft.control import decisions, signingkeys
from weft.control.zone import state
from weft.kube import cache, resources
from weft.kube.client import Client
from weft.reasons import EventReason, Reason

log = logging.getLogger(__name__)

_DONE = ("Succeeded", "Failed")
_NOTES = (
    names.NETWORKS,
    names.CHOSEN_DEFAULT,
    names.POD_NETWORKS,
    names.POD_NETWORKS_SIGNATURE,
)
Object = dict[str, Any]


class Pods:
    """Keeps a zone told of all pods; `told()` is called when it was told something.

    `keys` holds the cluster manager's public keys; while there is none nothing is known of any pod.
    `emit` is an event recorder's: it says which pods of this node have no port, and why.
    """

    def __init__(
        self,
        zone: state.Zone,
        pods: cache.Cache,
        keys: cache.Cache,
        told: Callable[[], None],
        emit: Callable[[Object, EventReason, str], None],
        *,
        primary: bool,
    ) -> None:
        self._zone, self._pods, self._keys = zone, pods, keys
        self._told, self._emit = told, emit
        self._primary = primary
        self._decisions = decisions.Decisions()
        self._refused: dict[str, str] = {}  # pods of this node that have no port: what was told
        self._doubted: set[str] = set()  # keys of pods whose annotations prove nothing

    async def known(self) -> None:
        """Returns when there is a key to verify signatures with."""
        await signingkeys.known(self._keys)

    def start(self) -> None:
        """Once, when there is a key and all pods are known."""
        self._keys.subscribe(self._on_keys)
        self._pods.subscribe(self._on_pod)

    def recall(self, pod: model.PodRef, proof: podsignature.SignedAnnotations) -> None:
        """Call before the start: the decision by which a pod of this node was wired."""
        try:
            known = podsignature.verify(pod, proof, signingkeys.trusted(self._keys))
        except errors.InvalidInput:
            return  # older than signatures, or signed with a key that was removed
        if known.allocations:
            self._decisions.note(pod.uid, known)

    def decided(self, pod: Object) -> SignedAllocations:
        """What the cluster manager decided for a pod, as far as it was ever proved."""
        try:
            decided = self._decisions.read(_ref(pod), decisions.texts(pod))
        except errors.InvalidInput as error:
            log.info("not acted upon: %s", error)
            decided = SignedAllocations()
        return decided if decided.allocations else self._decisions.last(pod["metadata"]["uid"])

    def proved(self, pod: Object) -> SignedAllocations:
        """What a pod's annotations prove right now; else InvalidInput."""
        return podsignature.read(pod, self._decisions.trusted)

    def refusal(self, pod: str, attachment: str) -> errors.WeftError | None:
        """Why an attachment has no port although the manager decided it."""
        return self._zone.holders.refused(pod).get(attachment)

    def tell_refused(self) -> None:
        """An Event on each pod of this node that lacks a port by now, once for each reason.

        A pod that waits behind another's claim is told anew when it changes itself, not whenever
        who holds it does.
        """
        for key in sorted(self._zone.holders.take_changed()):
            told, said = self._refused.pop(key, ""), self._refusals(key)
            pod = self._pods.get(key) if said else None
            if pod is None or (pod.get("spec") or {}).get("nodeName") != self._zone.name:
                continue
            self._refused[key] = said
            if told != said:
                self._emit(pod, Reason.ADDRESS_REFUSED, said)

    def _refusals(self, pod: str) -> str:
        refused = self._zone.holders.refused(pod)
        return "; ".join(refused[each].in_full() for each in sorted(refused))

    @property
    def trouble(self) -> str:
        if not self._decisions.trusted:
            place = f"ConfigMap {self._keys.namespace}/{names.SIGNING_KEYS}"
            return f"no key of the cluster manager is known: waiting for {place}"
        return next(map(self._refusals, self._refused), "")

    def _on_keys(self, _: str, __: Object | None, new: Object | None) -> None:
        """Keeps the known keys when the ConfigMap is gone or empty."""
        trusted = signingkeys.read(new)
        if not trusted or trusted == self._decisions.trusted:
            return
        self._decisions.trusted = trusted
        for key in sorted(self._doubted):
            if (pod := self._pods.get(key)) is not None:
                self._on_pod(key, pod, pod)
                self._pods.wake(key)

    def _on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        if new is None:
            if old is not None:
                self._decisions.forget(old["metadata"]["uid"])
            self._doubted.discard(key)
            self._zone.set_pod(key, None)
        elif (decided := self.decided(new)).allocations and _is_bare(new):
            return  # its annotations were removed: the pod keeps its ports until they are restored
        else:
            is_proved = (decided.text, decided.signature) == decisions.texts(new)
            (self._doubted.discard if is_proved else self._doubted.add)(key)
            self._zone.set_pod(key, read(new, decided.allocations, primary=self._primary))
        self._told()


def _ref(pod: Object) -> model.PodRef:
    meta = pod["metadata"]
    return model.PodRef(meta["namespace"], meta["name"], meta.get("uid", ""))


def read(
    obj: Object, decided: Mapping[str, model.Allocation], *, primary: bool = False
) -> state.Pod | None:
    """None for a pod that holds no ports: without allocations, unscheduled, or finished.

    `decided`: its allocations. `primary`: weft serves the cluster's own network too.
    """
    meta, spec = obj["metadata"], obj.get("spec") or {}
    node = spec.get("nodeName")
    phase = (obj.get("status") or {}).get("phase")
    if not node or spec.get("hostNetwork") or phase in _DONE:
        return None
    allocations = {
        key: allocation
        for key, allocation in decided.items()
        if primary or key != names.DEFAULT_NETWORK
    }
    if not allocations:
        return None
    labels, named = meta.get("labels") or {}, podports.named_ports(obj)
    # Of two pods with one address, the running one has it, else the older one.
    precedence = (str(phase != "Running"), meta.get("creationTimestamp", ""))
    return state.Pod(_ref(obj), node, allocations, labels, named, precedence, runs(obj))


def _is_bare(pod: Object) -> bool:
    """Whether a pod as `slim` left it has no annotations of weft's, and goes on."""
    return "spec" not in pod and "status" not in pod


def runs(obj: dict[str, Any]) -> bool:
    """Whether the pod has its interfaces for good: only its kubelet can say so."""
    return bool((obj.get("status") or {}).get("phase") == "Running")


def watch(client: Client) -> cache.Cache:
    """All pods of the cluster, each with no more than what a node's parts read of it."""
    return cache.Cache(client, resources.PODS, keep=slim)


def slim(obj: Object) -> Object:
    """Identity, labels, selection, allocations, place, named ports and end; a pod without a
    selection, hardly that."""
    meta = obj["metadata"]
    notes = meta.get("annotations") or {}
    kept = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    if not any(key in notes for key in _NOTES):
        phase = (obj.get("status") or {}).get("phase", "")
        end = {"status": {"phase": phase}} if phase in _DONE else {}
        return {"metadata": kept, **end}
    if meta.get("creationTimestamp"):
        kept["creationTimestamp"] = meta["creationTimestamp"]
    kept["annotations"] = {key: notes[key] for key in _NOTES if key in notes}
    kept["labels"] = meta.get("labels") or {}
    spec = obj.get("spec") or {}
    slimmed = {key: spec[key] for key in ("nodeName", "hostNetwork") if key in spec}
    ports = [port for port in podports.all_ports(obj) if port.get("name")]
    if ports:
        slimmed["containers"] = [{"ports": ports}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": kept,
        "spec": slimmed,
        "status": {"phase": (obj.get("status") or {}).get("phase", "")},
    }
