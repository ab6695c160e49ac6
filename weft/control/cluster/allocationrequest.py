"""Finds the attachments to allocate for, and what each depends on. Pure."""

from __future__ import annotations

from typing import NamedTuple

from weft import errors, model, names
from weft.alloc.nodesubnets import NodeSubnets
from weft.api import selection
from weft.api.pod import Pod
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.ipamclaims import IpamClaims
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodes import Nodes


class AllocationRequest(NamedTuple):
    """An attachment to allocate for, and what that depends on."""

    network: model.Network
    attachment: model.Attachment
    claim: model.IpamClaim | None
    subnets: NodeSubnets | None

    @property
    def segment(self) -> model.Segment:
        return model.Segment(self.network.name, self.subnets.node if self.subnets else "")


class AllocationRequests:
    """Finds what pods ask for and do not have."""

    def __init__(
        self, networks: Networks, nodes: Nodes, claims: IpamClaims, allocations: Allocations
    ) -> None:
        self._networks, self._nodes = networks, nodes
        self._claims, self._allocations = claims, allocations

    def of(self, pod: Pod, attachment: model.Attachment) -> AllocationRequest | None:
        """Returns what an attachment needs; None if it is not weft's to give. Raises WeftErrors."""
        # A running pod's first interface stays as it is, but weft may take over that of a pod
        # that another plugin wired.
        is_first = attachment.interface == names.DEFAULT_INTERFACE
        is_kept = is_first and (attachment.nad is not None or self._chose_first(pod))
        if pod.has_interfaces and is_kept:
            return None
        is_given = self._allocations.get(pod.uid, attachment.key) is not None
        network = self._networks.lookup(attachment.nad, pod.key, known=is_given)
        if network is None:
            return None
        claim = self._claims.lookup(pod, attachment, network)
        return AllocationRequest(network, attachment, claim, self._subnets(pod, network))

    def check_count(self, pod: Pod) -> None:
        """Raises Conflict while a pod holds as many allocations as a pod can name.

        What a pod once got it keeps until its own word says that the interface is gone. Without
        this limit one pod could take all addresses of a network by one edit after another.
        """
        asked = pod.request.attachments
        first = any(each.interface == names.DEFAULT_INTERFACE for each in asked)
        held = len(self._allocations.keys(pod.uid))
        if held >= selection.MAX_ATTACHMENTS + first:
            raise errors.Conflict(
                f"holds {held} allocations already; a pod can have {selection.MAX_ATTACHMENTS} "
                "networks",
                where=pod.label,
                hint=f"it goes on when {names.NETWORK_STATUS} says that an interface which "
                f"{names.NETWORKS} does not name is gone; or delete the pod",
            )

    def _chose_first(self, pod: Pod) -> bool:
        """Whether a pod holds a first network that its request does not name any more."""
        requested = {each.key for each in pod.request.attachments}
        return not self._allocations.keys(pod.uid) <= requested

    def _subnets(self, pod: Pod, network: model.Network) -> NodeSubnets | None:
        """Returns the subnets of the pod's node, None unless the network is layer3."""
        if network.spec.topology is not model.Topology.LAYER3:
            return None
        return self._nodes.subnets(pod.node, network)
