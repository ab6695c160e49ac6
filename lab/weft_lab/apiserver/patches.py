"""Serves patch requests: makes the new object by content type, then updates to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from weft.decode import budget, jsontext
from weft_lab.apiserver import clock, items, request, status, store, structural, writes
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.patch import apply, fields, merge, operations, ownership, strategic
from weft_lab.apiserver.resources import Object

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = request.APPLY
# With managedFields, which repeat the names of an object's fields a few levels deeper.
_PATCHED = budget.Budget(size=request.BODY_LIMIT, values=150_000, depth=budget.DEPTH + 20)
KNOWN = (JSON, MERGE, APPLY, STRATEGIC)


def patch(
    cluster: Cluster, target: writes.Target, media: str, body: Any, options: writes.Options
) -> tuple[store.Item, bool]:
    """The patched item, and whether it is new (an apply creates what is not there)."""
    if media == APPLY:
        return _apply(cluster, target, body, options)
    item = writes.find(cluster, target)
    obj = items.from_storage(target.resource, target.version, item.parse())
    new = _patched(cluster, target, media, obj, body)
    jsontext.measure(new, _PATCHED)
    if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
        raise _nameless(target)
    _check_type(target, new, body)
    _check_uid(target, item, new)
    if not new["metadata"].get("name"):
        raise _nameless(target)
    writes.check_identity(target, new)
    duplicates = options.duplicates
    if media == JSON:
        duplicates += _unknown_parts(body)
    options = replace(options, patch=body, duplicates=duplicates)
    return writes.replace(cluster, target, item, new, options), False


def _check_uid(target: writes.Target, item: store.Item, new: Object) -> None:
    given = new["metadata"].get("uid")
    if given and given != item.uid:
        cause = status.wrong("metadata.uid", given, "field is immutable")
        raise status.invalid(target.group, target.resource.kind, target.name, [cause])


def _nameless(target: writes.Target) -> status.ApiError:
    why = f"the name of the object ({target.name} based on URL) was undeterminable"
    return status.bad_request(f"{why}: name must be provided")


def _check_type(target: writes.Target, new: Object, patch: Any) -> None:
    """Refuse a patch that makes an object of another type."""
    resource, expected = target.resource, target.resource.api_version(target.version)
    given, kind = new.get("apiVersion"), new.get("kind")
    if resource.custom and not kind:
        cause = status.wrong("patch", patch, "Object 'Kind' is missing in the patched object")
        raise status.invalid("", "", "", [cause])
    if resource.custom and not given:
        raise status.internal("Object 'apiVersion' is missing in 'object has no apiVersion field'")
    if resource.custom and given != expected:
        cause = status.wrong("apiVersion", given, f"must be {expected}")
        group = str(given).rpartition("/")[0]
        raise status.invalid(group, resource.kind, target.name, [cause])
    given, kind = given or expected, kind or resource.kind
    if not resource.custom and (kind, given) != (resource.kind, expected):
        cause = status.wrong("patch", patch, writes.not_registered(str(given), str(kind)))
        raise status.invalid("", "", "", [cause])


def _patched(cluster: Cluster, target: writes.Target, media: str, obj: Object, body: Any) -> Any:
    if media == JSON:
        return _json_patch(obj, body)
    if not isinstance(body, dict):
        raise status.bad_request(_not_an_object(media, body))
    if media == MERGE:
        return merge.merge(obj, body)
    if media == STRATEGIC and not target.resource.custom:
        return strategic.merge(cluster.node(target.resource, target.version), obj, body)
    known = [name for name in KNOWN if name != STRATEGIC or not target.resource.custom]
    raise status.unsupported_media("", *known)


def _not_an_object(media: str, body: Any) -> str:
    if body is None and media == MERGE:
        return "Invalid JSON Patch"
    why = _not_decoded(body, "map[string]interface {}")
    return f"error decoding patch: {why}" if media == MERGE else why


def _not_decoded(value: Any, into: str) -> str:
    return f"json: cannot unmarshal {structural.shown(value)} into Go value of type {into}"


def _json_patch(obj: Object, body: Any) -> Any:
    into = "[]handlers.jsonPatchOp"
    faulty = [] if body is None else body
    if isinstance(body, list):
        into = "handlers.jsonPatchOp"
        faulty = next((one for one in body if not isinstance(one, dict)), [])
    if faulty != []:
        raise status.bad_request(f"error decoding patch: {_not_decoded(faulty, into)}")
    try:
        return operations.apply(obj, body or [], request.BUDGET)
    except operations.Refused as why:
        message = f"the server rejected our request due to an error in our request: {why}"
        raise status.ApiError(422, "Invalid", message, {}) from None


def _unknown_parts(body: Any) -> tuple[str, ...]:
    """What operations say that no operation has."""
    return tuple(
        f'json patch unknown field "[{number}].{name}"'
        for number, one in enumerate(body or ())
        for name in one
        if name not in {"op", "path", "from", "value"}
    )


def _apply(
    cluster: Cluster, target: writes.Target, body: Any, options: writes.Options
) -> tuple[store.Item, bool]:
    body = {} if body is None else body
    if not isinstance(body, dict):
        why = _not_decoded(body, "map[string]interface {}")
        raise status.bad_request(
            f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}"
        )
    _check_applied_type(target, body)
    writes.check_identity(target, body)
    if body["metadata"].get("managedFields"):
        raise status.bad_request("metadata.managedFields must be nil")
    if options.duplicates and options.validation == "Strict":
        duplicates = ", ".join(options.duplicates)
        raise status.bad_request(f"error strict decoding YAML: {duplicates}")
    node = cluster.node(target.resource, target.version)
    _check_declared(node, target, body)
    item = cluster.collection(target.resource).items.get((target.namespace, target.name))
    live: Object = {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": {}}
    if item is not None:
        live = items.from_storage(target.resource, target.version, item.parse())
    given = body["metadata"].pop("resourceVersion", None)
    manager = ownership.Manager(
        options.manager, "Apply", str(body["apiVersion"]), target.subresource
    )
    result = apply.apply(node, live, body, manager, force=options.force, now=clock.now())
    if result.conflicts:
        raise _conflict(result.conflicts)
    if item is None:
        return writes.create(cluster, target, result.obj, options, applied=True), True
    _check_uid(target, item, result.obj)
    if given:
        result.obj["metadata"]["resourceVersion"] = given
    return writes.replace(cluster, target, item, result.obj, options, applied=True), False


def _check_applied_type(target: writes.Target, body: Object) -> None:
    given, kind = body.get("apiVersion") or "", body.get("kind") or ""
    resource = target.resource
    if (given, kind) != (resource.api_version(target.version), resource.kind):
        raise status.bad_request(f"invalid object type: /{given}, Kind={kind}")


def _check_declared(node: structural.Node, target: writes.Target, body: Object) -> None:
    """Refuse an apply with what the type cannot hold, whatever validation it asks for."""
    meta, given = body["metadata"], body["apiVersion"]
    where = f"{meta.get('namespace', '')}/{meta.get('name', '')}"
    typed = given if "/" in given else f"/{given}"
    faulty = f"failed to create typed patch object ({where}; {typed}, Kind={body['kind']}):"
    if why := structural.mistyped(node, body) or fields.repeated(node, body):
        raise status.ApiError(500, "", f"{faulty} {why}")
    if unknown := structural.prune(node, orjson.loads(orjson.dumps(body))):
        raise status.ApiError(500, "", f"{faulty} .{unknown[0]}: field not declared in schema")


def _conflict(conflicts: tuple[apply.Conflict, ...]) -> status.ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {one.manager}",
            "field": one.path,
        }
        for one in conflicts
    ]
    count, text = "1 conflict", f"conflict with {conflicts[0].manager}: {conflicts[0].path}"
    if len(conflicts) > 1:
        count, lines = f"{len(conflicts)} conflicts", []
        for manager in sorted({one.manager for one in conflicts}):
            lines.append(f"conflicts with {manager}:")
            lines += [f"- {one.path}" for one in conflicts if one.manager == manager]
        text = "\n".join(lines)
    return status.ApiError(
        409, "Conflict", f"Apply failed with {count}: {text}", {"causes": causes}
    )
