from __future__ import annotations

from weft_lab import identities
from weft_lab.apiserver import tokens
from weft_lab.apiserver.auth import User

KEY = b"k" * 32
ADMIN = {
    "clusters": [{"name": "weft", "cluster": {"server": "https://127.0.0.1:1", "ca": "x"}}],
    "users": [{"name": "weft", "user": {"token": "admin"}}],
    "contexts": [{"name": "weft", "context": {"cluster": "weft", "user": "weft"}}],
    "current-context": "weft",
}


def exists(*_: str) -> bool:
    return False


def test_a_part_is_known_by_its_token_alone() -> None:
    for user in (*identities.of_cluster().values(), *identities.of_node("node1").values()):
        token = identities.token(KEY, user)
        claims = tokens.read(KEY, token, 0.0)
        assert claims is not None
        assert tokens.user_of(claims, exists) == user
        assert tokens.read(b"other" * 8, token, 0.0) is None
        assert "system:masters" not in user.groups


def test_an_agent_says_on_which_node_it_is() -> None:
    agent = identities.of_node("node7")["agent"]
    assert agent.name == "system:serviceaccount:weft-system:weft-node"
    assert agent.extra == {"authentication.kubernetes.io/node-name": ("node7",)}


def test_a_kubeconfig_holds_no_other_token() -> None:
    made = identities.kubeconfig(ADMIN, "https://api:6443", "mine")
    assert "admin" not in str(made)
    assert made["clusters"][0]["cluster"] == {"server": "https://api:6443", "ca": "x"}
    assert made["contexts"][0]["context"]["namespace"] == "weft-system"
    elsewhere = identities.kubeconfig(ADMIN, "https://api:6443", "mine", namespace="shop")
    assert elsewhere["contexts"][0]["context"]["namespace"] == "shop"
    assert ADMIN["users"][0] == {"name": "weft", "user": {"token": "admin"}}


def test_the_token_of_a_service_account_ends_with_what_it_is_bound_to() -> None:
    bound = tokens.Bound("a", "bot", "u1", ("web", "u2"), ("node1", "u3"))
    token = tokens.sign(KEY, bound, (), 1000.0, 600)
    claims = tokens.read(KEY, token, 1100.0)
    assert claims is not None
    there = {("serviceaccounts", "a", "bot", "u1"), ("pods", "a", "web", "u2")}
    user = tokens.user_of(claims, lambda *asked: asked in there)
    assert isinstance(user, User)
    assert user.extra["authentication.kubernetes.io/node-name"] == ("node1",)
    for gone in there:
        assert tokens.user_of(claims, lambda *asked, g=gone: asked in there - {g}) is None
    assert tokens.read(KEY, token, 1601.0) is None
    assert tokens.read(KEY, token, 999.0) is None
