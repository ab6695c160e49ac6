"""Serves OpenAPI documents of the types: v3 for each group, v2 for all at once.

kubectl reads them to validate, to explain and to merge; so they hold the schemas, and of the
paths what says which queries a type takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from weft_lab.apiserver import gnostic
from weft_lab.apiserver.resources import Registry, Resource, Version
from weft_lab.apiserver.schemas import definitions, notation

Schema = dict[str, Any]
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2_PREFIX = "#/definitions/"
_QUERIES = {
    "get": ("pretty",),
    "patch": ("pretty", "dryRun", "fieldManager", "fieldValidation", "force"),
    "post": ("pretty", "dryRun", "fieldManager", "fieldValidation"),
}


class Documents:
    """The documents of a registry, rendered when asked for and kept until the types change."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._rendered: dict[str, bytes] = {}

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
            for group, versions in self._registry.groups().items():
                for version in versions:
                    name = f"apis/{group}/{version}" if group else f"api/{version}"
                    mark = hashlib.sha256(self.group(name) or b"").hexdigest()[:32].upper()
                    url = f"/openapi/v3/{name}?hash={mark}"
                    paths[name] = {"serverRelativeURL": url}
            kept["index"] = orjson.dumps({"paths": paths})
        return kept["index"]

    def group(self, name: str) -> bytes | None:
        """The v3 document of `api/v1` or `apis/<group>/<version>`; None if there is none."""
        kept = self._kept()
        if name not in kept:
            root, _, rest = name.partition("/")
            group, _, version = rest.rpartition("/")
            entries = self._registry.of(group, version) if root in {"api", "apis"} else []
            if not entries:
                return None
            kept[name] = orjson.dumps(_document_v3(entries))
        return kept[name]

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


def _document_v3(entries: Iterable[tuple[Resource, Version]]) -> dict[str, Any]:
    schemas: dict[str, Schema] = {}
    paths: dict[str, Any] = {}
    for resource, version in entries:
        name, schema = _named(resource, version)
        schemas[name] = schema
        _collect(schema, schemas)
        for path, operations in _paths(resource, version).items():
            paths[path] = {verb: _operation_v3(name, gvk, verb) for verb, gvk in operations.items()}
    return {
        "openapi": "3.0.0",
        "info": _info(),
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _named(resource: Resource, version: Version) -> tuple[str, Schema]:
    """The definition of a type, marked with its group, version and kind."""
    reference = version.schema.get("$ref")
    schema = dict(definitions.builtin()[_last(reference)] if reference else version.schema)
    schema["x-kubernetes-group-version-kind"] = [_gvk(resource, version)]
    return version.definition, schema


def _gvk(resource: Resource, version: Version) -> dict[str, str]:
    group, _, name = resource.api_version(version).rpartition("/")
    return {"group": group, "version": name, "kind": resource.kind}


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


def _collect(schema: Any, into: dict[str, Schema]) -> None:
    """Add every definition that a schema refers to."""
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str) and (name := _last(reference)) not in into:
            into[name] = definitions.builtin()[name]
            _collect(into[name], into)
        for below in schema.values():
            _collect(below, into)
    elif isinstance(schema, list):
        for below in schema:
            _collect(below, into)


def _paths(resource: Resource, version: Version) -> dict[str, dict[str, Any]]:
    full = resource.api_version(version)
    root = f"/apis/{full}" if "/" in full else f"/api/{full}"
    place = "/namespaces/{namespace}" if resource.namespaced else ""
    gvk = _gvk(resource, version)
    collection = f"{root}{place}/{resource.plural}"
    return {
        collection: {"get": gvk, "post": gvk},
        f"{collection}/{{name}}": {"get": gvk, "patch": gvk},
    }


def _operation_v3(name: str, gvk: dict[str, str], verb: str) -> dict[str, Any]:
    answer = {"application/json": {"schema": {"$ref": notation.PREFIX + name}}}
    return {
        "parameters": [
            {"name": query, "in": "query", "schema": {"type": "string"}} for query in _QUERIES[verb]
        ],
        "responses": {"200": {"description": "OK", "content": answer}},
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": gvk,
    }


def _document_v2(registry: Registry) -> dict[str, Any]:
    schemas: dict[str, Schema] = {}
    paths: dict[str, Any] = {}
    entries = [
        entry
        for group, versions in registry.groups().items()
        for version in versions
        for entry in registry.of(group, version)
    ]
    for resource, version in entries:
        name, schema = _named(resource, version)
        schemas[name] = schema
        _collect(schema, schemas)
        schemas[name] = schema
        for path, operations in _paths(resource, version).items():
            paths[path] = {verb: _operation_v2(gvk, verb) for verb, gvk in operations.items()}
    return {
        "swagger": "2.0",
        "info": _info(),
        "paths": paths,
        "definitions": {name: to_v2(schema) for name, schema in sorted(schemas.items())},
    }


def _operation_v2(gvk: dict[str, str], verb: str) -> dict[str, Any]:
    return {
        "parameters": [
            {"name": query, "in": "query", "type": "string", "uniqueItems": True}
            for query in _QUERIES[verb]
        ],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": gvk,
    }


_V2_KEYS = frozenset(("type", "format", "description", "required", "enum"))


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
    if schema.get("x-kubernetes-preserve-unknown-fields") and "properties" not in schema:
        return found
    if isinstance(schema.get("items"), Mapping):
        found["items"] = to_v2(schema["items"])
    if isinstance(schema.get("additionalProperties"), Mapping):
        found["additionalProperties"] = to_v2(schema["additionalProperties"])
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found["properties"] = {name: to_v2(below) for name, below in schema["properties"].items()}
    return found
