"""Tells a zone of all pods, each with what the cluster manager decided for it.

What a pod's annotations say counts where it is proved to be the cluster manager's word (ADR 0060);
what was proved stays so for as long as the pod runs, whatever its annotations say by then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from weft import errors, model, names
from weft.api import podsignature
from weft.api.pod import Pod
from weft.api.podsignature import SignedAllocations
from weft.control import decisions, signingkeys
from weft.control.signingkeys import PublicKeys
from weft.control.zone import objects, state
from weft.kube import cache
from weft.reasons import EventReason, Reason

log = logging.getLogger(__name__)

# What warns of something on a pod.
Warn = Callable[[model.PodRef, EventReason, str], None]


class Pods:
    """Keeps a zone told of all pods; `told()` is called when it was told something.

    `keys` holds the cluster manager's public keys; while there is none nothing is known of any pod.
    `warn` says which pods of this node have no port, and why.
    """

    def __init__(
        self,
        zone: state.Zone,
        pods: cache.Informer[Pod],
        keys: cache.Informer[PublicKeys],
        told: Callable[[], None],
        warn: Warn,
    ) -> None:
        self._zone, self._pods, self._keys = zone, pods, keys
        self._told, self._warn = told, warn
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

    def decided(self, pod: Pod) -> SignedAllocations:
        """What the cluster manager decided for a pod, as far as it was ever proved."""
        try:
            decided = self._decisions.read(pod.ref, pod.proof)
        except errors.InvalidInput as error:
            log.info("not acted upon: %s", error)
            decided = podsignature.UNSIGNED
        return decided if decided.allocations else self._decisions.last(pod.uid)

    def verified(
        self, pod: model.PodRef, proof: podsignature.SignedAnnotations
    ) -> SignedAllocations:
        """What two annotations prove on a pod right now; else InvalidInput."""
        return podsignature.verify(pod, proof, self._decisions.trusted)

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
            if pod is None or pod.node != self._zone.name:
                continue
            self._refused[key] = said
            if told != said:
                self._warn(pod.ref, Reason.ADDRESS_REFUSED, said)

    def _refusals(self, pod: str) -> str:
        refused = self._zone.holders.refused(pod)
        return "; ".join(refused[each].in_full() for each in sorted(refused))

    @property
    def trouble(self) -> str:
        if not self._decisions.trusted:
            place = f"ConfigMap {self._keys.namespace}/{names.SIGNING_KEYS}"
            return f"no key of the cluster manager is known: waiting for {place}"
        return next(map(self._refusals, self._refused), "")

    def _on_keys(self, _: str, __: PublicKeys | None, new: PublicKeys | None) -> None:
        """Keeps the known keys when the ConfigMap is gone or empty."""
        if new is None or not new.trusted or new.trusted == self._decisions.trusted:
            return
        self._decisions.trusted = new.trusted
        for key in sorted(self._doubted):
            if (pod := self._pods.get(key)) is not None:
                self._on_pod(key, pod, pod)
                self._pods.wake(key)

    def _on_pod(self, key: str, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                self._decisions.forget(old.uid)
            self._doubted.discard(key)
            self._zone.set_pod(key, None)
        else:
            decided = self.decided(new)
            is_proved = (decided.text, decided.signature) == new.proof
            (self._doubted.discard if is_proved else self._doubted.add)(key)
            if _is_stripped(new, decided):
                return  # it keeps its ports until its annotations are restored
            self._zone.set_pod(key, objects.allocated(new, decided.allocations))
        self._told()


def _is_stripped(pod: Pod, decided: SignedAllocations) -> bool:
    """Whether a pod that goes on lost the annotations of the networks that it is on.

    Nothing is kept then of what policies select it by.
    """
    is_over = pod.is_completed or pod.is_on_networks
    return not is_over and bool(decided.allocations.keys() - {names.DEFAULT_NETWORK})
