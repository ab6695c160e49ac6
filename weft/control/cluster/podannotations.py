"""Reads and renders a pod's allocations and signature in its annotations.

Pure. Unsigned allocations do not count (ADR 0060). Entries of networks that are not weft's stay as
they are. `pods.py` decides what a pod gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from weft import errors, model
from weft.api import plugged, podnetworks
from weft.api.pod import Pod
from weft.api.podsignature import SignedAllocations
from weft.control.cluster.keys import SigningKeys
from weft.control.cluster.networks import Networks
from weft.control.decisions import LOSS


class PodAnnotations:
    """Reads and renders `k8s.ovn.org/pod-networks` with its signature."""

    def __init__(self, keys: SigningKeys, networks: Networks) -> None:
        self._keys, self._networks = keys, networks
        # By pod uid: what it loses once this is written of it.
        self._unwritten: dict[str, tuple[frozenset[str], SignedAllocations]] = {}

    def given_now(self, allocation: model.Allocation) -> model.Allocation:
        """Returns an allocation of which it is not signed yet that a pod has it, as given now."""
        losses = self._keys.decisions.losses
        return replace(allocation, given=losses) if losses else allocation

    def decided(self, pod: Pod) -> Mapping[str, model.Allocation]:
        """Returns the allocations on the pod that the cluster manager signed."""
        return self._read(pod)[0].allocations

    def signed(self, pod: Pod) -> SignedAllocations:
        """Returns what was signed for the pod last, as far as this manager knows."""
        found = self._read(pod)[0]
        return found if found.by else self._keys.decisions.last(pod.uid)

    def last(self, uid: str) -> Mapping[str, model.Allocation]:
        """Returns what was signed last for the pod of a uid, as far as this manager knows."""
        return self._keys.decisions.last(uid).allocations

    def asked(self, pod: Pod) -> tuple[model.Attachment, ...]:
        """Returns what the pod asks for; a running pod has, or gets, it under these keys.

        Raises InvalidInput if the request is invalid and the pod does not run.
        """
        if not pod.has_interfaces:
            return pod.attachments()
        return plugged.keyed(pod.request.attachments, self.signed(pod).allocations, pod.interfaces)

    def is_lost(self, pod: Pod) -> bool:
        """Whether the pod had annotations of weft's, of which nothing is known now."""
        made = any(self.is_own(key) for key, _ in pod.interfaces)
        return not self.signed(pod).by and (made or self.concern_weft(pod))

    def concern_weft(self, pod: Pod) -> bool:
        """Whether the pod's annotations are, or may have been, of weft's networks.

        Another plugin's entries alone are not; a text without any entry may have been.
        """
        text, signature = pod.proof
        return bool(signature or self._own(pod) or (text and not podnetworks.keys(text)))

    def held(
        self, pod: Pod, reserved: Mapping[str, model.Allocation]
    ) -> Mapping[str, model.Allocation]:
        """Returns what is `reserved` for the pod, and what is signed on it that another one has."""
        signed = self.signed(pod).allocations
        return {**self.decided(pod), **{key: signed.get(key, reserved[key]) for key in reserved}}

    def departed(self, pod: Pod, held: Mapping[str, model.Allocation]) -> frozenset[str]:
        """Returns the keys of NICs that were unplugged from the running pod, of those `held`."""
        if not pod.has_interfaces or pod.request.error is not None:
            return frozenset()
        return plugged.departed(self.asked(pod), held, pod.interfaces)

    def forgery(self, pod: Pod) -> errors.InvalidInput | None:
        """Returns why the pod's signature does not verify; None if it does."""
        return self._read(pod)[1]

    def is_whole(self, pod: Pod) -> bool:
        """Whether all of weft's entries on the pod are signed with the current key."""
        decided, forgery = self._read(pod)
        if forgery is not None or (decided.by and not self._keys.is_current(decided)):
            return False
        return not self._own(pod) - decided.allocations.keys()

    def render(
        self, pod: Pod, allocations: Mapping[str, model.Allocation], gone: frozenset[str]
    ) -> SignedAllocations:
        """Returns both annotations, signed, without those that are `gone`.

        UNSIGNED, with other plugins' text, where there is nothing to sign.
        """
        self._unwritten.pop(pod.uid, None)
        signer = self._keys.signer
        others = podnetworks.without(pod.proof[0], self._own(pod))
        kept = {key: allocations[key] for key in allocations if key not in gone}
        last = self._keys.decisions.last(pod.uid)
        was = {key: each.migration for key, each in last.allocations.items()}
        is_moved = any(was.get(key, each.migration) != each.migration for key, each in kept.items())
        losses = self._keys.decisions.losses
        serial = max(last.serial + is_moved, (losses + bool(gone)) * LOSS)
        if not (kept or gone or last.by):
            return SignedAllocations(text=others)
        text = podnetworks.render(kept)
        signature = signer.sign(pod.ref, kept, text, serial)
        if others:
            text = podnetworks.render(kept, onto=others)
        decided = SignedAllocations(kept, signer.id, text, signature, serial)
        if gone or is_moved:  # what was signed before counts until this is written
            self._unwritten[pod.uid] = gone, decided
        else:
            self._keys.decisions.note(pod.uid, decided)
        return decided

    def written(self, uid: str) -> frozenset[str]:
        """Call after a pod's annotations were written; returns what is gone by that."""
        if uid not in self._unwritten:
            return frozenset()
        gone, decided = self._unwritten.pop(uid)
        self._keys.decisions.note(uid, decided)
        return gone

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
        self._unwritten.pop(uid, None)
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


def with_options(
    pod: Pod, attachment: model.Attachment, allocation: model.Allocation
) -> model.Allocation:
    """Returns an allocation with what the pod asks for on the NIC, which the network permits.

    That of a NIC plugged into a running pod, or of a NAD's second, names its interface.
    """
    is_named = attachment.nad and (pod.has_interfaces or plugged.is_repeated(attachment))
    interface = attachment.interface if is_named else ""
    if attachment.nic == allocation.nic and interface == allocation.interface:
        return allocation
    return replace(allocation, nic=attachment.nic, interface=interface)


def plain(allocation: model.Allocation) -> model.Allocation:
    """Returns an allocation without NIC options, interface, port, and the pod that shares it, and
    without the time when it was given."""
    bare = replace(allocation, nic=model.NO_OPTIONS, interface="", logical_port="", given=0)
    return replace(bare, migration=None) if bare.migration is not None else bare
