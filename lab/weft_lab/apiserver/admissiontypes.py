"""What is particular to admission policies and webhooks: defaults, rules, columns.

The types are those of admissionregistration.k8s.io/v1. What the lab cannot evaluate is refused
when it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from weft_lab.apiserver import expressions, printers, status
from weft_lab.apiserver.resources import Column, Object, Resource, Strategy, Version
from weft_lab.apiserver.schemas import definitions

GROUP = "admissionregistration.k8s.io"
POLICIES = f"validatingadmissionpolicies.{GROUP}"
BINDINGS = f"validatingadmissionpolicybindings.{GROUP}"
WEBHOOKS = f"validatingwebhookconfigurations.{GROUP}"
MUTATING = f"mutatingwebhookconfigurations.{GROUP}"
TYPES = (POLICIES, BINDINGS, WEBHOOKS)
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_ON_FAILURE = ("Fail", "Ignore")
_MATCHES = ("Equivalent", "Exact")
_ACTIONS = ("Deny", "Warn", "Audit")
_NO_SERVICES = "the lab's API server reaches no Services: name a url"
_NO_MUTATION = "the lab calls no mutating webhooks; nothing would be altered"
_ABSENT = "the lab has no parameters of policies"


def resources() -> list[Resource]:
    policy = Strategy(default_policy, create=_no_status, validate=validate_policy)
    binding = Strategy(default_binding, validate=validate_binding)
    webhook = Strategy(default_webhooks, validate=validate_webhooks)
    mutating = Strategy(default_webhooks, validate=refuse_webhooks)
    kind = "ValidatingAdmissionPolicy"
    return [
        _resource(kind, POLICIES, policy, _VALIDATIONS, _unset("ParamKind")),
        _resource(f"{kind}Binding", BINDINGS, binding, _POLICY, _unset("ParamRef")),
        _resource("ValidatingWebhookConfiguration", WEBHOOKS, webhook, _HOOKS),
        _resource("MutatingWebhookConfiguration", MUTATING, mutating, _HOOKS),
    ]


def _unset(name: str) -> Column:
    return Column(name, "string", lambda _: "<unset>")


def _spec(obj: Object) -> Object:
    found: Object = obj.get("spec") or {}
    return found


_VALIDATIONS = Column("Validations", "integer", lambda o: len(_spec(o).get("validations") or ()))
_POLICY = Column("PolicyName", "string", lambda o: _spec(o).get("policyName", ""))
_HOOKS = Column("Webhooks", "integer", lambda o: len(o.get("webhooks") or ()))


def _resource(kind: str, name: str, strategy: Strategy, *columns: Column) -> Resource:
    definition = f"{definitions.ADMISSION}.{kind}"
    return Resource(
        group=GROUP,
        plural=name.partition(".")[0],
        kind=kind,
        namespaced=False,
        versions=(
            Version(
                "v1",
                definitions.reference(definition),
                definition,
                (printers.NAME, *columns, printers.AGE),
                has_status=kind == "ValidatingAdmissionPolicy",
            ),
        ),
        storage="v1",
        singular=kind.lower(),
        strategy=strategy,
        categories=("api-extensions",),
        counted=True,
        status_alone=True,
    )


def _no_status(obj: Object) -> None:
    obj["status"] = {}


def default_policy(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    if isinstance(spec.get("matchConstraints"), dict):
        _default_match(spec["matchConstraints"])
    obj.setdefault("status", {})


def default_binding(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if isinstance(spec.get("matchResources"), dict):
        _default_match(spec["matchResources"])


def default_webhooks(obj: Object) -> None:
    for hook in obj.get("webhooks") or ():
        hook.setdefault("failurePolicy", "Fail")
        hook.setdefault("timeoutSeconds", 10)
        _default_match(hook)
        if isinstance(service := hook.get("clientConfig", {}).get("service"), dict):
            service.setdefault("port", 443)


def _default_match(match: Object) -> None:
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for part in ("rules", "resourceRules", "excludeResourceRules"):
        for rule in match.get(part) or ():
            rule.setdefault("scope", "*")


def validate_policy(obj: Object) -> list[status.Cause]:
    spec = obj["spec"]
    causes = list(_wrong_expressions(spec))
    if (failure := spec.get("failurePolicy")) not in _ON_FAILURE:
        causes.append(status.unsupported("spec.failurePolicy", failure, _ON_FAILURE))
    if spec.get("paramKind"):
        causes.append(status.barred("spec.paramKind", _ABSENT))
    if not spec.get("matchConstraints"):
        causes.append(status.required("spec.matchConstraints"))
    elif not spec["matchConstraints"].get("resourceRules"):
        causes.append(status.required("spec.matchConstraints.resourceRules"))
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        why = "validations or auditAnnotations must contain at least one item"
        causes += [
            status.required(f"spec.{part}", why) for part in ("validations", "auditAnnotations")
        ]
    for place, rule in enumerate(spec.get("validations") or ()):
        if (reason := rule.get("reason")) and reason not in _REASONS:
            field = f"spec.validations[{place}].reason"
            causes.append(status.unsupported(field, reason, sorted(_REASONS)))
    return causes


def _wrong_expressions(spec: Object) -> Iterator[status.Cause]:
    for part, key, type_name in (
        ("variables", "expression", ""),
        ("matchConditions", "expression", "bool"),
        ("validations", "expression", "bool"),
        ("validations", "messageExpression", "string"),
    ):
        for place, each in enumerate(spec.get(part) or ()):
            if key == "expression" or each.get(key):
                field = f"spec.{part}[{place}].{key}"
                yield from _wrong_expression(field, str(each.get(key) or ""), type_name)


def _wrong_expression(field: str, text: str, type_name: str) -> Iterator[status.Cause]:
    if not text.strip():
        yield status.required(field, f"{field.rpartition('.')[2]} is not specified")
        return
    try:
        found = expressions.Expression(text).type
    except expressions.Faulty as error:
        yield status.wrong(field, text, str(error))
        return
    if type_name and found not in (type_name, "dyn"):
        yield status.wrong(field, text, f"must evaluate to {type_name}")


def validate_binding(obj: Object) -> list[status.Cause]:
    spec = obj["spec"]
    causes = []
    if not spec.get("policyName"):
        causes.append(status.required("spec.policyName"))
    if spec.get("paramRef"):
        causes.append(status.barred("spec.paramRef", _ABSENT))
    actions = spec.get("validationActions") or []
    if not actions:
        why = "at least one validation action is required"
        causes.append(status.required("spec.validationActions", why))
    causes += _unknown("spec.validationActions", actions, _ACTIONS)
    if "Deny" in actions and "Warn" in actions:
        why = "must not contain both Deny and Warn (repeating the same validation failure"
        why += " information in the API response and headers serves no purpose)"
        causes.append(status.wrong("spec.validationActions", actions, why))
    return causes


def _unknown(field: str, values: Iterable[Any], known: tuple[str, ...]) -> list[status.Cause]:
    return [
        status.unsupported(f"{field}[{place}]", one, sorted(known))
        for place, one in enumerate(values)
        if one not in known
    ]


def validate_webhooks(obj: Object) -> list[status.Cause]:
    causes: list[status.Cause] = []
    for place, hook in enumerate(obj.get("webhooks") or ()):
        field = f"webhooks[{place}]"
        client = hook.get("clientConfig") or {}
        if client.get("service") and not client.get("url"):
            causes.append(status.barred(f"{field}.clientConfig.service", _NO_SERVICES))
        elif not client.get("url") or client.get("service"):
            why = "exactly one of url or service is required"
            causes.append(status.required(f"{field}.clientConfig", why))
        if (url := client.get("url")) and not str(url).startswith("https://"):
            scheme = str(url).partition(":")[0]
            why = "'https' is the only allowed URL scheme; desired format: https://host[/path]"
            causes.append(status.wrong(f"{field}.clientConfig.url", scheme, why))
        causes += _unfit(field, hook)
        if not 1 <= int(hook.get("timeoutSeconds") or 0) <= 30:
            why = "the timeout value must be between 1 and 30 seconds"
            causes.append(status.wrong(f"{field}.timeoutSeconds", hook["timeoutSeconds"], why))
        for number, each in enumerate(hook.get("matchConditions") or ()):
            at = f"{field}.matchConditions[{number}].expression"
            causes += _wrong_expression(at, str(each.get("expression") or ""), "bool")
    return causes


def _unfit(field: str, hook: Object) -> Iterator[status.Cause]:
    effects, known = hook.get("sideEffects"), ("None", "NoneOnDryRun")
    if effects not in known:
        yield status.unsupported(f"{field}.sideEffects", effects or "", known)
    for name, values in (("failurePolicy", ("Fail", "Ignore")), ("matchPolicy", _MATCHES)):
        if hook[name] not in values:
            yield status.unsupported(f"{field}.{name}", hook[name], values)
    versions = hook.get("admissionReviewVersions") or []
    if "v1" not in versions:
        why = "must include at least one of v1"
        yield status.wrong(f"{field}.admissionReviewVersions", versions, why)


def refuse_webhooks(obj: Object) -> list[status.Cause]:
    """A configuration without webhooks says nothing, so it may be."""
    return [status.barred("webhooks", _NO_MUTATION)] if obj.get("webhooks") else []
