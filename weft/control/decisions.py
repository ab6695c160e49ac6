"""Caches the signed allocations that this process has verified, by pod uid.

A pod whose labels change needs no second verification, and a running pod keeps its allocations when
somebody overwrites its annotations with an unsigned text. Pure.
"""

from __future__ import annotations

from weft import model
from weft.api import podsignature
from weft.api.podsignature import SignedAllocations, TrustedKeys

LOSS = 1_000_000  # what one loss adds to a serial; what is below counts moves of the pod's machine


class Decisions:
    """Verified allocations by pod uid. `trusted` are the public keys that verify signatures now.

    `losses` is the greatest count of losses that any of them knows of (ADR 0130).
    """

    def __init__(self) -> None:
        self.trusted = TrustedKeys()
        self.losses = 0
        self._known: dict[str, SignedAllocations] = {}  # by pod uid

    def read(self, pod: model.PodRef, proof: podsignature.SignedAnnotations) -> SignedAllocations:
        """Returns the pod's signed allocations.

        Raises InvalidInput if the signature is wrong, or of before the pod lost an allocation.
        """
        known = self._known.get(pod.uid)
        is_same = known is not None and (known.text, known.signature) == proof
        if known is not None and is_same and known.by in self.trusted:
            return known
        decided = podsignature.verify(pod, proof, self.trusted)
        self._count(decided)
        if known is not None and decided.by and decided.serial < known.serial:
            raise podsignature.outdated(pod)
        if decided.by:
            self._known[pod.uid] = decided
        return decided

    def last(self, uid: str) -> SignedAllocations:
        """Returns what was verified last for a pod, whatever its annotations say now."""
        return self._known.get(uid, podsignature.UNSIGNED)

    def note(self, uid: str, decided: SignedAllocations) -> None:
        """Stores allocations that need no verification, because this process signed them."""
        self._count(decided)
        self._known[uid] = decided

    def forget(self, uid: str) -> None:
        self._known.pop(uid, None)

    def _count(self, decided: SignedAllocations) -> None:
        given = (each.given for each in decided.allocations.values())
        self.losses = max(self.losses, decided.serial // LOSS, *given)
