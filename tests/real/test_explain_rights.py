"""`weft explain`, `matrix` and `plan` at an API server, asked by a tenant who has rights in a
namespace of his own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support import apiserver
from tests.support import objects as made
from tests.unit.observe.test_members import entry, nad, pod
from weft.kube import resources
from weft.kube.client import Client
from weft.kube.resources import Resource

pytestmark = pytest.mark.real

SHOP = "shop"
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
TOKENS = "/api/v1/namespaces/shop/serviceaccounts/tenant/token"
OWN = ("pods", "namespaces", "network-attachment-definitions")
POLICIES = "multi-networkpolicies"


@dataclass(frozen=True)
class Tenant:
    """An account with a Role in the namespace shop, and no right elsewhere."""

    api: Client
    kubeconfig: Path

    async def may_read(self, *plurals: str) -> None:
        rule = {"apiGroups": ["*"], "resources": [*plurals], "verbs": ["get", "list", "watch"]}
        await self.api.patch(ROLES, "reads", SHOP, {"rules": [rule]})

    async def explains(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        return await self.asks("explain", *arguments)

    async def asks(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit status of a command, and its document or error."""
        command = (sys.executable, "-m", "weft", *arguments, "--output=json")
        process = await asyncio.create_subprocess_exec(
            *command, f"--kubeconfig={self.kubeconfig}", stdout=-1, stderr=-1
        )
        out, errors = await process.communicate()
        assert b"Traceback" not in errors
        return process.returncode or 0, json.loads(out or b"{}") or {"error": errors.decode()}


@asynccontextmanager
async def tenant(folder: Path) -> AsyncIterator[Tenant]:
    """A tenant of a cluster in which shop/a and shop/b are on the network blue."""
    async with (
        apiserver.running(folder) as server,
        Client.from_kubeconfig(str(server.kubeconfig)) as api,
    ):
        await api.create(resources.NAMESPACES, {"metadata": {"name": SHOP}})
        given = made.nad("blue", "10.9.0.0/24", namespace=SHOP)
        given["metadata"]["annotations"] = nad("blue", "blue")["metadata"]["annotations"]
        await api.create(resources.NADS, given)
        for number, name in enumerate("ab", 1):
            allocated = {"shop/blue": entry(number, f"10.9.0.{number}/24")}
            labels = {"app": name}
            one = pod(name, "blue", allocated, namespace=SHOP, labels=labels)
            one["spec"]["containers"][0]["image"] = "none"
            await api.create(resources.PODS, one)
            status = {"status": one["status"]}
            await api.patch(resources.PODS, name, SHOP, status, subresource="status")
        account = {"metadata": {"name": "tenant", "namespace": SHOP}}
        await api.create(resources.SERVICE_ACCOUNTS, account)
        await api.create(ROLES, {"metadata": {"name": "reads", "namespace": SHOP}, "rules": []})
        subject = {"kind": "ServiceAccount", "name": "tenant", "namespace": SHOP}
        role = {"apiGroup": ROLES.group, "kind": "Role", "name": "reads"}
        binding = {"metadata": {"name": "reads", "namespace": SHOP}}
        await api.create(BINDINGS, {**binding, "roleRef": role, "subjects": [subject]})
        yield Tenant(api, await _kubeconfig(server, folder))


async def _kubeconfig(server: apiserver.Server, folder: Path) -> Path:
    async with (
        aiohttp.ClientSession(headers=server.headers) as session,
        session.post(server.url + TOKENS, json={}) as answer,
    ):
        token = (await answer.json())["status"]["token"]
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = folder / "tenant.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


async def test_a_tenant_sees_as_much_as_he_may_read_and_no_guess(tmp_path: Path) -> None:
    async with tenant(tmp_path) as asked:
        denies = made.policy("guard", namespace=SHOP, app="b", ingress=[])
        await asked.api.create(resources.MULTINETWORKPOLICIES, denies)

        await asked.may_read(*OWN)
        status, found = await asked.explains("a", "b", "-n", SHOP)
        assert (status, found.get("outcome")) == (2, "unknown"), found
        seen = {step["name"]: step for step in found["steps"]}
        why = "you may not list the policies of namespace shop"
        assert seen["ingress policies"]["verdict"] == "not seen"
        assert seen["ingress policies"]["seen"] == why

        await asked.may_read(*OWN, POLICIES)
        status, found = await asked.explains("shop/a", "shop/b")
        assert (status, found.get("cause")) == (1, "ingress policies"), found
        assert "policy shop/guard isolates shop/b" in found["sentence"]

        status, found = await asked.explains("a", "b")
        assert status == 2
        assert "you may not list the pods of namespace default" in found["error"]


async def test_a_tenant_plans_and_draws_what_he_may_read_and_the_rest_is_named(
    tmp_path: Path,
) -> None:
    denies = made.policy("guard", namespace=SHOP, app="b", ingress=[])
    file = tmp_path / "guard.json"
    file.write_text(json.dumps({**denies, "kind": "MultiNetworkPolicy"}))
    plan = ("plan", "-f", str(file))
    async with tenant(tmp_path) as asked:
        status, found = await asked.asks(*plan)
        assert status == 2
        assert "cannot list" in found["error"], found

        await asked.may_read(*OWN, POLICIES, "virtualmachineinstances", "ipamclaims")
        status, found = await asked.asks(*plan)
        assert status == 1, found
        assert {(one["source"], one["target"]) for one in found["lost"]} == {("shop/a", "shop/b")}
        told = "pods of other namespaces than shop: you may not list them"
        assert told in found["unjudged"]

        elsewhere = made.policy("guard", app="b", ingress=[])
        other = tmp_path / "other.json"
        other.write_text(json.dumps({**elsewhere, "kind": "MultiNetworkPolicy"}))
        status, found = await asked.asks(*plan, "-f", str(other))
        assert status == 2
        assert f'"{POLICIES}"' in found["error"], "it may be there already"
        assert 'namespace "default"' in found["error"]

        status, before = await asked.asks("matrix", "shop/blue")
        assert status == 0, before
        expected = {(one["source"], one["target"]): one["expected"] for one in before["pairs"]}
        assert expected == {("shop/a", "shop/b"): True, ("shop/b", "shop/a"): True}
        assert told in before["left_out"]
        await asked.api.create(resources.MULTINETWORKPOLICIES, denies)
        _, after = await asked.asks("matrix", "blue", "-n", SHOP)
        expected = {(one["source"], one["target"]): one["expected"] for one in after["pairs"]}
        assert expected == {("shop/a", "shop/b"): False, ("shop/b", "shop/a"): True}

        # What he may not read of his own namespace is told, too.
        await asked.may_read("pods", "network-attachment-definitions", POLICIES)
        _, found = await asked.asks("matrix", "blue", "-n", SHOP)
        assert "the labels of namespace shop: it is taken to have none" in found["left_out"]
        assert "ipamclaims of any namespace: you may not list them" in found["left_out"]
        status, found = await asked.asks("matrix", "blue")
        assert status == 1
        assert "cannot list" in found["error"]

        # Without policies all would seem to pass.
        await asked.may_read("pods", "network-attachment-definitions")
        status, found = await asked.asks("matrix", "blue", "-n", SHOP)
        assert status == 1
        assert f'cannot list resource "{POLICIES}"' in found["error"]
