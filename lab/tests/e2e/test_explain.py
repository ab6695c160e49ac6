"""Why one cannot reach another: faults are made in a lab, and the sentence names each of them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.support import labs
from lab.tests.support.lab_pods import Kubectl, pod
from lab.tests.support.labs import LabHouse
from tests.support.objects import nad, policy
from tests.support.patience import PATIENCE
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.lab
LAB = "explain"
OPTIONS = ("--lab", LAB, "--patience", "1")


class Explaining:
    def __init__(self, house: LabHouse, kubectl: Kubectl) -> None:
        self.house, self.kubectl = house, kubectl

    def ask(self, *argv: str) -> tuple[int, dict[str, Any]]:
        """The exit status, and the explanation."""
        done = self.house.weft("explain", *argv, *OPTIONS, "-o", "json", check=False)
        found: dict[str, Any] = json.loads(done.stdout)
        assert "sentence" in found, found
        return done.returncode, found

    def until(self, expected: str, *argv: str) -> dict[str, Any]:
        """The explanation whose sentence has the expected words; nodes follow within seconds."""
        end = time.monotonic() + PATIENCE
        while True:
            status, found = self.ask(*argv)
            assert status == {"reaches": 0, "stopped": 1, "unknown": 2}[found["outcome"]]
            if re.search(expected, found["sentence"]):
                return found
            assert time.monotonic() < end, found["sentence"]

    def on(self, node: str, *argv: str) -> str:
        return self.house.run(node, *argv, lab=LAB).stdout.strip()


def labelled(name: str, node: str) -> dict[str, Any]:
    made = pod(name, node, "blue")
    made["metadata"]["labels"] = {"app": name}
    return made


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain) -> Iterator[Explaining]:
    """Two nodes: pods a and c on the first, b on the second."""
    state = tmp_path_factory.mktemp("explain")
    with labs.running(LAB, 2, state, toolchain) as (house, kubeconfig):
        kubectl = Kubectl(house, kubeconfig)
        kubectl.run_pods(
            nad("blue", "10.9.0.0/24", mtu=1300),
            nad("red", "10.8.0.0/24"),
            labelled("a", "node1"),
            labelled("b", "node2"),
            labelled("c", "node1"),
            pod("other", "node1", "red"),
        )
        yield Explaining(house, kubectl)


@pytest.fixture(autouse=True)
def reaches(lab: Explaining) -> None:
    """Before each fault there is none."""
    lab.until("^default/a reaches default/b by ping on blue[.]$", "a", "b")


def test_every_step_is_seen_where_nothing_is_wrong(lab: Explaining) -> None:
    status, found = lab.ask("a", "b", "--port", "tcp/443")
    assert (status, found["reaches"]) == (0, True)
    assert {step["verdict"] for step in found["steps"]} == {"ok"}
    seen = " ".join(step["seen"] for step in found["steps"])
    for part in ("flows installed", "both ends answer", "ovn-trace", "ofproto", "1300 bytes"):
        assert part in seen


def test_a_policy_with_its_rule_and_the_line_that_kubectl_prints(lab: Explaining) -> None:
    rule = {
        "from": [{"podSelector": {"matchLabels": {"app": "a"}}}],
        "ports": [{"protocol": "TCP", "port": 80}],
    }
    lab.kubectl.apply(policy("web", app="b", ingress=[rule]))
    try:
        expected = "policy default/web isolates default/b .*no rule allows TCP port 443"
        found = lab.until(expected, "a", "b", "--port", "tcp/443")
        printed = lab.kubectl("get", "multi-policy", "web", "-o", "yaml").splitlines()
        number = re.search(
            r"spec.ingress\[0\].ports of default/web \(line (\d+): ports:\)", found["remedy"]
        )
        assert number, found["remedy"]
        assert printed[int(number[1]) - 1] == "    ports:"
        lab.until(
            "c does not reach default/b by TCP port 80.*add default/c", "c", "b", "--port", "80"
        )
        lab.until("^default/a reaches default/b by TCP port 80", "a", "b", "--port", "tcp/80")
    finally:
        lab.kubectl("delete", "multi-policy", "web")


def test_no_network_in_common(lab: Explaining) -> None:
    status, found = lab.ask("a", "other")
    assert status == 1
    assert "default/a is on blue; default/other is on red" in found["sentence"]


def test_a_mistake_in_the_command_has_a_status_of_its_own(lab: Explaining) -> None:
    done = lab.house.weft("explain", "a", "nobody", "--lab", LAB, check=False)
    assert done.returncode == 2
    assert "is no pod, virtual machine or address" in done.stderr


def test_a_flow_that_somebody_else_added(lab: Explaining) -> None:
    mac = lab.on(
        "node2",
        "ovs-vsctl",
        "--bare",
        "--columns=external_ids",
        "find",
        "Interface",
        "external_ids:pod-if-name=net1",
    )
    found = re.search(r"attached_mac=([0-9a-f:]+)", mac.replace('"', ""))
    assert found
    flow = f"table=0,priority=50000,icmp,dl_dst={found[1]}"
    change = ("ovs-ofctl", "--strict")
    lab.on("node2", *change, "add-flow", "br-int", f"{flow},actions=drop")
    try:
        lab.until("a flow that is not OVN's dropped .* in br-int on node2: .*icmp", "a", "b")
    finally:
        lab.on("node2", *change, "del-flows", "br-int", flow)
