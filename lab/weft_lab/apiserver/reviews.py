"""Serves self reviews; everybody with a token may do everything."""

from __future__ import annotations

from typing import Any

from weft_lab.apiserver.auth import User
from weft_lab.apiserver.request import Route

_KNOWN = {
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "v1", "selfsubjectrulesreviews"),
    ("authentication.k8s.io", "v1", "selfsubjectreviews"),
}


def answers(route: Route) -> bool:
    return (route.group, route.version, route.plural) in _KNOWN


def answer(route: Route, body: Any, user: User) -> dict[str, Any]:
    """The review that was posted, with its status filled in."""
    review = dict(body) if isinstance(body, dict) else {}
    review.setdefault("metadata", {})
    if route.plural == "selfsubjectaccessreviews":
        review["status"] = {"allowed": True}
    elif route.plural == "selfsubjectrulesreviews":
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        review["status"] = {
            "resourceRules": [everything],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": False,
        }
    else:
        info = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
        review["status"] = {"userInfo": info}
    return review
