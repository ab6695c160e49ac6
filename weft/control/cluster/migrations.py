"""Decides which two pods of a virtual machine share addresses, MAC and tunnel key.

Pure. They are the source and the target of a live migration, or the pod of a lost node and its
successor. A pod's labels and owner references are its creator's word: a target counts only in the
namespace of an instance and of a live migration that exist with these uids, both of one machine,
and next to one other pod of that instance. KubeVirt alone writes their status. The pair is signed
in the target's allocations, by which the next manager and all agents know it (ADR 0117).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from weft import errors, model, names
from weft.api.pod import Pod
from weft.control import index
from weft.control.cluster import podannotations
from weft.control.cluster.allocationrequest import AllocationRequest
from weft.control.cluster.allocations import Allocations, Holding
from weft.control.cluster.claimuse import claim_label
from weft.control.cluster.machines import MachineTable
from weft.control.cluster.nodes import Nodes
from weft.control.cluster.podannotations import PodAnnotations
from weft.control.cluster.podtable import By, PodTable
from weft.migration import Migration
from weft.model import ObjectKey

_MOST_NAMED = 3  # pods in a message
_HASHED = re.compile(r"pod[0-9a-f]{11}")  # an interface named after its network


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
        self._targets: dict[str, set[str]] = {}  # the same by the uid of the first one
        # Who waits for a pod, by its key; and for whom each waits.
        self._waiting: dict[ObjectKey, set[ObjectKey]] = {}
        self._waits: dict[ObjectKey, frozenset[ObjectKey]] = {}

    # What is known

    def observe(self, pod: Pod, decided: Mapping[str, model.Allocation]) -> None:
        """Takes in the pair that a pod's signed allocations name."""
        for allocation in decided.values():
            if allocation.migration is not None:
                self._set_pair(pod, allocation.migration)

    def _set_pair(self, pod: Pod, pair: Migration) -> None:
        before = self._sources.get(pod.uid)
        if before is not None:
            index.discard(self._targets, before.source_uid, pod.uid)
        self._sources[pod.uid] = pair
        self._targets.setdefault(pair.source_uid, set()).add(pod.uid)

    def forget(self, pod: Pod) -> None:
        """Forgets a pod that is gone."""
        self.stop_waiting(pod.key)
        before = self._sources.pop(pod.uid, None)
        if before is not None:
            index.discard(self._targets, before.source_uid, pod.uid)
        for target in self._targets.pop(pod.uid, ()):
            del self._sources[target]

    def stop_waiting(self, key: ObjectKey) -> None:
        """A pod is decided anew, or gone."""
        for other in self._waits.pop(key, ()):
            index.discard(self._waiting, other, key)

    def _wait_for(self, pod: Pod, others: Iterable[ObjectKey]) -> None:
        self.stop_waiting(pod.key)
        self._waits[pod.key] = found = frozenset(others)
        for other in found:
            self._waiting.setdefault(other, set()).add(pod.key)

    def concerned(self, pod: Pod) -> set[ObjectKey]:
        """Returns the pods to which a change of this one matters: who waits for it, and with whom
        it shares anything. How many name its machine costs nothing."""
        partners = map(self._pods.by_uid, self._partners(pod.uid))
        sharing = {each.key for each in partners if each is not None}
        return self._waiting.get(pod.key, set()) | sharing

    def source_of(self, pod: Pod) -> set[ObjectKey]:
        """Returns the first pod of a pair, by its second one."""
        known = self._sources.get(pod.uid)
        return {ObjectKey(pod.ref.namespace, known.source)} if known is not None else set()

    def held_with(
        self, pod: Pod, network: model.Network, allocation: model.Allocation
    ) -> Holding | None:
        """Returns where the other pod of a pair holds the same; None if there is none."""
        known = self._sources.get(pod.uid)
        uids = sorted(self._targets.get(pod.uid, ()))
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
            return known.is_active  # the source's node is lost; or somebody took the label away
        instance = self._machines.running(_machine(pod))
        if instance is None or instance.uid != pod.machine_uid:
            return known.is_active  # it is being deleted
        state = instance.moving
        if state.uid != pod.migration:
            return known.is_active
        return state.is_ready or (instance.node == pod.node and not state.is_failed)

    # Who may share

    def share(self, pod: Pod, request: AllocationRequest) -> model.Allocation | None:
        """Gives a pod what another one has for the same NIC; None: it gets what nobody has.

        Raises NotReady or Conflict while that is not decided; `concerned` tells who waits then.
        """
        if request.network.spec.topology is model.Topology.LAYER3:
            return None  # addresses there are their nodes', and no claim keeps any
        holding = self._holding(pod, request, self._source(pod))
        if holding is None:
            return None
        given = self._allocations.share(pod.uid, request.attachment, pod.label, holding)
        of = self._pods.by_uid(holding.uid)
        known = self._sources.get(pod.uid)
        if of is not None and (known is None or known.source_uid != of.uid):
            self._set_pair(pod, Migration(of.ref.name, of.uid, not pod.migration))
        return given

    def _holding(self, pod: Pod, request: AllocationRequest, source: Pod | None) -> Holding | None:
        """Returns what a pod gets of another one: what the claim of its NIC keeps, else what the
        source has of the same NIC."""
        network, claim = request.network, request.claim
        found = self._allocations.claim_holders(claim.key) if claim is not None else []
        using = [each for each in found if each.uid != pod.uid]
        if claim is not None and using:
            if source is None:
                source = self._lost(pod, {each.uid for each in using})
            is_own = source is not None and {each.uid for each in using} == {source.uid}
            if not is_own or self._allocations.network(*using[0]) != network.name:
                raise self._in_use(pod, claim, using)
            return using[0]
        if source is None:
            return None
        key = self._matching(source, pod, request.attachment)
        is_held = key and self._allocations.network(source.uid, key) == network.name
        return Holding(source.uid, key) if is_held else None

    def _matching(self, source: Pod, pod: Pod, asked: model.Attachment) -> str:
        """Returns the source's key of the same NIC, "" if it has none: that of the same name on
        the same NAD. After NICs were unplugged it has them under other keys than a new pod.

        A name that only tells the place of a NIC may differ: then those of a NAD are paired in
        order that no name pairs. A name made of the network's is that of no other NIC.
        """
        own = source.request.attachments
        if source.has_interfaces:
            own = self._annotations.asked(source)
        names_of = {_nic(each): each.key for each in own}
        if (found := names_of.get(_nic(asked))) is not None:
            return found
        there = {_nic(each) for each in pod.request.attachments}
        left = [each for each in own if each.nad == asked.nad and _nic(each) not in there]
        new = [
            _nic(each)
            for each in pod.request.attachments
            if each.nad == asked.nad and _nic(each) not in names_of
        ]
        for old, nic in zip(left, new, strict=False):
            if nic == _nic(asked) and not all(map(_HASHED.fullmatch, (old.interface, nic[1]))):
                return old.key
        return ""

    def _source(self, pod: Pod) -> Pod | None:
        """Returns the pod that a migration's target comes from; None if no other one of its
        instance holds anything."""
        if not (pod.machine and pod.migration):
            return None
        known = self._sources.get(pod.uid)
        paired = self._pods.by_uid(known.source_uid) if known is not None else None
        if paired is not None and not paired.is_completed:
            return paired  # as decided for another NIC
        name, where = _machine(pod), pod.label
        instance = self._machines.running(name)
        if instance is not None and instance.uid != pod.machine_uid:
            instance = None
        migration = self._machines.migration(pod.migration, name)
        named = migration.source if migration is not None else ""
        if instance is not None and instance.moving.uid == pod.migration:
            named = named or instance.moving.source
        node = instance.node if instance is not None else ""
        found = self._candidates(pod, named, node)
        if not found:
            return None
        source, holders = found[0], {each.key for each in found}
        partners = self._partners(source.uid) - {pod.uid}
        holders |= {each.key for each in map(self._pods.by_uid, partners) if each is not None}
        self._wait_for(pod, holders)
        if instance is None:
            raise errors.NotReady(
                f"is of an instance of virtual machine {name} that is not there",
                where=where,
                hint="the pod goes on when it is",
            )
        if migration is None or migration.is_over:
            what = "is over" if migration is not None else "is not there"
            raise errors.NotReady(
                f"has the label of a live migration of virtual machine {name} that {what}",
                where=where,
                hint="a pod shares a machine's addresses only while a "
                "VirtualMachineInstanceMigration with this uid goes on",
            )
        if len(found) > 1 or partners:
            raise errors.Conflict(
                f"addresses of virtual machine {name}: are held by pods {_listed(holders)} already",
                where=where,
                hint="a migration has one source and one target; delete the pod that is neither",
                field="migration",
            )
        self._check_source(pod, source, named, node)
        self.stop_waiting(pod.key)
        return source

    def _check_source(self, pod: Pod, source: Pod, named: str, node: str) -> None:
        """Raises NotReady while a pod is not the one that a target comes from: that of a name, else
        on a node; or while it is not known what that has."""
        name, where = _machine(pod), pod.label
        is_source = source.ref.name == named if named else source.node == node
        if not is_source or source.node == pod.node:
            raise errors.NotReady(
                f"cannot take over from pod {source.key} on node {source.node}: virtual machine "
                f"{name} runs on node {node or 'none'}" + (f", in pod {named}" if named else ""),
                where=where,
                hint="the pod goes on when its migration comes from that pod, on another node",
            )
        if not self._allocations.keys(source.uid):
            raise errors.NotReady(
                f"comes from pod {source.key}, of which it is not known what it has",
                where=where,
                hint="the agent of that pod's node restores its annotation",
            )

    def _candidates(self, pod: Pod, named: str, node: str) -> list[Pod]:
        """Returns the pods that the source may be: that of the name, or those on the instance's
        node; else any one that is not, if there is one.

        A pod that holds nothing is none, and how many such there are costs next to nothing.
        """
        home = pod.ref.namespace
        keys = {ObjectKey(home, named)}
        if not named:
            keys = self._pods.find(By.INSTANCE, (home, pod.machine_uid, node))
        found = [each for each in map(self._pods.get, sorted(keys)) if self._may_lead(each, pod)]
        if not found:
            others = map(self._pods.get, self._pods.each(By.MACHINE, _machine(pod)))
            found = [*islice((each for each in others if self._may_lead(each, pod)), 1)]
        return [each for each in found if each is not None]

    def _may_lead(self, other: Pod | None, pod: Pod) -> bool:
        """Whether another pod of an instance holds something, or did before it is known what."""
        if other is None or other.uid == pod.uid or other.is_completed:
            return False
        is_same = (other.machine, other.machine_uid) == (pod.machine, pod.machine_uid)
        return is_same and bool(self._allocations.keys(other.uid) or other.proof[1])

    def _partners(self, uid: str) -> set[str]:
        """Returns the pods, by uid, that share anything with one, or are decided to."""
        keys = self._allocations.keys(uid)
        found = {each for key in keys for each in self._allocations.sharers(uid, key)}
        return found | self._targets.get(uid, set())

    def _lost(self, pod: Pod, using: set[str]) -> Pod | None:
        """Returns the pod of a lost node that a machine's pod succeeds, if that alone is using what
        the machine's claim keeps."""
        (other,) = map(self._pods.by_uid, using) if len(using) == 1 else (None,)
        if other is None or not pod.machine or _machine(other) != _machine(pod):
            return None
        is_lost = other.is_deleting and self._nodes.is_lost(other.node)
        return other if is_lost and not other.is_completed else None

    def _in_use(self, pod: Pod, claim: model.IpamClaim, using: list[Holding]) -> errors.Conflict:
        """Returns the error of a pod that names a claim which other pods use."""
        there = map(self._pods.by_uid, (each.uid for each in using))
        keys = {each.key for each in there if each is not None}
        self._wait_for(pod, keys)
        whose = f"Pod {_listed(keys)}" if keys else "a pod of another owner"
        return errors.Conflict(
            f"is used by {whose}, and keeps the addresses of one machine",
            where=claim_label(claim),
            hint=f"{pod.label} goes on when that is gone; or name a claim of its own",
            field="ipam-claim-reference",
        )


def _listed(keys: Collection[ObjectKey]) -> str:
    """Some of the pods by name: a message does not grow with their number."""
    shown = sorted(map(str, keys))
    more = [f"{len(shown) - _MOST_NAMED} more"] if len(shown) > _MOST_NAMED else []
    return ", ".join([*shown[:_MOST_NAMED], *more])


def _machine(pod: Pod) -> ObjectKey:
    return ObjectKey(pod.ref.namespace, pod.machine)


def _nic(attachment: model.Attachment) -> tuple[ObjectKey | None, str]:
    return attachment.nad, attachment.interface
