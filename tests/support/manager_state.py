"""A cluster manager's state in front of the API server in memory: pure calls, no tasks.

`World` is that server, and takes the manager's patches. A `Manager` is told of what changes there;
it can be killed at any write, whether that arrived or not, and another one begins with what is
there.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.memory_api import MemoryApi
from tests.support.objects import Object
from weft import model
from weft.api import conditions, pod, podendpoint, podsignature
from weft.control import endpointsmark
from weft.control.cluster import machines, nads, objects, outcome, state, udns
from weft.control.cluster.keys import Held
from weft.control.cluster.outcome import Marking, Patch, Ref, Replacement
from weft.kube import errors
from weft.kube.resources import (
    CUDNS,
    IPAMCLAIMS,
    MULTINETWORKPOLICIES,
    NADS,
    NAMESPACES,
    NETWORKS,
    NODES,
    PODENDPOINTS,
    PODS,
    UDNS,
    VMIMS,
    VMIS,
    VMS,
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
    NETWORKS: objects.network_object,
    PODENDPOINTS: podendpoint.read,
    **{res: partial(udns.read, resource=res, rules=RULES) for res in (UDNS, CUDNS)},
    **{res: partial(machines.read, resource=res) for res in (VMS, VMIS, VMIMS)},
}


class Killed(Exception):
    """A manager's sudden end."""


class World(MemoryApi):
    """`lives`: writes until the manager is killed, and whether the last one arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = podsignature.TrustedKeys()
        self.has_endpoints = False
        self.lives: tuple[int, bool] | None = None

    def apply(self, patch: Patch) -> Ref | None:
        """The patch as the API server takes it; None if it is refused, or changes nothing."""
        about = patch.about
        if patch.data is not None:  # of the Secret and the ConfigMap no more is asked than this
            self.keys = podsignature.TrustedKeys.parse({SIGNER.id: SIGNER.public})
            self.has_endpoints = (
                endpointsmark.is_in(patch.data)
                if endpointsmark.ENDPOINTS in patch.data
                else self.has_endpoints
            )
            return None
        ref = Ref(about.resource, about.key)
        before = copy.deepcopy(self.objects.get(ref))
        try:
            if not self._write(ref, patch):
                return None
        except errors.Conflict:
            return None
        verb = "delete" if patch.removes else "create" if before is None else "patch"
        self._count(verb, ref, before)
        return ref

    def replace(self, desired: Replacement) -> bool:
        """Whether the API server takes it; it does where the version is the present one."""
        about = desired.about
        ref = Ref(about.resource, about.key)
        before = copy.deepcopy(self.objects.get(ref))
        meta = before["metadata"] if before is not None else {}
        body = copy.deepcopy(dict(desired.body))
        if about.uid != meta.get("uid", ""):
            return False
        if body["metadata"].get("resourceVersion") != meta.get("resourceVersion"):
            return False
        body["metadata"].setdefault("uid", f"{about.resource.kind}-{ref.key}-{self.version}")
        self.put(about.resource, body)
        self._count("update" if before is not None else "create", ref, before)
        return True

    def mark(self, marking: Marking) -> bool:
        """Whether a condition changed anything."""
        ref = Ref(marking.about.resource, marking.about.key)
        found = self.objects.get(ref)
        if found is None or found["metadata"]["uid"] != marking.about.uid:
            return False
        listed = conditions.beside(found.get("status"), *marking[1:], NOW)
        if listed is None:
            return False
        return self.merge_patch(ref.resource, str(ref.key), {"status": {"conditions": listed}})

    def _count(self, verb: str, ref: Ref, before: Object | None) -> None:
        """Notes a write, and ends the manager at its last one, which may not arrive."""
        self.writes.append((verb, ref.resource.kind, str(ref.key)))
        if self.lives is None:
            return
        left, arrives = self.lives
        self.lives = (left - 1, arrives)
        if left:
            return
        if not arrives:
            self.objects.pop(ref, None)
            if before is not None:
                self.objects[ref] = before
        self.lives = None
        raise Killed

    def _write(self, ref: Ref, patch: Patch) -> bool:
        """Whether it changed anything."""
        if patch.removes:
            self.delete_kept(ref.resource, str(ref.key))
            return True
        if ref.resource is NETWORKS and ref not in self.objects:
            assert patch.creates, f"{ref.key} does not exist"
            uid = f"{ref.resource.kind}-{ref.key}-{self.version}"
            self.put(ref.resource, {"metadata": {"name": ref.key.name, "uid": uid}})
        return self.merge_patch(ref.resource, str(ref.key), patch.body())


class Manager:
    """One term of office in a world, begun with what is there, in an order of the caller's."""

    def __init__(
        self,
        world: World,
        order: Callable[[list[Ref]], object] = lambda refs: None,
        primary: model.Network | None = None,
        *,
        endpoints: bool | None = False,
    ) -> None:
        self.world = world
        self.events: list[outcome.Event] = []
        self.cluster = state.Cluster(Held(SIGNER, "default"), RULES, primary, time.monotonic)
        self.readers: dict[Resource, Callable[[Object], Any]] = {
            **READERS,
            PODS: partial(pod.read, primary=primary is not None),
        }
        self.seen: dict[Ref, str] = {}  # uids
        self.cluster.set_keys(world.keys, has_endpoints=world.has_endpoints)
        there = list(world.objects)
        order(there)
        for ref in there:
            self.notify(ref)
        self.cluster.begin()
        if endpoints is not None:  # None: they are not listed yet
            self.cluster.keep_endpoints(are_kept=endpoints)

    def notify(self, ref: Ref) -> None:
        obj = self.world.objects.get(ref)
        parsed = self.readers[ref.resource](copy.deepcopy(obj)) if obj is not None else None
        setters: dict[Resource, Callable[[Any, Any], None]] = {
            NAMESPACES: lambda key, new: self.cluster.set_namespace(key.name, new),
            NADS: self.cluster.set_nad,
            NODES: lambda key, new: self.cluster.set_node(key.name, new),
            IPAMCLAIMS: self.cluster.set_claim,
            PODS: self.cluster.set_pod,
            MULTINETWORKPOLICIES: self.cluster.set_policy,
            NETWORKS: lambda key, new: self.cluster.set_network(key.name, new),
            PODENDPOINTS: self.cluster.set_endpoint,
            UDNS: lambda key, new: self.cluster.set_udn(Ref(UDNS, key), new),
            CUDNS: lambda key, new: self.cluster.set_udn(Ref(CUDNS, key), new),
            VMS: lambda key, new: self.cluster.set_machine(Ref(VMS, key), new),
            VMIS: lambda key, new: self.cluster.set_machine(Ref(VMIS, key), new),
            VMIMS: lambda key, new: self.cluster.set_machine(Ref(VMIMS, key), new),
        }
        uid = obj["metadata"]["uid"] if obj is not None else ""
        before, self.seen[ref] = self.seen.get(ref, uid), uid
        if before not in (uid, ""):  # as an informer has it: one incarnation goes before the next
            setters[ref.resource](ref.key, None)
        if obj is not None:
            setters[ref.resource](ref.key, parsed)

    def settle(self) -> None:
        """All that is due is written, and every echo heard, until nothing is due."""
        if self.cluster.is_recovering:
            self.cluster.end_recovery()
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
                self.notify(changed)
            elif patch.data is not None:
                self.cluster.set_keys(self.world.keys, has_endpoints=self.world.has_endpoints)
        for each in decided.replacements:
            if self.world.replace(each):
                self.notify(Ref(each.about.resource, each.about.key))
        for marking in decided.markings:
            if self.world.mark(marking):
                self.notify(Ref(marking.about.resource, marking.about.key))
