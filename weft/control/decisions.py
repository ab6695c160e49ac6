"""Holds which of the cluster manager's decisions this process has verified, by pod.

Remembers what was verified last, by pod uid, so that a pod whose labels change costs no signature,
and so that a text which proves nothing takes nothing from a pod that runs. Pure.
"""

from __future__ import annotations

from weft import model
from weft.api import podsignature
from weft.api.podsignature import SignedAllocations, TrustedKeys


class Decisions:
    """`trusted` are the keys by which a signature is known now."""

    def __init__(self) -> None:
        self.trusted = TrustedKeys()
        self._known: dict[str, SignedAllocations] = {}  # by pod uid

    def read(self, pod: model.PodRef, proof: podsignature.SignedAnnotations) -> SignedAllocations:
        """The decision on the pod; raises InvalidInput if the signature does not prove it."""
        known = self._known.get(pod.uid)
        is_same = known is not None and (known.text, known.signature) == proof
        if known is not None and is_same and known.by in self.trusted:
            return known
        decided = podsignature.verify(pod, proof, self.trusted)
        if decided.allocations:
            self._known[pod.uid] = decided
        return decided

    def last(self, uid: str) -> SignedAllocations:
        """The last decision that was verified for a pod, whatever its annotations say now."""
        return self._known.get(uid, podsignature.UNSIGNED)

    def note(self, uid: str, decided: SignedAllocations) -> None:
        """Notes a decision of this process itself, which needs no verification."""
        self._known[uid] = decided

    def forget(self, uid: str) -> None:
        self._known.pop(uid, None)
