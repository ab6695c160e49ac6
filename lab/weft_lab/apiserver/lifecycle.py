"""Does what follows from a change: types come and go, namespaces end, dependents are collected.

It listens to every published change, and works through a queue outside of any request.
"""

from __future__ import annotations

import asyncio
import logging

from weft_lab.apiserver import crd, deletes, deletion, seed, status, store
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.resources import Object, Resource

_LOG = logging.getLogger(__name__)
_CRDS = "customresourcedefinitions.apiextensions.k8s.io"
_BACKGROUND = deletion.Request(propagation="Background")


class Lifecycle:
    """The collectors; `listen` gets each published change, `run` does the work."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._todo: set[tuple[str, store.Key]] = set()
        self._wake = asyncio.Event()

    def listen(self, change: store.Change) -> None:
        if change.collection == _CRDS and change.kind != "DELETED":
            self._offer_type(change.item)
        namespace = change.item.key[0]
        if change.collection in {"namespaces", _CRDS}:
            self._add(change.collection, change.item.key)
        if change.kind == "DELETED":
            self._after_deletion(change, namespace)
        elif change.item.deleting or (
            change.item.owners
            and (change.before is None or change.before.owners != change.item.owners)
        ):
            self._add(change.collection, change.item.key)

    def _after_deletion(self, change: store.Change, namespace: str) -> None:
        for dependent in self._cluster.store.dependents.get(change.item.uid, ()):
            self._add(*dependent)
        for owner in change.item.owners:
            if owner in self._cluster.store.by_uid:
                self._add(*self._cluster.store.by_uid[owner])
        space = self._cluster.store.collection("namespaces").items.get(("", namespace))
        if space is not None and space.fields.get("status.phase") == "Terminating":
            self._add("namespaces", space.key)
        definition = self._cluster.store.collection(_CRDS).items.get(("", change.collection))
        if definition is not None:
            self._add(_CRDS, definition.key)

    def _offer_type(self, item: store.Item) -> None:
        try:
            resource = crd.to_resource(item.parse())
        except Exception:  # a rule is missing in crd.validate; the definition stays unserved
            _LOG.exception("%s cannot be served", item.key[1])
            return
        known = self._cluster.registry.get(resource.id)
        if known is None or not known.custom or known != resource:
            self._cluster.install(resource)

    def _add(self, collection: str, key: store.Key) -> None:
        self._todo.add((collection, key))
        self._wake.set()

    def review_all(self) -> None:
        """Queue after a restart all objects of which some work may be unfinished."""
        for collection in self._cluster.store.collections.values():
            for item in collection.items.values():
                special = collection.name in {"namespaces", _CRDS}
                if item.owners or item.deleting or special:
                    self._add(collection.name, item.key)

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._todo:
                self.work()
                await self._cluster.journal.durable()

    @property
    def pending(self) -> bool:
        return bool(self._todo)

    def work(self, most: int = 100) -> None:
        """Review some of what waits, so few that requests do not wait long."""
        for collection, key in sorted(self._todo)[:most]:
            self._todo.discard((collection, key))
            try:
                self._review(collection, key)
            except status.ApiError as error:
                _LOG.warning("%s %s: %s", collection, "/".join(key), error)
            except Exception:  # one object must not end the server
                _LOG.exception("%s %s", collection, "/".join(key))

    def _review(self, name: str, key: store.Key) -> None:
        """Whatever is due for one object now."""
        resource = self._cluster.registry.get(name)
        item = self._cluster.store.collection(name).items.get(key)
        if resource is None or item is None:
            return
        obj = item.parse()
        if name == "namespaces":
            self._review_namespace(resource, item, obj)
        elif name == _CRDS:
            self._review_definition(resource, item, obj)
        self._review_dependents(resource, name, key)
        if item.owners:
            self._review_owners(resource, name, key)

    def _review_namespace(self, resource: Resource, item: store.Item, obj: Object) -> None:
        if "deletionTimestamp" not in obj["metadata"]:
            seed.account(self._cluster, item.key[1])
            return
        left = False
        for other in self._cluster.registry:
            if not other.namespaced:
                continue
            for inner in self._cluster.collection(other).select(item.key[1]):
                left = not deletes.delete(self._cluster, other, inner, _BACKGROUND)[1] or left
        if left:
            return
        obj["spec"] = {"finalizers": []}
        if deletion.is_complete(obj):
            self._cluster.remove(resource, item)
        else:
            self._cluster.put(resource, obj, item)

    def _review_definition(self, resource: Resource, item: store.Item, obj: Object) -> None:
        """Delete the objects of a definition that is being deleted."""
        if "deletionTimestamp" not in obj["metadata"]:
            return
        defined = self._cluster.registry.get(item.key[1])
        if defined is not None and defined.custom:
            inner = list(self._cluster.collection(defined).items.values())
            for one in inner:
                deletes.delete(self._cluster, defined, one, _BACKGROUND)
            if inner:
                return  # watches get the deletions first; that of the last object queues this again
            self._cluster.withdraw(defined.id)
        if crd.CLEANUP in (obj["metadata"].get("finalizers") or ()):
            deletes.drop_finalizer(self._cluster, resource, item, crd.CLEANUP)

    def _review_dependents(self, resource: Resource, name: str, key: store.Key) -> None:
        """Foreground deletion waits for dependents; orphaning removes their owner references."""
        item = self._cluster.store.collection(name).items.get(key)
        if item is None or not item.deleting:
            return
        finalizers = item.parse()["metadata"].get("finalizers") or ()
        dependents = sorted(self._cluster.store.dependents.get(item.uid, ()))
        if deletion.ORPHAN in finalizers:
            for other, place in dependents:
                self._disown(other, place, {item.uid})
            deletes.drop_finalizer(self._cluster, resource, item, deletion.ORPHAN)
        elif deletion.FOREGROUND in finalizers:
            waiting = [entry for entry in dependents if self._end_dependent(*entry, item.uid)]
            if not waiting:
                deletes.drop_finalizer(self._cluster, resource, item, deletion.FOREGROUND)

    def _end_dependent(self, name: str, key: store.Key, owner: str) -> bool:
        """Delete a dependent; returns whether its owner has to wait for it."""
        resource = self._cluster.registry.get(name)
        item = self._cluster.store.collection(name).items.get(key)
        if resource is None or item is None:
            return False
        if len(item.owners) > 1 and any(
            one in self._cluster.store.by_uid for one in item.owners if one != owner
        ):
            self._disown(name, key, {owner})
            return False
        _, gone = deletes.delete(
            self._cluster, resource, item, deletion.Request(propagation="Foreground")
        )
        if not gone:
            self._add(name, key)
        references = item.parse()["metadata"]["ownerReferences"]
        blocking = any(one["uid"] == owner and one.get("blockOwnerDeletion") for one in references)
        return blocking and not gone

    def _review_owners(self, resource: Resource, name: str, key: store.Key) -> None:
        """Delete an object whose owners are all gone; else drop references to those that are."""
        item = self._cluster.store.collection(name).items.get(key)
        if item is None:
            return
        absent = {uid for uid in item.owners if uid not in self._cluster.store.by_uid}
        if not absent:
            return
        references = item.parse()["metadata"]["ownerReferences"]
        for one in references:
            if self._cluster.registry.by_kind(one["apiVersion"], one["kind"]) is None:
                absent.discard(one["uid"])  # objects of an unknown type are not looked up
        if absent == set(item.owners):
            deletes.delete(self._cluster, resource, item, _BACKGROUND)
        elif absent:
            self._disown(name, key, absent)

    def _disown(self, name: str, key: store.Key, owners: set[str]) -> None:
        resource = self._cluster.registry.get(name)
        item = self._cluster.store.collection(name).items.get(key)
        if resource is None or item is None:
            return
        obj = item.parse()
        kept = [one for one in obj["metadata"]["ownerReferences"] if one["uid"] not in owners]
        if kept:
            obj["metadata"]["ownerReferences"] = kept
        else:
            del obj["metadata"]["ownerReferences"]
        self._cluster.put(resource, obj, item)
