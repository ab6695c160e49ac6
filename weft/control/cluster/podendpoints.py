"""Decides which PodEndpoints there should be, and compares them with those that there are.

Pure. A pod has one while it is scheduled, has not ended, and holds signed allocations of other
networks than the default one. While a pod's annotations are being overwritten, its endpoint stays.
"""

from __future__ import annotations

from dataclasses import replace

from weft import errors, names
from weft.api import podendpoint, podsignature
from weft.api.pod import Pod
from weft.api.podendpoint import PodEndpoint
from weft.api.podsignature import SignedAllocations, SignedAnnotations
from weft.control.cluster.keys import SigningKeys
from weft.control.cluster.outcome import NOTHING, Outcome, Patch, Replacement, Subject
from weft.control.cluster.podtable import PodTable
from weft.kube import resources
from weft.model import ObjectKey


class PodEndpoints:
    """All PodEndpoints. `due`: the pods whose endpoints to decide, and after how many seconds.

    Nothing is decided before `begin`.
    """

    def __init__(self, table: PodTable, keys: SigningKeys) -> None:
        self._pods, self._keys = table, keys
        self._there: dict[ObjectKey, PodEndpoint] = {}
        # Of pods whose annotations are stored, but not yet back from the watch: their uids.
        self._annotated: dict[ObjectKey, str] = {}
        self._proofs: dict[ObjectKey, tuple[SignedAllocations, SignedAnnotations]] = {}
        self._differing: set[ObjectKey] = set()
        self._has_begun = False
        self.due: dict[ObjectKey, float] = {}

    # What happened

    def set_endpoint(self, key: ObjectKey, new: PodEndpoint | None) -> None:
        """Sets an endpoint that there is; None: it is gone."""
        if new is None:
            self._there.pop(key, None)
        else:
            self._there[key] = new
        self.use_pod(key)

    def use_pod(self, key: ObjectKey) -> None:
        """A pod is new, changed or gone."""
        if not self._has_begun:
            return
        if self._is_right(key):
            self.skip(key)
        else:
            self._differing.add(key)
            self.due[key] = 0.0

    def skip(self, key: ObjectKey) -> None:
        """An endpoint is written, or cannot be for a reason of its own: agents wait no longer."""
        self._differing.discard(key)
        if not self._differing:
            self._keys.publish_endpoints(are_written=True)

    def use_annotated(self, key: ObjectKey, uid: str) -> None:
        """A pod's annotations are stored; the watch may bring them later."""
        if self._has_begun:
            self._annotated[key] = uid
            self.use_pod(key)

    def use_keys(self) -> None:
        """Other keys verify allocations."""
        for key in sorted(self._all()):
            self.use_pod(key)

    def begin(self) -> None:
        """Compares all, once all pods and endpoints are set."""
        self._has_begun = True
        for key in sorted(self._all()):
            if not self._is_right(key):
                self._differing.add(key)
                self.due[key] = 0.0
        self._keys.publish_endpoints(are_written=not self._differing)

    # Decisions out

    def decide(self, key: ObjectKey) -> Outcome:
        """Returns what to write of one endpoint."""
        there, desired = self._there.get(key), self._desired(key)
        if there == desired:
            return NOTHING
        about = Subject(resources.PODENDPOINTS, key, there.uid if there is not None else "")
        if desired is None:
            return Outcome((Patch(about, removes=True),))
        if there is not None:
            desired = replace(desired, uid=there.uid, version=there.version)
        return Outcome(replacements=(Replacement(about, podendpoint.render(desired)),))

    def _all(self) -> set[ObjectKey]:
        return self._pods.keys() | self._there.keys()

    def _is_right(self, key: ObjectKey) -> bool:
        return self._there.get(key) == self._desired(key)

    def _desired(self, key: ObjectKey) -> PodEndpoint | None:
        pod, there = self._pods.get(key), self._there.get(key)
        if pod is None or pod.is_completed or pod.host_network or not pod.node:
            self._annotated.pop(key, None)
            self._proofs.pop(key, None)
            return None
        decided = self._decided(pod)
        if not decided.allocations.keys() - {names.DEFAULT_NETWORK} and decided.by:
            return None  # its last NIC was unplugged
        if not pod.is_on_networks or not decided.allocations:
            return there if there is not None and there.pod.uid == pod.uid else None
        if there is None and pod.is_deleting:
            return None  # its namespace may be on its way out, and take nothing new
        return podendpoint.of(pod, self._proof(key, decided))

    def _decided(self, pod: Pod) -> SignedAllocations:
        try:
            decided = self._keys.decisions.read(pod.ref, pod.proof)
        except errors.InvalidInput:
            decided = podsignature.UNSIGNED
        if decided.by:
            self._annotated.pop(pod.key, None)  # the watch has brought them
        elif self._annotated.get(pod.key) == pod.uid:
            return self._keys.decisions.last(pod.uid)
        return decided

    def _proof(self, key: ObjectKey, decided: SignedAllocations) -> SignedAnnotations:
        """Returns both annotations as text; rendered once for all changes of a pod."""
        known = self._proofs.get(key)
        if known is None or known[0] is not decided:
            known = self._proofs[key] = decided, decided.prove()
        return known[1]
