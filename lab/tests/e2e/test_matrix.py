"""Who reaches whom, tried from inside pods; a hand-made drop must show, and nothing else may."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.tests.support import labs
from lab.tests.support.pods import Cluster
from tests.support.objects import nad, pod
from weft.kube import resources
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.lab

LAB = "reach"
ONE, OTHER, THIRD = (f"default/{name}" for name in ("one", "other", "third"))
LOOKS = 10  # that nodes may take to follow a policy
PAIRS = {(a, b) for a in (ONE, OTHER, THIRD) for b in (ONE, OTHER, THIRD) if a != b}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain) -> Iterator[Cluster]:
    """Two nodes; pods one and third on the first, other on the second, each on three networks."""
    state = tmp_path_factory.mktemp("reach")
    with labs.running(LAB, 2, state, toolchain) as (house, kubeconfig):
        made = Cluster(house, LAB, kubeconfig)
        made.create(nad("blue"), nad("bare", subnets=""))
        made.create(nad("routed", topology="layer3", subnets="10.77.0.0/16/24"))
        for name, node in (("one", "node1"), ("other", "node2"), ("third", "node1")):
            one = pod(name, networks="blue,bare,routed", nodeName=node)
            one["metadata"]["labels"] = {"name": name}
            made.create(one)
        for name in ("one", "other", "third"):
            made.wait_ready(name)
        yield made


def asked(cluster: Cluster, *argv: str, status: int = 0) -> dict[str, Any]:
    done = cluster.house.weft("matrix", *argv, "--name", LAB, "-o", "json", check=False)
    assert done.returncode == status, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def look(cluster: Cluster, *argv: str) -> dict[str, Any]:
    """The matrix, as expected or not."""
    done = cluster.house.weft("matrix", *argv, "--name", LAB, "-o", "json", check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["holds"] else 1)
    return found


def reaching(matrix: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["source"], one["target"]) for one in matrix["pairs"] if one["measured"]}


@pytest.mark.parametrize("network", ["blue", "bare", "routed"])
@pytest.mark.parametrize("port", ["", "tcp/80", "udp/53", "sctp/5000"])
def test_everybody_reaches_everybody_where_no_policy_is(
    cluster: Cluster, network: str, port: str
) -> None:
    found = asked(cluster, network, *(("--port", port) if port else ()))
    assert found["holds"], found
    assert reaching(found) == PAIRS


@pytest.mark.parametrize("port", ["", "tcp/80", "udp/53", "sctp/5000"])
def test_everybody_reaches_everybody_by_ipv6(cluster: Cluster, port: str) -> None:
    found = asked(cluster, "blue", "--ipv6", *(("--port", port) if port else ()))
    assert reaching(found) == PAIRS
    assert all(":" in address for one in found["pairs"] for address in one["addresses"])


@pytest.mark.parametrize(
    ("port", "match"),
    [
        ("", "icmp,icmp_type=8"),
        ("tcp/80", "tcp,tp_dst=80"),
        ("udp/53", "udp,tp_dst=53"),
        ("sctp/5000", "sctp,tp_dst=5000"),
    ],
)
def test_a_drop_shows_for_the_pairs_that_it_is_for_alone(
    cluster: Cluster, port: str, match: str
) -> None:
    """Made by hand in the switch of the one that it guards, where no policy knows of it."""
    (own,) = [one for one in asked(cluster, "blue")["members"] if one["id"] == OTHER]
    flow = f"table=0,priority=50000,{match},dl_dst={own['mac']}"
    change = ("ovs-ofctl", "--strict")
    cluster.house.run("node2", *change, "add-flow", "br-int", f"{flow},actions=drop", lab=LAB)
    try:
        found = asked(cluster, "blue", *(("--port", port) if port else ()), status=1)
    finally:
        cluster.house.run("node2", *change, "del-flows", "br-int", flow, lab=LAB)
    differing = {(one["source"], one["target"]) for one in found["pairs"] if one["differs"]}
    assert differing == {(ONE, OTHER), (THIRD, OTHER)}
    assert reaching(found) == PAIRS - differing
    assert found["holds"] is False


POLICY = {
    "apiVersion": "k8s.cni.cncf.io/v1beta1",
    "kind": "MultiNetworkPolicy",
    "metadata": {
        "name": "web",
        "namespace": "default",
        "annotations": {"k8s.v1.cni.cncf.io/policy-for": "blue"},
    },
    "spec": {
        "podSelector": {"matchLabels": {"name": "other"}},
        "ingress": [
            {
                "from": [{"podSelector": {"matchLabels": {"name": "one"}}}],
                "ports": [{"protocol": "TCP", "port": 80}],
            }
        ],
    },
}


@pytest.fixture
def guarded(cluster: Cluster) -> Iterator[Cluster]:
    """The pod `other` is guarded: one may speak to its port 80."""
    kind = resources.MULTINETWORKPOLICIES
    cluster.api(lambda api: api.create(kind, POLICY))
    try:
        cluster.kubectl("wait", "--for=condition=Bound", "multi-policy/web", "--timeout=60s")
        yield cluster
    finally:
        cluster.api(lambda api: api.delete(kind, "web", "default"))
        await_all(cluster)


def await_all(cluster: Cluster) -> None:
    assert any(reaching(look(cluster, "blue")) == PAIRS for _ in range(LOOKS))


@pytest.mark.parametrize(
    ("port", "admitted"),
    [("", set()), ("tcp/80", {ONE}), ("tcp/81", set()), ("udp/80", set()), ("sctp/80", set())],
)
def test_what_a_policy_stops_is_stopped_as_expected(
    guarded: Cluster, port: str, admitted: set[str]
) -> None:
    argv = ("blue", *(("--port", port) if port else ()))
    found = next((one for _ in range(LOOKS) if (one := look(guarded, *argv))["holds"]), None)
    assert found, look(guarded, *argv)
    assert reaching(found) == {
        (source, target) for source, target in PAIRS if target != OTHER or source in admitted
    }


def test_who_has_no_address_is_reached_by_what_its_interface_has(cluster: Cluster) -> None:
    found = asked(cluster, "bare")
    assert all(
        address.startswith("fe80:") for one in found["pairs"] for address in one["addresses"]
    )


def test_of_another_cluster_is_reported_what_is_expected(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = shutil.copy(cluster.kubeconfig, tmp_path / "kubeconfig")
    monkeypatch.setenv("KUBECONFIG", str(elsewhere))
    output = cluster.house.weft("matrix", "default/blue").stdout
    assert "6 of 6 pairs may connect; nothing was measured" in output
    monkeypatch.setenv("KUBECONFIG", cluster.kubeconfig)
    assert "6 of 6 pairs connect, as expected" in cluster.house.weft("matrix", "blue").stdout


def test_the_picture(cluster: Cluster, tmp_path: Path) -> None:
    cluster.house.weft("matrix", "blue", "--name", LAB, "-o", str(tmp_path / "it.svg"))
    words = "".join(ElementTree.parse(tmp_path / "it.svg").getroot().itertext())
    for shown in ("connects", "one > other", "answered"):
        assert shown in words


def test_a_network_that_is_not_there_is_reported_beside_those_that_are(cluster: Cluster) -> None:
    done = cluster.house.weft("matrix", "red", "--name", LAB, check=False)
    assert done.returncode == 1
    assert "networks: bare, blue, routed" in done.stderr
