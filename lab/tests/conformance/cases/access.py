"""Who may do what: roles, bindings, impersonation, reviews and tokens."""

from __future__ import annotations

from typing import Any

from lab.tests.conformance.cases.objects import ACCOUNTS, IN, MAPS, NAMESPACES, NODES, PODS, config
from lab.tests.conformance.exchange import MERGE, TABLE, Ask, Case

_GROUP = "rbac.authorization.k8s.io"
_RBAC = f"/apis/{_GROUP}/v1"
ROLES, BINDINGS = f"{_RBAC}/{IN}/roles", f"{_RBAC}/{IN}/rolebindings"
CLUSTER_ROLES, CLUSTER_BINDINGS = f"{_RBAC}/clusterroles", f"{_RBAC}/clusterrolebindings"
_AUTHORIZATION = "/apis/authorization.k8s.io/v1"
_AUTHENTICATION = "/apis/authentication.k8s.io/v1"
_WHO = f"{_AUTHENTICATION}/selfsubjectreviews"
_READ = ["get", "list", "watch"]


def role(name: str, *rules: dict[str, Any], kind: str = "Role") -> dict[str, Any]:
    meta = {"name": name}
    return {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": meta, "rules": list(rules)}


def rule(verbs: list[str], resources: list[str], group: str = "", **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs, **more}


def binding(name: str, to: str, *subjects: dict[str, Any], kind: str = "Role") -> dict[str, Any]:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": to},
        "subjects": list(subjects) or [{"apiGroup": _GROUP, "kind": "User", "name": "tenant"}],
    }


def _access(**on: str) -> dict[str, Any]:
    return {"spec": {"resourceAttributes": on}}


def _as(name: str, **more: str) -> dict[str, str]:
    return {"Impersonate-User": name, **{f"Impersonate-{key}": more[key] for key in more}}


_WRITES = ("POST", "PUT", "PATCH")
_ASKED = (
    *(("GET", path) for path in (MAPS, f"{MAPS}/m", NAMESPACES, f"{NAMESPACES}/{{ns}}", NODES)),
    ("GET", "/api/v1/pods"),
    ("GET", f"{MAPS}?watch=true"),
    ("GET", f"{MAPS}?fieldSelector=metadata.name%3Dx"),
    ("GET", f"{PODS}/p/log"),
    ("POST", MAPS),
    ("PUT", f"{MAPS}/m"),
    ("PATCH", f"{MAPS}/m"),
    ("DELETE", f"{MAPS}/m"),
    ("DELETE", MAPS),
    ("GET", "/apis/no.such/v1/things"),
    ("GET", "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions"),
    ("GET", "/nowhere"),
    ("GET", "/readyz"),
)


def _strangers(who: str) -> Case:
    return Case(
        f"stranger-{who or 'anonymous'}",
        tuple(
            Ask(method, path, config("m") if method in _WRITES else None, user=who)
            for method, path in _ASKED
        ),
    )


_ROLES = (
    Case(
        "a-role",
        (
            Ask("POST", ROLES, role("r", rule(_READ, ["configmaps"], resourceNames=["m"]))),
            Ask("POST", BINDINGS, binding("b", "r")),
            Ask("POST", MAPS, config("m")),
            Ask("GET", f"{MAPS}/m", user="tenant", until=200),
            Ask("GET", f"{MAPS}/n", user="tenant"),
            Ask("GET", MAPS, user="tenant"),
            Ask("GET", f"{MAPS}?fieldSelector=metadata.name%3Dm", user="tenant"),
            Ask("GET", f"{MAPS}/m", user="nobody"),
            Ask("GET", ROLES),
            Ask("GET", BINDINGS),
            Ask("GET", BINDINGS, accept=TABLE),
            Ask("GET", ROLES, accept=TABLE),
            Ask("PUT", f"{BINDINGS}/b", binding("b", "other")),
            Ask("PATCH", f"{ROLES}/r", {"rules": [rule(["*"], ["*"], "*")]}, MERGE),
            Ask("GET", MAPS, user="tenant", until=200),
            Ask("DELETE", f"{BINDINGS}/b"),
            Ask("GET", f"{MAPS}/m", user="tenant", until=403),
            Ask("DELETE", f"{ROLES}/r"),
        ),
    ),
    Case(
        "broken-roles",
        (
            Ask("POST", ROLES, role("r", {})),
            Ask("POST", ROLES, role("r", {"verbs": ["get"]})),
            Ask("POST", ROLES, role("r", {"verbs": ["get"], "nonResourceURLs": ["/x"]})),
            Ask("POST", f"{CLUSTER_ROLES}?dryRun=All", role("r", {}, kind="ClusterRole")),
            Ask("POST", f"{ROLES}?dryRun=All", role("A:b c")),
            Ask("POST", f"{ROLES}?dryRun=All", role("a/b")),
            Ask("POST", BINDINGS, {**binding("b", "r"), "roleRef": {"kind": "Odd", "name": ""}}),
            Ask("POST", BINDINGS, binding("b", "r", {"kind": "ServiceAccount", "name": "x"})),
            Ask("POST", BINDINGS, binding("b", "r", {"kind": "Odd", "name": "x"})),
            Ask("POST", f"{BINDINGS}?dryRun=All", binding("b", "r", {"kind": "User"})),
        ),
    ),
)
_GIVING = (
    Case(
        "escalation",
        (
            Ask("POST", ROLES, role("own", rule(["*"], ["roles", "rolebindings"], _GROUP))),
            Ask("POST", BINDINGS, binding("own", "own")),
            Ask("GET", ROLES, user="tenant", until=200),
            Ask("POST", ROLES, role("x", rule(["get"], ["pods"])), user="tenant"),
            Ask("POST", ROLES, role("x", rule(["get", "list"], ["a", "b"], "g")), user="tenant"),
            Ask("POST", ROLES, role("x", rule(["get"], ["roles"], _GROUP)), user="tenant"),
            Ask("POST", BINDINGS, binding("x", "x"), user="tenant"),
            Ask("PUT", f"{ROLES}/x", role("x", rule(["*"], ["*"], "*")), user="tenant"),
            Ask("DELETE", f"{ROLES}/x", user="tenant"),
        ),
    ),
    Case(
        "escalation-unbound",
        (
            Ask("POST", ROLES, role("own", rule(["create", "update", "list"], ["roles"], _GROUP))),
            Ask("POST", BINDINGS, binding("own", "own")),
            Ask("GET", ROLES, user="tenant", until=200),
            Ask("POST", ROLES, role("x", rule(["get"], ["pods"])), user="tenant"),
            Ask("POST", ROLES, role("x", rule(["get", "list"], ["a", "b"], "g")), user="tenant"),
            Ask("POST", ROLES, role("x", rule(["create"], ["roles"], _GROUP)), user="tenant"),
            Ask("PUT", f"{ROLES}/x", role("x", rule(["get"], ["pods"])), user="tenant"),
        ),
    ),
    Case(
        "binding-others",
        (
            Ask("POST", ROLES, role("own", rule(["create", "list"], ["rolebindings"], _GROUP))),
            Ask("POST", BINDINGS, binding("own", "own")),
            Ask("GET", BINDINGS, user="tenant", until=200),
            Ask("POST", ROLES, role("strong", rule(["get"], ["secrets"]))),
            Ask("POST", BINDINGS, binding("x", "strong"), user="tenant"),
            Ask("POST", BINDINGS, binding("x", "absent"), user="tenant"),
            Ask("POST", ROLES, role("bind", rule(["bind"], ["roles"], _GROUP))),
            Ask("POST", BINDINGS, binding("bind", "bind")),
            Ask("POST", BINDINGS, binding("x", "strong"), user="tenant", until=201),
        ),
    ),
    Case(
        "impersonation",
        (
            Ask("POST", _WHO, {}, headers=_as("jane")),
            Ask("POST", _WHO, {}, headers=_as("jane", Group="g", Uid="7", **{"Extra-a%2Fc": "d"})),
            Ask("POST", _WHO, {}, headers=_as("system:serviceaccount:a:b")),
            Ask("GET", MAPS, headers=_as("jane")),
            Ask("GET", MAPS, headers=_as("jane", Group="system:masters")),
            Ask("GET", MAPS, headers=_as("admin"), user="tenant"),
            Ask("GET", MAPS, headers=_as("system:serviceaccount:a:b"), user="tenant"),
            Ask("GET", MAPS, headers=_as("system:anonymous")),
        ),
    ),
)
_REVIEWED: tuple[dict[str, Any], ...] = (
    _access(verb="get", resource="pods", namespace="{ns}"),
    _access(verb="list", resource="nodes"),
    _access(verb="create", resource="selfsubjectaccessreviews", group="authorization.k8s.io"),
    {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/apis"}}},
    {"spec": {}},
    {},
)
_REVIEWS = (
    *(
        Case(
            f"reviews-{who}",
            (
                *(
                    Ask("POST", f"{_AUTHORIZATION}/selfsubjectaccessreviews", body, user=who)
                    for body in _REVIEWED
                ),
                Ask("POST", _WHO, {}, user=who),
            ),
        )
        for who in ("tenant", "admin")
    ),
    Case(
        "reviews-of-others",
        (
            Ask(
                "POST",
                f"{_AUTHORIZATION}/subjectaccessreviews",
                {"spec": {**_access(verb="get", resource="pods")["spec"], "user": "tenant"}},
            ),
            Ask("POST", f"{_AUTHORIZATION}/subjectaccessreviews", _access(verb="a"), user="tenant"),
            Ask("POST", f"{_AUTHORIZATION}/subjectaccessreviews", _access(verb="get")),
            Ask("POST", f"{_AUTHENTICATION}/tokenreviews", {"spec": {"token": "tenant"}}),
            Ask("POST", f"{_AUTHENTICATION}/tokenreviews", {"spec": {"token": "stranger"}}),
            Ask("GET", f"{_AUTHORIZATION}/selfsubjectaccessreviews"),
        ),
    ),
    Case(
        "tokens",
        (
            Ask("POST", ACCOUNTS, {"metadata": {"name": "a"}}),
            Ask("POST", f"{ACCOUNTS}/a/token", {"spec": {"expirationSeconds": 3600}}),
            Ask("POST", f"{ACCOUNTS}/a/token", {"spec": {"expirationSeconds": 5}}),
            Ask("POST", f"{ACCOUNTS}/b/token", {}),
            Ask("POST", f"{ACCOUNTS}/a/token", {}, user="tenant"),
            Ask(
                "POST",
                f"{_AUTHENTICATION}/tokenreviews",
                lambda answers: {"spec": {"token": answers[1]["status"]["token"]}},
            ),
        ),
    ),
)

CASES = (
    *(_strangers(who) for who in ("tenant", "", "stranger")),
    *_ROLES,
    *_GIVING,
    *_REVIEWS,
)
