"""Decides which requests admission policies and webhooks apply to. Pure.

The rules are those of admissionregistration.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from weft_lab.apiserver import expressions
from weft_lab.apiserver.auth import User
from weft_lab.apiserver.rbac import selects
from weft_lab.apiserver.resources import Object, Resource, Version

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """A write, before it is done; `new` is None for a deletion, `old` for a creation.

    spaces: the labels of its namespace, or None where it has none.
    """

    operation: str
    resource: Resource
    version: Version
    subresource: str
    namespace: str
    name: str
    user: User
    dry_run: bool
    new: Object | None
    old: Object | None
    spaces: Object | None = None

    @property
    def path(self) -> str:
        plural = self.resource.plural
        return f"{plural}/{self.subresource}" if self.subresource else plural

    def attributes(self) -> Object:
        """The request, as expressions and webhooks see it."""
        group, _, version = self.resource.api_version(self.version).rpartition("/")
        kind = {"group": group, "version": version, "kind": self.resource.kind}
        what = {"group": group, "version": version, "resource": self.resource.plural}
        found: Object = {
            "kind": kind,
            "resource": what,
            "requestKind": kind,
            "requestResource": what,
            "operation": self.operation,
            "userInfo": self.user.info(),
            "dryRun": self.dry_run,
        }
        if self.subresource:
            found |= {"subResource": self.subresource, "requestSubResource": self.subresource}
        if self.name:
            found["name"] = self.name
        if self.namespace:
            found["namespace"] = self.namespace
        return found


def applies(match: Object, rules: Iterable[Object], request: AdmissionRequest) -> bool:
    """Whether rules, exclusions and selectors choose the request."""
    exact = match.get("matchPolicy") == "Exact"
    if not any(_is_meant(rule, request, exact) for rule in rules):
        return False
    if any(_is_meant(rule, request, exact) for rule in match.get("excludeResourceRules") or ()):
        return False
    return _is_selected(match, request)


def concerns(rules: Iterable[Object], resource: Resource) -> bool:
    """Whether any of the rules can mean objects of this type."""
    return any(
        _is_in(rule.get("apiGroups"), resource.group)
        and any(
            each.partition("/")[0] in ("*", resource.plural) for each in rule.get("resources") or ()
        )
        for rule in rules
    )


def _is_in(listed: Any, value: str) -> bool:
    return "*" in (listed or ()) or value in (listed or ())


def _is_meant(rule: Object, request: AdmissionRequest, exact: bool) -> bool:
    resource = request.resource
    versions = [request.version.name]
    if not exact:
        versions += [version.name for version in resource.versions]
    names = rule.get("resourceNames")
    scope = rule.get("scope") or "*"
    return (
        _is_in(rule.get("operations"), request.operation)
        and _is_in(rule.get("apiGroups"), resource.group)
        and any(_is_in(rule.get("apiVersions"), version) for version in versions)
        and any(_is_resource(pattern, request) for pattern in rule.get("resources") or ())
        and (not names or request.name in names)
        and (scope == "*" or (scope == "Namespaced") == resource.namespaced)
    )


def _is_resource(pattern: str, request: AdmissionRequest) -> bool:
    plural, _, below = pattern.partition("/")
    if plural not in ("*", request.resource.plural):
        return False
    return (
        below in ("*", request.subresource) if below or "/" in pattern else not request.subresource
    )


def _is_selected(match: Object, request: AdmissionRequest) -> bool:
    space = request.spaces
    if request.resource.id == "namespaces":
        space = request.new if request.new is not None else request.old
    if space is not None and not selects(match.get("namespaceSelector") or {}, _labels(space)):
        return False
    chosen = match.get("objectSelector") or {}
    return any(
        selects(chosen, _labels(each)) for each in (request.new, request.old) if each is not None
    )


def _labels(obj: Object) -> Labels:
    found: Labels = (obj.get("metadata") or {}).get("labels") or {}
    return found


def meets(conditions: Iterable[Object], given: Mapping[str, Any]) -> bool:
    """Whether all matchConditions are true; raises Faulty where none is false and one has none."""
    faulty = None
    for each in conditions:
        text = each["expression"]
        try:
            if expressions.known(text).value(given) is not True:
                return False
        except expressions.Faulty as error:
            faulty = expressions.Faulty(f"expression '{text}' resulted in error: {error}")
    if faulty is not None:
        raise faulty
    return True
