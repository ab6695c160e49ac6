"""Which mistakes of a running pod get an Event, without any change to its allocations?

Its networks were changed after it started, its address is outside its node's subnet now or will not
be kept, its annotation was lost or cannot be written.
"""

from __future__ import annotations

from weft import errors, model, names
from weft.alloc import shares
from weft.api import addressrequests
from weft.control.cluster import changes, overlaps, wishes
from weft.control.cluster.holdings import Holdings
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodes import Nodes
from weft.kube import resources
from weft.kube.client import ApiError, Object


class Oddities:
    def __init__(self, networks: Networks, nodes: Nodes, holdings: Holdings) -> None:
        self._networks, self._nodes, self._holdings = networks, nodes, holdings

    def find(self, pod: Object) -> tuple[str, errors.InvalidInput] | None:
        """Reason and message of the Event; None if nothing is wrong."""
        if wishes.is_wired(pod) and (error := self._change(pod)) is not None:
            return changes.REASON, error
        if (error := self._stray(pod)) is not None:
            return "OutsideNodeSubnet", error
        if (error := self._overlap(pod)) is not None:
            return overlaps.REASON, error
        if (error := self._unfollowed(pod)) is not None:
            return addressrequests.REASON, error
        if (error := self._unkept(pod)) is not None:
            return "AddressNotKept", error
        return None

    def _change(self, pod: Object) -> errors.InvalidInput | None:
        """A pod's interfaces are made once: a later change of its wish is refused."""
        try:
            asked = [
                attachment
                for attachment in wishes.attachments(pod)
                if attachment.nad and self._networks.find(attachment.nad) is not None
            ]
        except errors.InvalidInput as error:
            return changes.unreadable(error)
        held = self._holdings.of(pod["metadata"]["uid"])
        primary = wishes.serves_primary(pod)
        made = wishes.interfaces(pod)
        return changes.refusal(label(pod), asked, held, made, primary=primary)

    def _stray(self, pod: Object) -> errors.InvalidInput | None:
        """An address outside the subnet that the pod's node has now."""
        for key, allocation in self._holdings.of(pod["metadata"]["uid"]).items():
            is_own = key == names.DEFAULT_NETWORK
            network = self._networks.find("" if is_own else names.definition_of(key))
            if network is None or network.spec.topology is not model.Topology.LAYER3:
                continue
            share = self._nodes.decided_share(pod["nodeName"], network)
            try:
                shares.check(label(pod), key, share, allocation)
            except errors.InvalidInput as error:
                return error
        return None

    def _overlap(self, pod: Object) -> errors.InvalidInput | None:
        """Two networks of the pod whose subnets overlap."""
        found = [self._networks.find(each.nad) for each in wishes.attachments(pod)]
        return overlaps.find(label(pod), [each.spec for each in found if each is not None])

    def _unfollowed(self, pod: Object) -> errors.InvalidInput | None:
        """An address request in an annotation of another plugin."""
        nads = [
            each.nad
            for each in wishes.attachments(pod)
            if each.nad and self._networks.find(each.nad) is not None
        ]
        annotations = pod["metadata"].get("annotations") or {}
        primary = wishes.serves_primary(pod)
        return next(
            iter(addressrequests.unfollowed(label(pod), annotations, nads, primary=primary)), None
        )

    def _unkept(self, pod: Object) -> errors.InvalidInput | None:
        """A virtual machine whose network may keep addresses, and which has no claim that would."""
        if not (machine := wishes.machine(pod)):
            return None
        for each in wishes.attachments(pod):
            network = self._networks.find(each.nad) if each.nad else None
            if network is None or not (network.spec.allow_persistent_ips and network.spec.subnets):
                continue
            if not (each.ipam_claim or each.addresses):
                return errors.InvalidInput(
                    label(pod),
                    names.NETWORKS,
                    None,
                    f"names no IPAMClaim for {each.nad}, so that its allowPersistentIPs keeps "
                    f"nothing: virtual machine {machine} has another address and MAC after a "
                    "restart",
                    hint="name one by ipam-claim-reference, or ask for an address, for a machine "
                    "by the annotation network.kubevirt.io/addresses",
                )
        return None


def label(pod: Object) -> str:
    """What messages call a pod."""
    return f"Pod {resources.key(pod)}"


def lost(pod: Object) -> errors.InvalidInput:
    """The error of a running pod whose allocation only its node still knows."""
    return errors.InvalidInput(
        label(pod),
        names.POD_NETWORKS,
        None,
        "was changed or removed while no cluster manager ran: the manager does not know what the "
        "pod has",
        hint="the agent of its node restores it; if it cannot, delete the pod",
    )


def unwritable(pod: Object, error: ApiError) -> errors.InvalidInput:
    """The error of a pod whose annotation the API server refuses."""
    return errors.InvalidInput(
        label(pod),
        names.POD_NETWORKS,
        None,
        f"is refused by the API server, so that the pod gets nothing: {error.what}",
        hint="ask for fewer networks, or shorten the pod's other annotations",
    )
