"""Which addresses, MAC and tunnel key does each attachment of each pod get?

Joins the cache of pods with what is held of the networks: what is annotated is reserved, what is
missing is allocated and written with one patch, and everything is released once when a pod goes
or completes. What may be given to whom is decided in weft.alloc, what annotations mean in weft.api.
"""

from __future__ import annotations

import logging
from functools import partial

from weft import errors, model, names
from weft.alloc import shares
from weft.alloc.shares import Share
from weft.api import podnetworks
from weft.control.cluster import changes, overlaps, wishes
from weft.control.cluster.claims import Claims
from weft.control.cluster.holdings import Holdings
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodes import Nodes, Pending
from weft.control.cluster.waiting import Waiting
from weft.kube import cache, events, queue, resources
from weft.kube.client import ApiError, Client, NotFound, Object

log = logging.getLogger(__name__)

SAFETY_NET = 30.0  # seconds after which a pod that waits for a change is looked at anyway
_FAILED = "ErrorAllocatingPod"
BY_NAD, BY_CLAIM, BY_NODE = "nad", "claim", "node"  # indexes of the pods' cache


def watch(client: Client, *, primary: bool) -> cache.Cache:
    """The cache that this part works from; `primary`: weft serves the cluster's own network."""
    indexes = {BY_NAD: wishes.nads, BY_CLAIM: wishes.claims, BY_NODE: wishes.node}
    keep = partial(wishes.keep, primary=primary)
    return cache.Cache(client, resources.PODS, indexes=indexes, keep=keep)


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
        recorder: events.Recorder,
    ) -> None:
        self._client, self._pods = client, pods
        self._networks, self._nodes, self._claims = networks, nodes, claims
        self._holdings, self._recorder = holdings, recorder
        self._waiting = Waiting()
        self._sent: dict[str, str] = {}  # pod uid: the annotation that is on its way
        self._told: dict[str, str] = {}  # pod key: what its last Event said
        self._unheld: set[str] = set()  # pods whose definitions are not sure to stay yet
        self.queue = queue.Queue("Pod", on_error=self._on_error)

    def start(self) -> None:
        """Once, when all are synced and nodes and claims started: what is annotated comes first."""
        for pod in self._pods.objects():
            if not wishes.is_completed(pod):
                self._observe(pod)
        self._pods.subscribe(self._on_pod)
        self._networks.listen(self._on_nad)
        self._networks.await_held(self._on_held)
        self._nodes.listen(self._on_node)
        self._claims.listen(self._on_claim)

    async def run(self, workers: int) -> None:
        await self.queue.run(self._reconcile, workers=workers)

    def figures(self) -> dict[str, float]:
        return {
            "attachments_held": len(self._holdings),
            "pods_troubled": len(self._told),
            "pods_queued": len(self.queue),
        }

    # What happened: notes it, at once

    def _on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        if new is None or wishes.is_completed(new):
            gone = new or old
            assert gone is not None
            self._release(key, gone["metadata"]["uid"])
            return
        text = wishes.annotation(new)
        is_own = text and self._sent.pop(new["metadata"]["uid"], None) == text
        if is_own and old and wishes.ask_alike(old, new):
            return  # this manager's own patch, come back
        if old is None or wishes.annotation(old) != text:
            self._observe(new, old)
        if wishes.is_due(new) and not (old and wishes.are_alike(old, new)):
            self.queue.add(key)

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
                if wishes.is_due(pod):
                    self.queue.add(key)

    def _observe(self, pod: Object, before: Object | None = None) -> None:
        """Reserves what the pod's annotation says, whoever wrote it."""
        if not wishes.annotation(pod):
            return
        try:
            annotated = podnetworks.parse(pod, primary=wishes.serves_primary(pod))
            attachments = wishes.attachments(pod)
        except errors.InvalidInput as error:
            self._tell(pod, error)
            return
        for attachment in (*attachments, *wishes.left_over(attachments, annotated)):
            allocation = annotated.get(attachment.key)
            held = self._holdings.get(pod["metadata"]["uid"], attachment.key)
            if allocation is not None and allocation != held:
                try:
                    self._reserve(pod, before, attachment, allocation)
                except errors.WeftError as error:
                    self._tell(pod, error)

    def _reserve(
        self,
        pod: Object,
        before: Object | None,
        attachment: model.Attachment,
        allocation: model.Allocation,
    ) -> None:
        network = self._networks.find(attachment.nad)
        if network is None:
            return  # another plugin's; or its NAD is gone or wrong: noted when it comes back
        meta, key = pod["metadata"], attachment.key
        try:
            claim = self._claims.lookup(attachment, network, meta["namespace"])
        except errors.NotReady:
            return
        primary = wishes.serves_primary(pod)
        if before is None or key not in podnetworks.parse(before, primary=primary):
            # What was decided here never got there: somebody else was faster.
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
        self._unheld.discard(key)
        self._waiting.forget(key)
        self._wake(self._waiting.end_turn(key))
        for scope in self._holdings.release(uid):
            self._wake(self._waiting.freed(scope))
            self._nodes.let_go(scope)
            self._networks.release(names.scope_network(scope))

    def _wake(self, keys: list[str]) -> None:
        for key in keys:
            self.queue.add(key)

    # What is to be done about it

    async def _reconcile(self, key: str) -> None:
        pod = self._pods.get(key)
        if pod is None or not wishes.is_due(pod):
            self._wake(self._waiting.end_turn(key))
            return
        self._waiting.forget(key)
        try:
            missing = self._allocate(pod)
        except Pending:
            return  # the node is about to be annotated, which brings the pod back
        except errors.InvalidInput as error:
            if not wishes.is_wired(pod):
                raise
            self._tell(pod, changes.unreadable(error), reason=changes.REASON)
            return
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
        if missing:
            await self._write(pod, missing)
        self._tell_odd(pod)

    def _allocate(self, pod: Object) -> dict[str, model.Allocation]:
        """What the pod's annotation lacks, by attachment key; all of it or an error."""
        annotated = podnetworks.parse(pod, primary=wishes.serves_primary(pod))
        uid, namespace, label = pod["metadata"]["uid"], pod["metadata"]["namespace"], _label(pod)
        wanted = [
            (
                network,
                attachment,
                self._claims.lookup(attachment, network, namespace),
                self._share(pod, network),
            )
            for attachment in wishes.attachments(pod)
            if attachment.key not in annotated
            # A running pod's networks stay as they are; the first interface of one that another
            # plugin wired may once be weft's.
            and not (wishes.is_wired(pod) and (attachment.nad or self._chose_first(pod)))
            and (network := self._lookup(attachment, uid)) is not None
        ]
        missing: dict[str, model.Allocation] = {}
        fresh: list[str] = []
        for network, attachment, claim, share in wanted:
            held = self._holdings.get(uid, attachment.key)
            if held is not None:  # decided earlier: its patch did not arrive, or not yet here
                missing[attachment.key] = held
                continue
            try:
                missing[attachment.key] = self._holdings.allocate(
                    network, uid, attachment, label, claim, share
                )
                self._tell_claim(claim)
                fresh.append(attachment.key)
            except errors.WeftError as error:
                if claim is not None:
                    self._claims.note(claim, error)
                for made in fresh:
                    for freed in self._holdings.release(uid, made):
                        self._wake(self._waiting.freed(freed))
                if isinstance(error, errors.Conflict):
                    exhausted = isinstance(error, errors.Exhausted)
                    scope = names.scope(network.name, share.node if share else "")
                    self._waiting.add(resources.key(pod), scope, exhausted=exhausted)
                raise
        return missing

    def _chose_first(self, pod: Object) -> bool:
        """Whether a pod that does not name its first network any more has one that it chose."""
        uid, asked = pod["metadata"]["uid"], {each.key for each in wishes.attachments(pod)}
        return not self._holdings.keys(uid) <= asked

    def _lookup(self, attachment: model.Attachment, uid: str) -> model.Network | None:
        is_given = self._holdings.get(uid, attachment.key) is not None
        return self._networks.lookup(attachment.nad, known=is_given)

    def _share(self, pod: Object, network: model.Network) -> Share | None:
        """What the pod's node has of a layer3 network."""
        if network.spec.topology is not model.Topology.LAYER3:
            return None
        return self._nodes.share(pod["nodeName"], network)

    def _tell_odd(self, pod: Object) -> None:
        """What is odd about a pod that has all that it was given."""
        error, reason = self._change(pod) if wishes.is_wired(pod) else None, changes.REASON
        if error is None:
            error, reason = self._stray(pod), "OutsideNodeSubnet"
        if error is None:
            error, reason = self._overlap(pod), overlaps.REASON
        if error is None:
            self._told.pop(resources.key(pod), None)
        else:
            self._tell(pod, error, reason=reason)

    def _change(self, pod: Object) -> errors.InvalidInput | None:
        """A pod's interfaces are made once: a later change of its wish is refused."""
        asked = [
            attachment
            for attachment in wishes.attachments(pod)
            if attachment.nad and self._networks.find(attachment.nad) is not None
        ]
        held = self._holdings.of(pod["metadata"]["uid"])
        primary = wishes.serves_primary(pod)
        made = wishes.interfaces(pod)
        return changes.refusal(_label(pod), asked, held, made, primary=primary)

    def _stray(self, pod: Object) -> errors.InvalidInput | None:
        """An address that is not of the part that the pod's node has by now."""
        for key, allocation in self._holdings.of(pod["metadata"]["uid"]).items():
            is_own = key == names.DEFAULT_NETWORK
            network = self._networks.find("" if is_own else names.definition_of(key))
            if network is None or network.spec.topology is not model.Topology.LAYER3:
                continue
            share = self._nodes.decided_share(pod["nodeName"], network)
            try:
                shares.check(_label(pod), key, share, allocation)
            except errors.InvalidInput as error:
                return error
        return None

    def _overlap(self, pod: Object) -> errors.InvalidInput | None:
        """Two networks of one range: the pod cannot tell whom it means."""
        found = [self._networks.find(each.nad) for each in wishes.attachments(pod)]
        return overlaps.find(_label(pod), [each.spec for each in found if each is not None])

    async def _write(self, pod: Object, missing: dict[str, model.Allocation]) -> None:
        """One patch, for this incarnation as seen: anything newer is a conflict and read again."""
        meta = pod["metadata"]
        text = podnetworks.render(missing, onto=wishes.annotation(pod))
        body = {
            "metadata": {
                "uid": meta["uid"],
                "resourceVersion": meta["resourceVersion"],
                "annotations": {names.POD_NETWORKS: text},
            }
        }
        self._sent[meta["uid"]] = text
        try:
            await self._client.patch(resources.PODS, meta["name"], meta["namespace"], body)
        except NotFound:
            log.debug("%s went before it was annotated", _label(pod))

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


def _label(pod: Object) -> str:
    return f"Pod {resources.key(pod)}"
