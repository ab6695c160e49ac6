"""Serves reviews: may I, may somebody, what may I, who am I, whose token is this.

Reviews are answered and not stored.
"""

from __future__ import annotations

import time
from typing import Any

from weft_lab.apiserver import access, auth, clock, rbac, status, tokens
from weft_lab.apiserver.rbac import Attributes
from weft_lab.apiserver.request import Route

_AUTHORIZATION, _AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"
KINDS = {
    (_AUTHORIZATION, "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    (_AUTHORIZATION, "subjectaccessreviews"): "SubjectAccessReview",
    (_AUTHORIZATION, "localsubjectaccessreviews"): "LocalSubjectAccessReview",
    (_AUTHORIZATION, "selfsubjectrulesreviews"): "SelfSubjectRulesReview",
    (_AUTHENTICATION, "selfsubjectreviews"): "SelfSubjectReview",
    (_AUTHENTICATION, "tokenreviews"): "TokenReview",
}


def answers(route: Route) -> bool:
    return route.version == "v1" and (route.group, route.plural) in KINDS


def answer(route: Route, body: Any, user: auth.User, who: access.Access) -> dict[str, Any]:
    """The review that was posted, with its status filled in."""
    given = dict(body) if isinstance(body, dict) else {}
    kind = KINDS[route.group, route.plural]
    review = {
        "kind": kind,
        "apiVersion": f"{route.group}/v1",
        "metadata": given.get("metadata") or {},
    }
    spec: dict[str, Any] = given["spec"] if isinstance(given.get("spec"), dict) else {}
    if kind != "SelfSubjectReview":
        review["spec"] = spec
    if kind == "SelfSubjectAccessReview":
        review["status"] = _decide(who, user, spec)
    elif kind in ("SubjectAccessReview", "LocalSubjectAccessReview"):
        extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
        groups = tuple(spec.get("groups") or ())
        other = auth.User(spec.get("user") or "", spec.get("uid") or "", groups, extra)
        if not other.name and not groups:
            why = "at least one of user or group must be specified"
            raise status.invalid(route.group, "", "", [status.wrong("spec.user", "", why)])
        review["status"] = _decide(who, other, spec)
    elif kind == "SelfSubjectRulesReview":
        review["status"] = _rules(who, user, spec)
    elif kind == "TokenReview":
        review["status"] = _token(who, spec)
    else:
        review["metadata"] = {"creationTimestamp": clock.now()}
        review["status"] = {"userInfo": user.info()}
    return review


def _decide(who: access.Access, user: auth.User, spec: dict[str, Any]) -> dict[str, Any]:
    on, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (on is None) == (path is None):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        field = "spec.resourceAttributes" if on is None else "spec.nonResourceAttributes"
        causes = [status.wrong(field, on or path, why)]
        raise status.invalid(_AUTHORIZATION, "", "", causes)
    if on is not None:
        names = ("verb", "group", "resource", "subresource", "namespace", "name")
        request = Attributes(*(str(on.get(name) or "") for name in names))
    else:
        assert path is not None
        request = Attributes(str(path.get("verb") or ""), path=str(path.get("path") or "/"))
    grant = who.grants.allows(user, request)
    if grant is None:
        return {"allowed": False}
    return {"allowed": True, **({"reason": grant.why} if grant.why else {})}


def _rules(who: access.Access, user: auth.User, spec: dict[str, Any]) -> dict[str, Any]:
    namespace = str(spec.get("namespace") or "")
    if not namespace:
        raise status.bad_request("no namespace on request")
    resources, paths = [], []
    for grant in who.grants.of(user, namespace):
        if grant.rule.resources:
            body = rbac.Rule(*_resource_part(grant.rule)).body()
            resources.append(body)
        if grant.rule.paths:
            body = {"verbs": list(grant.rule.verbs), "nonResourceURLs": list(grant.rule.paths)}
            paths.append(body)
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}


def _resource_part(rule: rbac.Rule) -> tuple[tuple[str, ...], ...]:
    return rule.verbs, rule.groups, rule.resources, rule.names


def _token(who: access.Access, spec: dict[str, Any]) -> dict[str, Any]:
    token = str(spec.get("token") or "")
    user = who.known(token, time.time()) if token else None
    if user is None:
        message = "invalid bearer token"
        return {"user": {}, "error": message}
    audiences = spec.get("audiences") or [tokens.ISSUER]
    return {"authenticated": True, "user": user.info(), "audiences": audiences}
