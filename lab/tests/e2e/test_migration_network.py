"""The network of a machine that moves, seen by peers on its old node, its new one and a third."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.stream import inside
from lab.tests.support.lab_pods import Kubectl, pod
from lab.tests.support.labs import LabHouse
from tests.support import objects, pinger
from weft_lab.demos import machines
from weft_lab.demos.guestcommands import printed

pytestmark = pytest.mark.lab
LAB = "moving"
NODES = ("node1", "node2", "node3")
CONNECTED = "jsonpath={.status.conditions[?(@.type=='AgentConnected')].status}=True"
PHASE = "--for=jsonpath={{.status.phase}}={}"
MOST = (
    0.4  # seconds without answer; the bench holds the figure that is promised, on a quiet machine
)
# Sends a little every half second, and never hears anything but acknowledgements.
TRICKLE = """
import socket, sys, time
with socket.create_server(("", int(sys.argv[1]))) as door:
    print("started", flush=True)
    link, _ = door.accept()
    while True:
        link.sendall(b"x" * 1000)
        time.sleep(0.5)
"""
KNOCK = """
import socket, sys
print("started", flush=True)
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1.5)
    print("true")
except OSError:
    print("false")
"""


@dataclass
class Mover:
    """Machine mover, and a peer on each node."""

    labs: LabHouse
    kubectl: Kubectl
    pid: int
    moves: int = 0
    where: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def vmi(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "vmi", "mover", "-o", "json"))
        return found

    def guest(self, line: str) -> str:
        place = machines.Machine("default", "mover", str(self.vmi()["status"]["nodeName"]), ())
        return printed(asyncio.run(machines.run(self.pid, place, "sh", "-c", line)))

    @contextmanager
    def peer(self, node: str, *argv: str) -> Iterator[subprocess.Popen[str]]:
        """A program in the network namespace of a node's peer; it has begun."""
        there = self.where[node]
        weft = (sys.executable, "-m", "weft", "lab", there[0], "--name", LAB, *there[1:])
        with subprocess.Popen(
            [*weft, sys.executable, "-I", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            try:
                yield process
            finally:
                process.kill()

    def settings(self, text: str) -> None:
        """The cluster's migration settings."""
        place = {"name": "kubevirt-config", "namespace": "kubevirt"}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place}
        self.kubectl.apply({**made, "data": {"migrations": text}})

    def fail(self) -> None:
        """Begins to move the machine, and kills the QEMU that waits for it."""
        name = self.begin()
        self.kubectl("wait", f"vmim/{name}", PHASE.format("Running"), "--timeout=90s")
        pod = self.vmi()["status"]["migrationState"]["targetPod"]
        words = re.findall(r"as process (\d+)", self.kubectl("logs", pod))
        self.labs.run(f"default/{pod}", "kill", "-9", words[-1])
        self.kubectl("wait", f"vmim/{name}", PHASE.format("Failed"), "--timeout=90s")

    def begin(self) -> str:
        """Asks for a migration; returns its name."""
        self.moves += 1
        name = f"move-{self.moves}"
        made = {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstanceMigration",
            "metadata": {"name": name},
            "spec": {"vmiName": "mover"},
        }
        self.kubectl.apply(made)
        return name

    def move(self) -> tuple[str, str]:
        """Moves the machine; returns from where and to where."""
        name = self.begin()
        self.kubectl("wait", f"vmim/{name}", PHASE.format("Succeeded"), "--timeout=90s")
        state = self.vmi()["status"]["migrationState"]
        return state["sourceNode"], state["targetNode"]


@pytest.fixture(scope="module")
def mover(tmp_path_factory: pytest.TempPathFactory, toolchain: Any) -> Iterator[Mover]:
    from lab.tests.support import labs as houses

    state = tmp_path_factory.mktemp("state")
    with houses.running(LAB, 3, state, toolchain) as (house, config):
        kubectl = Kubectl(house, config)
        status = house.json("lab", "status", "--name", LAB)
        machine = objects.vmi("mover", objects.nic("lan", "moving"))
        machine["metadata"]["labels"] = {"app": "mover"}
        kubectl.apply(
            objects.nad("moving", "10.97.0.0/24", mtu=1300),
            machine,
            *(pod(f"peer-{node}", node, networks="moving") for node in NODES),
        )
        kubectl("wait", "vmi/mover", f"--for={CONNECTED}", "--timeout=180s")
        for node in NODES:
            kubectl("wait", f"pod/peer-{node}", "--for=condition=Ready", "--timeout=60s")
        made = Mover(house, kubectl, int(status["pid"]))
        made.where = {node: inside(LAB, node, f"peer-{node}") for node in NODES}
        yield made


def address(mover: Mover) -> str:
    return mover.kubectl.guest_address("mover", "lan", "10.97.0.")


def test_peers_on_all_nodes_lose_little_and_hear_nothing_twice_afterwards(mover: Mover) -> None:
    """There and back, so that the second finds what the first has left."""
    for _ in range(2):
        with (
            mover.peer("node1", pinger.__file__, address(mover), "0.01") as one,
            mover.peer("node2", pinger.__file__, address(mover), "0.01") as two,
            mover.peer("node3", pinger.__file__, address(mover), "0.01") as three,
        ):
            source, target = mover.move()
            ended = time.monotonic()
            time.sleep(1.5)
            for process in (one, two, three):
                found = json.loads(process.communicate()[0])
                pings = [(found["begin"] + sent, times) for sent, _, times in found["pings"]]
                assert outage(pings) < MOST, (source, target)
                late = [times for sent, times in pings if sent > ended + 1]
                assert late
                assert set(late) == {1}


def test_a_migration_that_fails_loses_nothing(mover: Mover) -> None:
    mover.kubectl("create", "namespace", "kubevirt")
    mover.settings("{bandwidthPerMigration: 2Mi}")  # the guest has more than that
    with (
        mover.peer("node1", pinger.__file__, address(mover), "0.01") as one,
        mover.peer("node2", pinger.__file__, address(mover), "0.01") as two,
        mover.peer("node3", pinger.__file__, address(mover), "0.01") as three,
    ):
        where = mover.vmi()["status"]["nodeName"]
        mover.fail()
        ended = time.monotonic()
        time.sleep(1.5)
        for process in (one, two, three):
            found = json.loads(process.communicate()[0])
            pings = [(found["begin"] + sent, times) for sent, _, times in found["pings"]]
            assert outage(pings) < MOST
            late = [times for sent, times in pings if sent > ended + 1]
            assert late
            assert set(late) == {1}
    assert mover.vmi()["status"]["nodeName"] == where
    mover.settings("{}")


def outage(pings: list[tuple[float, int]]) -> float:
    """The longest time in which no ping was sent that was answered."""
    longest, last = 0.0, pings[0][0]
    for sent, times in pings:
        last, longest = (sent, longest) if times else (last, max(longest, sent - last))
    return longest


def test_a_slow_download_goes_on_where_a_policy_admits_nobody(mover: Mover) -> None:
    """What began before goes on long after; nothing begins, then or meanwhile."""
    mover.guest("nc -ll -p 7000 -e cat >/dev/null 2>&1 </dev/null &")
    lan = address(mover)
    assert knocks(mover, lan), "the control: without a policy it is open"
    mover.kubectl.apply(
        objects.policy("shut", "moving", app="mover", policyTypes=["Ingress"], ingress=[])
    )
    shut = time.monotonic() + 30
    while knocks(mover, lan):
        assert time.monotonic() < shut
    peer = mover.kubectl(
        *("get", "pod", "peer-node3", "-o"),
        "jsonpath={.metadata.annotations.k8s\\.ovn\\.org/pod-networks}",
    )
    there = json.loads(peer)["default/moving"]["ip_address"].partition("/")[0]
    with mover.peer("node3", "-c", TRICKLE, "7001"):
        mover.guest(f"nc {there} 7001 >/tmp/got 2>/dev/null </dev/null &")
        wait_for_more(mover, 0)
        mover.move()
        assert not knocks(mover, lan)
        wait_for_more(mover, got(mover))
        time.sleep(13)  # longer than anything is admitted untracked
        wait_for_more(mover, got(mover))
    assert not knocks(mover, lan)


def knocks(mover: Mover, lan: str) -> bool:
    with mover.peer("node1", "-c", KNOCK, lan, "7000") as process:
        return bool(json.loads(process.communicate()[0]))


def got(mover: Mover) -> int:
    return int(mover.guest("wc -c </tmp/got").strip() or 0)


def wait_for_more(mover: Mover, before: int) -> None:
    end = time.monotonic() + 10
    while got(mover) < before + 1500:
        assert time.monotonic() < end, f"no more than {before} bytes have come"
        time.sleep(0.5)
