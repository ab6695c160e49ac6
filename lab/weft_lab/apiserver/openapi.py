"""Serves OpenAPI documents of the types: v3 for each group, v2 for all at once.

kubectl reads them to validate, to explain and to merge; so they hold the schemas, and of the
paths what says which queries a type takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from weft_lab.apiserver import gnostic, openapipaths, reviews
from weft_lab.apiserver.openapipaths import Kind, Operation, Path
from weft_lab.apiserver.resources import Registry, Resource, Version
from weft_lab.apiserver.schemas import definitions, notation

Schema = dict[str, Any]
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2_PREFIX = "#/definitions/"
_OPTIONS = (openapipaths.OPTIONS, f"{definitions.META}.WatchEvent")  # of every group
_LIST_TEXT = "Several of them, with the revision at which they were read."


class Documents:
    """The documents of a registry, rendered when asked for and kept until the types change."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._rendered: dict[str, bytes] = {}
        self._groups: dict[str, tuple[list[tuple[Resource, Version]], bytes]] = {}

    def _kept(self) -> dict[str, bytes]:
        if self._generation != self._registry.generation:
            self._generation = self._registry.generation
            self._rendered = {}
        return self._rendered

    def index(self) -> bytes:
        """Where the v3 documents are; the hash in each address changes with its contents."""
        kept = self._kept()
        if "index" not in kept:
            paths = {}
            for group, version in _group_versions(self._registry):
                name = openapipaths.root(group, version).removeprefix("/")
                mark = hashlib.sha256(self.group(name) or b"").hexdigest()[:32].upper()
                paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={mark}"}
            kept["index"] = orjson.dumps({"paths": paths})
        return kept["index"]

    def group(self, name: str) -> bytes | None:
        """The v3 document of `api/v1` or `apis/<group>/<version>`; None if there is none."""
        root, _, rest = name.partition("/")
        group, _, version = rest.rpartition("/")
        if root != ("apis" if group else "api"):
            return None
        if (group, version) not in _group_versions(self._registry):
            return None
        # A definition of a type alters one group; the others' documents stay.
        made_of = self._registry.of(group, version)
        before, rendered = self._groups.get(name, ([], b""))

        if not rendered or before != made_of:
            rendered = orjson.dumps(_document_v3(self._registry, group, version))
            self._groups[name] = made_of, rendered
        return rendered

    def all(self, *, protobuf: bool) -> bytes:
        """The v2 document."""
        kept = self._kept()
        name = "v2 protobuf" if protobuf else "v2"
        if name not in kept:
            document = _document_v2(self._registry)
            kept[name] = gnostic.encode(document) if protobuf else orjson.dumps(document)
        return kept[name]


def _info() -> dict[str, str]:
    return {"title": "weft", "version": "v1.32.0"}


@dataclass(slots=True)
class _Part:
    """What one group version adds to a document."""

    paths: list[Path] = field(default_factory=list)
    schemas: dict[str, Schema] = field(default_factory=dict)

    def add(self, path: Path) -> None:
        """With the definitions that its operations name."""
        self.paths.append(path)
        for operation in path.operations:
            for name in (operation.body, *operation.answers.values()):
                if name and name not in self.schemas:
                    self.define(name, definitions.builtin()[name])

    def define(self, name: str, schema: Schema, gvk: Kind | None = None) -> None:
        """Add a definition, and every one that it refers to."""
        marked = {"x-kubernetes-group-version-kind": [gvk]} if gvk else {}
        self.schemas[name] = {**schema, **marked}
        _collect(schema, self.schemas)


def _group_versions(registry: Registry) -> list[tuple[str, str]]:
    found = [(group, name) for group, names in registry.groups().items() for name in names]
    asked = dict.fromkeys((group, "v1") for group, _ in reviews.KINDS)
    return [*found, *(each for each in asked if each not in found)]


def _part(registry: Registry, group: str, version: str) -> _Part:
    part = _Part()
    entries = registry.of(group, version)
    if not any(resource.custom for resource, _ in entries):
        part.add(openapipaths.discovery(group, version))
    for name in _OPTIONS:
        part.define(name, definitions.builtin()[name])
    for resource, form in entries:
        gvk = {"group": group, "version": version, "kind": resource.kind}
        reference = form.schema.get("$ref")
        schema = definitions.builtin()[_last(reference)] if reference else published(form.schema)
        part.define(form.definition, schema, gvk)
        several = {**gvk, "kind": resource.items_kind}
        part.define(f"{form.definition}List", _list_of(form.definition), several)
        for below in resource.subresources.keys() & openapipaths.SUBKINDS.keys():
            name, other = openapipaths.SUBKINDS[below]
            part.define(name, definitions.builtin()[name], other)
        for path in openapipaths.paths(resource, form, gvk):
            part.add(path)
    for (owner, plural), kind in reviews.KINDS.items():
        if (owner, "v1") == (group, version):
            gvk = {"group": group, "version": version, "kind": kind}
            name = f"io.k8s.api.{group.partition('.')[0]}.v1.{kind}"
            part.define(name, definitions.builtin()[name], gvk)
            namespaced = kind.startswith("Local")
            part.add(openapipaths.review(plural, name, gvk, namespaced=namespaced))
    return part


def published(schema: Mapping[str, Any]) -> Schema:
    """A custom type's schema as clients see it: a number or a text says that it is one of both."""
    found = dict(schema)
    if found.get("x-kubernetes-int-or-string"):
        found.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if "properties" in found:
        found["properties"] = {
            name: published(below) for name, below in found["properties"].items()
        }
    for part in ("items", "additionalProperties"):
        if isinstance(found.get(part), Mapping):
            found[part] = published(found[part])
    return found


def _list_of(name: str) -> Schema:
    meta = {"allOf": [{"$ref": f"{notation.PREFIX}{definitions.META}.ListMeta"}]}
    one = {"allOf": [{"$ref": notation.PREFIX + name}]}
    return {
        "type": "object",
        "description": _LIST_TEXT,
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "items": {"type": "array", "items": one},
            "kind": {"type": "string"},
            "metadata": meta,
        },
    }


def _mark_options(schemas: dict[str, Schema], groups: Iterable[tuple[str, str]]) -> None:
    """Options are of every group, the one without a name first."""
    every = dict.fromkeys([("", "v1"), *sorted(groups)])
    for name in schemas.keys() & {openapipaths.STATUS, openapipaths.TYPES_OF_A_VERSION}:
        gvk = {"group": "", "version": "v1", "kind": name.rpartition(".")[2]}
        schemas[name] = {**schemas[name], "x-kubernetes-group-version-kind": [gvk]}
    for name in _OPTIONS:
        kinds = [{"group": g, "kind": name.rpartition(".")[2], "version": v} for g, v in every]
        schemas[name] = {**schemas[name], "x-kubernetes-group-version-kind": kinds}


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


def _collect(schema: Any, into: dict[str, Schema]) -> None:
    """Add every definition that a schema refers to."""
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str) and (name := _last(reference)) not in into:
            known = definitions.builtin()
            if name in known:
                into[name] = known[name]
                _collect(into[name], into)
        for below in schema.values():
            _collect(below, into)
    elif isinstance(schema, list):
        for below in schema:
            _collect(below, into)


def _document_v3(registry: Registry, group: str, version: str) -> dict[str, Any]:
    part = _part(registry, group, version)
    _mark_options(part.schemas, [(group, version)])
    return {
        "openapi": "3.0.0",
        "info": _info(),
        "paths": {path.text: _path(path, _operation_v3, _parameter_v3) for path in part.paths},
        "components": {"schemas": part.schemas},
    }


def _document_v2(registry: Registry) -> dict[str, Any]:
    schemas: dict[str, Schema] = {}
    paths: dict[str, Any] = {}
    groups = _group_versions(registry)
    for group, version in groups:
        part = _part(registry, group, version)
        for name, schema in part.schemas.items():
            if name not in schemas or "x-kubernetes-group-version-kind" in schema:
                schemas[name] = schema
        for path in part.paths:
            paths[path.text] = _path(path, _operation_v2, _parameter_v2)
    _mark_options(schemas, groups)
    return {
        "swagger": "2.0",
        "info": _info(),
        "paths": paths,
        "definitions": {name: to_v2(schema) for name, schema in sorted(schemas.items())},
    }


def _path(
    path: Path,
    operation: Callable[[Operation], dict[str, Any]],
    parameter: Callable[[str, str], dict[str, Any]],
) -> dict[str, Any]:
    found: dict[str, Any] = {each.method: operation(each) for each in path.operations}
    if path.names:
        found["parameters"] = [parameter(name, "path") for name in path.names]
    return found


def _about(operation: Operation) -> dict[str, Any]:
    if not operation.action:
        return {}
    return {
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": operation.kind,
    }


def _parameter_v3(name: str, place: str) -> dict[str, Any]:
    needed = {"required": True} if place == "path" else {}
    schema = {"type": openapipaths.TYPES[name], "uniqueItems": True}
    return {"name": name, "in": place, "schema": schema, **needed}


def _content(name: str, media: Iterable[str]) -> dict[str, Any]:
    schema = {"$ref": notation.PREFIX + name} if name else {"type": "string"}
    return {each: {"schema": schema} for each in media}


def _operation_v3(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "parameters": [_parameter_v3(name, "query") for name in operation.queries],
        "responses": {
            code: {"description": "OK", "content": _content(name, operation.produces)}
            for code, name in operation.answers.items()
        },
        **_about(operation),
    }
    found["responses"]["401"] = {"description": "Unauthorized"}
    if operation.body:
        needed = {"required": True} if operation.body_needed else {}
        found["requestBody"] = {"content": _content(operation.body, operation.consumes), **needed}
    return found


def _parameter_v2(name: str, place: str) -> dict[str, Any]:
    needed = {"required": True} if place == "path" else {}
    return {
        "name": name,
        "in": place,
        "type": openapipaths.TYPES[name],
        "uniqueItems": True,
        **needed,
    }


def _schema_v2(name: str) -> Schema:
    return {"$ref": _V2_PREFIX + name} if name else {"type": "string"}


def _operation_v2(operation: Operation) -> dict[str, Any]:
    parameters = [_parameter_v2(name, "query") for name in operation.queries]
    if operation.body:
        needed = {"required": True} if operation.body_needed else {}
        schema = _schema_v2(operation.body)
        parameters.insert(0, {"name": "body", "in": "body", "schema": schema, **needed})
    return {
        "consumes": list(operation.consumes),
        "produces": list(operation.produces),
        "parameters": parameters,
        "responses": {
            **{
                code: {"description": "OK", "schema": _schema_v2(name)}
                for code, name in operation.answers.items()
            },
            "401": {"description": "Unauthorized"},
        },
        **_about(operation),
    }


_V2_BOUNDS = (
    *("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf"),
    *("maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems"),
    *("maxProperties", "minProperties"),
)
_V2_KEYS = frozenset(("type", "format", "description", "required", "enum", *_V2_BOUNDS))


def to_v2(schema: Mapping[str, Any]) -> Schema:
    """The part of a v3 schema that OpenAPI v2 can express; the rest is left open."""
    reference = schema.get("$ref")
    if reference is None and "$ref" in (schema.get("allOf") or [{}])[0]:
        reference = schema["allOf"][0]["$ref"]
    found = {key: value for key, value in schema.items() if key in _V2_KEYS}
    found.update({key: value for key, value in schema.items() if key.startswith("x-")})
    if reference is not None:
        return {**found, "$ref": _V2_PREFIX + _last(reference)}
    if schema.get("nullable") or schema.get("x-kubernetes-int-or-string"):
        return {key: value for key, value in found.items() if key not in {"type", "format"}}
    if "oneOf" in schema and "type" not in schema:
        found["type"] = "string"
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        found.pop("type", None)
        return found
    if isinstance(schema.get("items"), Mapping):
        found["items"] = to_v2(schema["items"])
    if isinstance(schema.get("additionalProperties"), Mapping):
        found["additionalProperties"] = to_v2(schema["additionalProperties"])
    if "properties" in schema:
        found["properties"] = {name: to_v2(below) for name, below in schema["properties"].items()}
    return found
