"""Who each part of a lab is to its API server, with a token of its own; pure but for the token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft_lab.apiserver import tokens
from weft_lab.apiserver.auth import AUTHENTICATED, User

_NODE_NAME = "authentication.kubernetes.io/node-name"
HOME = "weft-system"
_ACCOUNTS = "system:serviceaccounts"


def of_cluster() -> Mapping[str, User]:
    """By the names of the parts that a lab has once."""
    return {
        "cluster-manager": account(HOME, "weft-cluster-manager"),
        "controllers": User("weft-lab:controllers", groups=(AUTHENTICATED,)),
    }


def of_node(node: str) -> Mapping[str, User]:
    """By the names of the parts that each node has."""
    there = {_NODE_NAME: (node,)}
    return {
        "agent": account(HOME, "weft-node", there),
        "kubelet": User(f"system:node:{node}", groups=("system:nodes", AUTHENTICATED)),
        "multus": account("kube-system", "multus", there),
    }


def account(namespace: str, name: str, extra: Mapping[str, tuple[str, ...]] | None = None) -> User:
    """A service account, as the API server sees a pod that runs as it."""
    groups = (_ACCOUNTS, f"{_ACCOUNTS}:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", "", groups, extra or {})


def kubeconfig(
    admin: Mapping[str, Any], server: str, token: str, *, namespace: str = HOME
) -> dict[str, Any]:
    """The user's kubeconfig for another user, who reaches the server by another address."""
    clusters = [
        {**each, "cluster": {**each["cluster"], "server": server}} for each in admin["clusters"]
    ]
    users = [{**each, "user": {"token": token}} for each in admin["users"]]
    contexts = [
        {**each, "context": {**each["context"], "namespace": namespace}}
        for each in admin["contexts"]
    ]
    return {**admin, "clusters": clusters, "users": users, "contexts": contexts}


def token(key: bytes, user: User) -> str:
    return tokens.sign_identity(key, user)
