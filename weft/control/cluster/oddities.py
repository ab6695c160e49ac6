"""What is odd about a pod, for its author to read?

A later change of its wish, an address that leads nowhere by now, an annotation that was lost or
cannot be written. Nothing is taken or given.
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
        """Reason and message of what is to be said, None where nothing is odd."""
        if wishes.is_wired(pod) and (error := self._change(pod)) is not None:
            return changes.REASON, error
        if (error := self._stray(pod)) is not None:
            return "OutsideNodeSubnet", error
        if (error := self._overlap(pod)) is not None:
            return overlaps.REASON, error
        if (error := self._unfollowed(pod)) is not None:
            return addressrequests.REASON, error
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
        """An address that is not of the part that the pod's node has by now."""
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
        """Two networks of one range: the pod cannot tell whom it means."""
        found = [self._networks.find(each.nad) for each in wishes.attachments(pod)]
        return overlaps.find(label(pod), [each.spec for each in found if each is not None])

    def _unfollowed(self, pod: Object) -> errors.InvalidInput | None:
        """An address that is asked for in the words of another plugin."""
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


def label(pod: Object) -> str:
    """What messages call a pod."""
    return f"Pod {resources.key(pod)}"


def lost(pod: Object) -> errors.InvalidInput:
    """Of a pod that runs with what its node alone knows by now."""
    return errors.InvalidInput(
        label(pod),
        names.POD_NETWORKS,
        None,
        "was changed or removed while no cluster manager ran: the manager does not know what the "
        "pod has",
        hint="the agent of its node restores it; if it cannot, delete the pod",
    )


def unwritable(pod: Object, error: ApiError) -> errors.InvalidInput:
    """Of a pod for which the API server refuses what was decided."""
    return errors.InvalidInput(
        label(pod),
        names.POD_NETWORKS,
        None,
        f"is refused by the API server, so that the pod gets nothing: {error.what}",
        hint="ask for fewer networks, or shorten the pod's other annotations",
    )
