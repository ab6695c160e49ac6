"""Reserves what was signed for pods earlier, by this manager or another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from weft import errors, model
from weft.api import plugged
from weft.api.pod import Pod, unrequested
from weft.control.cluster import podannotations
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.ipamclaims import IpamClaims
from weft.control.cluster.migrations import Migrations
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodes import Nodes
from weft.model import ObjectKey


class Reservations:
    """Reserves allocations; `take_back` frees the one that a pod holds for an attachment key.

    `lacking`: pods of whose signed allocations somebody else holds one.
    """

    def __init__(
        self,
        networks: Networks,
        nodes: Nodes,
        claims: IpamClaims,
        allocations: Allocations,
        migrations: Migrations,
        take_back: Callable[[str, tuple[str, ...]], None],
    ) -> None:
        self._networks, self._nodes, self._claims = networks, nodes, claims
        self._allocations, self._migrations = allocations, migrations
        self._take_back = take_back
        self.lacking: set[ObjectKey] = set()

    def reserve_later_ones(
        self, decided: Iterable[tuple[Pod, Mapping[str, model.Allocation]]]
    ) -> None:
        """Reserves what pods were given after somebody had lost something, the latest first.

        Of two pods with one address, the earlier signature is one put back (ADR 0130). `reserve`
        does the rest, and tells what fails.
        """
        later = [
            (allocation.given, pod, key, allocations)
            for pod, allocations in decided
            for key, allocation in allocations.items()
            if allocation.given
        ]
        for _, pod, key, allocations in sorted(later, key=lambda each: -each[0]):
            self.reserve(pod, allocations, only=key)

    def reserve(
        self, pod: Pod, decided: Mapping[str, model.Allocation], only: str = ""
    ) -> list[errors.WeftError]:
        """Reserves what was `decided` for a pod; returns why some of it could not be.

        Even if the request is invalid now, the pod keeps its allocations. `only`: of one key.
        """
        self.lacking.discard(pod.key)
        requested, failed = pod.request.attachments, []
        if pod.has_interfaces:
            requested = plugged.keyed(requested, decided, pod.interfaces)
        for attachment in (*requested, *unrequested(requested, decided)):
            allocation = decided.get(attachment.key)
            if allocation is not None and only in ("", attachment.key):
                try:
                    self._reserve(pod, attachment, podannotations.plain(allocation))
                except errors.WeftError as error:
                    failed.append(error)
        return failed

    def reserve_again(
        self, pod: Pod, decided: Mapping[str, model.Allocation]
    ) -> errors.WeftError | None:
        """Reserves what a pod still lacks of what was decided; returns why that cannot be."""
        if decided.keys() <= self._allocations.keys(pod.uid):
            self.lacking.discard(pod.key)
            return None  # as nearly always
        return next(iter(self.reserve(pod, decided)), None)

    def _reserve(
        self, pod: Pod, attachment: model.Attachment, allocation: model.Allocation
    ) -> None:
        uid, key = pod.uid, attachment.key
        is_held = self._allocations.get(uid, key) == allocation
        may_be_claimed = attachment.ipam_claim or pod.machine
        if is_held and (not may_be_claimed or self._allocations.sharers(uid, key)):
            return
        network = self._networks.find(attachment.nad)
        if network is None:
            return  # another plugin's; or the NAD is gone or invalid: reserved when it is back
        try:
            claim = self._claims.lookup(pod, attachment, network)
        except (errors.NotReady, errors.InvalidInput, errors.Conflict):
            claim = None  # deleted or changed under the pod, which keeps what it has
        if is_held and (claim is None or self._allocations.is_claimed(uid, key)):
            return
        # What this manager decided was never written: another manager was faster.
        self._take_back(uid, (key,))
        if source := self._migrations.held_with(pod, network, allocation):
            self._allocations.share(uid, attachment, pod.label, source, is_signed=True)
            return
        subnets = None
        if network.spec.topology is model.Topology.LAYER3:
            subnets = self._nodes.known_subnets(pod.node, network)
        try:
            self._allocations.reserve(network, uid, key, allocation, pod.label, claim, subnets)
        except errors.Conflict:
            self.lacking.add(pod.key)
            raise
        if claim is not None:
            self._claims.note(claim)
