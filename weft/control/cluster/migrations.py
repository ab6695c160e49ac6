"""Decides which two pods of a virtual machine share addresses, MAC and tunnel key.

Pure. They are the source and the target of a live migration, or the pod of a lost node and its
successor. A pod's labels and owner references are its creator's word: a target counts only in the
namespace of an instance and of a live migration that exist with these uids, both of one machine,
and next to one other pod of that instance. KubeVirt alone writes their status. The pair is signed
in the target's allocations, by which the next manager and all agents know it (ADR 0117).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from weft import errors, model, names
from weft.api.pod import Pod
from weft.control.cluster import podannotations
from weft.control.cluster.allocationrequest import AllocationRequest
from weft.control.cluster.allocations import Allocations, Holding
from weft.control.cluster.claimuse import ClaimInUse, claim_label
from weft.control.cluster.machines import MachineTable
from weft.control.cluster.nodes import Nodes
from weft.control.cluster.podannotations import PodAnnotations
from weft.control.cluster.podtable import By, PodTable
from weft.migration import Migration
from weft.model import ObjectKey


class Migrations:
    """The pairs of pods, by the uid of the second one: a migration's target, or a successor."""

    def __init__(
        self,
        pods: PodTable,
        machines: MachineTable,
        nodes: Nodes,
        allocations: Allocations,
        annotations: PodAnnotations,
    ) -> None:
        self._pods, self._machines, self._annotations = pods, machines, annotations
        self._nodes, self._allocations = nodes, allocations
        self._sources: dict[str, Migration] = {}

    # What is known

    def observe(self, pod: Pod, decided: Mapping[str, model.Allocation]) -> None:
        """Takes in the pair that a pod's signed allocations name."""
        for allocation in decided.values():
            if allocation.migration is not None:
                self._sources[pod.uid] = allocation.migration

    def forget(self, uid: str) -> None:
        """Forgets a pod that is gone."""
        self._sources.pop(uid, None)
        for target in [each for each, of in self._sources.items() if of.source_uid == uid]:
            del self._sources[target]

    def others(self, pod: Pod) -> set[ObjectKey]:
        """Returns the other pods of a pod's machine."""
        if not pod.machine:
            return set()
        return self._pods.find(By.MACHINE, _machine(pod)) - {pod.key}

    def source_of(self, pod: Pod) -> set[ObjectKey]:
        """Returns the first pod of a pair, by its second one."""
        known = self._sources.get(pod.uid)
        return {ObjectKey(pod.ref.namespace, known.source)} if known is not None else set()

    def held_with(
        self, pod: Pod, network: model.Network, allocation: model.Allocation
    ) -> Holding | None:
        """Returns where the other pod of a pair holds the same; None if there is none."""
        known = self._sources.get(pod.uid)
        uids = [each for each, of in self._sources.items() if of.source_uid == pod.uid]
        for uid in [known.source_uid, *uids] if known is not None else uids:
            for key, held in self._allocations.of(uid).items():
                if held == allocation and self._allocations.network(uid, key) == network.name:
                    return Holding(uid, key)
        return None

    def of(self, pod: Pod, key: str) -> Migration | None:
        """Returns what a pod's allocation says of its pair; None if it shares it with nobody."""
        known = self._sources.get(pod.uid)
        if known is None or known.source_uid not in self._allocations.sharers(pod.uid, key):
            return None
        now = self._sources[pod.uid] = known._replace(is_active=self._is_active(pod, known))
        return now

    def in_full(
        self, pod: Pod, attachment: model.Attachment, allocation: model.Allocation
    ) -> model.Allocation:
        """Returns what is signed of an allocation: with NIC options, with whom it is shared, and
        the name of its port."""
        key = attachment.key
        port = self._port(pod, key, allocation)
        shared = replace(allocation, migration=self.of(pod, key), logical_port=port)
        return podannotations.with_options(pod, attachment, shared)

    def _port(self, pod: Pod, key: str, allocation: model.Allocation) -> str:
        """Returns the name of a machine's port: that of the pod with which it shares the
        allocation, whatever else either pod says."""
        for uid, other in self._allocations.sharing(pod.uid, key):
            signed = self._annotations.last(uid).get(other)
            if signed is not None and signed.logical_port:
                return signed.logical_port
        if not (pod.machine and allocation.tunnel_id):
            return ""
        return names.machine_port(key, pod.ref.namespace, pod.machine, allocation.tunnel_id)

    def erased(
        self, pod: Pod, signed: Mapping[str, model.Allocation], decided: Mapping[str, object]
    ) -> Iterator[tuple[str, model.Allocation]]:
        """Yields what a running pod holds and its annotation lacks now, as it was `signed` last."""
        for key in self._allocations.keys(pod.uid) if pod.has_interfaces else ():
            if key in signed and key not in decided:
                yield key, replace(signed[key], migration=self.of(pod, key))

    def moved(
        self, pod: Pod, decided: Mapping[str, model.Allocation]
    ) -> Iterator[tuple[str, model.Allocation]]:
        """Yields the signed allocations of which something else holds now: with whom the pod shares
        them, and which of both is active.

        Where an earlier version named the port after the pod, it gets the name of both.
        """
        for key, allocation in decided.items():
            if self._allocations.get(pod.uid, key) is None:
                continue
            port = allocation.logical_port
            if not port and self._allocations.sharing(pod.uid, key):
                port = self._port(pod, key, allocation)
            now = replace(allocation, migration=self.of(pod, key), logical_port=port)
            if now != allocation:
                yield key, now

    def _is_active(self, pod: Pod, known: Migration) -> bool:
        """Whether the machine runs in the target."""
        if not pod.migration:
            return True  # the source's node is lost
        instance = self._machines.running(_machine(pod))
        if instance is None or instance.uid != pod.machine_uid:
            return known.is_active  # it is being deleted
        state = instance.moving
        if state.uid != pod.migration:
            return known.is_active
        return state.is_ready or (instance.node == pod.node and not state.is_failed)

    # Who may share

    def shared_with(self, pod: Pod, request: AllocationRequest) -> Holding | None:
        """Returns whose allocation a pod gets for an attachment; None: one of its own.

        Raises NotReady or Conflict while that is not decided.
        """
        network, asked = request.network, request.attachment
        if network.spec.topology is model.Topology.LAYER3:
            return None  # addresses there are their nodes'
        source = self._source(pod)
        if source is None and request.claim is not None:
            source = self._lost(pod, request.claim)
        if source is None:
            return None
        key = self._matching(source, asked)
        if self._allocations.network(source.uid, key) != network.name:
            return None  # a NIC that the source does not have
        self._sources[pod.uid] = Migration(source.ref.name, source.uid, not pod.migration)
        return Holding(source.uid, key)

    def _matching(self, source: Pod, asked: model.Attachment) -> str:
        """Returns the source's key of the same NIC: that of the same name on the same NAD.

        After NICs were unplugged it has them under other keys than a new pod.
        """
        own = source.request.attachments
        if source.has_interfaces:
            own = self._annotations.asked(source)
        return next((each.key for each in own if _nic(each) == _nic(asked)), asked.key)

    def _source(self, pod: Pod) -> Pod | None:
        """Returns the pod that a migration's target comes from."""
        if not (pod.machine and pod.migration):
            return None
        others = [each for each in self._living(pod) if each.machine_uid == pod.machine_uid]
        if not others:
            return None
        name, where = _machine(pod), pod.label
        instance = self._machines.running(name)
        if instance is None or instance.uid != pod.machine_uid:
            raise errors.NotReady(
                f"is of an instance of virtual machine {name} that is not there",
                where=where,
                hint="the pod goes on when it is",
            )
        migration = self._machines.migration(pod.migration, name)
        if migration is None or migration.is_over:
            what = "is over" if migration is not None else "is not there"
            raise errors.NotReady(
                f"has the label of a live migration of virtual machine {name} that {what}",
                where=where,
                hint="a pod shares a machine's addresses only while a "
                "VirtualMachineInstanceMigration with this uid goes on",
            )
        if len(others) > 1:
            listed = ", ".join(sorted(str(each.key) for each in others))
            raise errors.Conflict(
                f"addresses of virtual machine {name}: are held by pods {listed} already",
                where=where,
                hint="a migration has one source and one target; delete the pod that is neither",
                field="migration",
            )
        (source,) = others
        state = instance.moving
        named = migration.source or (state.source if state.uid == pod.migration else "")
        is_source = source.ref.name == named if named else source.node == instance.node
        if not is_source or source.node == pod.node:
            raise errors.NotReady(
                f"cannot take over from pod {source.key} on node {source.node}: virtual machine "
                f"{name} runs on node {instance.node or 'none'}"
                + (f", in pod {named}" if named else ""),
                where=where,
                hint="the pod goes on when its migration comes from that pod, on another node",
            )
        if not self._allocations.keys(source.uid) and source.proof[1]:
            raise errors.NotReady(
                f"comes from pod {source.key}, of which it is not known what it has",
                where=where,
                hint="the agent of that pod's node restores its annotation",
            )
        return source

    def _lost(self, pod: Pod, claim: model.IpamClaim) -> Pod | None:
        """Returns the pod on a lost node that still uses a claim; raises ClaimInUse if another
        one does."""
        users = self._allocations.claim_users(claim.key) - {pod.uid}
        if not users:
            return None
        living = [each for each in self._living(pod) if each.uid in users]
        lost = [each for each in living if each.is_deleting and self._nodes.is_lost(each.node)]
        if len(lost) == len(users) == 1:
            return lost[0]
        naming = filter(None, map(self._pods.get, self._pods.find(By.CLAIM, claim.key)))
        using = {str(each.key) for each in (*living, *naming) if each.uid in users}
        raise _in_use(pod, claim, sorted(using))

    def _living(self, pod: Pod) -> list[Pod]:
        found = map(self._pods.get, self.others(pod))
        return [each for each in found if each is not None and not each.is_completed]


def _in_use(pod: Pod, claim: model.IpamClaim, by: list[str]) -> ClaimInUse:
    """Returns the error of a pod that names a claim which other pods use."""
    whose = f"Pod {', '.join(by)}" if by else "a pod of another owner"
    return ClaimInUse(
        f"is used by {whose}, and keeps the addresses of one machine",
        where=claim_label(claim),
        hint=f"{pod.label} goes on when that is gone; or name a claim of its own",
        field="ipam-claim-reference",
    )


def _machine(pod: Pod) -> ObjectKey:
    return ObjectKey(pod.ref.namespace, pod.machine)


def _nic(attachment: model.Attachment) -> tuple[ObjectKey | None, str]:
    return attachment.nad, attachment.interface
