"""Serves create and update: all checks in order, then one change.

Nothing here awaits: between reading the old state and recording the new one no other request
runs, so there are no races to handle. The caller awaits the journal before it answers.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from weft_lab.apiserver import clock, deletion, items, metadata, pods, status, store, structural
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.patch import fields, ownership
from weft_lab.apiserver.resources import Object, Resource, Version

OBJECT_LIMIT = 1536 * 1024  # bytes of one object, as etcd's limit is by default
_FORGET: tuple[Any, ...] = ([], [{}])  # managedFields that ask to follow them no longer
_MAX_REPORTED = 100  # fields that are unknown, at most


@dataclass(frozen=True, slots=True)
class Options:
    """What a client may ask about how to write, and what its text was found to say twice.

    patch: what it sent, where that is not the object itself.
    """

    dry_run: bool = False
    manager: str = "unknown"
    validation: str = "Warn"
    force: bool = False
    duplicates: tuple[str, ...] = ()
    patch: Any = None


# Both get the object as it would be kept, and as it is kept now, and raise what refuses it. Guards
# are asked before an object is validated, admission after that, and of deletions.
Guard = Callable[[Object, Object | None], None]
Admit = Callable[[Object | None, Object | None], None]


@dataclass(slots=True)
class Target:
    """What a write is about: the type, the version the client speaks, and the place.

    answered: what webhooks that allow the write warn of, by what they were asked.
    """

    resource: Resource
    version: Version
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    warnings: list[str] = field(default_factory=list)
    guards: tuple[Guard, ...] = ()
    admission: tuple[Admit, ...] = ()
    answered: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    birth: tuple[str, str, bytes] | None = None
    is_repeated: bool = False  # a write may be tried again, when webhooks have answered

    def born(self) -> tuple[str, str, bytes]:
        """Time, uid and chance of a new object: the same in each try of one write."""
        if self.birth is None:
            self.birth = clock.now(), str(uuid.uuid4()), os.urandom(5)
        return self.birth

    @property
    def group(self) -> str:
        """By which errors name the type."""
        return self.resource.named_by(self.version)

    def admit(self, new: Object | None, old: Object | None) -> None:
        for each in self.admission:
            each(new, old)


def create(
    cluster: Cluster, target: Target, obj: Object, options: Options, *, applied: bool = False
) -> store.Item:
    """Create an object. Raises the ApiError that Kubernetes answers."""
    resource = target.resource
    check_identity(target, obj)
    if obj["metadata"].get("resourceVersion") and not applied:
        why = "resourceVersion should not be set on objects to be created"
        raise status.ApiError(500, "", why)
    name = obj["metadata"].get("name") or obj["metadata"].get("generateName", "")
    check_namespace(cluster, target, name)
    check_types(cluster, target, obj, options)
    target.warnings.extend(metadata.drop_duplicates(obj["metadata"]))
    metadata.prepare_create(resource, obj, target.namespace, *target.born())
    if target.version.has_status:
        obj.pop("status", None)
    if not applied:
        obj["metadata"].pop("managedFields", None)
    shape(cluster, target, obj, options)
    obj = items.to_storage(resource, target.version, obj)
    if resource.custom:
        target.warnings += metadata.short_finalizers(obj["metadata"], {})
    resource.strategy.create(obj)
    resource.strategy.default(obj)
    for guard in target.guards:
        guard(obj, None)
    _refuse(resource, obj, validate(target, obj))
    target.admit(obj, None)
    key = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
    if key in cluster.collection(resource).items:
        raise status.already_exists(target.group, resource.plural, key[1])
    if options.dry_run:
        return items.seal_unkept(resource, obj)
    return cluster.put(resource, obj, None, limit=OBJECT_LIMIT)


def update(cluster: Cluster, target: Target, obj: Object, options: Options) -> store.Item:
    """Replace an object (or its status), as a PUT does."""
    meta = obj.get("metadata")
    named = dict(meta) if isinstance(meta, dict) else {}
    check_identity(target, obj)
    given = obj["metadata"].get("resourceVersion")
    item = cluster.collection(target.resource).items.get((target.namespace, target.name))
    if item is None and target.resource.create_on_update and not given:
        return create(cluster, target, obj, options)
    if "name" not in named:
        why = f"the name of the object ({target.name} based on URL) was undeterminable"
        raise status.bad_request(f"{why}: name must be provided")
    item = find(cluster, target)
    strategy = target.resource.strategy
    if not given and not strategy.unconditional_update:
        cause = status.wrong("metadata.resourceVersion", 0, "must be specified for an update")
        raise status.invalid(target.group, target.resource.plural, target.name, [cause])
    return replace(cluster, target, item, obj, options)


def find(cluster: Cluster, target: Target) -> store.Item:
    item = cluster.collection(target.resource).items.get((target.namespace, target.name))
    if item is None:
        raise status.not_found(target.group, target.resource.plural, target.name)
    return item


def replace(
    cluster: Cluster,
    target: Target,
    item: store.Item,
    obj: Object,
    options: Options,
    *,
    applied: bool = False,
) -> store.Item:
    """Make `obj` (in the client's version) the new state of `item`, where the rules allow it."""
    resource = target.resource
    old = item.parse()
    _check_preconditions(target, obj, old)
    forget = obj["metadata"].get("managedFields") in _FORGET
    check_types(cluster, target, obj, options)
    shape(cluster, target, obj, options)
    new = items.to_storage(resource, target.version, obj)
    altered = metadata.altered(new, old)
    metadata.prepare_update(new, old)
    target.warnings.extend(metadata.drop_duplicates(new["metadata"]))
    if resource.custom:
        target.warnings += metadata.short_finalizers(new["metadata"], old["metadata"])
    new = _split_status(target, new, old)
    resource.strategy.change(new, old)
    resource.strategy.default(new)
    if resource.counted:
        metadata.bump_generation(new, old)
    if forget:
        new["metadata"].pop("managedFields", None)
    elif not applied:
        _note_manager(cluster, target, new, old, options)
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    if new != old or altered:
        for guard in target.guards:
            guard(new, old)
        causes = altered + validate(target, new, old) + metadata.validate_update(new, old)
        is_added = target.subresource == pods.EPHEMERAL
        check = pods.validate_ephemeral if is_added else resource.strategy.validate_change
        causes += check(new, old)
        _refuse(resource, new, causes)
    target.admit(new, old)
    if new == old:
        return item
    if options.dry_run:
        return items.seal(resource, new, item.revision)
    if deletion.is_complete(new):
        # A watch gets the object as stored; the client that ended it, the object as it wrote it.
        return items.seal(resource, new, cluster.remove(resource, item).revision)
    return cluster.put(resource, new, item, limit=OBJECT_LIMIT)


def _note_manager(
    cluster: Cluster, target: Target, new: Object, old: Object, options: Options
) -> None:
    """Update managedFields, which an object has only since its first server-side apply."""
    entries = old["metadata"].get("managedFields")
    if not entries:
        new["metadata"].pop("managedFields", None)
        return
    node = cluster.node(target.resource, target.version)
    new["metadata"]["managedFields"] = ownership.after_update(
        entries,
        fields.difference(node, old, new),
        fields.removed(node, old, new),
        ownership.Manager(
            options.manager,
            "Update",
            target.resource.api_version(target.version),
            target.subresource,
        ),
        clock.now(),
    )


def _split_status(target: Target, new: Object, old: Object) -> Object:
    """The main resource does not write status, and /status writes nothing else."""
    if target.subresource == "status":
        kept = deepcopy(old)
        if "status" in new:
            kept["status"] = new["status"]
        else:
            kept.pop("status", None)
        for part in ("managedFields",):
            if part in new["metadata"]:
                kept["metadata"][part] = new["metadata"][part]
        if not (target.resource.custom or target.resource.status_alone):
            for part in ("labels", "annotations"):
                _carry(kept["metadata"], new["metadata"], part)
        return kept
    if target.subresource == pods.EPHEMERAL:
        return pods.with_ephemeral(new, old)
    if target.version.has_status:
        _carry(new, old, "status")
    return new


def _carry(into: Object, source: Object, name: str) -> None:
    if name in source:
        into[name] = source[name]
    else:
        into.pop(name, None)


def shape(cluster: Cluster, target: Target, obj: Object, options: Options) -> None:
    """Unknown fields and defaults; what is unknown is dropped and reported."""
    node = cluster.node(target.resource, target.version)
    unknown = structural.prune(node, obj)
    if target.resource.custom:
        unknown.sort()
    warnings = [
        *(f'unknown field "{path}"' for path in unknown[:_MAX_REPORTED]),
        *options.duplicates,
    ]
    if warnings and options.validation != "Ignore":
        if options.validation == "Strict":
            strict = f"strict decoding error: {', '.join(warnings)}"
            if options.patch is not None:
                raise status.invalid("", "", "", [status.wrong("patch", options.patch, strict)])
            raise status.bad_request(f"{_unhandled(target)}: {strict}")
        target.warnings.extend(warnings)
    structural.apply_defaults(node, obj)


def check_types(
    cluster: Cluster, target: Target, obj: Object, options: Options | None = None
) -> None:
    """Refuse a value that the type cannot hold; of custom resources only metadata is so typed."""
    node = cluster.node(target.resource, target.version)
    if target.resource.custom:
        why = structural.mistyped(node.child("metadata"), obj["metadata"], ".metadata")
    else:
        why = structural.mistyped(node, obj)
    if why and options is not None and options.patch is not None:
        raise status.invalid("", "", "", [status.wrong("patch", options.patch, why)])
    if why:
        raise status.bad_request(f"{_unhandled(target)}: {why}")


def _unhandled(target: Target) -> str:
    kind = target.resource.kind
    return f'{kind} in version "{target.version.name}" cannot be handled as a {kind}'


def validate(target: Target, obj: Object, old: Object | None = None) -> list[status.Cause]:
    """Every rule about a whole object, in its stored form; `old` is what it was."""
    strategy = target.resource.strategy
    causes = metadata.validate(target.resource, obj) + strategy.validate(obj)
    return causes + strategy.rules(obj, old, causes)


def _refuse(resource: Resource, obj: Object, causes: list[status.Cause]) -> None:
    if causes:
        name = obj["metadata"].get("name") or obj["metadata"].get("generateName", "")
        raise status.invalid(resource.group, resource.kind, name, causes)


def _of_another_type(target: Target, obj: Object, given: str, kind: str) -> status.ApiError:
    """A body whose kind or version is not the URL's."""
    resource = target.resource
    expected = resource.api_version(target.version)
    group, _, version = given.rpartition("/")
    if resource.custom and given != expected:
        message = f"the API version in the data ({given}) does not match the expected API version"
        return status.bad_request(f"{message} ({expected})")
    if resource.custom:
        meta = obj.get("metadata")
        name = str(meta.get("name", "")) if isinstance(meta, dict) else ""
        cause = status.wrong("kind", kind, f"must be {resource.kind}")
        return status.invalid(group, kind, name, [cause])
    return status.bad_request(
        f'{kind} in version "{version}" cannot be handled as a {resource.kind}:'
        f" {not_registered(given, kind)}"
    )


def not_registered(version: str, kind: str) -> str:
    return (
        f'no kind "{kind}" is registered for version "{version}" in scheme'
        ' "pkg/runtime/scheme.go:111"'
    )


def check_identity(target: Target, obj: Object) -> None:
    """The body must be of the kind, namespace and name that the URL speaks of."""
    resource = target.resource
    expected = resource.api_version(target.version)
    given = obj.get("apiVersion") or expected
    kind = obj.get("kind") or resource.kind
    if (kind, given) != (resource.kind, expected):
        raise _of_another_type(target, obj, str(given), str(kind))
    obj["apiVersion"], obj["kind"] = expected, kind
    meta = obj.setdefault("metadata", {})
    if not isinstance(meta, dict):
        value = (
            "array" if isinstance(meta, list) else "string" if isinstance(meta, str) else "number"
        )
        into = f"Go struct field {kind}.metadata of type v1.ObjectMeta"
        if resource.custom:
            into = "Go value of type v1.ObjectMeta"
        message = f"json: cannot unmarshal {value} into {into}"
        raise status.bad_request(f"{_unhandled(target)}: {message}")
    for field_name in ("name", "namespace", "generateName"):
        if not isinstance(meta.get(field_name) or "", str):
            raise status.bad_request(
                f"{kind} cannot be handled: json: cannot unmarshal metadata.{field_name}:"
                " it must be a string"
            )
    if resource.namespaced and meta.get("namespace") and meta["namespace"] != target.namespace:
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if target.name and meta.get("name") and meta["name"] != target.name:
        raise status.bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL"
            f" ({target.name})"
        )
    if target.name:
        meta["name"] = target.name


def _check_preconditions(target: Target, obj: Object, old: Object) -> None:
    resource = target.resource
    meta, current = obj["metadata"], old["metadata"]
    if meta.get("uid") and meta["uid"] != current["uid"]:
        why = (
            f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta:"
            f" {current['uid']}"
        )
        raise status.conflict(target.group, resource.plural, current["name"], why)
    given = meta.get("resourceVersion")
    if given and given not in {"0", current["resourceVersion"]}:
        raise status.conflict(target.group, resource.plural, current["name"], status.MODIFIED)


def check_namespace(cluster: Cluster, target: Target, name: str) -> None:
    """Objects are created in namespaces that exist and stay."""
    resource = target.resource
    if not resource.namespaced:
        return
    item = cluster.store.collection("namespaces").items.get(("", target.namespace))
    if item is None:
        raise status.not_found("", "namespaces", target.namespace)
    if item.fields.get("status.phase") == "Terminating":
        text = f"namespace {target.namespace} is being terminated"
        cause = status.Cause("metadata.namespace", text, "NamespaceTerminating")
        why = (
            f"unable to create new content in namespace {target.namespace} because it is"
            " being terminated"
        )
        raise status.forbidden(target.group, resource.plural, name, why, cause)
