"""Parses a request's path, query and body; looks nothing up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from weft.decode import budget, jsontext
from weft_lab.apiserver import deletion, protobuf, status, writes

BODY_LIMIT = 3 * budget.MIB
BUDGET = budget.Budget(size=BODY_LIMIT, values=50_000)
APPLY = "application/apply-patch+yaml"
_MAX_REPORTED = 20  # duplicates, at most
_MANAGER_LIMIT = 128  # characters of a field manager's name
_FALSE = {"false", "0"}


@dataclass(frozen=True, slots=True)
class Route:
    """A path below /api or /apis, taken apart."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse_path(path: str) -> Route | None:
    """None when the path does not name a resource."""
    parts = path.strip("/").split("/")
    if "%" in path:
        parts = [unquote(part) for part in parts]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "watch" and len(rest) > 1:
        rest = rest[1:]  # an old way to ask for a watch
    if rest[0] == "namespaces" and len(rest) >= 3 and not group and rest[2] in _OF_NAMESPACE:
        return Route(group, version, "namespaces", "", rest[1], "/".join(rest[2:]))
    if rest[0] == "namespaces" and len(rest) >= 3:
        namespace, rest = rest[1], rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    return Route(group, version, rest[0], namespace, name, "/".join(rest[2:]))


_OF_NAMESPACE = {"status", "finalize"}


def flag(query: Mapping[str, str], name: str) -> bool:
    """Whether a flag is set: any value but two words sets it, as in Kubernetes."""
    return name in query and query[name] not in _FALSE


@dataclass(frozen=True, slots=True)
class Body:
    """What a client sent, and the keys that are in it twice, which strict decoding reports."""

    value: Any = None
    duplicates: tuple[str, ...] = ()


def parse_body(body: bytes, media: str) -> Body:
    """JSON or YAML, by content type; an apply is JSON more often than it says."""
    if not body:
        return Body()
    if media == "application/vnd.kubernetes.protobuf":
        return Body(protobuf.decode(body))
    if media and not ("json" in media or "yaml" in media):
        raise status.unsupported_media(media, "application/json", "application/yaml")
    try:
        value, keys = jsontext.parse_counted(body, BUDGET)
        twice = jsontext.duplicates(body, keys)
        return Body(value, tuple(f'duplicate field "{one.path}"' for one in twice[:_MAX_REPORTED]))
    except budget.Exceeded as error:
        raise exceeded("the body", error) from None
    except budget.Malformed as error:
        if "yaml" not in media:
            raise status.bad_request(f"the body is not valid JSON: {error}") from None
    return _parse_yaml(body)


def _parse_yaml(body: bytes) -> Body:
    from weft.decode import yamltext  # only those who write by hand send it

    try:
        found = yamltext.parse_one(body, BUDGET)
    except budget.Exceeded as error:
        raise exceeded("the body", error) from None
    except budget.Malformed as error:
        raise status.bad_request(f"the body is not valid YAML: {error}") from None
    twice = found.duplicates[:_MAX_REPORTED]
    warnings = tuple(f'line {one.line}: key "{one.path}" already set in map' for one in twice)
    return Body(found.value, warnings)


def exceeded(what: str, error: budget.Exceeded) -> status.ApiError:
    """The error for a body that exceeds its budget."""
    if isinstance(error, budget.TooDeep):
        return status.bad_request(f"{what} {error}")
    return status.too_large(f"{what} {error}")


_OPTIONS = {"PUT": "UpdateOptions", "PATCH": "PatchOptions"}


def write_options(
    query: Mapping[str, str], agent: str, body: Body = Body(), method: str = "POST", media: str = ""
) -> writes.Options:
    kind = _OPTIONS.get(method, "CreateOptions")
    if method == "PATCH" and media != APPLY and "force" in query:
        cause = status.barred("force", "may not be specified for non-apply patch")
        raise status.invalid("meta.k8s.io", kind, "", [cause])
    dry = query.get("dryRun", "")
    if dry not in {"", "All"}:
        cause = status.unsupported("dryRun", [dry], ("All",))
        raise status.invalid("meta.k8s.io", kind, "", [cause])
    validation = query.get("fieldValidation") or "Warn"
    if validation not in {"Strict", "Warn", "Ignore"}:
        known = ("", "Ignore", "Strict", "Warn")
        cause = status.unsupported("fieldValidation", validation, known)
        raise status.invalid("meta.k8s.io", kind, "", [cause])
    manager = query.get("fieldManager") or ""
    if len(manager) > _MANAGER_LIMIT or not manager.isprintable():
        rule = f"Too long: may not be more than {_MANAGER_LIMIT} bytes"
        if len(manager) <= _MANAGER_LIMIT:
            rule = (
                f"Invalid value: {status.quote(manager)}: should only contain printable characters"
            )
        reason = "FieldValueTooLong" if len(manager) > _MANAGER_LIMIT else "FieldValueInvalid"
        cause = status.Cause("fieldManager", rule, reason)
        raise status.invalid("meta.k8s.io", kind, "", [cause])
    if media == APPLY and not manager:
        cause = status.required("fieldManager", "is required for apply patch")
        raise status.invalid("meta.k8s.io", kind, "", [cause])
    manager = manager or agent.partition("/")[0][:_MANAGER_LIMIT] or "unknown"
    return writes.Options(dry == "All", manager, validation, flag(query, "force"), body.duplicates)


def delete_options(body: Any, query: Mapping[str, str]) -> deletion.Request:
    return deletion.read_request(body, dict(query))


_AGGREGATED = {"g": "apidiscovery.k8s.io", "v": "v2", "as": "APIGroupDiscoveryList"}


def aggregated(headers: Mapping[str, str]) -> str:
    """The media type of aggregated discovery, where it is what the client likes best."""
    first = headers.get("Accept", "").partition(",")[0]
    media, *parameters = (word.strip() for word in first.split(";"))
    parameter = dict(word.partition("=")[::2] for word in parameters)
    parameter.pop("profile", None)
    if media != "application/json" or parameter != _AGGREGATED:
        return ""
    return "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Form:
    """In which form the client wants the answer: `json`, `table` or `partial`."""

    kind: str = "json"
    include: str = "Metadata"


def _included(include: str) -> str:
    if include not in ("", "Metadata", "Object", "None"):
        why = "must be 'Metadata', 'Object', 'None', or empty"
        message = f"includeObject: Invalid value: {status.quote(include)}: {why}"
        raise status.bad_request(f"Unable to convert to Table as requested: {message}")
    return include or "Metadata"


def parse_accept(header: str, include: str) -> Form:
    """The first acceptable form; protobuf is only ever the second best."""
    if not header or header == "application/json" or header == "*/*":
        return Form()
    for part in header.split(","):
        media, *parameters = (word.strip() for word in part.split(";"))
        if media not in {"application/json", "*/*", "application/yaml"}:
            continue
        options = dict(word.partition("=")[::2] for word in parameters)
        kind = options.get("as", "")
        if kind == "Table" and options.get("v", "v1") in {"v1", "v1beta1"}:
            return Form("table", _included(include))
        if kind.startswith("PartialObjectMetadata"):
            return Form("partial")
        if not kind:
            return Form()
    raise status.not_acceptable("application/json")
