"""Which addresses, MAC and tunnel key does each attachment of each pod get?

Joins the cache of pods with what is held of the networks: what was decided earlier is reserved,
what is missing is allocated, signed and written with one patch, and everything is released once
when a pod goes or completes. What stands on a pod and is not signed is overwritten, and what a
running pod holds is put back. What may be given to whom is decided in weft.alloc.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from functools import partial

from weft import errors, model, names
from weft.alloc.shares import Share
from weft.api import podnetworks
from weft.api.decision import Proof
from weft.control import decisions
from weft.control.cluster import oddities, wishes
from weft.control.cluster.claims import Claims
from weft.control.cluster.holdings import Holdings
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodes import Nodes, Pending
from weft.control.cluster.oddities import Oddities
from weft.control.cluster.oddities import label as _label
from weft.control.cluster.signing import Signing
from weft.control.cluster.standing import Standing
from weft.control.cluster.unknown import PATIENCE, Unknown
from weft.control.cluster.waiting import Waiting
from weft.control.cluster.wishes import BY_CLAIM, BY_GUEST, BY_NAD, BY_NODE
from weft.kube import cache, events, queue, resources
from weft.kube.client import ApiError, Client, Invalid, NotFound, Object

log = logging.getLogger(__name__)

SAFETY_NET = 30.0  # seconds after which a pod that waits for a change is looked at anyway
_FAILED, _FORGED, _LOST = "ErrorAllocatingPod", "PodNetworksOverwritten", "PodNetworksLost"


def watch(client: Client, *, primary: bool) -> cache.Cache:
    """The cache that this part works from; `primary`: weft serves the cluster's own network."""
    keep = partial(wishes.keep, primary=primary)
    return cache.Cache(client, resources.PODS, indexes=wishes.INDEXES, keep=keep)


class Pods:
    """One reconcile a pod; everything but its patch happens between two awaits."""

    def __init__(
        self,
        client: Client,
        pods: cache.Cache,
        networks: Networks,
        nodes: Nodes,
        claims: Claims,
        holdings: Holdings,
        signing: Signing,
        recorder: events.Recorder,
    ) -> None:
        self._client, self._pods = client, pods
        self._networks, self._nodes, self._claims = networks, nodes, claims
        self._holdings, self._signing, self._recorder = holdings, signing, recorder
        self._standing = Standing(signing, networks)
        self._oddities = Oddities(networks, nodes, holdings)
        self._waiting, self._unknown = Waiting(), Unknown()
        self._sent: dict[str, Proof] = {}  # pod uid: the annotations on their way
        self._unsigned: set[str] = set()  # uids of older pods that still need a signature
        self._told: dict[str, str] = {}  # pod key: what its last Event said
        self._refused: set[str] = set()  # keys of pods whose annotation the API server refuses
        self._unheld: set[str] = set()  # pods whose definitions are not sure to stay yet
        self.queue = queue.Queue("Pod", on_error=self._on_error)

    def start(self) -> None:
        """Once, when all are synced and nodes and claims started: what is decided comes first."""
        there = [pod for pod in self._pods.objects() if not wishes.is_completed(pod)]
        for pod in there:
            self._observe(pod)
        before = self._standing.unsigned(there)
        for pod in before:
            self._adopt(pod)
        self._end_adoption()
        self._doubt(filter(self._is_lost, there if not before else ()))
        self._pods.subscribe(self._on_pod)
        self._signing.listen(self._on_keys)
        self._networks.listen(self._on_nad)
        guests = partial(self._pods.index, BY_GUEST)
        self._networks.listen_namespace(lambda name: self._look_again(guests(name)))
        self._networks.await_held(self._on_held)
        self._nodes.listen(self._on_node)
        self._claims.listen(self._on_claim)

    async def run(self, workers: int) -> None:
        await self.queue.run(self._reconcile, workers=workers)

    def figures(self) -> dict[str, float]:
        held, told, queued = len(self._holdings), len(self._told), len(self.queue)
        return {"attachments_held": held, "pods_troubled": told, "pods_queued": queued}

    # What happened: notes it, at once

    def _on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        if new is None or wishes.is_completed(new):
            gone = new or old
            assert gone is not None
            self._release(key, gone["metadata"]["uid"])
            return
        texts, uid = decisions.texts(new), new["metadata"]["uid"]
        is_own = any(texts) and self._sent.pop(uid, None) == texts
        if is_own and old and wishes.ask_alike(old, new):
            return  # this manager's own patch, come back
        if old is None or decisions.texts(old) != texts:
            self._observe(new)
        is_news = key in self._refused or not (old and wishes.are_alike(old, new))
        if self._is_due(new) and is_news:
            self.queue.add(key)

    def _on_keys(self) -> None:
        self._look_again(set(self._pods.keys()))

    def _on_nad(self, nad: str) -> None:
        self._look_again(self._pods.index(BY_NAD, nad))

    def _on_held(self, nad: str) -> None:
        self._wake(sorted(self._unheld & self._pods.index(BY_NAD, nad)))

    def _on_node(self, node: str) -> None:
        self._look_again(self._pods.index(BY_NODE, node))

    def _on_claim(self, claim: str, freed: list[str]) -> None:
        self._look_again(self._pods.index(BY_CLAIM, claim))
        for network in freed:
            self._wake(self._waiting.freed(network))

    def _look_again(self, keys: set[str]) -> None:
        for key in sorted(keys):
            pod = self._pods.get(key)
            if pod is not None and not wishes.is_completed(pod):
                self._observe(pod)
                if self._is_due(pod):
                    self.queue.add(key)

    def _is_due(self, pod: Object) -> bool:
        return wishes.is_due(pod, holds=bool(self._holdings.keys(pod["metadata"]["uid"])))

    def _observe(self, pod: Object) -> None:
        """Reserves what was decided for the pod, by this manager or an earlier one."""
        decided = self._standing.decided(pod)
        if decided:
            self._reserve_all(pod, decided)
            self._wake(self._unknown.end(resources.key(pod)))

    def _adopt(self, pod: Object) -> None:
        """Reserves what a pod from before the time of signatures says of itself."""
        try:
            annotated = podnetworks.parse(pod, primary=wishes.serves_primary(pod))
        except errors.InvalidInput as error:
            self._tell(pod, error)
            return
        self._reserve_all(pod, self._standing.permitted(pod, annotated))
        uid = pod["metadata"]["uid"]
        if self._holdings.keys(uid) and self._is_due(pod):
            self._unsigned.add(uid)

    def _reserve_all(self, pod: Object, decided: Mapping[str, model.Allocation]) -> None:
        asked: tuple[model.Attachment, ...] = ()
        try:
            asked = wishes.attachments(pod)
        except errors.InvalidInput as error:
            log.debug("%s: what it was given counts all the same: %s", _label(pod), error)
        for attachment in (*asked, *wishes.left_over(asked, decided)):
            allocation = decided.get(attachment.key)
            held = self._holdings.get(pod["metadata"]["uid"], attachment.key)
            if allocation is not None and allocation != held:
                try:
                    self._reserve(pod, attachment, allocation)
                except errors.WeftError as error:
                    self._tell(pod, error)

    def _reserve(
        self, pod: Object, attachment: model.Attachment, allocation: model.Allocation
    ) -> None:
        network = self._networks.find(attachment.nad)
        if network is None:
            return  # another plugin's; or its NAD is gone or wrong: noted when it comes back
        meta, key = pod["metadata"], attachment.key
        try:
            claim = self._claims.lookup(attachment, network, meta["namespace"])
        except errors.NotReady:
            return
        # What was decided here never got there: another manager was faster.
        for freed in self._holdings.release(meta["uid"], key):
            self._wake(self._waiting.freed(freed))
        share = None
        if network.spec.topology is model.Topology.LAYER3:
            share = self._nodes.known_share(pod.get("nodeName", ""), network)
        self._holdings.reserve(network, meta["uid"], key, allocation, _label(pod), claim, share)
        self._tell_claim(claim)

    def _release(self, key: str, uid: str) -> None:
        self._told.pop(key, None)
        self._sent.pop(uid, None)
        self._standing.forget(uid)
        self._unsigned.discard(uid)
        self._end_adoption()
        self._refused.discard(key)
        self._unheld.discard(key)
        self._waiting.forget(key)
        self._wake([*self._unknown.end(key), *self._waiting.end_turn(key)])
        for scope in self._holdings.release(uid):
            self._wake(self._waiting.freed(scope))
            self._nodes.let_go(scope)
            self._networks.release(names.scope_network(scope))

    def _wake(self, keys: list[str]) -> None:
        for key in keys:
            self.queue.add(key)

    def _end_adoption(self) -> None:
        if not self._unsigned:
            self._signing.end_adoption()

    # What is to be done about it

    async def _reconcile(self, key: str) -> None:
        pod = self._pods.get(key)
        if pod is None or not self._is_due(pod):
            self._wake(self._waiting.end_turn(key))
            return
        self._waiting.forget(key)
        self._refused.discard(key)
        if self._is_lost(pod):
            self._tell(pod, oddities.lost(pod), reason=_LOST)
            self._wake(self._waiting.end_turn(key))
            return
        try:
            missing = self._allocate(pod)
        except Pending:
            return  # the node is about to be annotated, which brings the pod back
        except (errors.NotReady, errors.Conflict) as error:
            # Comes back when the NAD changes or something is released, long before this.
            self._tell(pod, error)
            self.queue.add(key, after=SAFETY_NET)
            return
        finally:
            self._wake(self._waiting.end_turn(key))
        if not all(self._networks.is_held(names.definition_of(each)) for each in missing):
            self._unheld.add(key)  # comes back when they are: none goes under its first pod
            self.queue.add(key, after=SAFETY_NET)
            return
        self._unheld.discard(key)
        if missing or not self._standing.is_whole(pod):
            await self._write(pod, missing)
        self._tell_odd(pod)

    def _doubt(self, pods: Iterable[Object]) -> None:
        for pod in pods:
            self._unknown.add(resources.key(pod), self._standing.doubted(pod))
        if self._unknown:
            asyncio.get_running_loop().call_later(PATIENCE, lambda: self._wake(self._unknown.end()))

    def _is_lost(self, pod: Object) -> bool:
        """Whether the pod runs with what its node alone knows by now."""
        if not wishes.is_wired(pod) or self._holdings.keys(pod["metadata"]["uid"]):
            return False
        made = any(self._standing.is_own(key) for key in wishes.interfaces(pod))
        return not self._standing.decided(pod) and (made or any(decisions.texts(pod)))

    def _allocate(self, pod: Object) -> dict[str, model.Allocation]:
        """What does not stand on the pod yet, by attachment key; all of it or an error."""
        decided, is_wired = self._standing.decided(pod), wishes.is_wired(pod)
        uid, namespace, label = pod["metadata"]["uid"], pod["metadata"]["namespace"], _label(pod)
        # A running pod has what it was given, whatever was written to it since.
        given = self._holdings.of(uid) if is_wired else {}
        missing = {key: allocation for key, allocation in given.items() if key not in decided}
        wanted = [
            (
                network,
                attachment,
                self._claims.lookup(attachment, network, namespace),
                self._share(pod, network),
            )
            for attachment in self._asked(pod)
            if attachment.key not in decided
            and attachment.key not in missing
            # A running pod's networks stay as they are; the first interface of one that another
            # plugin wired may once be weft's.
            and not (is_wired and (attachment.nad or self._chose_first(pod)))
            and (network := self._lookup(attachment, pod)) is not None
        ]
        fresh: list[str] = []
        for network, attachment, claim, share in wanted:
            held = self._holdings.get(uid, attachment.key)
            if held is not None:  # decided earlier: its patch did not arrive, or not yet here
                missing[attachment.key] = held
                continue
            try:
                self._unknown.check(network.name, resources.key(pod))
                missing[attachment.key] = self._holdings.allocate(
                    network, uid, wishes.owned(attachment, pod), label, claim, share
                )
                self._tell_claim(claim)
                fresh.append(attachment.key)
            except errors.WeftError as error:
                if claim is not None:
                    self._claims.note(claim, error)
                self._take_back(uid, fresh)
                if isinstance(error, errors.Conflict):
                    exhausted = isinstance(error, errors.Exhausted)
                    scope = names.scope(network.name, share.node if share else "")
                    self._waiting.add(resources.key(pod), scope, exhausted=exhausted)
                raise
        return missing

    def _asked(self, pod: Object) -> tuple[model.Attachment, ...]:
        """The pod's wish; a running one's that became unreadable asks for nothing more."""
        try:
            return wishes.attachments(pod)
        except errors.InvalidInput:
            if not wishes.is_wired(pod):
                raise
            return ()

    def _take_back(self, uid: str, attachments: Iterable[str]) -> None:
        for attachment in attachments:
            for freed in self._holdings.release(uid, attachment):
                self._wake(self._waiting.freed(freed))

    def _chose_first(self, pod: Object) -> bool:
        """Whether a pod that does not name its first network any more has one that it chose."""
        uid, asked = pod["metadata"]["uid"], {each.key for each in wishes.attachments(pod)}
        return not self._holdings.keys(uid) <= asked

    def _lookup(self, attachment: model.Attachment, pod: Object) -> model.Network | None:
        is_given = self._holdings.get(pod["metadata"]["uid"], attachment.key) is not None
        return self._networks.lookup(attachment.nad, resources.key(pod), known=is_given)

    def _share(self, pod: Object, network: model.Network) -> Share | None:
        """What the pod's node has of a layer3 network."""
        if network.spec.topology is not model.Topology.LAYER3:
            return None
        return self._nodes.share(pod["nodeName"], network)

    def _tell_odd(self, pod: Object) -> None:
        odd = self._oddities.find(pod)
        if odd is None:
            self._told.pop(resources.key(pod), None)
        else:
            self._tell(pod, odd[1], reason=odd[0])

    async def _write(self, pod: Object, missing: dict[str, model.Allocation]) -> None:
        """One patch, for this incarnation as seen: anything newer is a conflict and read again."""
        meta, uid = pod["metadata"], pod["metadata"]["uid"]
        forgery = self._standing.forgery(pod)
        texts = self._standing.render(pod, {**self._standing.decided(pod), **missing})
        annotations = {
            names.POD_NETWORKS: texts[0] or None,
            names.POD_NETWORKS_SIGNATURE: texts[1] or None,
        }
        kept = {"uid": uid, "resourceVersion": meta["resourceVersion"]}
        body = {"metadata": {**kept, "annotations": annotations}}
        self._sent[uid] = texts
        try:
            await self._client.patch(resources.PODS, meta["name"], meta["namespace"], body)
        except NotFound:
            log.debug("%s went before it was annotated", _label(pod))
        except Invalid as error:
            if not wishes.is_wired(pod):
                self._take_back(uid, missing)  # it does not stand there, and never will
            self._refused.add(resources.key(pod))
            raise oddities.unwritable(pod, error) from error
        if forgery is not None and uid not in self._unsigned:
            self._tell(pod, forgery, reason=_FORGED)
        self._unsigned.discard(uid)
        self._end_adoption()

    def _tell_claim(self, claim: model.IpamClaim | None) -> None:
        if claim is not None:
            self._claims.note(claim)

    def _on_error(self, key: str, error: errors.WeftError) -> None:
        pod = self._pods.get(key)
        if isinstance(error, ApiError):
            level = logging.DEBUG if error.status == 409 else logging.WARNING
            log.log(level, "Pod %s could not be annotated: %s", key, error)
        elif pod is not None:
            self._tell(pod, error)

    def _tell(self, pod: Object, error: errors.WeftError, *, reason: str = _FAILED) -> None:
        """An Event on the pod, unless it was the last that was said of it."""
        message = error.in_full()
        key = resources.key(pod)
        if self._told.get(key) != message:
            self._told[key] = message
            # That an allocation failed is an attempt's; all else is so for as long as the pod runs.
            lasts = reason != _FAILED
            self._recorder.emit(pod, "Warning", reason, message, lasts=lasts)
