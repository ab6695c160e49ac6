"""Roles and identities over HTTP, as clients meet them; `conformance` asks the real one, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab.tests.support.apihttp import MAPS, PODS, Http, connected

pytestmark = pytest.mark.real
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    async with connected(tmp_path) as found:
        yield found


async def ask(
    http: Http, method: str, path: str, token: str = "", **headers: str
) -> tuple[int, Any]:
    own = {"Authorization": f"Bearer {token}"} if token else {}
    url = http.server.url + path
    body: dict[str, Any] | None = {} if method == "POST" else None
    async with http.session.request(method, url, headers={**own, **headers}, json=body) as answer:
        return answer.status, await answer.json()


async def test_a_service_accounts_token_has_the_rights_that_it_is_given(http: Http) -> None:
    await http("POST", ACCOUNTS, {"metadata": {"name": "bot"}})
    _, made = await http("POST", f"{ACCOUNTS}/bot/token", {})
    token = made["status"]["token"]
    code, response = await ask(http, "GET", MAPS, token)
    assert code == 403
    assert 'User "system:serviceaccount:default:bot" cannot list resource' in response["message"]
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "bot"}],
    }
    code, response = await http("POST", f"{RBAC}/namespaces/default/rolebindings", binding)
    assert code == 201, response
    assert (await ask(http, "GET", MAPS, token))[0] == 200
    assert (await ask(http, "GET", f"{PODS}", token))[0] == 200
    assert (await ask(http, "GET", "/api/v1/secrets", token))[0] == 403
    assert (await ask(http, "GET", "/api/v1/namespaces/kube-system/configmaps", token))[0] == 403
    await http("DELETE", f"{ACCOUNTS}/bot")
    assert (await ask(http, "GET", MAPS, token))[0] == 401
    assert (await ask(http, "GET", MAPS, token[:-2]))[0] == 401


async def test_who_is_impersonated_has_his_rights_and_no_others(http: Http) -> None:
    headers = {"Impersonate-User": "jane"}
    assert (await ask(http, "GET", MAPS, **headers))[0] == 403
    assert (await ask(http, "GET", MAPS))[0] == 200
    masters = {**headers, "Impersonate-Group": "system:masters"}
    assert (await ask(http, "GET", MAPS, **masters))[0] == 200
    reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    extra = {**headers, "Impersonate-Extra-example.com%2Fa": "b"}
    _, response = await ask(http, "POST", reviews, **extra)
    info = response["status"]["userInfo"]
    assert info["extra"] == {"example.com/a": ["b"]}
    assert info["groups"] == ["system:authenticated"]


async def test_nobody_gives_away_what_he_has_not(http: Http) -> None:
    roles = f"{RBAC}/namespaces/default/roles"
    rules = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["*"]}]
    await http("POST", roles, {"metadata": {"name": "own"}, "rules": rules[:1]})
    binding = {
        "metadata": {"name": "own"},
        "roleRef": {"kind": "Role", "name": "own"},
        "subjects": [{"kind": "User", "name": "jane"}],
    }
    assert (await http("POST", f"{RBAC}/namespaces/default/rolebindings", binding))[0] == 201
    url, headers = http.server.url + roles, {"Impersonate-User": "jane"}
    all_rights = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    everything: dict[str, Any] = {"metadata": {"name": "all"}, "rules": [all_rights]}
    async with http.session.post(url, headers=headers, json=everything) as answer:
        # The verb * on roles holds `escalate`: he may.
        assert answer.status == 201
    rules[0]["verbs"] = ["create"]
    assert (await http("PUT", f"{roles}/own", {"metadata": {"name": "own"}, "rules": rules}))[
        0
    ] == 200
    everything["metadata"] = {"name": "more"}
    async with http.session.post(url, headers=headers, json=everything) as answer:
        assert answer.status == 403
        message = (await answer.json())["message"]
        assert "is attempting to grant RBAC permissions not currently held" in message
