"""Makes a `Resource` of a CustomResourceDefinition that keeps the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from weft_lab.apiserver import (
    clock,
    crdexpressions,
    crdrules,
    crdschema,
    jsonpath,
    metadata,
    printers,
    status,
)
from weft_lab.apiserver.resources import Column, Object, Resource, Strategy, Version, version_rank
from weft_lab.apiserver.schemas import definitions

_PATH_LIMIT = 1024  # bytes of a column's JSONPath
_DESCRIBED = "Custom resource definition column (in JSONPath format): "
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def to_resource(crd: Object) -> Resource:
    """The resource that an accepted definition describes."""
    spec, names = crd["spec"], crd["spec"]["names"]
    storage = next(one for one in spec["versions"] if one["storage"])
    served = sorted(spec["versions"], key=lambda one: version_rank(one["name"]))
    schema = (storage.get("schema") or {}).get("openAPIV3Schema") or {}
    check, rules = crdrules.checker(schema), crdexpressions.SchemaRules(schema)
    return Resource(
        group=spec["group"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        versions=tuple(_version(spec["group"], names["kind"], one) for one in served),
        storage=storage["name"],
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        short=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        strategy=Strategy(validate=check, rules=rules.check, unconditional_update=False),
        selectable=_selectable(storage),
        custom=True,
        counted=True,
    )


def _selectable(version: Object) -> dict[str, tuple[str, ...]]:
    paths = [one["jsonPath"].lstrip(".") for one in version.get("selectableFields") or ()]
    return {path: tuple(path.split(".")) for path in paths}


def _version(group: str, kind: str, version: Object) -> Version:
    schema = dict((version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"})
    properties = dict(schema.get("properties") or {})
    if not properties:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    properties["apiVersion"] = properties["kind"] = {"type": "string"}
    properties["metadata"] = definitions.reference(f"{definitions.META}.ObjectMeta")
    schema["properties"] = properties
    full = f"{group}/{version['name']}"
    warning = version.get("deprecationWarning") or f"{full} {kind} is deprecated"
    return Version(
        version["name"],
        schema,
        definition=f"{'.'.join(reversed(group.split('.')))}.{version['name']}.{kind}",
        columns=_columns(version.get("additionalPrinterColumns") or ()),
        served=version["served"],
        has_status="status" in (version.get("subresources") or {}),
        warning=warning if version.get("deprecated") else "",
    )


def _columns(declared: Any) -> tuple[Column, ...]:
    if not declared:
        described = f"{_DESCRIBED}.metadata.creationTimestamp"
        return (printers.NAME, replace(printers.AGE, type="date", description=described))
    columns = [printers.NAME]
    for one in declared:
        columns.append(
            Column(
                one["name"],
                one["type"],
                _cell(one["jsonPath"], one["type"]),
                one.get("priority", 0),
                one.get("format", ""),
                one.get("description") or f"{_DESCRIBED}{one['jsonPath']}",
            )
        )
    return tuple(columns)


def _cell(path: str, kind: str) -> Callable[[Object], Any]:
    find = jsonpath.compile(path)

    def cell(obj: Object) -> Any:
        found = find(obj)
        if not found or found[0] is None:
            return None
        value = found[0]
        if kind == "date":
            return clock.age(str(value))
        if kind == "string":
            return value if isinstance(value, str) else status.quote(value)
        return value

    return cell


def create(crd: Object) -> None:
    """Accept a definition when it is created: no other controller does."""
    default(crd)
    meta = crd["metadata"]
    meta.setdefault("generation", 1)
    crd["status"] = accepted(crd, clock.now())


def begin_deletion(crd: Object) -> None:
    """A definition waits until its objects are gone, and says so."""
    meta = crd["metadata"]
    if "deletionTimestamp" in meta:
        return
    meta["finalizers"] = list({**dict.fromkeys(meta.get("finalizers") or ()), CLEANUP: None})
    condition = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": clock.now(),
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will"
        " begin soon",
    }
    crd.setdefault("status", {}).setdefault("conditions", []).append(condition)


def default(crd: Object) -> None:
    spec = crd.get("spec")
    names = spec.get("names") if isinstance(spec, dict) else None
    if isinstance(spec, dict) and isinstance(names, dict) and isinstance(names.get("kind"), str):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
        spec.setdefault("conversion", {"strategy": "None"})
        for version in spec.get("versions") or ():
            version.setdefault("served", False)
            version.setdefault("storage", False)
    if isinstance(crd.get("status"), dict):
        crd["status"]["acceptedNames"] = names


def accepted(crd: Object, now: str) -> Object:
    """The status that tells clients that the type is served."""
    spec = crd.get("spec") or {}
    condition = {"status": "True", "lastTransitionTime": now}
    return {
        "conditions": [
            {
                "type": "NamesAccepted",
                "reason": "NoConflicts",
                "message": "no conflicts found",
                **condition,
            },
            {
                "type": "Established",
                "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted",
                **condition,
            },
        ],
        "acceptedNames": spec.get("names") or {},
        "storedVersions": [v.get("name") for v in spec.get("versions") or () if v.get("storage")],
    }


def validate(crd: Object) -> list[status.Cause]:
    """The rules that a definition breaks, if any; without any it becomes a resource."""
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    causes = []
    for field, value in (
        ("spec.group", spec.get("group")),
        ("spec.names.plural", names.get("plural")),
    ):
        if not value:
            causes.append(status.required(field))
    if not names.get("kind"):
        causes.append(status.required("spec.names.kind"))
    expected = f"{names.get('plural')}.{spec.get('group')}"
    name = crd["metadata"].get("name")
    if not causes and name != expected:
        why = 'must be spec.names.plural+"."+spec.group'
        causes.append(status.wrong("metadata.name", name, why))
    if spec.get("scope") not in {"Namespaced", "Cluster"}:
        known = ("Cluster", "Namespaced")
        causes.append(status.unsupported("spec.scope", spec.get("scope", ""), known))
    if spec.get("preserveUnknownFields"):
        why = "must be false: say x-kubernetes-preserve-unknown-fields in the schema instead"
        causes.append(status.wrong("spec.preserveUnknownFields", True, why))
    strategy = (spec.get("conversion") or {}).get("strategy", "None")
    if strategy != "None":
        causes.append(status.unsupported("spec.conversion.strategy", strategy, ["None"]))
    return causes + _check_versions(spec.get("versions") or [])


def _check_versions(versions: list[Object]) -> list[status.Cause]:
    causes = []
    if sum(1 for one in versions if one.get("storage")) != 1:
        why = "must have exactly one version marked as storage version"
        causes.append(status.wrong("spec.versions", [v.get("name") for v in versions], why))
    for place, version in enumerate(versions):
        field = f"spec.versions[{place}]"
        causes += metadata.validate_name(str(version.get("name", "")), "label", f"{field}.name")
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        where = f"{field}.schema.openAPIV3Schema"
        if schema:
            shape = crdschema.broken(schema, where)
            causes += shape or list(crdexpressions.broken(schema, where))
        else:
            causes.append(status.required(where, "schemas are required"))
        for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
            causes += _check_column(f"{field}.additionalPrinterColumns[{number}]", column)
        for number, one in enumerate(version.get("selectableFields") or ()):
            if not one.get("jsonPath"):
                causes.append(status.required(f"{field}.selectableFields[{number}].jsonPath"))
    return causes


def _check_column(field: str, column: Object) -> list[status.Cause]:
    missing = [name for name in ("name", "type", "jsonPath") if not column.get(name)]
    if missing:
        return [status.required(f"{field}.{name}") for name in missing]
    if len(column["jsonPath"]) > _PATH_LIMIT:
        why = f"must be no more than {_PATH_LIMIT} bytes"
        return [status.wrong(f"{field}.jsonPath", column["jsonPath"], why)]
    try:
        jsonpath.compile(column["jsonPath"])
    except ValueError as error:
        return [status.wrong(f"{field}.jsonPath", column["jsonPath"], str(error))]
    return []


def validate_change(new: Object, old: Object) -> list[status.Cause]:
    """What a definition defines keeps its identity."""
    causes = []
    for path in ("group", "scope", "names.plural", "names.kind"):
        before: Any = old["spec"]
        after: Any = new["spec"]
        for step in path.split("."):
            before, after = before.get(step, {}), after.get(step, {})
        if before != after:
            causes.append(status.wrong(f"spec.{path}", after, "field is immutable"))
    return causes


STRATEGY = Strategy(default, create, validate=validate, validate_change=validate_change)
