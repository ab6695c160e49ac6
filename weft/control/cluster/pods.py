"""Allocates addresses, MAC and tunnel key to each attachment of each pod.

Pure. Earlier allocations are reserved, missing ones are made and signed in one patch per pod, and
all are released once when the pod goes or completes. Unsigned annotations are overwritten, and
those of a running pod restored. `weft.alloc` chooses the addresses and MACs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from weft import errors, model, names
from weft.api import podnetworks
from weft.api.pod import Pod
from weft.control.cluster import podwarnings
from weft.control.cluster.allocationrequest import AllocationRequest, AllocationRequests
from weft.control.cluster.allocations import Allocations
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
from weft.control.cluster.reservations import Reservations
from weft.control.cluster.unknown import Unknown
from weft.control.cluster.unplugging import NOT_UNPLUGGED, Clock, Unplugged, Unplugging
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
        clock: Clock,
    ) -> None:
        self._pods, self._networks, self._nodes = table, networks, nodes
        self._claims, self._allocations, self._keys = claims, allocations, keys
        self._annotations = PodAnnotations(keys, networks)
        self._migrations = Migrations(table, claims.machines, nodes, allocations, self._annotations)
        self._requests = AllocationRequests(networks, nodes, claims, allocations)
        self._warnings = PodWarnings(networks, nodes, allocations)
        self._pending, self._unknown = PendingPods(), Unknown()
        self._unplugging = Unplugging(clock)
        self._reservations = Reservations(
            networks, nodes, claims, allocations, self._migrations, self._take_back
        )
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
        held, troubled = len(self._allocations), len(self._events)
        return {Metric.ATTACHMENTS: held, Metric.PODS_TROUBLED: troubled}

    # Objects in

    def begin(self) -> None:
        """Takes in earlier allocations: signed ones first, then those of pods before signatures."""
        there = [pod for pod in self._pods if not pod.is_completed]
        self._observe_all(there)
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
        is_news = new.key in self._refused or old is None or not old.has_same_request(new)
        unplugged = self._unplugged(new)  # of each version: what comes and goes between them counts
        if is_news or any(unplugged):
            self._wake([new.key] if self._is_due(new) else ())
        if is_news:
            self._wake(self._migrations.concerned(new))

    def trust_other_keys(self) -> None:
        self._look_again(self._pods.keys())

    def use(self, by: By, value: str | model.ObjectKey) -> None:
        """What pods name may be another now: a NAD another network, a namespace a guest of other
        networks, a node with other subnets, a virtual machine with other claims."""
        found = self._pods.find(by, value)
        if by is By.NODE:  # elsewhere a pod may take over from one of a lost node
            there = filter(None, map(self._pods.get, found))
            found = found.union(*map(self._migrations.concerned, there))
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
        found = filter(None, map(self._pods.get, sorted(keys)))
        there = [pod for pod in found if not pod.is_completed]
        self._observe_all(there)
        self._wake(pod.key for pod in there if self._is_due(pod))

    def _is_due(self, pod: Pod) -> bool:
        return pod.needs_allocations(holds=bool(self._allocations.keys(pod.uid)))

    def _observe_all(self, pods: Iterable[Pod]) -> None:
        """Reserves what is signed for the pods, first what was given after others had lost it."""
        decided = [(pod, self._annotations.decided(pod)) for pod in pods]
        for pod, allocations in decided:
            self._migrations.observe(pod, allocations)
        self._reservations.reserve_later_ones(decided)
        for pod, _ in decided:
            self._observe(pod)

    def _observe(self, pod: Pod) -> None:
        """Reserves the signed allocations of the pod, from this manager or an earlier one."""
        decided = self._annotations.decided(pod)
        if decided:
            self._migrations.observe(pod, decided)
            for error in self._reservations.reserve(pod, decided):
                self._queue_event(pod, error)
            self._wake(self._unknown.end(pod.key))

    def _adopt(self, pod: Pod) -> None:
        """Reserves the unsigned allocations of a pod that is older than signatures."""
        try:
            adopted = self._annotations.adopted(pod)
        except errors.InvalidInput as error:
            self._queue_event(pod, error)
            return
        for failed in self._reservations.reserve(pod, adopted):
            self._queue_event(pod, failed)
        if self._allocations.keys(pod.uid) and self._is_due(pod):
            self._unsigned.add(pod.uid)

    def _release(self, pod: Pod) -> None:
        key, uid = pod.key, pod.uid
        self._events.forget(key)
        self._forged.pop(uid, None)
        self._annotations.forget(uid)
        self._unplugging.forget(uid)
        self._unsigned.discard(uid)
        self._end_adoption()
        self._refused.discard(key)
        self._unheld.discard(key)
        self._pending.forget(key)
        self._reservations.lacking.discard(key)
        self._wake([*self._unknown.end(key), *self._pending.end_turn(key)])
        concerned = self._migrations.concerned(pod)
        self._migrations.forget(pod)
        freed = self._allocations.release(uid)
        naming = (self._pods.find(By.CLAIM, each) for each in pod.claims())
        self._wake(concerned.union(*naming))
        self._freed(freed)

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
            decided = self._decided(pod) if pod is not None and self._is_due(pod) else NOTHING
        finally:
            self._wake(self._pending.end_turn(key))
        if not events:
            return decided
        return replace(decided, events=(*events, *decided.events))

    def _decided(self, pod: Pod) -> Outcome:
        unplugged = self._unplugged(pod)
        outcome = self._decide(pod, unplugged.now)
        return replace(outcome, later=unplugged.later) if unplugged.later else outcome

    def _decide(self, pod: Pod, gone: frozenset[str]) -> Outcome:
        self._pending.forget(pod.key)
        self._migrations.stop_waiting(pod.key)
        self._refused.discard(pod.key)
        if self._is_lost(pod):
            lost = podwarnings.lost(pod)
            return Outcome(events=self._events.new(pod, lost, Reason.POD_NETWORKS_LOST))
        taken = self._reservations.reserve_again(pod, self._annotations.decided(pod))
        try:
            missing, failure = self._allocate(pod)
        except errors.WeftError as error:
            return self._failed(pod, error)
        failure = failure or taken
        if not all(self._networks.is_held(podnetworks.nad_of(each)) for each in missing):
            self._unheld.add(pod.key)  # or the NAD could be deleted under its first pod
            return Outcome(again=SAFETY_NET)
        self._unheld.discard(pod.key)
        if missing or gone or not self._annotations.is_whole(pod):
            failed = self._failed(pod, failure) if failure is not None else NOTHING
            return Outcome((self._patch(pod, missing, gone),), failed.events, failed.again)
        if failure is not None:
            return self._failed(pod, failure)
        return Outcome(events=self._warning_events(pod))

    def _failed(self, pod: Pod, error: errors.WeftError) -> Outcome:
        if isinstance(error, Pending):
            return NOTHING  # the node is about to be annotated, which brings the pod back
        # Usually a change of the NAD or a release brings the pod back earlier.
        again = SAFETY_NET if error.retry else 0.0
        return Outcome(events=self._events.new(pod, error), again=again)

    def _is_lost(self, pod: Pod) -> bool:
        """Whether the pod runs with allocations that only its node still knows."""
        holds = bool(self._allocations.keys(pod.uid))
        return pod.has_interfaces and not holds and self._annotations.is_lost(pod)

    def _unplugged(self, pod: Pod) -> Unplugged:
        if not pod.has_interfaces:
            return NOT_UNPLUGGED
        held = self._annotations.held(pod, self._allocations.of(pod.uid))
        return self._unplugging.judge(pod, held, self._annotations.departed(pod, held))

    def _allocate(self, pod: Pod) -> tuple[dict[str, model.Allocation], errors.WeftError | None]:
        """Returns the allocations missing on the pod, by attachment key, and what failed.

        A pod that does not run gets all, or this raises; a NIC that is added to a running pod
        concerns no other.
        """
        # A running pod keeps its allocations, whatever was written to it since.
        decided = self._annotations.decided(pod)
        signed = self._annotations.signed(pod).allocations
        missing = dict(self._migrations.erased(pod, signed, decided))
        missing |= dict(self._migrations.moved(pod, decided))
        fresh: list[str] = []
        failure: errors.WeftError | None = None
        for attachment in self._annotations.asked(pod):
            if (key := attachment.key) in decided or key in missing:
                continue
            # Decided earlier: its patch failed, or has not come back yet.
            held, request = self._allocations.get(pod.uid, key), None
            try:
                request = self._requests.of(pod, attachment)
                if request is None:
                    continue
                allocation = held or self._give(pod, request)
            except errors.WeftError as error:
                if not pod.has_interfaces:
                    self._take_back(pod.uid, fresh)
                if request is not None:
                    self._wait(pod, request, error)
                if not pod.has_interfaces:
                    raise
                failure = failure or error
                continue
            given = self._annotations.given_now(allocation)
            missing[key] = self._migrations.in_full(pod, request.attachment, given)
            if held is None:
                fresh.append(key)
        return missing, failure

    def _give(self, pod: Pod, request: AllocationRequest) -> model.Allocation:
        self._unknown.check(request.network.name, pod.key)
        self._requests.check_count(pod)
        if (shared := self._migrations.share(pod, request)) is not None:
            self._wake(self._migrations.source_of(pod))  # its port may lack a name for both
            if request.claim is not None:
                self._claims.note(request.claim)
            return shared
        attachment = pod.with_identity(request.attachment)
        allocation = self._allocations.allocate(
            request.network, pod.uid, attachment, pod.label, request.claim, request.subnets
        )
        if request.claim is not None:
            self._claims.note(request.claim)
        return allocation

    def _wait(self, pod: Pod, request: AllocationRequest, error: errors.WeftError) -> None:
        # Of a claim that keeps what another pod uses it says nothing.
        if request.claim is not None and not self._allocations.is_claim_used(request.claim.key):
            self._claims.note(request.claim, error)
        if isinstance(error, errors.Conflict):
            exhausted = isinstance(error, errors.Exhausted)
            self._pending.add(pod.key, request.segment, exhausted=exhausted)

    def _take_back(self, uid: str, attachments: Iterable[str]) -> None:
        for attachment in attachments:
            self._freed(self._allocations.release(uid, attachment))

    def _freed(self, segments: Iterable[model.Segment]) -> None:
        for segment in segments:
            lacking = filter(None, map(self._pods.get, sorted(self._reservations.lacking)))
            signed = [(pod, self._annotations.signed(pod).allocations) for pod in lacking]
            self._reservations.reserve_later_ones(signed)
            for pod, allocations in signed:  # they come before who asks
                self._reservations.reserve_again(pod, allocations)
            self._wake(self._pending.freed(segment))
            self._nodes.let_go(segment)
            self._networks.release(segment.network)
            self._claims.retry(segment.network)

    def _patch(self, pod: Pod, missing: dict[str, model.Allocation], gone: frozenset[str]) -> Patch:
        """Makes the patch for this resourceVersion: a newer one conflicts and is decided again."""
        forgery = self._annotations.forgery(pod)
        if forgery and self._annotations.concern_weft(pod) and pod.uid not in self._unsigned:
            self._forged[pod.uid] = forgery
        desired = {**self._annotations.decided(pod), **missing}
        signed = self._annotations.render(pod, desired, gone)
        annotations = {
            names.POD_NETWORKS: signed.text or None,
            names.POD_NETWORKS_SIGNATURE: signed.signature or None,
        }
        about = Subject(resources.PODS, pod.key, pod.uid)
        return Patch(about, annotations, version=pod.version, settles=True)

    def written(self, key: model.ObjectKey, patch: Patch) -> tuple[Event, ...]:
        """Call after a patch was taken, or its pod was gone; returns Events to emit."""
        uid, pod = patch.about.uid, self._pods.get(key)
        self._unsigned.discard(uid)
        self._end_adoption()
        forgery = self._forged.pop(uid, None)
        if pod is None or pod.uid != uid:
            return ()
        if gone := self._annotations.written(uid):
            self._take_back(uid, gone)
            self._unplugging.taken(uid, gone)
            self._wake([key])  # it may have had as many as a pod can have
        events = self._events.new(pod, forgery, Reason.POD_NETWORKS_OVERWRITTEN) if forgery else ()
        return (*events, *self._warning_events(pod))

    def refused(
        self, key: model.ObjectKey, patch: Patch, error: errors.WeftError
    ) -> tuple[Event, ...]:
        """Call when the API server refuses a patch as invalid; returns Events to emit."""
        pod = self._pods.get(key)
        if pod is None or pod.uid != patch.about.uid:
            return ()
        if not pod.has_interfaces or self._annotations.forgery(pod) is None:
            decided = self._annotations.decided(pod)  # what is not written now never will be
            self._take_back(pod.uid, self._allocations.keys(pod.uid) - decided.keys())
        self._refused.add(key)
        return self._events.new(pod, podwarnings.unwritable(pod, error))

    def _warning_events(self, pod: Pod) -> tuple[Event, ...]:
        decided, asked = self._annotations.decided(pod), self._annotations.asked(pod)
        if (found := self._warnings.find(pod, decided, asked)) is not None:
            return self._events.new(pod, found[1], found[0])
        self._events.end(pod.key)
        return ()

    def _queue_event(self, pod: Pod, error: errors.WeftError) -> None:
        self._events.queue(pod, error)
        self.due[pod.key] = 0.0
