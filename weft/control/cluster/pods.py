"""Allocates addresses, MAC and tunnel key to each attachment of each pod.

Pure. What was decided earlier is reserved, what is missing is allocated and signed, in one patch a
pod, and everything is released once when a pod goes or completes. What stands on a pod and is not
signed is overwritten, and what a running pod holds is put back. What may be given to whom is
decided in weft.alloc.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from weft import errors, model, names
from weft.alloc.nodesubnets import NodeSubnets
from weft.api.pod import Pod, unrequested
from weft.control.cluster import podwarnings
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.ipamclaims import IpamClaims
from weft.control.cluster.keys import SigningKeys
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodes import Nodes, Pending
from weft.control.cluster.outcome import NOTHING, Event, Outcome, Patch, Subject
from weft.control.cluster.pendingpods import PendingPods
from weft.control.cluster.podannotations import PodAnnotations
from weft.control.cluster.podtable import By, PodTable
from weft.control.cluster.podwarnings import PodWarnings
from weft.control.cluster.unknown import Unknown
from weft.kube import resources
from weft.metrics import Figures, Metric
from weft.reasons import Reason

log = logging.getLogger(__name__)

SAFETY_NET = 30.0  # seconds after which a pod that waits for a change is looked at anyway


class _Wanted(NamedTuple):
    """One attachment that a pod is to get an allocation for."""

    network: model.Network
    attachment: model.Attachment
    claim: model.IpamClaim | None
    subnets: NodeSubnets | None

    @property
    def segment(self) -> model.Segment:
        return model.Segment(self.network.name, self.subnets.node if self.subnets else "")


class Pods:
    """`due`: the pods to decide of, each after so many seconds."""

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
        self._annotations = PodAnnotations(keys, networks)
        self._warnings = PodWarnings(networks, nodes, allocations)
        self._pending, self._unknown = PendingPods(), Unknown()
        self._unsigned: set[str] = set()  # uids of older pods that still need a signature
        self._told: dict[str, str] = {}  # pod key: what its last Event said
        self._events: dict[str, list[Event]] = {}  # by pod key, to be told
        self._forged: dict[str, errors.InvalidInput] = {}  # pod uid: what is being overwritten
        self._refused: set[str] = set()  # keys of pods whose annotation the API server refuses
        self._unheld: set[str] = set()  # pods whose NADs are not sure to stay yet
        self.due: dict[str, float] = {}

    @property
    def is_doubting(self) -> bool:
        """Whether some networks wait for what a running pod may hold (see `end_doubt`)."""
        return bool(self._unknown)

    def figures(self) -> Figures:
        return {Metric.ATTACHMENTS: len(self._allocations), Metric.PODS_TROUBLED: len(self._told)}

    # What is told

    def begin(self) -> None:
        """Takes in what is decided already: what is signed first, then what older pods say."""
        there = [pod for pod in self._pods if not pod.is_completed]
        for pod in there:
            self._observe(pod)
        before = self._annotations.unsigned(there)
        for pod in before:
            self._adopt(pod)
        self._end_adoption()
        for pod in filter(self._is_lost, there if not before else ()):
            self._unknown.add(pod.key, self._annotations.doubted(pod))
        due = [pod for pod in there if self._is_due(pod)]
        self._wake(pod.key for pod in sorted(due, key=Pod.age))  # the oldest first

    def put(self, old: Pod | None, new: Pod | None) -> None:
        """A pod of the table is there, is another, or is gone."""
        if new is None or new.is_completed:
            gone = new or old
            if gone is not None:
                self._release(gone)
            return
        if old is None or old.proof != new.proof:
            self._observe(new)
        is_news = new.key in self._refused or old is None or not old.has_same_request(new)
        if is_news and self._is_due(new):
            self.due[new.key] = 0.0

    def trust_other_keys(self) -> None:
        self._look_again(self._pods.keys())

    def use_nad(self, nad: str) -> None:
        """What a NAD stands for may be another."""
        self._look_again(self._pods.find(By.NAD, nad))

    def use_held(self, nad: str) -> None:
        """A NAD is sure to stay now."""
        self._wake(sorted(self._unheld & self._pods.find(By.NAD, nad)))

    def use_namespace(self, name: str) -> None:
        """A namespace may use other networks than before."""
        self._look_again(self._pods.find(By.GUEST, name))

    def use_node(self, node: str) -> None:
        """A node's subnets are there, or are others."""
        self._look_again(self._pods.find(By.NODE, node))

    def use_claim(self, claim: str, freed: Iterable[model.Segment]) -> None:
        """An IPAMClaim is there, or is gone and freed something."""
        self._look_again(self._pods.find(By.CLAIM, claim))
        for segment in freed:
            self._wake(self._pending.freed(segment))

    def end_doubt(self) -> None:
        """What is not known of running pods by now is not going to be."""
        self._wake(self._unknown.end())

    def _look_again(self, keys: set[str]) -> None:
        for key in sorted(keys):
            pod = self._pods.get(key)
            if pod is not None and not pod.is_completed:
                self._observe(pod)
                if self._is_due(pod):
                    self.due[key] = 0.0

    def _is_due(self, pod: Pod) -> bool:
        return pod.needs_allocations(holds=bool(self._allocations.keys(pod.uid)))

    def _observe(self, pod: Pod) -> None:
        """Reserves what was decided for the pod, by this manager or an earlier one."""
        decided = self._annotations.decided(pod)
        if decided:
            self._reserve_all(pod, decided)
            self._wake(self._unknown.end(pod.key))

    def _adopt(self, pod: Pod) -> None:
        """Reserves what a pod from before the time of signatures says of itself."""
        try:
            self._reserve_all(pod, self._annotations.adopted(pod))
        except errors.InvalidInput as error:
            self._tell_later(pod, error)
            return
        if self._allocations.keys(pod.uid) and self._is_due(pod):
            self._unsigned.add(pod.uid)

    def _reserve_all(self, pod: Pod, decided: Mapping[str, model.Allocation]) -> None:
        # Where the request cannot be read, what the pod was given counts all the same.
        asked = pod.request.attachments
        for attachment in (*asked, *unrequested(asked, decided)):
            if (allocation := decided.get(attachment.key)) is not None:
                try:
                    self._reserve(pod, attachment, allocation)
                except errors.WeftError as error:
                    self._tell_later(pod, error)

    def _reserve(
        self, pod: Pod, attachment: model.Attachment, allocation: model.Allocation
    ) -> None:
        uid, key = pod.uid, attachment.key
        is_held = self._allocations.get(uid, key) == allocation
        if is_held and not attachment.ipam_claim:
            return
        network = self._networks.find(attachment.nad)
        if network is None:
            return  # another plugin's; or its NAD is gone or wrong: noted when it comes back
        try:
            claim = self._claims.lookup(attachment, network, pod.ref.namespace)
        except errors.NotReady:
            claim = None  # deleted under the pod, which keeps what it has
        if is_held and (claim is None or self._allocations.is_claimed(uid, key)):
            return
        # What was decided here never got there: another manager was faster.
        self._take_back(uid, (key,))
        subnets = None
        if network.spec.topology is model.Topology.LAYER3:
            subnets = self._nodes.known_subnets(pod.node, network)
        self._allocations.reserve(network, uid, key, allocation, pod.label, claim, subnets)
        if claim is not None:
            self._claims.note(claim)

    def _release(self, pod: Pod) -> None:
        key, uid = pod.key, pod.uid
        self._told.pop(key, None)
        self._events.pop(key, None)
        self._forged.pop(uid, None)
        self._annotations.forget(uid)
        self._unsigned.discard(uid)
        self._end_adoption()
        self._refused.discard(key)
        self._unheld.discard(key)
        self._pending.forget(key)
        self._wake([*self._unknown.end(key), *self._pending.end_turn(key)])
        for segment in self._allocations.release(uid):
            self._wake(self._pending.freed(segment))
            self._nodes.let_go(segment)
            self._networks.release(segment.network)

    def _wake(self, keys: Iterable[str]) -> None:
        self.due |= dict.fromkeys(keys, 0.0)

    def _end_adoption(self) -> None:
        if not self._unsigned:
            self._keys.end_adoption()

    # Decisions out

    def decide(self, key: str) -> Outcome:
        """What a pod is to be annotated with, or why it waits."""
        pod, said = self._pods.get(key), tuple(self._events.pop(key, ()))
        try:
            decided = self._decide(pod) if pod is not None and self._is_due(pod) else NOTHING
        finally:
            self._wake(self._pending.end_turn(key))
        if not said:
            return decided
        return Outcome(decided.patches, (*said, *decided.events), decided.again)

    def _decide(self, pod: Pod) -> Outcome:
        self._pending.forget(pod.key)
        self._refused.discard(pod.key)
        if self._is_lost(pod):
            lost = podwarnings.lost(pod)
            return Outcome(events=self._tell(pod, lost, Reason.POD_NETWORKS_LOST))
        try:
            missing = self._allocate(pod)
        except Pending:
            return NOTHING  # the node is about to be annotated, which brings the pod back
        except errors.WeftError as error:
            # Comes back when the NAD changes or something is released, long before this.
            again = SAFETY_NET if error.retry else 0.0
            return Outcome(events=self._tell(pod, error), again=again)
        if not all(self._networks.is_held(names.definition_of(each)) for each in missing):
            self._unheld.add(pod.key)  # comes back when they are: none goes under its first pod
            return Outcome(again=SAFETY_NET)
        self._unheld.discard(pod.key)
        if missing or not self._annotations.is_whole(pod):
            return Outcome((self._patch(pod, missing),))
        return Outcome(events=self._tell_warning(pod))

    def _is_lost(self, pod: Pod) -> bool:
        """Whether the pod runs with what its node alone knows by now."""
        if not pod.has_interfaces or self._allocations.keys(pod.uid):
            return False
        made = any(self._annotations.is_own(key) for key, _ in pod.interfaces)
        return not self._annotations.decided(pod) and (made or any(pod.proof))

    def _allocate(self, pod: Pod) -> dict[str, model.Allocation]:
        """What does not stand on the pod yet, by attachment key; all of it or an error."""
        # A running pod has what it was given, whatever was written to it since.
        decided = self._annotations.decided(pod)
        given = self._allocations.of(pod.uid) if pod.has_interfaces else {}
        missing = {key: allocation for key, allocation in given.items() if key not in decided}
        fresh: list[str] = []
        for wanted in self._wanted(pod, decided.keys() | missing.keys()):
            key = wanted.attachment.key
            held = self._allocations.get(pod.uid, key)
            if held is not None:  # decided earlier: its patch did not arrive, or not yet here
                missing[key] = held
                continue
            try:
                missing[key] = self._give(pod, wanted)
            except errors.WeftError as error:
                self._take_back(pod.uid, fresh)
                if wanted.claim is not None:
                    self._claims.note(wanted.claim, error)
                if isinstance(error, errors.Conflict):
                    exhausted = isinstance(error, errors.Exhausted)
                    self._pending.add(pod.key, wanted.segment, exhausted=exhausted)
                raise
            fresh.append(key)
        return missing

    def _wanted(self, pod: Pod, known: set[str]) -> list[_Wanted]:
        """The attachments that the pod asks for and has not got, `known` are those that it has."""
        found = []
        for attachment in self._asked(pod):
            # A running pod's networks stay as they are; the first interface of one that another
            # plugin wired may once be weft's.
            is_settled = pod.has_interfaces and (attachment.nad or self._chose_first(pod))
            if attachment.key in known or is_settled:
                continue
            is_given = self._allocations.get(pod.uid, attachment.key) is not None
            network = self._networks.lookup(attachment.nad, pod.key, known=is_given)
            if network is not None:
                claim = self._claims.lookup(attachment, network, pod.ref.namespace)
                found.append(_Wanted(network, attachment, claim, self._subnets(pod, network)))
        return found

    def _give(self, pod: Pod, wanted: _Wanted) -> model.Allocation:
        self._unknown.check(wanted.network.name, pod.key)
        attachment = pod.with_identity(wanted.attachment)
        allocation = self._allocations.allocate(
            wanted.network, pod.uid, attachment, pod.label, wanted.claim, wanted.subnets
        )
        if wanted.claim is not None:
            self._claims.note(wanted.claim)
        return allocation

    def _asked(self, pod: Pod) -> tuple[model.Attachment, ...]:
        """What the pod asks for; a running one whose request became unreadable asks for no more."""
        return pod.request.attachments if pod.has_interfaces else pod.attachments()

    def _take_back(self, uid: str, attachments: Iterable[str]) -> None:
        for attachment in attachments:
            for segment in self._allocations.release(uid, attachment):
                self._wake(self._pending.freed(segment))

    def _chose_first(self, pod: Pod) -> bool:
        """Whether a pod that does not name its first network any more has one that it chose."""
        asked = {each.key for each in pod.request.attachments}
        return not self._allocations.keys(pod.uid) <= asked

    def _subnets(self, pod: Pod, network: model.Network) -> NodeSubnets | None:
        """What the pod's node has of a layer3 network."""
        if network.spec.topology is not model.Topology.LAYER3:
            return None
        return self._nodes.subnets(pod.node, network)

    def _patch(self, pod: Pod, missing: dict[str, model.Allocation]) -> Patch:
        """For this incarnation as seen: anything newer is a conflict and read again."""
        forgery = self._annotations.forgery(pod)
        if forgery is not None and pod.uid not in self._unsigned:
            self._forged[pod.uid] = forgery
        texts = self._annotations.render(pod, {**self._annotations.decided(pod), **missing})
        annotations = {
            names.POD_NETWORKS: texts[0] or None,
            names.POD_NETWORKS_SIGNATURE: texts[1] or None,
        }
        return Patch(_subject(pod), annotations, version=pod.version, settles=True)

    def written(self, key: str, patch: Patch) -> tuple[Event, ...]:
        """A patch was taken, or its pod is gone; what to tell then."""
        uid, pod = patch.about.uid, self._pods.get(key)
        self._unsigned.discard(uid)
        self._end_adoption()
        forgery = self._forged.pop(uid, None)
        if pod is None or pod.uid != uid:
            return ()
        said = self._tell(pod, forgery, Reason.POD_NETWORKS_OVERWRITTEN) if forgery else ()
        return (*said, *self._tell_warning(pod))

    def refused(self, key: str, patch: Patch, error: errors.WeftError) -> tuple[Event, ...]:
        """The API server refuses a patch for good: what to tell of it."""
        pod = self._pods.get(key)
        if pod is None or pod.uid != patch.about.uid:
            return ()
        if not pod.has_interfaces:  # what does not stand there never will
            decided = self._annotations.decided(pod)
            self._take_back(pod.uid, self._allocations.keys(pod.uid) - decided.keys())
        self._refused.add(key)
        return self._tell(pod, podwarnings.unwritable(pod, error))

    def _tell_warning(self, pod: Pod) -> tuple[Event, ...]:
        if (found := self._warnings.find(pod)) is not None:
            return self._tell(pod, found[1], found[0])
        self._told.pop(pod.key, None)
        return ()

    def _tell_later(self, pod: Pod, error: errors.WeftError) -> None:
        self._events.setdefault(pod.key, []).extend(self._tell(pod, error))
        self.due[pod.key] = 0.0

    def _tell(
        self, pod: Pod, error: errors.WeftError, reason: Reason = Reason.ERROR_ALLOCATING_POD
    ) -> tuple[Event, ...]:
        """An Event on the pod, unless it was the last that was said of it."""
        message = error.in_full()
        if self._told.get(pod.key) == message:
            return ()
        self._told[pod.key] = message
        return (Event(_subject(pod), reason, message),)


def _subject(pod: Pod) -> Subject:
    return Subject(resources.PODS, pod.ref.namespace, pod.ref.name, pod.uid)
