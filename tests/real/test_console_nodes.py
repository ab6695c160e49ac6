"""What the console shows of a real zone to who logs in: by the right to enter agents' pods."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import apiserver, consoled, entered, explaining
from tests.support import objects as made
from tests.support.explaining import Explained
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster
from weft.console import server
from weft.console.nodes import ViewersNodes
from weft.console.page import Nodes
from weft.kube import resources
from weft.kube.client import Client
from weft.kube.resources import Resource
from weft.observe.checks import AGENT, SYSTEM

pytestmark = pytest.mark.real

RBAC = "rbac.authorization.k8s.io"
CLUSTER_ROLES = Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_BINDINGS = Resource(
    RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
ROLES = Resource(RBAC, "v1", "roles", "Role")
BINDINGS = Resource(RBAC, "v1", "rolebindings", "RoleBinding")
TOKENS = "/api/v1/namespaces/default/serviceaccounts/viewer/token"
SUBJECT = {"kind": "ServiceAccount", "name": "viewer", "namespace": "default"}
READS = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
ENTERS = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}
LACKS = "nodes are looked at for who may create pods/exec in {}, and you may not"
ON_A_CLUSTER, IN_A_LAB = LACKS.format(f"the namespace {SYSTEM}"), LACKS.format("all namespaces")
EXPLAIN, FLOWS = "/explain?a=a&b=b&namespace=default", "/flows?network=blue&namespace=default"


@dataclass
class World:
    """Pods a and b of a real zone, an API server that knows them, and a viewer who reads all."""

    zones: Explained
    api: Client
    kubelet: entered.Kubelet
    kubeconfig: Path
    token: str

    @asynccontextmanager
    async def viewing(self, lab: Nodes | None = None) -> AsyncIterator[consoled.Browser]:
        """The browser of a viewer who has logged in at a console; `lab`: of a lab, its nodes."""
        connect = server.connector(str(self.kubeconfig))
        async with consoled.running(connect, is_login=True, lab=lab) as browser:
            status, _, _ = await browser.post("/login", {"token": self.token})
            assert status == 303
            yield browser

    async def allow(self, rule: Any, name: str, namespace: str = "") -> None:
        """Give the viewer a right in a namespace, or in all."""
        kind, of = (ROLES, BINDINGS) if namespace else (CLUSTER_ROLES, CLUSTER_BINDINGS)
        meta = {"name": name, **({"namespace": namespace} if namespace else {})}
        await self.api.create(kind, {"metadata": meta, "rules": [rule]})
        role = {"apiGroup": RBAC, "kind": kind.kind, "name": name}
        await self.api.create(of, {"metadata": meta, "roleRef": role, "subjects": [SUBJECT]})


def verdicts(text: str) -> dict[str, str]:
    """The verdict of each step that the page of Explain shows."""
    rows = re.findall(r"<tr[^>]*><td>(.*?)</td>.*?<th[^>]*>(.*?)</th>", text, re.DOTALL)
    return {name: re.sub(r"<[^>]+>", "", verdict).strip() for verdict, name in rows}


@asynccontextmanager
async def world(cluster: Cluster, folder: Path) -> AsyncIterator[World]:
    zones = await Explained.build(cluster)
    await zones.add("a", 11)
    await zones.add("b", 12)
    zone = cluster.kept[0].zone
    # A busy machine may be slower than the ten seconds after which a switch forgets.
    idle = ("set", "Open_vSwitch", ".", "other_config:max-idle=120000")
    await asyncio.to_thread(zone.run, "ovs-vsctl", *idle)
    env = {**zone.space.env, "PATH": f"{Path(sys.executable).parent}:{zone.space.env['PATH']}"}
    async with (
        apiserver.running(folder, "--kubelets", str(folder / "{node}.sock")) as started,
        Client.from_kubeconfig(str(started.kubeconfig)) as api,
        entered.kubelet(folder / f"{zone.name}.sock", zone.space.inside("env"), env) as kubelet,
    ):
        await _declare(api, zones)
        account = {"metadata": {"name": "viewer", "namespace": "default"}}
        await api.create(resources.SERVICE_ACCOUNTS, account)
        async with (
            aiohttp.ClientSession(headers=started.headers) as session,
            session.post(started.url + TOKENS, json={}) as answer,
        ):
            token = (await answer.json())["status"]["token"]
        whole = World(zones, api, kubelet, started.kubeconfig, token)
        await whole.allow(READS, "reads")
        yield whole


async def _declare(api: Client, zones: Explained) -> None:
    """The objects of the zone at the API server, and the agent's pod."""
    own = explaining.declared(zones.cluster.kept[0])
    node = own["metadata"]["name"]
    await api.create(resources.NODES, own)
    await api.patch(resources.NODES, node, "", {"status": own["status"]}, subresource="status")
    await api.create(resources.NADS, zones.nad)
    await api.create(resources.NAMESPACES, made.namespace(SYSTEM))
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": AGENT, "uid": "u"}
    agent = made.pod("weft-node-x", namespace=SYSTEM, node=node)
    agent["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    agent["spec"]["containers"][0]["name"] = "agent"
    await api.create(resources.PODS, agent)
    for each in zones.pods:
        name = each["metadata"]["name"]
        await api.create(resources.PODS, each)
        await api.patch(
            resources.PODS, name, "default", {"status": each["status"]}, subresource="status"
        )


async def test_who_logs_in_sees_of_nodes_what_the_right_to_enter_pods_gives(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with world(cluster, tmp_path) as of:
        orders = of.kubelet.orders
        port = f"source port on {cluster.kept[0].zone.name}"
        async with of.viewing() as browser:
            text = await browser.job(EXPLAIN)
            assert "Nothing that was seen stops ping from default/a to default/b on blue" in text
            assert ON_A_CLUSTER in text
            assert "not seen" in verdicts(text)[port], text
            assert ON_A_CLUSTER in await browser.look(FLOWS)
            assert orders == []

            await of.allow(ENTERS, "enters", SYSTEM)
            text = await browser.job(EXPLAIN)
            assert ON_A_CLUSTER not in text
            assert "ok" in verdicts(text)[port], text
            assert "no packet was sent; the field “Send a probe” sends one" in text
            (order,) = orders
            assert order["command"] == ["python3", "-I", "-m", "weft.observe.explain.onnode"]
            where = order["namespace"], order["pod"], order["container"]
            assert where == (SYSTEM, "weft-node-x", "agent")

            end = time.monotonic() + PATIENCE  # a busy switch is late
            while {*verdicts(text := await browser.job(f"{EXPLAIN}&probe=1")).values()} != {"ok"}:
                assert time.monotonic() < end, text
            assert "default/a reaches default/b by ping on blue." in text
            assert {each["command"][-1].rpartition(".")[2] for each in orders[1:]} == {
                *("onnode", "onnodeask", "onnodeprobe")
            }

            assert await asyncio.to_thread(of.zones.guests["a"].pings, "10.1.0.12")
            text = await browser.look(FLOWS)
            assert re.search(r"default/a\b.*default/b\b", text), text
            assert orders[-1]["command"][-1] == "weft.observe.flows.onnode"

        # The console of a lab looks itself, with its own rights.
        seen = len(orders)
        async with of.viewing(ViewersNodes(of.api, nullcontext)) as browser:
            assert IN_A_LAB in await browser.job(EXPLAIN)
            assert IN_A_LAB in await browser.look(FLOWS)
            assert len(orders) == seen
            await of.allow(ENTERS, "enters")
            assert IN_A_LAB not in await browser.job(EXPLAIN)
            assert len(orders) > seen
