"""Finds mistakes of a pod that get an Event and change nothing.

Pure. For example, its networks were changed after it started, its subnets overlap, its address is
outside its node's subnet or will not be kept, its annotation was lost or cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weft import errors, model, names
from weft.alloc import nodesubnets
from weft.api import addressrequests, podnetworks
from weft.api.pod import Pod
from weft.control.cluster import networkchanges, overlaps
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodes import Nodes
from weft.reasons import Reason


class PodWarnings:
    """Finds the mistakes of pods."""

    def __init__(self, networks: Networks, nodes: Nodes, allocations: Allocations) -> None:
        self._networks, self._nodes, self._allocations = networks, nodes, allocations

    def find(
        self,
        pod: Pod,
        decided: Mapping[str, model.Allocation],
        asked: Sequence[model.Attachment],
    ) -> tuple[Reason, errors.InvalidInput] | None:
        """Returns the reason and message of the first mistake found; None if there is none.

        `decided` are the signed allocations on the pod, `asked` its request by the same keys.
        """
        if pod.has_interfaces and (error := self._change(pod, decided, asked)) is not None:
            return Reason.NETWORKS_CHANGE_REFUSED, error
        if (error := self._stray(pod)) is not None:
            return Reason.OUTSIDE_NODE_SUBNET, error
        if (error := self._overlap(pod)) is not None:
            return Reason.OVERLAPPING_SUBNETS, error
        if (error := self._unfollowed(pod)) is not None:
            return Reason.ANNOTATION_IGNORED, error
        if (error := self._unkept(pod)) is not None:
            return Reason.ADDRESS_NOT_KEPT, error
        return None

    def _change(
        self,
        pod: Pod,
        decided: Mapping[str, model.Allocation],
        asked: Sequence[model.Attachment],
    ) -> errors.InvalidInput | None:
        """Interfaces come and go; a change of one that the pod has is refused."""
        if pod.request.error is not None:
            return networkchanges.unreadable(pod.request.error)
        requested = [
            attachment
            for attachment in asked
            if attachment.nad and self._networks.find(attachment.nad) is not None
        ]
        held = {key: decided.get(key, each) for key, each in self._allocations.of(pod.uid).items()}
        made = dict(pod.interfaces)
        return networkchanges.refusal(pod.label, requested, held, made, primary=pod.primary)

    def _stray(self, pod: Pod) -> errors.InvalidInput | None:
        """An address outside the subnet that the pod's node has now."""
        for key, allocation in self._allocations.of(pod.uid).items():
            network = self._networks.find(podnetworks.nad_of(key))
            if network is None or network.spec.topology is not model.Topology.LAYER3:
                continue
            subnets = self._nodes.decided_subnets(pod.node, network)
            try:
                nodesubnets.check(pod.label, key, subnets, allocation)
            except errors.InvalidInput as error:
                return error
        return None

    def _overlap(self, pod: Pod) -> errors.InvalidInput | None:
        """Two networks of the pod whose subnets overlap."""
        if len(pod.request.attachments) < 2:
            return None
        found = [self._networks.find(each.nad) for each in pod.attachments()]
        return overlaps.find(pod.label, [each.spec for each in found if each is not None])

    def _unfollowed(self, pod: Pod) -> errors.InvalidInput | None:
        """An address request in another plugin's annotation, which weft ignores."""
        if not pod.other_requests:
            return None
        own = [nad for nad in pod.nads() if self._networks.find(nad) is not None]
        found = addressrequests.ignored_requests(
            pod.label, dict(pod.other_requests), own, primary=pod.primary
        )
        return next(iter(found), None)

    def _unkept(self, pod: Pod) -> errors.InvalidInput | None:
        """A virtual machine without an IPAMClaim on a network that could keep its addresses."""
        if not pod.machine:
            return None
        for each in pod.attachments():
            network = self._networks.find(each.nad) if each.nad else None
            spec = network.spec if network is not None else None
            if spec is None or not (spec.allow_persistent_ips and spec.subnets):
                continue
            if spec.persistent_ips:
                continue  # its NICs have claims without naming them
            if not (each.ipam_claim or each.addresses):
                return errors.InvalidInput(
                    pod.label,
                    names.NETWORKS,
                    None,
                    f"names no IPAMClaim for {each.nad}, so that its allowPersistentIPs keeps "
                    f"nothing: virtual machine {pod.machine} has another address and MAC after a "
                    "restart",
                    hint='name one by ipam-claim-reference, or give the network "persistentIPs": '
                    '"vm"; or ask for an address, for a machine by the annotation '
                    "network.kubevirt.io/addresses",
                )
        return None


def lost(pod: Pod) -> errors.InvalidInput:
    """Returns the error of a running pod whose allocations only its node still knows."""
    return errors.InvalidInput(
        pod.label,
        names.POD_NETWORKS,
        None,
        "was changed or removed while no cluster manager ran: the manager does not know what the "
        "pod has",
        hint="the agent of its node restores it; if it cannot, delete the pod",
    )


def unwritable(pod: Pod, error: errors.WeftError) -> errors.InvalidInput:
    """Returns the error of a pod whose annotation the API server refuses."""
    return errors.InvalidInput(
        pod.label,
        names.POD_NETWORKS,
        None,
        f"is refused by the API server, so that the pod gets nothing: {error.what}",
        hint="ask for fewer networks, or shorten the pod's other annotations",
    )
