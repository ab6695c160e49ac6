"""`weft explain` on stock Kubernetes: agents asked by `kubectl exec`, packets where asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import PATIENCE
from tests.cluster.room import Room, policy_for

pytestmark = pytest.mark.cluster
REACHES, STOPPED, UNKNOWN = 0, 1, 2


@dataclass(frozen=True)
class Explained:
    """What the command said."""

    status: int
    sentence: str
    steps: dict[str, dict[str, Any]]

    def unseen(self) -> list[str]:
        return [name for name, step in self.steps.items() if step["verdict"] == "not seen"]


def explain(room: Room, *arguments: str, kubeconfig: Path | None = None) -> Explained:
    """Asked from outside of the cluster, with kubectl on the PATH."""
    command = [sys.executable, "-m", "weft", "explain", *arguments, "--output=json"]
    programs = str(Path(room.access.program).parent)
    done = subprocess.run(
        [*command, f"--namespace={room.namespace}"],
        env={
            **os.environ,
            "KUBECONFIG": str(kubeconfig or room.access.kubeconfig),
            "PATH": f"{programs}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    return Explained(
        done.returncode, found["sentence"], {each["name"]: each for each in found["steps"]}
    )


@pytest.fixture(scope="module")
def pods(here: Room) -> Iterator[Room]:
    """`client` on one node; on another `server`, with a port open, and `guarded`, which a policy
    closes."""
    nodes = here.access.nodes()
    here.apply(here.nad("seen", "10.94.0.0/24,fd94::/64"))
    here.run(
        here.pod("client", "seen", node=nodes[0]),
        here.pod("server", "seen", node=nodes[-1]),
        here.pod("guarded", "seen", node=nodes[-1], labels={"app": "guarded"}),
    )
    here.apply(
        {
            "apiVersion": "k8s.cni.cncf.io/v1beta1",
            "kind": "MultiNetworkPolicy",
            "metadata": {
                "name": "closed",
                "namespace": here.namespace,
                "annotations": policy_for(f"{here.namespace}/seen"),
            },
            "spec": {
                "podSelector": {"matchLabels": {"app": "guarded"}},
                "policyTypes": ["Ingress"],
            },
        }
    )
    here.inside("server", "sh", "-c", "mkdir -p /www; httpd -p 80 -h /www")
    for each in ("server", "guarded"):
        for address in here.addresses(each):
            here.answers("client", address, ok=each == "server")
    yield here
    here.delete("client", "server", "guarded")


def test_without_a_probe_everything_but_the_answer_is_seen(pods: Room) -> None:
    found = explain(pods, "client", "server", "--port=tcp/80")
    assert found.status == UNKNOWN
    assert found.unseen() == ["source address", "target address", "probe"], found.steps
    client, server = (
        pods.access.get("-n", pods.namespace, "pod", name)["spec"]["nodeName"]
        for name in ("client", "server")
    )
    for step in (f"source port on {client}", f"target port on {server}", f"OVN on {client}"):
        assert found.steps[step]["verdict"] == "ok", found.steps
    assert "--probe" in found.sentence


@pytest.mark.parametrize(
    ("asked", "came"),
    [
        ((), "an echo reply"),
        (("--port=tcp/81",), "RST"),
        (("--port=tcp/80", "--ipv6"), "SYN-ACK"),
        (("--port=udp/81",), "ICMP's port unreachable"),
    ],
)
def test_a_probe_that_is_answered_proves_it(pods: Room, asked: tuple[str, ...], came: str) -> None:
    found = explain(pods, "client", "server", "--probe", *asked)
    assert found.status == REACHES, found
    assert "client reaches" in found.sentence
    seen = found.steps["probe"]["seen"]
    assert f"in {pods.namespace}/client's name by the switch of" in seen
    assert f"{came} came back" in seen
    for each in ("MTU", "source address", "target address"):
        assert found.steps[each]["verdict"] == "ok", found.steps


@pytest.mark.parametrize("more", [(), ("--probe",)], ids=["declared", "probed"])
def test_a_policy_that_drops_is_named(pods: Room, more: tuple[str, ...]) -> None:
    found = explain(pods, "client", "guarded", "--port=tcp/80", *more)
    assert found.status == STOPPED
    assert f"policy {pods.namespace}/closed isolates {pods.namespace}/guarded" in found.sentence
    if more:
        assert "no answer" in found.steps["probe"]["seen"]


def test_a_probe_leaves_no_connection(pods: Room) -> None:
    """The server's system has none, half open or open, from the client."""
    found = explain(pods, "client", "server", "--probe", "--port=tcp/80")
    assert "SYN-ACK came back" in found.steps["probe"]["seen"]
    (address, *_) = pods.addresses("client")
    listed = pods.inside("server", "netstat", "-tn")
    assert not [
        line for line in listed.splitlines() if address in line and "TIME_WAIT" not in line
    ], listed


def test_a_tenant_sees_what_he_may_and_reads_what_not(pods: Room, tmp_path: Path) -> None:
    """With rights in his namespace alone: no node can be asked, and no packet is sent."""
    who = f"system:serviceaccount:{pods.namespace}:tenant"
    pods.kubectl("create", "serviceaccount", "tenant")
    pods.kubectl("create", "rolebinding", "tenant", "--clusterrole=view", f"--user={who}")
    token = pods.kubectl("create", "token", "tenant").strip()
    config = json.loads(pods.access.kubectl("config", "view", "--raw", "-o", "json"))
    config["users"][0]["user"] = {"token": token}
    kubeconfig = tmp_path / "tenant"
    kubeconfig.write_text(json.dumps(config))
    found = explain(pods, "client", "server", "--probe", "--port=tcp/80", kubeconfig=kubeconfig)
    assert found.status == UNKNOWN
    assert found.steps["source attachment"]["verdict"] == "ok"
    assert found.steps["ingress policies"]["verdict"] == "ok"
    assert "probe" in found.unseen()
    assert any("node" in each for each in found.unseen())
    stopped = explain(pods, "client", "guarded", "--port=tcp/80", kubeconfig=kubeconfig)
    assert stopped.status == STOPPED
    assert "/closed isolates" in stopped.sentence
