"""A VLAN that an administrator shares with chosen namespaces, and a tenant who uses it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from lab.tests.support.lab_pods import Kubectl, pod
from lab.tests.support.labs import LabHouse
from tests.support.objects import Object, nad
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab
LAB = "clusterlocalnet"
WAIT = f"--timeout={PATIENCE:g}s"
SUBNETS, EXCLUDED = "192.168.20.0/24,fd00:20::/64", "192.168.20.0/25,fd00:20::/120"
NETWORK: dict[str, Any] = {
    "apiVersion": "k8s.ovn.org/v1",
    "kind": "ClusterUserDefinedNetwork",
    "metadata": {"name": "office"},
    "spec": {
        "namespaceSelector": {"matchLabels": {"team": "payments"}},
        "network": {
            "topology": "Localnet",
            "localnet": {
                "role": "Secondary",
                "physicalNetworkName": "physnet",
                "subnets": SUBNETS.split(","),
                "excludeSubnets": EXCLUDED.split(","),
                "vlan": {"mode": "Access", "access": {"id": 20}},
            },
        },
    },
}
CREATED = "--for=condition=NetworkCreated=True"
HOST, HOST_6 = "192.168.20.1", "fd00:20::fe"
WEB, VAULT = ("192.168.20.128", "fd00:20::100"), ("192.168.20.129", "fd00:20::101")


@dataclass
class World:
    labs: LabHouse
    kubeconfig: str

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.labs, self.kubeconfig)

    def run_pod(self, made: Object) -> None:
        meta = made["metadata"]
        self.kubectl.apply(made)
        ready = ("--for=condition=Ready", f"pod/{meta['name']}", "-n", meta["namespace"])
        self.kubectl("wait", *ready, WAIT)

    def reached(self, source: str, *addresses: str) -> None:
        """By the network itself: the pods' first network leads elsewhere."""
        for address in addresses:
            self.labs.reach(source, address, "-I", "net1")


@pytest.fixture
def world(labs: LabHouse) -> World:
    labs.names.append(LAB)
    up = ("lab", "up", "--name", LAB, "--nodes", "2", "--vlan", "20")
    world = World(labs, labs.json(*up)["kubeconfig"])
    for name in ("shop", "bank", "other"):
        world.kubectl("create", "namespace", name)
    world.kubectl("label", "namespace", "shop", "bank", "team=payments")
    return world


class Tenant:
    """Requests with the token of a service account, which has `edit` in `shop` alone."""

    def __init__(self, world: World) -> None:
        kubectl = world.kubectl
        kubectl("create", "serviceaccount", "tenant", "-n", "shop")
        binding = ("--clusterrole=edit", "--serviceaccount=shop:tenant", "-n", "shop")
        kubectl("create", "rolebinding", "tenant", *binding)
        self._token = kubectl("create", "token", "tenant", "-n", "shop").strip()
        self._world = world

    def __call__(self, *argv: str, stdin: str = "") -> str:
        """What kubectl says, and why it is refused."""
        token = f"--token={self._token}"
        done = self._world.labs.try_kubectl(self._world.kubeconfig, token, *argv, stdin=stdin)
        return done.stdout + done.stderr


def test_a_tenant_uses_a_vlan_that_he_cannot_edit(world: World) -> None:
    kubectl, labs = world.kubectl, world.labs
    kubectl.apply(NETWORK)
    kubectl("wait", CREATED, "cudn/office", WAIT)
    tenant = Tenant(world)
    assert "system:serviceaccount:shop:tenant" in tenant("auth", "whoami")

    # His own pod has it by its name alone. A pod of the other namespace is on another node.
    web = pod("web", "node1", "office", namespace="shop")
    assert "created" in tenant("apply", "-f", "-", stdin=json.dumps(web))
    kubectl("wait", "--for=condition=Ready", "pod/web", "-n", "shop", WAIT)
    world.run_pod(pod("vault", "node2", "office", namespace="bank"))
    world.reached("shop/web", HOST, HOST_6, *VAULT)
    world.reached("bank/vault", HOST, HOST_6, *WEB)
    for address in (*WEB, *VAULT):
        ping = ("busybox", "ping", "-c", "3", "-W", "2", address)
        assert " bytes from " in labs.run("vlan20", *ping).stdout
    # The control: without the tag nobody is there.
    plain = {"topology": "localnet", "physicalNetworkName": "physnet", "excludeSubnets": EXCLUDED}
    kubectl.apply(nad("plain", SUBNETS, **plain))
    world.run_pod(pod("untagged", "node1", "plain"))
    for address in (HOST, HOST_6):
        silence = ("ping", "-c", "2", "-W", "1", "-I", "net1", address)
        assert labs.run("default/untagged", *silence, check=False).returncode != 0

    # He sees the network, and changes nothing of it.
    assert "office" in tenant("get", "net-attach-def", "-n", "shop")
    patch = ("-n", "shop", "--type=merge", "-p", '{"spec":{"config":"{}"}}')
    refused = (
        ("patch", "net-attach-def", "office", *patch),
        ("delete", "net-attach-def", "office", "-n", "shop"),
        ("delete", "cudn", "office"),
        ("label", "namespace", "other", "team=payments"),
    )
    for request in refused:
        assert "is forbidden" in tenant(*request), request
    narrower = {"spec": {"namespaceSelector": {"matchLabels": {"team": "none"}}}}
    answer = tenant("patch", "cudn", "office", "--type=merge", "-p", json.dumps(narrower))
    assert "is forbidden" in answer

    # A namespace that is not chosen has no part in it.
    kubectl.apply(pod("thief", "node1", "shop/office", namespace="other"))
    refusal = kubectl.event("thief", "FailedCreatePodSandBox", "other")
    assert "does not admit namespace other" in refusal

    # One that is no longer chosen keeps it for what runs, and the condition says for whom.
    kubectl("label", "namespace", "shop", "team-")
    kubectl("wait", CREATED.replace("True", "False"), "cudn/office", WAIT)
    form = "jsonpath={.status.conditions[?(@.type=='NetworkCreated')].message}"
    assert "Pod shop/web" in kubectl("get", "cudn", "office", "-o", form)
    world.reached("shop/web", HOST, VAULT[0])
