"""Makes the objects of a cluster as they are, and as they would be after an edit. Pure.

Objects come from a cluster or from files. A NAD in a file that no cluster manager has seen counts
as accepted if it is valid; a workload in a file counts as one running pod of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from weft import errors, names
from weft.api import nad, podnetworks, policy, selection
from weft.control.cluster import nads, udns
from weft.control.cluster.udns import Udn
from weft.kube import resources
from weft.model import ObjectKey
from weft.observe.members import Objects
from weft.plan import manifests

Object = Mapping[str, Any]

PLANNED = (nad.KIND, policy.KIND, resources.UDNS.kind, resources.CUDNS.kind)
_NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class World:
    """The objects that decide about networks. `nodes` is None if they are not known; `unread`: what
    else is not, a phrase each."""

    objects: Objects
    udns: Sequence[Object] = ()  # of both kinds
    nodes: Sequence[Object] | None = None
    unread: tuple[str, ...] = ()

    def of(self, kind: str) -> Sequence[Object]:
        """The objects of a kind that can be planned."""
        by_kind = {nad.KIND: self.objects.nads, policy.KIND: self.objects.policies}
        if kind in by_kind:
            return by_kind[kind]
        return [each for each in self.udns if each["kind"] == kind]

    def find(self, kind: str, key: ObjectKey) -> Object | None:
        return next((each for each in self.of(kind) if resources.key(each) == key), None)

    def labels(self, namespace: str) -> Mapping[str, str] | None:
        for each in self.objects.namespaces:
            if each["metadata"]["name"] == namespace:
                return {**(each["metadata"].get("labels") or {}), _NAME_LABEL: namespace}
        return None


def of_documents(documents: Iterable[Object], rules: nads.Rules) -> World:
    """The world that files describe."""
    by_kind: dict[str, list[Object]] = {}
    for each in documents:
        by_kind.setdefault(each["kind"], []).append(each)
    found = Objects(
        nads=[accepted(each, rules) for each in by_kind.get(nad.KIND, ())],
        policies=by_kind.get(policy.KIND, ()),
        instances=by_kind.get(resources.VMIS.kind, ()),
        claims=by_kind.get(resources.IPAMCLAIMS.kind, ()),
        controllers=[
            each
            for kind in (resources.REPLICASETS, resources.JOBS, resources.VMS)
            for each in by_kind.get(kind.kind, ())
        ],
    )
    owned = (*by_kind.get(resources.UDNS.kind, ()), *by_kind.get(resources.CUDNS.kind, ()))
    found = replace(found, namespaces=_namespaces(by_kind))
    whole = World(found, owned, by_kind.get(resources.NODES.kind))
    for each in owned:
        whole = _rendered(whole, each, rules)
    pods = [*_pods(by_kind)]
    return replace(whole, objects=replace(whole.objects, pods=_attached(pods, whole.objects)))


def _namespaces(by_kind: Mapping[str, Sequence[Object]]) -> list[Object]:
    listed = {each["metadata"]["name"]: each for each in by_kind.get("Namespace", ())}
    for each in (one for objects in by_kind.values() for one in objects):
        name = each["metadata"].get("namespace")
        if name and name not in listed:
            listed[name] = {"metadata": {"name": name}}
    return list(listed.values())


def accepted(obj: Object, rules: nads.Rules, before: Object | None = None) -> Object:
    """A NAD with the annotations that the cluster manager writes when it accepts it; unchanged if
    it has them, or is invalid."""
    read = nads.read(obj, rules)
    notes = dict(obj["metadata"].get("annotations") or {})
    if read.spec is None or (before is None and notes.get(names.NETWORK_NAME)):
        return obj
    notes |= {names.NETWORK_NAME: read.spec.name, names.ACCEPTED_CONFIG: read.config}
    return {**obj, "metadata": {**obj["metadata"], "annotations": notes}}


def merged(new: Object, old: Object | None) -> Object:
    """An object as the API server has it after `kubectl apply`: what others wrote stays.

    What kubectl applied last and the new file has no longer goes. Of an object that it never
    applied, the file has the whole spec and the user's own annotations.
    """
    if old is None:
        return new
    meta = {**old["metadata"], **new["metadata"]}
    last = _last_applied(old)
    for field in ("annotations", "labels"):
        before, after = (each["metadata"].get(field) or {} for each in (old, new))
        gone = _USERS_OWN if last is None else (last.get("metadata") or {}).get(field) or ()
        kept = {key: value for key, value in before.items() if key not in gone}
        if kept or after:
            meta[field] = {**kept, **after}
        else:
            meta.pop(field, None)
    whole = {**old, **new, "metadata": meta}
    if last is not None and "spec" in new:
        whole["spec"] = _patched(old.get("spec"), new["spec"], last.get("spec"))
    return whole


_USERS_OWN = (names.POLICY_FOR, names.POLICY_MODE)  # no one else writes these
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def _last_applied(obj: Object) -> Object | None:
    """What `kubectl apply` keeps of the file that it applied last; None if it applied none."""
    try:
        found = json.loads((obj["metadata"].get("annotations") or {}).get(_LAST_APPLIED) or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _patched(old: Any, new: Any, last: Any) -> Any:
    """`old` after the JSON merge patch that kubectl makes: lists are replaced as a whole."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    applied = last if isinstance(last, Mapping) else {}
    kept = {key: value for key, value in old.items() if key in new or key not in applied}
    return kept | {
        key: _patched(old.get(key), value, applied.get(key)) for key, value in new.items()
    }


def with_namespaces(world: World, spaces: Iterable[Object]) -> World:
    """The world with those namespaces that it lacks."""
    there = {each["metadata"]["name"] for each in world.objects.namespaces}
    new = [each for each in spaces if each["metadata"]["name"] not in there]
    return replace(
        world, objects=replace(world.objects, namespaces=[*world.objects.namespaces, *new])
    )


def edited(world: World, new: Object, rules: nads.Rules) -> World:
    """The world after one object was applied. NADs keep what their network was accepted as."""
    kind = new["kind"]
    whole = with_object(world, merged(new, world.find(kind, resources.key(new))))
    if kind in (resources.UDNS.kind, resources.CUDNS.kind):
        return _rendered(whole, new, rules)
    return whole


def without(world: World, old: Object) -> World:
    """The world after one object was deleted, with the NADs that are rendered from it."""
    kind, key = old["kind"], resources.key(old)
    whole = _replaced(world, kind, [o for o in world.of(kind) if resources.key(o) != key])
    if kind in (resources.UDNS.kind, resources.CUDNS.kind):
        kept = [each for each in whole.objects.nads if not is_of(each, kind, key)]
        return replace(whole, objects=replace(whole.objects, nads=kept))
    return whole


def is_of(obj: Object, kind: str, key: ObjectKey) -> bool:
    """Whether a NAD is rendered from the object."""
    meta = obj["metadata"]
    owners = meta.get("ownerReferences") or ()
    is_ours = any((one.get("kind"), one.get("name")) == (kind, key.name) for one in owners)
    return is_ours and (not key.namespace or key.namespace == meta["namespace"])


def with_object(world: World, obj: Object) -> World:
    """The world with one object in place of an earlier version."""
    key = resources.key(obj)
    others = [each for each in world.of(obj["kind"]) if resources.key(each) != key]
    return _replaced(world, obj["kind"], [*others, obj])


def _replaced(world: World, kind: str, there: Sequence[Object]) -> World:
    if kind == nad.KIND:
        return replace(world, objects=replace(world.objects, nads=there))
    if kind == policy.KIND:
        return replace(world, objects=replace(world.objects, policies=there))
    others = [each for each in world.udns if each["kind"] != kind]
    return replace(world, udns=[*others, *there])


def resource_of(kind: str) -> resources.Resource:
    return next(each for each in resources.ALL if each.kind == kind)


def read_udn(obj: Object, rules: nads.Rules) -> Udn:
    """A UserDefinedNetwork or ClusterUserDefinedNetwork, parsed."""
    resource = resource_of(obj["kind"])
    meta = dict(obj["metadata"])
    if not resource.namespaced:
        meta["namespace"] = ""
    return udns.read({**obj, "metadata": meta}, resource, rules)


def rendered(world: World, obj: Object, rules: nads.Rules) -> Iterator[Object]:
    """The NADs that are made of a UserDefinedNetwork or ClusterUserDefinedNetwork."""
    declared = read_udn(obj, rules)
    if declared.problem:
        return
    for each in world.objects.namespaces:
        name = each["metadata"]["name"]
        if declared.chooses(name, world.labels(name) or {}):
            key = ObjectKey(name, declared.subject.key.name)
            yield {"kind": nad.KIND, **declared.manifest(key)}


def _rendered(world: World, obj: Object, rules: nads.Rules) -> World:
    """The world with the NADs of an object; a foreign NAD of that name stays."""
    kind, key = obj["kind"], resources.key(obj)
    for each in rendered(world, obj, rules):
        before = world.find(nad.KIND, resources.key(each))
        if before is None or is_of(before, kind, key):
            whole = merged(each, before)
            world = with_object(world, whole if before is not None else accepted(whole, rules))
    return world


def foreign(world: World, obj: Object, rules: nads.Rules) -> list[ObjectKey]:
    """The NADs that have the name of one that would be rendered, and are not rendered from it."""
    kind, key = obj["kind"], resources.key(obj)
    found = (
        (each, world.find(nad.KIND, resources.key(each))) for each in rendered(world, obj, rules)
    )
    return [
        resources.key(each)
        for each, there in found
        if there is not None and not is_of(there, kind, key)
    ]


def _pods(by_kind: Mapping[str, Sequence[Object]]) -> Iterator[Object]:
    """Pods, and for each workload that has none one that stands for its pods."""
    yield from by_kind.get(selection.KIND, ())
    running = {
        (each["metadata"].get("labels") or {}).get(names.VM_NAME)
        for each in by_kind.get(selection.KIND, ())
    }
    instances = {resources.key(one) for one in by_kind.get(resources.VMIS.kind, ())}
    for kind, objects in by_kind.items():
        for each in objects if kind != selection.KIND else ():
            name = each["metadata"]["name"]
            is_vm = kind == resources.VMS.kind
            if (is_vm and resources.key(each) in instances) or name in running:
                continue
            called, inner = manifests.network_request(each)
            if (inner.get("annotations") or {}).get(names.NETWORKS):
                yield _standing(called["namespace"], each, inner)


def _standing(namespace: str, obj: Object, inner: Object) -> Object:
    name = obj["metadata"]["name"]
    labels = dict(inner.get("labels") or {})
    if obj["kind"] in (resources.VMS.kind, resources.VMIS.kind):
        template = (obj.get("spec") or {}).get("template") or obj
        labels = {**((template.get("metadata") or {}).get("labels") or {}), names.VM_NAME: name}
    meta = {**inner, "namespace": namespace, "name": name, "labels": labels}
    return {"metadata": meta, "spec": {}, "status": {"phase": "Running"}}


def _attached(pods: Iterable[Object], objects: Objects) -> list[Object]:
    """Pods as if they had an allocation on each network that they ask for and have none on."""
    known = {
        resources.key(each)
        for each in objects.nads
        if (each["metadata"].get("annotations") or {}).get(names.NETWORK_NAME)
    }
    found = []
    for number, pod in enumerate(pods, 1):
        notes = dict(pod["metadata"].get("annotations") or {})
        try:
            held = podnetworks.parse(pod)
            keys = [each.key for each in selection.parse(pod) if each.nad in known]
        except errors.InvalidInput:
            found.append(pod)
            continue
        entries = json.loads(notes.get(names.POD_NETWORKS) or "{}")
        for index, key in enumerate(keys):
            if key not in held:
                mac = f"02:00:{number >> 8 & 255:02x}:{number & 255:02x}:00:{index:02x}"
                entries[key] = {"ip_addresses": None, "mac_address": mac}
        notes[names.POD_NETWORKS] = json.dumps(entries)
        status = pod.get("status") or {"phase": "Running"}
        found.append(
            {**pod, "metadata": {**pod["metadata"], "annotations": notes}, "status": status}
        )
    return found
