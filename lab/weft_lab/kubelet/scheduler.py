"""Chooses a node for each pod that has none.

`choose` is pure; `Scheduler` binds. They heed node selectors, readiness, node and pod affinity
(affinity.py), and the number of pods on a node. An Event and a condition say why a pod has none.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from weft import errors
from weft.kube import cache, client, events, queue
from weft.kube.resources import PODS, key
from weft.model import ObjectKey
from weft_lab.kubelet import affinity
from weft_lab.reasons import Reason

log = logging.getLogger(__name__)

Object = dict[str, Any]
SCHEDULED = "PodScheduled"


class Unplaced(errors.NotReady):
    """No node fits the pod now."""


def is_ready(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def fits(pod: Object, node: Object) -> bool:
    """Whether a node has the labels that the pod's selector and required affinity name."""
    labels = node["metadata"].get("labels") or {}
    selector = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(name) != value for name, value in selector.items()):
        return False
    required = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    terms = (required or {}).get("nodeSelectorTerms") or ()
    return not required or any(_matches(term, node, labels) for term in terms)


def _matches(term: Object, node: Object, labels: Mapping[str, str]) -> bool:
    fields = {"metadata.name": node["metadata"]["name"]}
    return all(affinity.holds(e, labels) for e in term.get("matchExpressions") or ()) and all(
        affinity.holds(e, fields) for e in term.get("matchFields") or ()
    )


def choose(
    pod: Object,
    nodes: Iterable[Object],
    load: Mapping[str, int],
    placed: Iterable[affinity.Placed] = (),
) -> str:
    """The fitting node with the fewest pods; the first by name among equals. Raise Unplaced.

    `placed` are the placed pods that affinity rules of either side concern.
    """
    nodes = list(nodes)
    labels = {node["metadata"]["name"]: node["metadata"].get("labels") or {} for node in nodes}
    others = affinity.refusals(pod, placed)
    reasons: Counter[str] = Counter()
    fitting: list[str] = []
    for node in nodes:
        name = node["metadata"]["name"]
        why = _refusal(pod, node) or others.why(labels[name], labels.values())
        if why:
            reasons[why] += 1
        else:
            fitting.append(name)
    if fitting:
        return min(fitting, key=lambda name: (load.get(name, 0), name))
    unfit = ", ".join(sorted(f"{count} node(s) {why}" for why, count in reasons.items()))
    raise Unplaced(f"0/{len(nodes)} nodes are available: {unfit or 'no nodes'}.")


def _refusal(pod: Object, node: Object) -> str:
    """Why a node does not fit the pod, whatever other pods run."""
    if (node.get("spec") or {}).get("unschedulable"):
        return "were unschedulable"
    if not is_ready(node):
        return "were not ready"
    return "" if fits(pod, node) else "didn't match Pod's node affinity/selector"


def is_done(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def node_of(pod: Object) -> Iterable[str]:
    """The index `node`: the node on which a pod counts."""
    name = pod["spec"].get("nodeName")
    return (name,) if name and not is_done(pod) else ()


def concerned(pod: Object) -> Iterable[str]:
    """The index `affinity`: placed pods that have pod affinity rules."""
    return ("",) if affinity.is_concerned(pod) and not is_done(pod) else ()


class Scheduler:
    """Binds pods to nodes; `pods` has the indexes `node` (node_of) and `affinity` (concerned)."""

    def __init__(
        self,
        api: client.Client,
        pods: cache.Cache,
        nodes: cache.Cache,
        recorder: events.Recorder,
    ) -> None:
        self._api, self._pods, self._nodes, self._recorder = api, pods, nodes, recorder
        self._queue = queue.Queue[ObjectKey]("scheduler", first_pause=1.0)
        self._unplaced: set[ObjectKey] = set()
        # Bound, but not in the cache yet; they count, so that a burst of pods spreads.
        self._assumed: dict[ObjectKey, str] = {}

    async def run(self) -> None:
        await self._pods.synced()
        await self._nodes.synced()
        self._pods.subscribe(self._pod_changed)
        self._nodes.subscribe(self._node_changed)
        await self._queue.run(self.reconcile, workers=16)

    def _pod_changed(self, name: ObjectKey, old: Object | None, new: Object | None) -> None:
        if new is None or new["spec"].get("nodeName"):
            self._assumed.pop(name, None)
            self._unplaced.discard(name)
            for waiting in self._unplaced:  # others may wait for this pod, or for its room
                self._queue.add(waiting)
        else:
            self._queue.add(name)

    def _node_changed(self, name: ObjectKey, old: Object | None, new: Object | None) -> None:
        for pod in self._unplaced:
            self._queue.add(pod)

    def _load(self) -> dict[str, int]:
        names = [node["metadata"]["name"] for node in self._nodes.objects()]
        load = {name: len(self._pods.index("node", name)) for name in names}
        for node in self._assumed.values():
            load[node] = load.get(node, 0) + 1
        return load

    def _placed(self, pod: Object) -> Iterator[affinity.Placed]:
        """All placed pods if the pod has affinity rules; else only those that have some."""
        spec = pod["spec"]
        depends = affinity.is_concerned(pod) or spec.get("topologySpreadConstraints")
        names = list(self._pods.keys()) if depends else self._pods.index("affinity", "")
        for name in names:
            other = self._pods.get(name)
            if other is None or is_done(other):
                continue
            home = other["spec"].get("nodeName") or self._assumed.get(name, "")
            node = self._nodes.get(ObjectKey("", home))
            if node is not None:
                yield affinity.Placed(other, node["metadata"].get("labels") or {})

    async def reconcile(self, name: ObjectKey) -> None:
        pod = self._pods.get(name)
        if pod is None or pod["spec"].get("nodeName") or pod["metadata"].get("deletionTimestamp"):
            return
        if pod["spec"].get("schedulerName", "default-scheduler") != "default-scheduler":
            return
        try:
            node = choose(pod, self._nodes.objects(), self._load(), self._placed(pod))
        except Unplaced as error:
            self._unplaced.add(name)
            self._recorder.emit(pod, Reason.FAILED_SCHEDULING, error.what)
            await self._report(pod, error.what)
            return  # a change of a node queues it again
        self._unplaced.discard(name)
        self._assumed[name] = node
        try:
            await self._bind(pod, node)
        except (client.NotFound, client.Conflict):
            self._assumed.pop(name, None)
            return  # gone, or bound by somebody else
        except BaseException:
            self._assumed.pop(name, None)
            raise
        what = f"Successfully assigned {key(pod)} to {node}"
        self._recorder.emit(pod, Reason.SCHEDULED, what)

    async def _report(self, pod: Object, message: str) -> None:
        """The condition by which others see that a pod has no node, as kube-scheduler writes it."""
        meta, listed = pod["metadata"], (pod.get("status") or {}).get("conditions") or ()
        made: Object = {"type": SCHEDULED, "status": "False", "reason": "Unschedulable"}
        made["message"] = message
        before: Object = next((each for each in listed if each["type"] == SCHEDULED), {})
        if all(before.get(name) == value for name, value in made.items()):
            return
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        is_old = before.get("status") == "False"
        made["lastTransitionTime"] = before.get("lastTransitionTime", now) if is_old else now
        others = [each for each in listed if each["type"] != SCHEDULED]
        body = {
            "metadata": {"resourceVersion": meta["resourceVersion"]},
            "status": {"conditions": [*others, made]},
        }
        with contextlib.suppress(client.NotFound, client.Conflict):  # its change queues it again
            await self._api.patch(PODS, meta["name"], meta["namespace"], body, subresource="status")

    async def _bind(self, pod: Object, node: str) -> None:
        """Bind a pod by its subresource `binding`, as every scheduler does."""
        meta = pod["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        path = PODS.path(meta["namespace"], meta["name"], "binding")
        await self._api.request(
            "POST",
            path,
            body=orjson.dumps(binding),
            content_type="application/json",
            repeatable=False,
        )
