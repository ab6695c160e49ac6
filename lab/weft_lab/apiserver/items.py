"""Converts objects on their way into the store, and out of it into another version.

Only this module encodes objects, once for each change, whatever the number of readers.
"""

from __future__ import annotations

from dataclasses import replace

import orjson

from weft_lab.apiserver import store
from weft_lab.apiserver.resources import Object, Resource, Version, read_path


def seal(resource: Resource, obj: Object, revision: int) -> store.Item:
    """Freeze an object under a revision; `obj` gets its resourceVersion."""
    obj = {**dict.fromkeys(("kind", "apiVersion")), **obj}  # in this order: see `bare`
    meta = obj["metadata"]
    meta["resourceVersion"] = str(revision)
    namespace = meta.get("namespace", "")
    fields = {"metadata.name": meta["name"]}
    if resource.namespaced:
        fields["metadata.namespace"] = namespace
    for name, path in resource.selectable.items():
        fields[name] = read_path(obj, path)
    owners = meta.get("ownerReferences")
    return store.Item(
        key=(namespace, meta["name"]),
        uid=meta["uid"],
        revision=revision,
        body=orjson.dumps(obj),
        labels=meta.get("labels") or {},
        fields=fields,
        owners=tuple(owner["uid"] for owner in owners) if owners else (),
        deleting="deletionTimestamp" in meta,
        converted={},
    )


def seal_unkept(resource: Resource, obj: Object) -> store.Item:
    """Of a dry run that creates: it has no revision, since it is not kept."""
    item = seal(resource, obj, 0)
    found = item.parse()
    del found["metadata"]["resourceVersion"]
    return replace(item, body=orjson.dumps(found))


def unseal(resource: Resource, body: bytes) -> store.Item:
    """An item from what the journal holds."""
    obj: Object = orjson.loads(body)
    return seal(resource, obj, int(obj["metadata"]["resourceVersion"]))


def to_storage(resource: Resource, version: Version, obj: Object) -> Object:
    """A client's object in the form in which it is kept."""
    if version.to_storage is not None:
        obj = version.to_storage(obj)
    obj["apiVersion"] = resource.stored_api_version
    obj["kind"] = resource.kind
    return obj


def from_storage(resource: Resource, version: Version, obj: Object) -> Object:
    if version.from_storage is not None:
        obj = version.from_storage(obj)
    obj["apiVersion"] = resource.api_version(version)
    return obj


def body_in(resource: Resource, version: Version, item: store.Item) -> bytes:
    """The item's JSON in the version that a client speaks, remembered for the next reader."""
    if version.name == resource.storage and version.from_storage is None:
        return item.body
    name = resource.api_version(version)
    found = item.converted.get(name)
    if found is None:
        found = orjson.dumps(from_storage(resource, version, item.parse()))
        item.converted[name] = found
    return found


def bare(resource: Resource, version: Version, item: store.Item) -> bytes:
    """As in a list: objects of built-in types do not say there of what type they are."""
    body = body_in(resource, version, item)
    if resource.custom:
        return body
    head = b'{"kind":"%b","apiVersion":"%b",'
    named = resource.kind.encode(), resource.api_version(version).encode()
    return b"{" + body.removeprefix(head % named)


def field_names(resource: Resource) -> tuple[str, ...]:
    """What a field selector may name for this type."""
    scope = ("metadata.name", "metadata.namespace") if resource.namespaced else ("metadata.name",)
    return (*scope, *resource.selectable)
