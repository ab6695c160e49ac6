"""What do a pod's annotations say, what of it did the cluster manager decide, what should they say?

What is not signed counts as nothing, whoever wrote it (ADR 0060); entries of networks that are not
weft's are left as they are. What a pod is given is decided in pods.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from weft import errors, model, names
from weft.api import podnetworks
from weft.api.decision import Decision, Proof
from weft.control.cluster import wishes
from weft.control.cluster.networks import Networks
from weft.control.cluster.signing import Signing
from weft.kube.client import Object


class Standing:
    """Reads and renders the annotations of pods from the cache."""

    def __init__(self, signing: Signing, networks: Networks) -> None:
        self._signing, self._networks = signing, networks

    def decided(self, pod: Object) -> Mapping[str, model.Allocation]:
        """The allocations on the pod that the cluster manager signed."""
        return self._read(pod)[0].allocations

    def forgery(self, pod: Object) -> errors.InvalidInput | None:
        """Why the pod's annotation is not proved; None if it is."""
        return self._read(pod)[1]

    def is_whole(self, pod: Object) -> bool:
        """Whether all of weft's entries on the pod are signed with the current key."""
        decided, forgery = self._read(pod)
        if forgery is not None or (decided.by and not self._signing.is_current(decided)):
            return False
        return not self._own(pod) - decided.allocations.keys()

    def render(self, pod: Object, allocations: Mapping[str, model.Allocation]) -> Proof:
        """The texts of both annotations; "" for one to remove."""
        meta, signer = pod["metadata"], self._signing.signer
        others = podnetworks.without(wishes.annotation(pod), self._own(pod))
        if not allocations:
            return others, ""
        ref = model.PodRef(meta["namespace"], meta["name"], meta["uid"])
        signature = signer.sign(ref, allocations)
        text = podnetworks.render(allocations, onto=others)
        decided = Decision(dict(allocations), signer.id, text, signature)
        self._signing.decisions.note(meta["uid"], decided)
        return text, signature

    def permitted(
        self, pod: Object, annotated: Mapping[str, model.Allocation]
    ) -> Mapping[str, model.Allocation]:
        """The allocations that the pod may keep: all once it runs, else on usable networks."""
        if wishes.is_running(pod):
            return annotated
        home, found = pod["metadata"]["namespace"], {}
        for key, allocation in annotated.items():
            nad = "" if key == names.DEFAULT_NETWORK else names.definition_of(key)
            network = self._networks.find(nad)
            if network is None or self._networks.may_use(network, home):
                found[key] = allocation
        return found

    def unsigned(self, pods: Iterable[Object]) -> list[Object]:
        """The pods from before anything was signed, oldest first."""
        before = self._signing.adopt_before
        found = [
            pod
            for pod in pods
            if pod["metadata"].get("creationTimestamp", "") < before
            and wishes.annotation(pod)
            and self.forgery(pod) is not None
        ]
        return sorted(found, key=_age)

    def forget(self, uid: str) -> None:
        self._signing.decisions.forget(uid)

    def _read(self, pod: Object) -> tuple[Decision, errors.InvalidInput | None]:
        try:
            return self._signing.decisions.read(pod), None
        except errors.InvalidInput as error:
            return Decision(), error

    def _own(self, pod: Object) -> set[str]:
        """The keys of the pod's annotation that belong to weft's networks."""
        return {key for key in podnetworks.keys(wishes.annotation(pod)) if self.is_own(key)}

    def doubted(self, pod: Object) -> set[str]:
        """The networks on which the pod may hold an address that the manager does not know.

        What the pod says of itself may be forged: only a running one counts, and only on networks
        that its namespace may use.
        """
        if not wishes.is_running(pod):
            return set()
        keys = {*podnetworks.keys(wishes.annotation(pod)), *wishes.interfaces(pod)}
        nads = {names.definition_of(key) for key in keys} | set(wishes.nads(pod))
        if wishes.serves_primary(pod):
            nads.add("")
        home, found = pod["metadata"]["namespace"], map(self._networks.find, nads)
        return {
            network.name
            for network in found
            if network is not None and self._networks.may_use(network, home)
        }

    def is_own(self, attachment: str) -> bool:
        """Whether an attachment is to a network of weft's."""
        is_default = attachment == names.DEFAULT_NETWORK
        nad = "" if is_default else names.definition_of(attachment)
        return self._networks.find(nad) is not None


def _age(pod: Object) -> tuple[str, ...]:
    meta = pod["metadata"]
    return meta.get("creationTimestamp", ""), meta["namespace"], meta["name"]
