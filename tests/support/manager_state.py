"""A cluster manager's state in front of a world of objects: pure calls, no server, no tasks.

`World` is an API server as a dict: resourceVersions rise, a patch that names another is refused. A
`Manager` is told of what changes there, and its patches are applied; it can be killed at any write,
whether that arrived or not, and another one begins with what is there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.memory_api import merge
from tests.support.objects import Object
from weft import model
from weft.api import pod, podsignature
from weft.control.cluster import nads, objects, outcome, state
from weft.control.cluster.keys import Held
from weft.control.cluster.outcome import Patch, Ref
from weft.kube import resources
from weft.kube.resources import (
    IPAMCLAIMS,
    MULTINETWORKPOLICIES,
    NADS,
    NAMESPACES,
    NODES,
    PODS,
    Resource,
)

SIGNER = podsignature.Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
RULES = nads.Rules()
NOW = "2026-02-01T00:00:00Z"
READERS: dict[Resource, Callable[[Object], Any]] = {
    NAMESPACES: objects.namespace,
    NADS: lambda obj: nads.read(obj, RULES),
    NODES: objects.node,
    IPAMCLAIMS: objects.ipam_claim,
    MULTINETWORKPOLICIES: objects.multi_network_policy,
}


class Killed(Exception):
    """A manager's sudden end."""


@dataclass
class World:
    """`lives`: writes until the manager is killed, and whether the last one arrives."""

    objects: dict[Ref, Object] = field(default_factory=dict)
    keys: podsignature.TrustedKeys = field(default_factory=podsignature.TrustedKeys)
    version: int = 0
    writes: list[tuple[str, str]] = field(default_factory=list)
    lives: tuple[int, bool] | None = None

    def put(self, resource: Resource, obj: Object) -> Ref:
        self.version += 1
        ref, obj = Ref(resource, resources.key(obj)), copy.deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects[ref] = obj
        return ref

    def apply(self, patch: Patch) -> Ref | None:
        """The patch as the API server takes it; None if it is refused, or changes nothing."""
        about = patch.about
        key = f"{about.namespace}/{about.name}" if about.namespace else about.name
        if patch.data is not None:  # of the Secret and the ConfigMap no more is asked than this
            self.keys = podsignature.TrustedKeys.parse({SIGNER.id: SIGNER.public})
            return None
        obj = copy.deepcopy(self.objects[Ref(about.resource, key)])
        body, meta = patch.body(), obj["metadata"]
        if (
            body["metadata"].get("resourceVersion", meta["resourceVersion"])
            != (meta["resourceVersion"])
        ):
            return None
        body["metadata"].pop("resourceVersion", None)
        merge(obj, body)
        if obj == self.objects[Ref(about.resource, key)]:
            return None
        self._count(about.resource, key)
        if self.lives is not None and self.lives[0] < 0:
            if self.lives[1]:
                self._store(about.resource, obj)
            self.lives = None
            raise Killed
        return self._store(about.resource, obj)

    def _count(self, resource: Resource, key: str) -> None:
        self.writes.append((resource.kind, key))
        if self.lives is not None:
            self.lives = (self.lives[0] - 1, self.lives[1])

    def _store(self, resource: Resource, obj: Object) -> Ref:
        ref = self.put(resource, obj)
        meta = obj["metadata"]
        if "deletionTimestamp" in meta and not meta.get("finalizers"):
            del self.objects[ref]
        return ref


class Manager:
    """One term of office in a world, begun with what is there, in an order of the caller's."""

    def __init__(
        self,
        world: World,
        order: Callable[[list[Ref]], object] = lambda refs: None,
        primary: model.Network | None = None,
    ) -> None:
        self.world = world
        self.events: list[outcome.Event] = []
        self.cluster = state.Cluster(Held(SIGNER, "default"), RULES, primary)
        self.readers = {**READERS, PODS: partial(pod.read, primary=primary is not None)}
        self.seen: dict[Ref, str] = {}  # uids
        self.cluster.set_keys(world.keys)
        there = list(world.objects)
        order(there)
        for ref in there:
            self.tell(ref)
        self.cluster.begin()

    def tell(self, ref: Ref) -> None:
        obj = self.world.objects.get(ref)
        parsed = self.readers[ref.resource](copy.deepcopy(obj)) if obj is not None else None
        setters: dict[Resource, Callable[[str, Any], None]] = {
            NAMESPACES: self.cluster.set_namespace,
            NADS: self.cluster.set_nad,
            NODES: self.cluster.set_node,
            IPAMCLAIMS: self.cluster.set_claim,
            PODS: self.cluster.set_pod,
            MULTINETWORKPOLICIES: self.cluster.set_policy,
        }
        uid = obj["metadata"]["uid"] if obj is not None else ""
        before, self.seen[ref] = self.seen.get(ref, uid), uid
        if before not in (uid, ""):  # as an informer has it: one incarnation goes before the next
            setters[ref.resource](ref.key, None)
        if obj is not None:
            setters[ref.resource](ref.key, parsed)

    def settle(self) -> None:
        """All that is due is written, and every echo heard, until nothing is due."""
        if self.cluster.is_doubting:
            self.cluster.end_doubt()
        for _ in range(1000):
            due = self.cluster.take_due()
            if not due:
                return
            for ref, _ in due:
                self.look(ref)
        raise AssertionError("never done")

    def look(self, ref: Ref) -> None:
        decided = self.cluster.decide(ref, NOW)
        self.events += decided.events
        for patch in decided.patches:
            changed = self.world.apply(patch)
            self.cluster.written(ref, patch)
            self.cluster.keep_status(ref, patch, patch.status)
            if changed is not None:
                self.tell(changed)
