"""Passes all pods to a zone, each with the allocations that the cluster manager signed.

Only signed annotations count (ADR 0060). What was verified once counts for as long as the pod runs,
whatever its annotations say later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from weft import errors, model, names
from weft.api import podsignature
from weft.api.pod import Pod
from weft.api.podendpoint import PodEndpoint
from weft.api.podsignature import SignedAllocations
from weft.control import decisions, signingkeys
from weft.control.signingkeys import PublicKeys
from weft.control.zone import objects, state
from weft.kube import cache
from weft.model import ObjectKey
from weft.reasons import EventReason, Reason

log = logging.getLogger(__name__)

# Emits a warning Event on a pod.
Warn = Callable[[model.PodRef, EventReason, str], None]


class ZonePods:
    """Keeps the pods of a zone up to date; calls `changed()` after each change.

    `keys` holds the cluster manager's public keys; without any, no allocation counts. `warn` emits
    an Event on each pod of this node that gets no port. With `endpoints`, `pods` has this node's
    pods alone, and those of other nodes are known by their endpoints.
    """

    def __init__(
        self,
        zone: state.Zone,
        pods: cache.Informer[Pod],
        keys: cache.Informer[PublicKeys],
        changed: Callable[[], None],
        warn: Warn,
        endpoints: cache.Informer[PodEndpoint] | None = None,
    ) -> None:
        self._zone, self._pods, self._keys = zone, pods, keys
        self._endpoints = endpoints
        self._changed, self._warn = changed, warn
        self._decisions = decisions.Decisions()
        self._refused: dict[ObjectKey, str] = {}  # this node's pods without a port
        self._unverified: set[ObjectKey] = set()  # keys of pods whose signature does not verify

    async def known(self) -> None:
        """Returns when there is a key to verify signatures with."""
        await signingkeys.known(self._keys)

    def start(self) -> None:
        """Subscribes. Call once, when there is a key and all pods are listed."""
        self._keys.subscribe(self._on_keys)
        self._pods.subscribe(self._on_pod)
        if self._endpoints is not None:
            self._endpoints.subscribe(self._on_endpoint)

    def recall(self, pod: model.PodRef, proof: podsignature.SignedAnnotations) -> None:
        """Takes in the signed allocations by which a pod was wired. Call before `start`."""
        try:
            known = podsignature.verify(pod, proof, signingkeys.trusted(self._keys))
        except errors.InvalidInput:
            return  # older than signatures, or signed with a key that was removed
        if known.by and known.serial >= self._decisions.last(pod.uid).serial:
            self._decisions.note(pod.uid, known)

    def decided(self, pod: Pod) -> SignedAllocations:
        """Returns the allocations on a pod if signed, else those that were verified last."""
        try:
            decided = self._decisions.read(pod.ref, pod.proof)
        except errors.InvalidInput as error:
            log.info("not acted upon: %s", error)
            decided = podsignature.UNSIGNED
        return decided if decided.by else self._decisions.last(pod.uid)

    def verified(
        self, pod: model.PodRef, proof: podsignature.SignedAnnotations
    ) -> SignedAllocations:
        """Returns the allocations of a pod's annotations; raises InvalidInput if not signed."""
        return podsignature.verify(pod, proof, self._decisions.trusted)

    def refusal(self, pod: ObjectKey, attachment: str) -> errors.WeftError | None:
        """Returns why an attachment has no port although it was allocated; None if it has one."""
        return self._zone.duplicates.refused(pod).get(attachment)

    def emit_refusals(self) -> None:
        """Emits an Event on each pod of this node that lacks a port, once for each reason.

        A pod that waits for another's address gets a new Event when the pod itself changes, not
        whenever the pod that has it does.
        """
        for key in sorted(self._zone.duplicates.take_changed()):
            before, message = self._refused.pop(key, ""), self._refusals(key)
            pod = self._pods.get(key) if message else None
            if pod is None or pod.node != self._zone.name:
                continue
            self._refused[key] = message
            if before != message:
                self._warn(pod.ref, Reason.ADDRESS_REFUSED, message)

    def _refusals(self, pod: ObjectKey) -> str:
        refused = self._zone.duplicates.refused(pod)
        return "; ".join(refused[each].in_full() for each in sorted(refused))

    @property
    def trouble(self) -> str:
        """Why no key is known, endpoints may be missing, or a pod here has no port; else empty."""
        place = f"ConfigMap {self._keys.namespace}/{names.SIGNING_KEYS}"
        if not (self._decisions.trusted or signingkeys.trusted(self._keys)):
            return f"no key of the cluster manager is known: waiting for {place}"
        if self._endpoints is not None and not signingkeys.has_endpoints(self._keys):
            return (
                f"{place} does not say that all PodEndpoints are written, so pods of other nodes "
                "may be out of date: start the cluster manager with --pod-endpoints"
            )
        return next(map(self._refusals, self._refused), "")

    def _on_keys(self, _: ObjectKey, __: PublicKeys | None, new: PublicKeys | None) -> None:
        """Keeps the known keys when the ConfigMap is gone or empty."""
        if new is None or not new.trusted or new.trusted == self._decisions.trusted:
            return
        self._decisions.trusted = new.trusted
        for key in sorted(self._unverified):
            self._set_pod(key)
            self._pods.wake(key)

    def _on_pod(self, key: ObjectKey, old: Pod | None, _: Pod | None) -> None:
        self._source_changed(key, old)

    def _on_endpoint(self, key: ObjectKey, old: PodEndpoint | None, _: PodEndpoint | None) -> None:
        self._source_changed(key, old.pod if old is not None else None)

    def _source_changed(self, key: ObjectKey, old: Pod | None) -> None:
        now = self._find(key)
        if old is not None and (now is None or now.uid != old.uid):
            self._decisions.forget(old.uid)
        self._set_pod(key)

    def _find(self, key: ObjectKey) -> Pod | None:
        """Returns a pod of this node, else one of another node as its endpoint has it.

        The two come by watches of their own: the endpoint of a pod may be here before the former
        pod of that name is gone from this node.
        """
        own = self._pods.get(key)
        if own is not None or self._endpoints is None:
            return own
        other = self._endpoints.get(key)
        return other.pod if other is not None and other.pod.node != self._zone.name else None

    def _set_pod(self, key: ObjectKey) -> None:
        new = self._find(key)
        if new is None:
            self._unverified.discard(key)
            self._zone.set_pod(key, None)
        else:
            decided = self.decided(new)
            is_proved = (decided.text, decided.signature) == new.proof
            (self._unverified.discard if is_proved else self._unverified.add)(key)
            if _is_stripped(new, decided):
                return  # it keeps its ports until its annotations are restored
            self._zone.set_pod(key, objects.allocated(new, decided.allocations))
        self._changed()


def _is_stripped(pod: Pod, decided: SignedAllocations) -> bool:
    """Whether a pod that goes on lost the annotations of its networks.

    Its parsed form then lacks what policies select it by.
    """
    is_over = pod.is_completed or pod.is_on_networks
    return not is_over and bool(decided.allocations.keys() - {names.DEFAULT_NETWORK})
