"""The roles that every cluster has from its start, of the types that a lab serves.

`admin`, `edit` and `view` have the rules of the roles that are labelled for them, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from weft_lab.apiserver import auth, rbac
from weft_lab.apiserver.resources import Object

_API = f"{rbac.GROUP}/v1"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_PUBLIC = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_PUBLIC]
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_SEEN = [
    *("configmaps", "endpoints", "events", "namespaces", "namespaces/status", "pods", "pods/log"),
    *("pods/status", "serviceaccounts", "services", "services/status"),
]
_EDITED = ["configmaps", "endpoints", "events", "pods", "secrets", "serviceaccounts", "services"]
_ENTERED = ["pods/attach", "pods/exec", "pods/portforward"]
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"


def _rule(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"verbs": verbs, "apiGroups": [group], "resources": resources}


_RULES: dict[str, list[Object]] = {
    "cluster-admin": [
        _rule("*", ["*"], ["*"]),
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ],
    "system:discovery": [{"verbs": ["get"], "nonResourceURLs": _DISCOVERY}],
    "system:public-info-viewer": [{"verbs": ["get"], "nonResourceURLs": _PUBLIC}],
    "system:basic-user": [
        _rule(
            "authorization.k8s.io",
            ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            ["create"],
        ),
        _rule("authentication.k8s.io", ["selfsubjectreviews"], ["create"]),
    ],
    "system:node": [
        _rule("", ["nodes"], ["create", *_READ, "patch", "update"]),
        _rule("", ["nodes/status"], ["patch", "update"]),
        _rule("", ["pods"], ["create", "delete", *_READ]),
        _rule("", ["pods/status"], ["patch", "update"]),
        _rule("", ["pods/eviction", "serviceaccounts/token"], ["create"]),
        _rule("", ["events"], ["create", "patch", "update"]),
        _rule("", ["configmaps", "secrets", "serviceaccounts", "services"], _READ),
        _rule("coordination.k8s.io", ["leases"], ["create", "delete", "get", "patch", "update"]),
        _rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
        _rule(
            "authorization.k8s.io",
            ["localsubjectaccessreviews", "subjectaccessreviews"],
            ["create"],
        ),
    ],
}
_AGGREGATED: dict[str, list[Object]] = {
    "view": [_rule("", _SEEN, _READ)],
    "edit": [
        _rule("", [*_EDITED, *_ENTERED], _WRITE),
        _rule("", [*_ENTERED, "secrets"], _READ),
        _rule("", ["pods/eviction", "serviceaccounts/token"], ["create"]),
        _rule("", ["serviceaccounts"], ["impersonate"]),
        _rule("coordination.k8s.io", ["leases"], [*_READ, *_WRITE]),
    ],
    "admin": [
        _rule(rbac.GROUP, ["rolebindings", "roles"], [*_READ, *_WRITE]),
        _rule("authorization.k8s.io", ["localsubjectaccessreviews"], ["create"]),
    ],
}
_INTO = {"view": ("view", "edit", "admin"), "edit": ("edit", "admin"), "admin": ("admin",)}
_BOUND = {
    "cluster-admin": (auth.MASTERS,),
    "system:discovery": (auth.AUTHENTICATED,),
    "system:basic-user": (auth.AUTHENTICATED,),
    "system:public-info-viewer": (auth.AUTHENTICATED, auth.UNAUTHENTICATED),
}


def objects() -> Iterator[tuple[str, Object]]:
    """Plural and object of each."""
    for name, rules in _RULES.items():
        yield "clusterroles", _role(name, rules=rules)
    for name, rules in _AGGREGATED.items():
        labels = {f"{_AGGREGATE}{into}": "true" for into in _INTO[name]}
        yield "clusterroles", _role(f"system:aggregate-to-{name}", labels, rules=rules)
        chosen = [{"matchLabels": {f"{_AGGREGATE}{name}": "true"}}]
        yield "clusterroles", _role(name, aggregationRule={"clusterRoleSelectors": chosen})
    for name, groups in _BOUND.items():
        yield "clusterrolebindings", _binding(name, groups)


def _role(name: str, labels: dict[str, str] | None = None, **more: object) -> Object:
    meta = {"name": name, "labels": {**_LABELS, **(labels or {})}}
    return {"apiVersion": _API, "kind": "ClusterRole", "metadata": meta, **more}


def _binding(name: str, groups: tuple[str, ...]) -> Object:
    return {
        "apiVersion": _API,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": dict(_LABELS)},
        "roleRef": {"apiGroup": rbac.GROUP, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": rbac.GROUP, "kind": "Group", "name": group} for group in groups],
    }
