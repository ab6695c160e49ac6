"""Enforces ValidatingAdmissionPolicies: what RBAC allows may still be refused by what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from weft_lab.apiserver import (
    admissionrules,
    admissiontypes,
    expressions,
    items,
    status,
    store,
    writes,
)
from weft_lab.apiserver.admissionrules import AdmissionRequest
from weft_lab.apiserver.auth import User
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.resources import Object

_CODES = {"Forbidden": 403, "Invalid": 422, "Unauthorized": 401, "RequestEntityTooLarge": 413}


@dataclass(frozen=True, slots=True)
class Failed:
    """A validation that does not hold."""

    message: str
    reason: str = "Invalid"


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding with its policy."""

    policy: Object
    binding: Object


class Admission:
    """The policies in force; `listen` gets each published change."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._bound: list[Bound] | None = None

    def listen(self, change: store.Change) -> None:
        if change.collection in admissiontypes.TYPES:
            self._bound = None

    @property
    def bound(self) -> list[Bound]:
        if self._bound is None:
            policies, bindings = (
                {
                    key[1]: item.parse()
                    for key, item in self._cluster.store.collection(name).items.items()
                }
                for name in (admissiontypes.POLICIES, admissiontypes.BINDINGS)
            )
            self._bound = [
                Bound(policies[each["spec"]["policyName"]], each)
                for _, each in sorted(bindings.items())
                if each["spec"]["policyName"] in policies
            ]
        return self._bound

    def _stored(self, name: str) -> dict[str, Object]:
        items = self._cluster.store.collection(name).items
        return {key[1]: item.parse() for key, item in items.items()}

    def request(
        self,
        target: writes.Target,
        user: User,
        operation: str,
        new: Object | None,
        old: Object | None,
        *,
        dry_run: bool = False,
    ) -> AdmissionRequest:
        """A write of objects as they are kept."""
        resource, version = target.resource, target.version
        space = None
        if target.namespace:
            item = self._cluster.store.collection("namespaces").items.get(("", target.namespace))
            space = None if item is None else item.parse()
        shown = [
            obj if obj is None else items.from_storage(resource, version, obj) for obj in (new, old)
        ]
        name = target.name or ((new or {}).get("metadata") or {}).get("name", "")
        return AdmissionRequest(
            operation,
            resource,
            version,
            target.subresource,
            target.namespace,
            name,
            user,
            dry_run,
            shown[0],
            shown[1],
            space,
        )

    def concerns(self, target: writes.Target) -> bool:
        """Whether any policy can be about objects of this type."""
        return target.resource.group != admissiontypes.GROUP and any(
            admissionrules.concerns(
                each.policy["spec"]["matchConstraints"]["resourceRules"], target.resource
            )
            for each in self.bound
        )

    def check(self, target: writes.Target, request: AdmissionRequest) -> None:
        """Raises what the first policy says that denies it; other failures become warnings."""
        for each in self.bound:
            for failed in judge(each, request):
                policy, binding = (one["metadata"]["name"] for one in (each.policy, each.binding))
                named = f"ValidatingAdmissionPolicy '{policy}' with binding '{binding}'"
                actions = each.binding["spec"]["validationActions"]
                if "Warn" in actions:
                    target.warnings.append(f"Validation failed for {named}: {failed.message}")
                if "Deny" in actions:
                    raise denied(
                        request, f"{named} denied request: {failed.message}", failed.reason
                    )


def denied(request: AdmissionRequest, why: str, reason: str) -> status.ApiError:
    """A refusal by a policy, in the reference server's form."""
    resource = request.resource
    name = request.name or "Unknown"  # of many that would be deleted
    found = status.forbidden(resource.group, resource.plural, name, why)
    details = {**(found.details or {}), "causes": [{"message": why}]}
    return status.ApiError(_CODES[reason], reason, found.what, details)


def judge(bound: Bound, request: AdmissionRequest) -> Iterator[Failed]:
    """What the policy finds wrong in the request."""
    spec, match = bound.policy["spec"], bound.policy["spec"]["matchConstraints"]
    if not admissionrules.applies(match, match["resourceRules"], request):
        return
    within = bound.binding["spec"].get("matchResources")
    if within and not admissionrules.applies(
        within, within.get("resourceRules") or match["resourceRules"], request
    ):
        return
    given: dict[str, Any] = {
        "object": request.new,
        "oldObject": request.old,
        "request": request.attributes(),
        "namespaceObject": request.spaces,
        "variables": {},
    }
    is_strict = spec.get("failurePolicy", "Fail") == "Fail"
    try:
        if not admissionrules.meets(spec.get("matchConditions") or (), given):
            return
    except expressions.Faulty as error:
        if is_strict:
            yield Failed(str(error))
        return
    _fill(given, spec.get("variables") or ())
    for rule in spec.get("validations") or ():
        text = rule["expression"]
        try:
            holds = expressions.known(text).value(given) is True
            failed = None if holds else _failed(rule, given)
        except expressions.Faulty as error:
            failed = (
                Failed(f"expression '{text}' resulted in error: {error}") if is_strict else None
            )
        if failed is not None:
            yield failed


def _fill(given: dict[str, Any], variables: Any) -> None:
    """Each variable may use those before it; one that has no value is missing."""
    for each in variables:
        try:
            given["variables"][each["name"]] = expressions.known(each["expression"]).value(given)
        except expressions.Faulty:
            continue


def _failed(rule: Object, given: dict[str, Any]) -> Failed:
    text = rule["expression"].strip()
    message = str(rule.get("message") or f"failed expression: {text}")
    if rule.get("messageExpression"):
        try:
            value = expressions.known(rule["messageExpression"]).value(given)
            message = value if isinstance(value, str) and value.strip() else message
        except expressions.Faulty:
            pass  # the message without it says enough
    return Failed(message.strip(), rule.get("reason") or "Invalid")
