"""Serves deletion of one object or many, and bindings and evictions of pods.

`deletion` decides; this changes the store. Collectors (lifecycle.py) then delete dependents and the
contents of a namespace.
"""

from __future__ import annotations

import time

from weft_lab.apiserver import clock, crd, deletion, evictions, items, status, store, writes
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.reads import Selection
from weft_lab.apiserver.resources import Object, Resource


def delete(
    cluster: Cluster, resource: Resource, item: store.Item, request: deletion.Request
) -> tuple[store.Item, bool]:
    """The item as it is now, and whether it is gone."""
    obj = item.parse()
    deletion.check_preconditions(resource, obj, request)
    if resource.id == "namespaces":
        return _end_namespace(cluster, resource, item, obj, request)
    before = item.parse()
    if resource.kind == "CustomResourceDefinition":
        crd.begin_deletion(obj)
    decision = deletion.decide(resource, obj, request, time.time())
    if request.dry_run:
        marked = decision.marked
        return items.seal(resource, marked, item.revision) if marked else item, marked is None
    if decision.marked is None:
        if resource.strategy.grace:  # the end of its time is reported first
            item = cluster.put(resource, last_seen(resource, item).parse(), item)
        return cluster.remove(resource, item), True
    if decision.marked == before:
        return item, False
    return cluster.put(resource, decision.marked, item), False


def _end_namespace(
    cluster: Cluster, resource: Resource, item: store.Item, obj: Object, request: deletion.Request
) -> tuple[store.Item, bool]:
    """A namespace waits, as Terminating, until nothing is left in it."""
    name = item.key[1]
    if name in {"default", "kube-system", "kube-public"}:
        raise status.forbidden("", "namespaces", name, "this namespace may not be deleted")
    if "deletionTimestamp" in obj["metadata"] or request.dry_run:
        return item, False
    obj["metadata"]["deletionTimestamp"] = clock.now()
    obj.setdefault("status", {})["phase"] = "Terminating"
    return cluster.put(resource, obj, item), False


def delete_named(
    cluster: Cluster, target: writes.Target, request: deletion.Request
) -> tuple[store.Item, bool]:
    """`delete` of the target, where it is admitted."""
    item = writes.find(cluster, target)
    target.admit(None, item.parse())
    return delete(cluster, target.resource, item, request)


def delete_all(
    cluster: Cluster, target: writes.Target, chosen: Selection, request: deletion.Request
) -> list[store.Item]:
    """Delete all objects that a selector matches; each is removed, or waits for finalizers.

    None is deleted where one is not admitted. Returns them as they were.
    """
    found = chosen.choose(cluster.collection(target.resource))
    for item in found:
        target.admit(None, item.parse())
    for item in found:
        delete(cluster, target.resource, item, request)
    return found


def drop_finalizer(cluster: Cluster, resource: Resource, item: store.Item, name: str) -> None:
    """Take one finalizer off; the object goes if it was the last."""
    obj = item.parse()
    meta = obj["metadata"]
    meta["finalizers"] = [one for one in meta.get("finalizers") or () if one != name]
    if not meta["finalizers"]:
        del meta["finalizers"]
    if deletion.is_complete(obj):
        cluster.remove(resource, item)
    else:
        cluster.put(resource, obj, item)


def finalize_namespace(cluster: Cluster, target: writes.Target, body: Object) -> store.Item:
    """PUT of the `finalize` subresource: only spec.finalizers is written."""
    item = writes.find(cluster, target)
    obj = item.parse()
    obj["spec"] = {"finalizers": (body.get("spec") or {}).get("finalizers") or []}
    if deletion.is_complete(obj):
        return cluster.remove(target.resource, item)
    return cluster.put(target.resource, obj, item)


def evict(cluster: Cluster, target: writes.Target, request: deletion.Request) -> str:
    """Delete a pod, unless its machine has to migrate first: then the reason, "" if it is done."""
    item = writes.find(cluster, target)
    verdict = evictions.judge(item.parse(), lambda space, name: _instance(cluster, (space, name)))
    if not verdict.refusal:
        delete(cluster, target.resource, item, request)
    elif verdict.marked is not None and not request.dry_run:
        kind, meta = cluster.registry.get(evictions.INSTANCES), verdict.marked["metadata"]
        if kind is not None:
            before = cluster.collection(kind).items[meta["namespace"], meta["name"]]
            cluster.put(kind, verdict.marked, before)
    return verdict.refusal


def _instance(cluster: Cluster, key: tuple[str, str]) -> Object | None:
    item = cluster.store.collection(evictions.INSTANCES).items.get(key)
    return item.parse() if item is not None else None


def bind(cluster: Cluster, target: writes.Target, body: Object) -> None:
    """Put a pod on a node, once."""
    node = (body.get("target") or {}).get("name")
    if not node:
        cause = status.required("target.name")
        raise status.invalid("", "Binding", target.name, [cause])
    item = writes.find(cluster, target)
    obj = item.parse()
    held = obj["spec"].get("nodeName")
    if "deletionTimestamp" in obj["metadata"]:
        why = f"pod {target.name} is being deleted, cannot be assigned to a host"
        raise status.conflict("", "pods/binding", target.name, why)
    if held:
        why = f"pod {target.name} is already assigned to node {held!r}".replace("'", '"')
        raise status.conflict("", "pods/binding", target.name, why)
    obj["spec"]["nodeName"] = node
    conditions = obj.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [one for one in conditions if one.get("type") != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None}
    conditions.append({**scheduled, "lastTransitionTime": clock.now()})
    cluster.put(target.resource, obj, item)


def last_seen(resource: Resource, item: store.Item) -> store.Item:
    """An object that had time to end is reported as if it had been marked for deletion."""
    obj = item.parse()
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta and resource.counted:
        meta["generation"] = meta.get("generation", 1) + 1
    meta.setdefault("deletionTimestamp", clock.now())
    meta["deletionGracePeriodSeconds"] = 0
    return items.seal(resource, obj, item.revision)


def gone_body(target: writes.Target, item: store.Item) -> Object:
    return status.success(item.key[1], target.group, target.resource.plural, item.uid)
