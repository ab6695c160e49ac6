"""What a user of kubectl is told of policies: in tables, statuses and Events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import apiserver, bad_input, cluster_manager, cluster_world, events
from tests.support import kubectl as kubectls
from tests.support.kubectl import Kubectl
from weft import names
from weft.api import policystatus
from weft.kube import resources
from weft.kube.client import Client
from weft.policy.netpolicy import Skipped
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.real

Object = dict[str, Any]
POLICY = """
apiVersion: k8s.cni.cncf.io/v1beta1
kind: MultiNetworkPolicy
metadata:
  name: guard
  annotations: {k8s.v1.cni.cncf.io/policy-for: blue}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: db}}
    - ipBlock: {cidr: 10.0.0.1}
    ports:
    - {port: 443}
"""
STATUS = "jsonpath={.status.conditions[?(@.type=='%s')].reason}=%s"


@dataclass
class User:
    api: Client
    kubectl: Kubectl
    server: apiserver.Server

    async def shows(self, condition: str, reason: str, name: str = "guard") -> None:
        """Returns when a condition of a policy has this reason."""
        wanted = f"--for={STATUS % (condition, reason)}"
        await self.kubectl("wait", f"multi-policy/{name}", wanted, "--timeout=60s")

    async def policy(self, name: str = "guard") -> Object:
        return await self.api.get(resources.MULTINETWORKPOLICIES, name, "default")

    async def declare(self, network: str = "blue", **config: Any) -> None:
        nad = cluster_world.nad(network, **config)
        del nad["metadata"]["uid"]
        kind = {"apiVersion": resources.NADS.api_version, "kind": resources.NADS.kind}
        await self.api.create(resources.NADS, nad | kind)

    async def start(self, name: str, app: str) -> None:
        pod = cluster_world.pod(name)
        del pod["metadata"]["uid"]
        pod["metadata"]["labels"] = {"app": app}
        await self.api.create(resources.PODS, pod | {"apiVersion": "v1", "kind": "Pod"})

    async def apply(self, text: str) -> None:
        await self.kubectl("apply", "-f", "-", stdin=text)


@pytest.fixture
async def user(tmp_path: Path, toolchain: Toolchain) -> AsyncIterator[User]:
    async with (
        apiserver.running(tmp_path) as server,
        Client.from_kubeconfig(str(server.kubeconfig)) as api,
    ):
        program = kubectls.program("lab", toolchain)
        yield User(api, Kubectl(program, server.kubeconfig, tmp_path), server)


def edited(**spec: Any) -> str:
    made = yaml.safe_load(POLICY)
    made["spec"] |= spec
    return json.dumps(made)


async def test_from_nothing_there_to_all_is_well(user: User) -> None:
    async with cluster_manager.running(user.server.kubeconfig):
        await user.apply(POLICY)
        await user.shows("Bound", "NetworkMissing")
        await user.declare()
        await user.shows("Bound", "NoPods")
        await asyncio.gather(user.start("w1", "web"), user.start("w2", "web"))
        await user.shows("Bound", "Bound")
        await user.kubectl("wait", "multi-policy/guard", "--for=jsonpath={.status.ports}=2")
        await user.shows("SelectorsMatch", "NothingMatches")
        unmatched = (await user.policy())["status"]["unmatched"]
        assert unmatched == [
            {"field": "spec.ingress[0].from", "selects": "pods with app=db in namespace default"}
        ]
        await user.start("d1", "db")
        await user.shows("SelectorsMatch", "AllMatch")
        await user.kubectl("label", "--overwrite", "pod/w2", "app=other")
        await user.kubectl("wait", "multi-policy/guard", "--for=jsonpath={.status.ports}=1")

        table = (await user.kubectl("get", "multi-policy")).split("\n")
        assert " ".join(table[0].split()) == "NAME NETWORKS MODE ACCEPTED BOUND PORTS AGE"
        assert " ".join(table[1].split()[:-1]) == "guard blue enforce PartsSkipped Bound 1"
        assert "invalid parts are skipped" in await user.kubectl(
            "get", "multi-policy", "-o", "wide"
        )
        message = await events.wait_for(user.api, "guard", "10.0.0.1")
        assert message == (
            'MultiNetworkPolicy default/guard: spec.ingress[0].from[1].ipBlock.cidr "10.0.0.1": '
            "must be a range of addresses such as 10.200.0.0/30 or fd00:10::/64 "
            "(add the prefix length)"
        )
        described = await user.kubectl("describe", "multi-policy", "guard")
        assert "Warning  PartSkipped" in described
        assert "add the prefix length" in described


async def test_a_broken_edit_is_reported_and_changes_nothing_in_force(user: User) -> None:
    async with cluster_manager.running(user.server.kubeconfig) as manager:
        await user.declare()
        await user.start("w1", "web")
        await user.apply(edited())
        await user.shows("Bound", "Bound")
        noted = (await user.policy())["metadata"]["annotations"][names.ACCEPTED_POLICY]
        broken = {"matchExpressions": [{"key": "app", "operator": "In"}]}
        await user.apply(edited(podSelector=broken))
        await user.shows("Accepted", "Invalid")
        await manager.kill()
    async with cluster_manager.running(user.server.kubeconfig):
        await user.kubectl("delete", "pod", "w1", "--grace-period=0", "--force")
        await user.shows("Bound", "NoPods")  # it is counted as it was accepted
        policy = await user.policy()
        assert policy["metadata"]["annotations"][names.ACCEPTED_POLICY] == noted
        accepted = policy["status"]["conditions"][0]
        assert (accepted["status"], accepted["observedGeneration"]) == ("False", 2)
        assert accepted["message"].endswith("accepted last stays in force")
        since = accepted["lastTransitionTime"]
        await user.apply(edited(podSelector={}))
        await user.shows("Accepted", "PartsSkipped")
        accepted = (await user.policy())["status"]["conditions"][0]
        assert accepted["lastTransitionTime"] >= since
        assert accepted["observedGeneration"] == 3


async def test_every_mistake_is_reported_in_status_and_event(user: User) -> None:
    async with cluster_manager.running(user.server.kubeconfig):
        await user.declare("good")
        for case in bad_input.POLICIES:
            await user.api.create(resources.MULTINETWORKPOLICIES, case.obj)
        for case in bad_input.POLICIES:
            message = await events.wait_for(user.api, case.name, case.words[-1])
            assert all(word in message for word in case.words)
            kind = "Bound" if case.reason == "NetworkMissing" else "Accepted"
            reason = {"InvalidPolicy": "Invalid", "PartSkipped": "PartsSkipped"}
            await user.shows(kind, reason.get(case.reason, case.reason), case.name)
            status = (await user.policy(case.name))["status"]
            parts = [text_of(part) for part in status["skipped"]]
            whole = " ".join([*parts, *(each["message"] for each in status["conditions"])])
            for word in case.words[1:]:
                assert word in whole


def text_of(part: Object) -> str:
    found = Skipped(**{"value": "", **part})
    return policystatus.skipped_text(found)


async def test_what_the_api_server_itself_refuses(user: User) -> None:
    for wrong, words in (
        ({"policyTypes": ["Inbound"]}, 'Unsupported value: "Inbound"'),
        ({"ingress": [{"ports": [{"protocol": "ICMP"}]}]}, 'Unsupported value: "ICMP"'),
        ({"ingress": [{"form": []}]}, 'unknown field "spec.ingress[0].form"'),
        ({"podSelector": None}, "spec.podSelector"),
    ):
        output = await user.kubectl("create", "-f", "-", stdin=edited(**wrong), ok=False)
        assert words in output


async def test_where_the_kind_has_no_status_events_tell(tmp_path: Path, user: User) -> None:
    crd = await user.api.get(resources.CRDS, "multi-networkpolicies.k8s.cni.cncf.io")
    for version in crd["spec"]["versions"]:  # a status of any of them would be kept
        del version["subresources"], version["schema"]["openAPIV3Schema"]["properties"]["status"]
    await user.api.update(resources.CRDS, crd)
    async with cluster_manager.running(user.server.kubeconfig) as manager:
        await user.declare()
        await user.start("w1", "web")
        await user.apply(POLICY)
        assert "add the prefix length" in await events.wait_for(user.api, "guard", "10.0.0.1")
        await events.wait_for(user.api, "guard", "pods that it selects are on blue")
        await events.wait_for(user.api, "guard", "no pod on its networks matches")
        policy = await user.policy()
        assert "status" not in policy
        assert names.ACCEPTED_POLICY in policy["metadata"]["annotations"]
        await user.start("d1", "db")
        await events.wait_for(user.api, "guard", "every selector matches")
        assert sum("keeps no status" in line for line in manager.log) == 1
