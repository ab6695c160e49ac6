"""What has the cluster manager decided for each pod, as far as this process has seen it proved?

Remembers what was verified last, by pod uid, so that a pod whose labels change costs no signature,
and so that a text which proves nothing takes nothing from a pod that runs.
"""

from __future__ import annotations

from typing import Any

from weft import names
from weft.api import decision
from weft.api.decision import Decision, Trusted

Object = dict[str, Any]
Texts = tuple[str, str]


def texts(pod: Object) -> Texts:
    """What a pod's two annotations say: allocations, and the signature over them."""
    notes = pod["metadata"].get("annotations") or {}
    return notes.get(names.POD_NETWORKS) or "", notes.get(names.POD_NETWORKS_SIGNATURE) or ""


class Decisions:
    """`trusted` are the keys by which a signature is known now."""

    def __init__(self) -> None:
        self.trusted = Trusted()
        self._known: dict[str, tuple[Texts, Decision]] = {}  # by pod uid

    def read(self, pod: Object) -> Decision:
        """What stands on the pod; InvalidInput where that is not the cluster manager's word."""
        uid, found = pod["metadata"]["uid"], texts(pod)
        known = self._known.get(uid)
        if known is not None and known[0] == found and known[1].by in self.trusted:
            return known[1]
        decided = decision.read(pod, self.trusted)
        if decided.allocations:
            self._known[uid] = found, decided
        return decided

    def last(self, uid: str) -> Decision:
        """What was proved last for a pod, whatever its annotations say by now."""
        known = self._known.get(uid)
        return known[1] if known is not None else decision.NOTHING

    def note(self, uid: str, written: Texts, decided: Decision) -> None:
        """What this process decides itself needs no proof."""
        self._known[uid] = written, decided

    def forget(self, uid: str) -> None:
        self._known.pop(uid, None)
