"""Serves patch requests: makes the new object by content type, then updates to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from weft.decode import budget, jsontext
from weft_lab.apiserver import clock, items, request, status, store, structural, writes
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.patch import apply, merge, ownership, strategic
from weft_lab.apiserver.resources import Object

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
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
    if isinstance(new, dict) and isinstance(new.get("metadata"), dict):
        given = new["metadata"].get("uid")
        if given and given != item.uid:
            cause = status.wrong("metadata.uid", given, "field is immutable")
            raise status.invalid(target.group, target.resource.kind, target.name, [cause])
    if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
        raise status.bad_request("the patch does not leave an object with metadata")
    writes.check_identity(target, new)
    options = replace(options, patch=body)
    return writes.replace(cluster, target, item, new, options), False


def _patched(cluster: Cluster, target: writes.Target, media: str, obj: Object, body: Any) -> Any:
    if media == JSON:
        return _json_patch(target, obj, body)
    if not isinstance(body, dict):
        raise status.bad_request("error decoding patch: the body must be an object")
    if media == MERGE:
        return merge.merge(obj, body)
    if media == STRATEGIC and not target.resource.custom:
        return strategic.merge(cluster.node(target.resource, target.version), obj, body)
    known = [name for name in KNOWN if name != STRATEGIC or not target.resource.custom]
    raise status.unsupported_media(media, *known)


def _json_patch(target: writes.Target, obj: Object, body: Any) -> Any:
    import jsonpatch  # only some patches need it
    import jsonpointer

    from weft_lab.apiserver.patch import operations

    if not isinstance(body, list) or not all(isinstance(one, dict) for one in body):
        raise status.bad_request("error decoding patch: the body must be a list of operations")
    try:
        return operations.apply(obj, body, request.BUDGET)
    except (jsonpatch.JsonPatchTestFailed, jsonpatch.JsonPatchConflict) as error:
        cause = status.Cause("patch", f"the server rejected our request: {error}")
        resource = target.resource
        raise status.invalid(resource.group, resource.kind, target.name, [cause]) from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        # What follows is the object, as Python writes it.
        message = str(error).partition(" in {")[0]
        raise status.bad_request(f"error decoding patch: {message}") from None


def _apply(
    cluster: Cluster, target: writes.Target, body: Any, options: writes.Options
) -> tuple[store.Item, bool]:
    if not isinstance(body, dict):
        raise status.bad_request("error decoding YAML: the applied configuration is not an object")
    if not body.get("apiVersion") or not body.get("kind"):
        raise status.bad_request("apiVersion and kind must be set in an applied configuration")
    writes.check_identity(target, body)
    if body["metadata"].get("managedFields"):
        raise status.bad_request("metadata.managedFields must be nil")
    if options.duplicates and options.validation == "Strict":
        duplicates = ", ".join(options.duplicates)
        raise status.bad_request(f"error strict decoding YAML: {duplicates}")
    node = cluster.node(target.resource, target.version)
    _check_declared(node, target, body, options)
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
        if given:
            raise status.conflict(
                target.resource.group, target.resource.plural, target.name, status.MODIFIED
            )
        return writes.create(cluster, target, result.obj, options, applied=True), True
    if given:
        result.obj["metadata"]["resourceVersion"] = given
    return writes.replace(cluster, target, item, result.obj, options, applied=True), False


def _check_declared(
    node: structural.Node, target: writes.Target, body: Object, options: writes.Options
) -> None:
    """Refuse an apply with a field that the type does not have, unless validation is off."""
    unknown = structural.prune(node, orjson.loads(orjson.dumps(body)))
    if unknown and options.validation != "Ignore":
        kind, version = target.resource.kind, target.version.name
        where = f"{target.namespace}/{target.name}; {target.resource.api_version(target.version)}"
        raise status.ApiError(
            400 if options.validation == "Strict" else 500,
            "BadRequest" if options.validation == "Strict" else "",
            f"failed to create typed patch object ({where}, Kind={kind}):"
            f" .{unknown[0]}: field not declared in schema ({version})",
        )


def _conflict(conflicts: tuple[apply.Conflict, ...]) -> status.ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{one.manager}"',
            "field": one.path,
        }
        for one in conflicts
    ]
    managers = sorted({f'"{one.manager}"' for one in conflicts})
    listed = "\n".join(f"- {one.path}" for one in conflicts)
    text = (
        f"conflict with {managers[0]}: {conflicts[0].path}"
        if len(conflicts) == 1
        else f"conflicts with {', '.join(managers)}:\n{listed}"
    )
    count = "1 conflict" if len(conflicts) == 1 else f"{len(conflicts)} conflicts"
    return status.ApiError(
        409, "Conflict", f"Apply failed with {count}: {text}", {"causes": causes}
    )
