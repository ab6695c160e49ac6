"""Reads OpenAPI documents of both versions into one form, of the types that the lab serves.

Left out, as no two servers have them alike or no client acts on them: descriptions, the names of
operations for generated clients, and media that the lab does not speak (protobuf, CBOR, YAML).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

Document = Mapping[str, Any]
_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
_SILENT = ("cbor", "protobuf", "application/yaml")
_WORDS = frozenset({"description", "title", "externalDocs", "example"})
# Zero values of Go, which say nothing of what the server does with an absent field.
_ZEROS: tuple[Any, ...] = ("", 0, False, {})


def served(discovery: Document, above: str) -> set[str]:
    """The paths below which a server has something, by its list of a group version's types.

    above: where the group version is, such as `/api/v1`.
    """
    found = {f"{above}/"}
    for each in discovery["resources"]:
        name, _, below = each["name"].partition("/")
        place = "/namespaces/{namespace}" if each["namespaced"] else ""
        if below:
            found.add(f"{above}{place}/{name}/{{name}}/{below}")
            continue
        verbs = set(each["verbs"])
        found.add(f"{above}{place}/{name}")
        if "list" in verbs:
            found |= {f"{above}{place}/{name}/{{name}}", f"{above}/{name}"}
    return found


def paths(document: Document, known: Set[str]) -> dict[str, Any]:
    """By path and method: parameters, bodies, answers and extensions; of `known` paths alone."""
    found = {}
    for path, methods in document["paths"].items():
        if path in known:
            shared = methods.get("parameters") or ()
            found[path] = {
                method: _operation(document, operation, shared)
                for method, operation in methods.items()
                if method in _METHODS
            }
    return found


def _operation(document: Document, operation: Document, shared: Any) -> dict[str, Any]:
    queries, body = {}, None
    for each in (*shared, *(operation.get("parameters") or ())):
        parameter = _resolved(document, each)
        if parameter["in"] == "body":
            schema = _reference(parameter["schema"])
            media = dict.fromkeys(operation["consumes"], schema)
            body = {"required": parameter.get("required", False), "content": _spoken(media)}
            continue
        kind = parameter.get("schema", parameter)["type"]
        name = f"{parameter['in']}-{parameter['name']}"
        queries[name] = [kind, parameter.get("required", False)]
    if given := operation.get("requestBody"):
        body = {"required": given.get("required", False), "content": _content(given)}
    found = {
        "parameters": queries,
        "body": body,
        "responses": {
            code: _answer(response, operation) for code, response in operation["responses"].items()
        },
    }
    return found | {key: value for key, value in operation.items() if key.startswith("x-")}


def _resolved(document: Document, parameter: Document) -> Document:
    reference = parameter.get("$ref")
    found: Document = document["parameters"][_last(reference)] if reference else parameter
    return found


def _answer(response: Document, operation: Document) -> dict[str, str]:
    if "schema" in response:
        return _spoken(dict.fromkeys(operation["produces"], _reference(response["schema"])))
    return _content(response)


def _content(given: Document) -> dict[str, str]:
    media = given.get("content") or {}
    return _spoken({name: _reference(each["schema"]) for name, each in media.items()})


def _spoken(media: Mapping[str, str]) -> dict[str, str]:
    return {name: each for name, each in media.items() if not any(word in name for word in _SILENT)}


def _reference(schema: Document) -> str:
    return _last(schema["$ref"]) if "$ref" in schema else str(schema.get("type"))


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


def schemas(document: Document, operations: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions that `operations` lead to, as `paths` gives them."""
    known = document.get("definitions") or document["components"]["schemas"]
    wanted = sorted({name for name in _names(operations) if name in known})
    found: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = schema(known[name])
            wanted += [one for one in references(known[name]) if one in known]
    return found


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _names(each)
    elif isinstance(value, str):
        yield value


def references(value: Any) -> Iterator[str]:
    """The names of definitions that a schema refers to."""
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str):
            yield _last(reference)
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def schema(given: Any) -> Any:
    """Without words; a reference is its name, whether it stands alone or in an allOf of one."""
    if not isinstance(given, Mapping):
        return given
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key in _WORDS or (key == "default" and value in _ZEROS):
            continue
        if key == "$ref" and isinstance(value, str):
            found["$ref"] = _last(value)
        elif key == "allOf" and len(value) == 1 and "$ref" in value[0]:
            found["$ref"] = _last(value[0]["$ref"])
        elif key in ("properties", "definitions"):
            found[key] = {name: schema(each) for name, each in value.items()}
        elif key in ("items", "additionalProperties", "not"):
            found[key] = schema(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            found[key] = [schema(each) for each in value]
        elif key in ("required", "enum"):
            found[key] = sorted(value, key=str)
        else:
            found[key] = value
    return found
