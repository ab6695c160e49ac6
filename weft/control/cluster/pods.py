"""Allocates addresses, MAC and tunnel key to each attachment of each pod.

Pure. Earlier allocations are reserved, missing ones are made and signed in one patch per pod, and
all are released once when the pod goes or completes. Unsigned annotations are overwritten, and
those of a running pod restored. `weft.alloc` chooses the addresses and MACs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from weft import errors, model, names
from weft.alloc.nodesubnets import NodeSubnets
from weft.api import podnetworks
from weft.api.pod import Pod, unrequested
from weft.control.cluster import podannotations, podwarnings
from weft.control.cluster.allocationrequest import AllocationRequest
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.claimuse import ClaimInUse
from weft.control.cluster.ipamclaims import IpamClaims
from weft.control.cluster.keys import SigningKeys
from weft.control.cluster.migrations import Migrations
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodes import Nodes, Pending
from weft.control.cluster.outcome import NOTHING, Event, Outcome, Patch, Subject
from weft.control.cluster.pendingpods import PendingPods
from weft.control.cluster.podannotations import PodAnnotations
from weft.control.cluster.podevents import PodEvents
from weft.control.cluster.podtable import By, PodTable
from weft.control.cluster.podwarnings import PodWarnings
from weft.control.cluster.unknown import Unknown
from weft.kube import resources
from weft.metrics import Figures, Metric
from weft.reasons import Reason

log = logging.getLogger(__name__)

SAFETY_NET = 30.0  # seconds after which a waiting pod is decided again without a cause


class Pods:
    """All pods. `due`: the pods to decide, and after how many seconds."""

    def __init__(
        self,
        table: PodTable,
        networks: Networks,
        nodes: Nodes,
        claims: IpamClaims,
        allocations: Allocations,
        keys: SigningKeys,
    ) -> None:
        self._pods, self._networks, self._nodes = table, networks, nodes
        self._claims, self._allocations, self._keys = claims, allocations, keys
        self._migrations = Migrations(table, claims.machines, nodes, allocations)
        self._annotations = PodAnnotations(keys, networks)
        self._warnings = PodWarnings(networks, nodes, allocations)
        self._pending, self._unknown = PendingPods(), Unknown()
        self._unsigned: set[str] = set()  # uids of older pods that still need a signature
        self._events = PodEvents()
        self._forged: dict[str, errors.InvalidInput] = {}  # pod uid: what is being overwritten
        self._refused: set[model.ObjectKey] = set()  # pods whose annotation is refused
        self._unheld: set[model.ObjectKey] = set()  # pods whose NADs lack the finalizer yet
        self.due: dict[model.ObjectKey, float] = {}

    @property
    def is_recovering(self) -> bool:
        """Whether some networks wait for what a running pod may hold (see `end_recovery`)."""
        return bool(self._unknown)

    def figures(self) -> Figures:
        troubled = len(self._events)
        return {Metric.ATTACHMENTS: len(self._allocations), Metric.PODS_TROUBLED: troubled}

    # Objects in

    def begin(self) -> None:
        """Takes in earlier allocations: signed ones first, then those of pods before signatures."""
        there = [pod for pod in self._pods if not pod.is_completed]
        for pod in there:
            self._observe(pod)
        before = self._annotations.unsigned(there)
        for pod in before:
            self._adopt(pod)
        self._end_adoption()
        for pod in filter(self._is_lost, there if not before else ()):
            self._unknown.add(pod.key, self._annotations.unverified(pod))
        due = [pod for pod in there if self._is_due(pod)]
        self._wake(pod.key for pod in sorted(due, key=Pod.age))  # the oldest first

    def put(self, old: Pod | None, new: Pod | None) -> None:
        """A pod of the table is new, changed, or gone (None)."""
        if new is None or new.is_completed:
            gone = new or old
            if gone is not None:
                self._release(gone)
            return
        if old is None or old.proof != new.proof:
            self._observe(new)
        if new.key in self._refused or old is None or not old.has_same_request(new):
            self._wake([new.key] if self._is_due(new) else ())
            self._wake(self._migrations.others(new))

    def trust_other_keys(self) -> None:
        self._look_again(self._pods.keys())

    def use(self, by: By, value: str | model.ObjectKey) -> None:
        """What pods name may be another now: a NAD another network, a namespace a guest of other
        networks, a node with other subnets, a virtual machine with other claims."""
        found = self._pods.find(by, value)
        if by is By.NODE:  # elsewhere a pod may take over from one of a lost node
            there = filter(None, map(self._pods.get, found))
            found = found.union(*map(self._migrations.others, there))
        self._look_again(found)

    def use_held(self, nad: model.ObjectKey) -> None:
        """A NAD has its finalizer now."""
        self._wake(sorted(self._unheld & self._pods.find(By.NAD, nad)))

    def use_claim(self, claim: model.ObjectKey, freed: Iterable[model.Segment]) -> None:
        """An IPAMClaim exists now, or is gone and freed something."""
        self._look_again(self._pods.find(By.CLAIM, claim))
        for segment in freed:
            self._wake(self._pending.freed(segment))

    def end_recovery(self) -> None:
        """Stops waiting for what running pods may hold."""
        self._wake(self._unknown.end())

    def _look_again(self, keys: set[model.ObjectKey]) -> None:
        for key in sorted(keys):
            pod = self._pods.get(key)
            if pod is not None and not pod.is_completed:
                self._observe(pod)
                if self._is_due(pod):
                    self.due[key] = 0.0

    def _is_due(self, pod: Pod) -> bool:
        return pod.needs_allocations(holds=bool(self._allocations.keys(pod.uid)))

    def _observe(self, pod: Pod) -> None:
        """Reserves the signed allocations of the pod, from this manager or an earlier one."""
        decided = self._annotations.decided(pod)
        if decided:
            self._migrations.observe(pod, decided)
            self._reserve_all(pod, decided)
            self._wake(self._unknown.end(pod.key))

    def _adopt(self, pod: Pod) -> None:
        """Reserves the unsigned allocations of a pod that is older than signatures."""
        try:
            self._reserve_all(pod, self._annotations.adopted(pod))
        except errors.InvalidInput as error:
            self._queue_event(pod, error)
            return
        if self._allocations.keys(pod.uid) and self._is_due(pod):
            self._unsigned.add(pod.uid)

    def _reserve_all(self, pod: Pod, decided: Mapping[str, model.Allocation]) -> None:
        # Even if the request is invalid now, the pod keeps its allocations.
        requested = pod.request.attachments
        for attachment in (*requested, *unrequested(requested, decided)):
            if (allocation := decided.get(attachment.key)) is not None:
                try:
                    self._reserve(pod, attachment, podannotations.plain(allocation))
                except errors.WeftError as error:
                    self._queue_event(pod, error)

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
            self._allocations.share(uid, attachment, pod.label, source)
            return
        subnets = None
        if network.spec.topology is model.Topology.LAYER3:
            subnets = self._nodes.known_subnets(pod.node, network)
        self._allocations.reserve(network, uid, key, allocation, pod.label, claim, subnets)
        if claim is not None:
            self._claims.note(claim)

    def _release(self, pod: Pod) -> None:
        key, uid = pod.key, pod.uid
        self._events.forget(key)
        self._forged.pop(uid, None)
        self._annotations.forget(uid)
        self._unsigned.discard(uid)
        self._end_adoption()
        self._refused.discard(key)
        self._unheld.discard(key)
        self._pending.forget(key)
        self._wake([*self._unknown.end(key), *self._pending.end_turn(key)])
        self._migrations.forget(uid)
        freed = self._allocations.release(uid)
        naming = (self._pods.find(By.CLAIM, each) for each in pod.claims())
        self._wake(self._migrations.others(pod).union(*naming))
        for segment in freed:
            self._wake(self._pending.freed(segment))
            self._nodes.let_go(segment)
            self._networks.release(segment.network)
            self._claims.retry(segment.network)

    def _wake(self, keys: Iterable[model.ObjectKey]) -> None:
        self.due |= dict.fromkeys(keys, 0.0)

    def _end_adoption(self) -> None:
        if not self._unsigned:
            self._keys.end_adoption()

    # Decisions out

    def decide(self, key: model.ObjectKey) -> Outcome:
        """Returns the patch of a pod's annotations, or the Event that says why it waits."""
        pod, events = self._pods.get(key), self._events.take(key)
        try:
            decided = self._decide(pod) if pod is not None and self._is_due(pod) else NOTHING
        finally:
            self._wake(self._pending.end_turn(key))
        if not events:
            return decided
        return Outcome(decided.patches, (*events, *decided.events), decided.again)

    def _decide(self, pod: Pod) -> Outcome:
        self._pending.forget(pod.key)
        self._refused.discard(pod.key)
        if self._is_lost(pod):
            lost = podwarnings.lost(pod)
            return Outcome(events=self._events.new(pod, lost, Reason.POD_NETWORKS_LOST))
        try:
            missing = self._allocate(pod)
        except Pending:
            return NOTHING  # the node is about to be annotated, which brings the pod back
        except errors.WeftError as error:
            # Usually a change of the NAD or a release brings the pod back earlier.
            again = SAFETY_NET if error.retry else 0.0
            return Outcome(events=self._events.new(pod, error), again=again)
        if not all(self._networks.is_held(podnetworks.nad_of(each)) for each in missing):
            self._unheld.add(pod.key)  # or the NAD could be deleted under its first pod
            return Outcome(again=SAFETY_NET)
        self._unheld.discard(pod.key)
        if missing or not self._annotations.is_whole(pod):
            return Outcome((self._patch(pod, missing),))
        return Outcome(events=self._warning_events(pod))

    def _is_lost(self, pod: Pod) -> bool:
        """Whether the pod runs with allocations that only its node still knows."""
        if not pod.has_interfaces or self._allocations.keys(pod.uid):
            return False
        made = any(self._annotations.is_own(key) for key, _ in pod.interfaces)
        return not self._annotations.decided(pod) and (made or any(pod.proof))

    def _allocate(self, pod: Pod) -> dict[str, model.Allocation]:
        """Returns the allocations missing on the pod, by attachment key; all, or raises."""
        # A running pod keeps its allocations, whatever was written to it since.
        decided = self._annotations.decided(pod)
        given = self._allocations.of(pod.uid) if pod.has_interfaces else {}
        missing = {
            key: self._migrations.in_full(pod, key, allocation)
            for key, allocation in given.items()
            if key not in decided
        }
        missing |= dict(self._migrations.moved(pod, decided))
        fresh: list[str] = []
        for request in self._requests(pod, decided.keys() | missing.keys()):
            key = request.attachment.key
            held = self._allocations.get(pod.uid, key)
            if held is not None:  # decided earlier: its patch failed, or has not come back yet
                missing[key] = self._migrations.in_full(pod, key, held)
                continue
            try:
                missing[key] = self._migrations.in_full(pod, key, self._give(pod, request))
            except errors.WeftError as error:
                self._take_back(pod.uid, fresh)
                if request.claim is not None and not isinstance(error, ClaimInUse):
                    self._claims.note(request.claim, error)
                if isinstance(error, errors.Conflict):
                    exhausted = isinstance(error, errors.Exhausted)
                    self._pending.add(pod.key, request.segment, exhausted=exhausted)
                raise
            fresh.append(key)
        return missing

    def _requests(self, pod: Pod, known: set[str]) -> list[AllocationRequest]:
        """Returns the attachments that the pod asks for and that are not in `known`."""
        found = []
        for attachment in self._requested(pod):
            # A running pod's networks stay as they are, but weft may take over the first interface
            # of a pod that another plugin wired.
            is_settled = pod.has_interfaces and (attachment.nad or self._chose_first(pod))
            if attachment.key in known or is_settled:
                continue
            is_given = self._allocations.get(pod.uid, attachment.key) is not None
            network = self._networks.lookup(attachment.nad, pod.key, known=is_given)
            if network is not None:
                claim = self._claims.lookup(pod, attachment, network)
                found.append(
                    AllocationRequest(network, attachment, claim, self._subnets(pod, network))
                )
        return found

    def _give(self, pod: Pod, request: AllocationRequest) -> model.Allocation:
        self._unknown.check(request.network.name, pod.key)
        if (source := self._migrations.shared_with(pod, request)) is not None:
            return self._allocations.share(pod.uid, request.attachment, pod.label, source)
        attachment = pod.with_identity(request.attachment)
        allocation = self._allocations.allocate(
            request.network, pod.uid, attachment, pod.label, request.claim, request.subnets
        )
        if request.claim is not None:
            self._claims.note(request.claim)
        return allocation

    def _requested(self, pod: Pod) -> tuple[model.Attachment, ...]:
        """Returns the request; raises InvalidInput if it is invalid and the pod does not run."""
        return pod.request.attachments if pod.has_interfaces else pod.attachments()

    def _take_back(self, uid: str, attachments: Iterable[str]) -> None:
        for attachment in attachments:
            for segment in self._allocations.release(uid, attachment):
                self._wake(self._pending.freed(segment))
                self._claims.retry(segment.network)

    def _chose_first(self, pod: Pod) -> bool:
        """Whether a pod holds a first network that its request does not name any more."""
        requested = {each.key for each in pod.request.attachments}
        return not self._allocations.keys(pod.uid) <= requested

    def _subnets(self, pod: Pod, network: model.Network) -> NodeSubnets | None:
        """Returns the subnets of the pod's node, None unless the network is layer3."""
        if network.spec.topology is not model.Topology.LAYER3:
            return None
        return self._nodes.subnets(pod.node, network)

    def _patch(self, pod: Pod, missing: dict[str, model.Allocation]) -> Patch:
        """Makes the patch for this resourceVersion: a newer one conflicts and is decided again."""
        forgery = self._annotations.forgery(pod)
        if forgery is not None and pod.uid not in self._unsigned:
            self._forged[pod.uid] = forgery
        texts = self._annotations.render(pod, {**self._annotations.decided(pod), **missing})
        annotations = {
            names.POD_NETWORKS: texts[0] or None,
            names.POD_NETWORKS_SIGNATURE: texts[1] or None,
        }
        return Patch(_subject(pod), annotations, version=pod.version, settles=True)

    def written(self, key: model.ObjectKey, patch: Patch) -> tuple[Event, ...]:
        """Call after a patch was taken, or its pod was gone; returns Events to emit."""
        uid, pod = patch.about.uid, self._pods.get(key)
        self._unsigned.discard(uid)
        self._end_adoption()
        forgery = self._forged.pop(uid, None)
        if pod is None or pod.uid != uid:
            return ()
        events = self._events.new(pod, forgery, Reason.POD_NETWORKS_OVERWRITTEN) if forgery else ()
        return (*events, *self._warning_events(pod))

    def refused(
        self, key: model.ObjectKey, patch: Patch, error: errors.WeftError
    ) -> tuple[Event, ...]:
        """Call when the API server refuses a patch as invalid; returns Events to emit."""
        pod = self._pods.get(key)
        if pod is None or pod.uid != patch.about.uid:
            return ()
        if not pod.has_interfaces:  # what is not written now never will be
            decided = self._annotations.decided(pod)
            self._take_back(pod.uid, self._allocations.keys(pod.uid) - decided.keys())
        self._refused.add(key)
        return self._events.new(pod, podwarnings.unwritable(pod, error))

    def _warning_events(self, pod: Pod) -> tuple[Event, ...]:
        if (found := self._warnings.find(pod, self._annotations.decided(pod))) is not None:
            return self._events.new(pod, found[1], found[0])
        self._events.end(pod.key)
        return ()

    def _queue_event(self, pod: Pod, error: errors.WeftError) -> None:
        self._events.queue(pod, error)
        self.due[pod.key] = 0.0


def _subject(pod: Pod) -> Subject:
    return Subject(resources.PODS, pod.key, pod.uid)
