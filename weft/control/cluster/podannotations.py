"""Reads and renders a pod's allocations and signature in its annotations.

Pure. Unsigned allocations do not count (ADR 0060). Entries of networks that are not weft's stay as
they are. `pods.py` decides what a pod gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from weft import errors, model
from weft.api import podnetworks
from weft.api.pod import Pod
from weft.api.podsignature import SignedAllocations, SignedAnnotations
from weft.control.cluster.keys import SigningKeys
from weft.control.cluster.networks import Networks


class PodAnnotations:
    """Reads and renders `k8s.ovn.org/pod-networks` with its signature."""

    def __init__(self, keys: SigningKeys, networks: Networks) -> None:
        self._keys, self._networks = keys, networks

    def decided(self, pod: Pod) -> Mapping[str, model.Allocation]:
        """Returns the allocations on the pod that the cluster manager signed."""
        return self._read(pod)[0].allocations

    def forgery(self, pod: Pod) -> errors.InvalidInput | None:
        """Returns why the pod's signature does not verify; None if it does."""
        return self._read(pod)[1]

    def is_whole(self, pod: Pod) -> bool:
        """Whether all of weft's entries on the pod are signed with the current key."""
        decided, forgery = self._read(pod)
        if forgery is not None or (decided.by and not self._keys.is_current(decided)):
            return False
        return not self._own(pod) - decided.allocations.keys()

    def render(self, pod: Pod, allocations: Mapping[str, model.Allocation]) -> SignedAnnotations:
        """Returns the texts of both annotations, signed; "" for one to remove."""
        signer = self._keys.signer
        others = podnetworks.without(pod.proof[0], self._own(pod))
        if not allocations:
            return others, ""
        text = podnetworks.render(allocations)
        signature = signer.sign(pod.ref, allocations, text)
        if others:
            text = podnetworks.render(allocations, onto=others)
        decided = SignedAllocations(dict(allocations), signer.id, text, signature)
        self._keys.decisions.note(pod.uid, decided)
        return text, signature

    def adopted(self, pod: Pod) -> Mapping[str, model.Allocation]:
        """Returns what a pod older than signatures keeps: all if it runs, else on networks that it
        may use. Raises InvalidInput if the annotation is invalid."""
        annotated = podnetworks.read(pod.label, pod.proof[0], primary=pod.primary)
        if pod.is_running:
            return annotated
        found = {}
        for key, allocation in annotated.items():
            network = self._network(key)
            if network is None or self._networks.may_use(network, pod.ref.namespace):
                found[key] = allocation
        return found

    def unsigned(self, pods: Iterable[Pod]) -> list[Pod]:
        """Returns the pods that are older than signatures, oldest first."""
        before = self._keys.adopt_before
        found = [
            pod
            for pod in pods
            if pod.created < before and pod.proof[0] and self.forgery(pod) is not None
        ]
        return sorted(found, key=Pod.age)

    def forget(self, uid: str) -> None:
        self._keys.decisions.forget(uid)

    def _read(self, pod: Pod) -> tuple[SignedAllocations, errors.InvalidInput | None]:
        try:
            return self._keys.decisions.read(pod.ref, pod.proof), None
        except errors.InvalidInput as error:
            return SignedAllocations(), error

    def _own(self, pod: Pod) -> set[str]:
        """Returns the keys in the pod's annotation that belong to weft's networks."""
        return {key for key in podnetworks.keys(pod.proof[0]) if self.is_own(key)}

    def unverified(self, pod: Pod) -> set[str]:
        """Returns the networks on which the pod may hold an address unknown to the manager.

        The pod's annotations may be forged: it counts only if it runs, and only on networks that
        its namespace may use.
        """
        if not pod.is_running:
            return set()
        keys = {*podnetworks.keys(pod.proof[0]), *dict(pod.interfaces)}
        nads = {podnetworks.nad_of(key) for key in keys} | pod.nads()
        if pod.primary:
            nads.add(None)
        found = map(self._networks.find, nads)
        return {
            network.name
            for network in found
            if network is not None and self._networks.may_use(network, pod.ref.namespace)
        }

    def is_own(self, attachment: str) -> bool:
        """Whether an attachment is to a network of weft's."""
        return self._network(attachment) is not None

    def _network(self, attachment: str) -> model.Network | None:
        return self._networks.find(podnetworks.nad_of(attachment))


def with_options(pod: Pod, key: str, allocation: model.Allocation) -> model.Allocation:
    """Returns an allocation with what the pod asks for on the NIC: the network permits it."""
    asked = next((each.nic for each in pod.request.attachments if each.key == key), allocation.nic)
    return allocation if asked == allocation.nic else replace(allocation, nic=asked)


def plain(allocation: model.Allocation) -> model.Allocation:
    """Returns an allocation without NIC options, and without the pod that shares it."""
    is_plain = allocation.nic == model.NO_OPTIONS and allocation.migration is None
    return allocation if is_plain else replace(allocation, nic=model.NO_OPTIONS, migration=None)
