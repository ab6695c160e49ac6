"""The network of a machine that moves, seen by peers on its old node, its new one and a third."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.stream import inside
from lab.tests.support import lab_peers
from lab.tests.support.lab_pods import Kubectl, pod
from lab.tests.support.labs import LabHouse
from tests.support import objects
from tests.support.patience import await_true
from weft.app import settings
from weft_lab.demos import machines
from weft_lab.demos.guestcommands import printed

pytestmark = pytest.mark.lab
LAB = "moving"
NODES = ("node1", "node2", "node3")
NICS = {"lan": "moving", "back": "beside"}
PREFIXES = {"lan": "10.97.0.", "back": "10.95.0."}
INTERVAL = 0.02  # seconds between two pings
SELDOM = 0.05  # where none may be lost: a switch that has no turn keeps few for later
CONNECTED = "jsonpath={.status.conditions[?(@.type=='AgentConnected')].status}=True"
PHASE = "--for=jsonpath={{.status.phase}}={}"
# Seconds without answer that end by themselves: a guest stands still for a while, and on a busy
# machine a switch has no turn for several. The bench holds the figure that is promised, on a quiet
# one.
MOST = 30.0
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

    def peer(self, node: str, *argv: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """A program in the network namespace of a node's peer; it has begun."""
        return lab_peers.program(LAB, self.where[node], *argv)

    @contextmanager
    def counted(self) -> Iterator[dict[str, lab_peers.Counted]]:
        """Pings from all peers to each NIC while this is open."""
        found: dict[str, lab_peers.Counted] = {}
        with ExitStack() as stack:
            by_nic = {
                nic: stack.enter_context(
                    lab_peers.counted(LAB, self.where, address(self, nic), INTERVAL)
                )
                for nic in NICS
            }
            yield found
        for nic, seen in by_nic.items():
            found |= {f"{node} {nic}": each for node, each in seen.items()}

    @contextmanager
    def watched(self) -> Iterator[list[lab_peers.Watched]]:
        """The same, with when links of the nodes come and go, of each NIC."""
        with ExitStack() as stack:
            yield [
                stack.enter_context(lab_peers.watched(LAB, self.where, address(self, nic), SELDOM))
                for nic in NICS
            ]

    def settings(self, text: str) -> None:
        """The cluster's migration settings."""
        place = {"name": "kubevirt-config", "namespace": "kubevirt"}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place}
        self.kubectl.apply({**made, "data": {"migrations": text}})

    def fail(self) -> None:
        """Begins to move the machine, and kills the pod that waits for it."""
        name = self.begin()
        self.kubectl("wait", f"vmim/{name}", PHASE.format("Running"), "--timeout=90s")
        pod = self.vmi()["status"]["migrationState"]["targetPod"]
        self.kubectl("delete", f"pod/{pod}", "--grace-period=0", "--force", "--timeout=90s")
        self.kubectl("wait", f"vmim/{name}", PHASE.format("Failed"), "--timeout=90s")

    def cancel(self) -> None:
        """Begins to move the machine, and cancels that while its memory is sent."""
        name = self.begin()
        self.kubectl("wait", f"vmim/{name}", PHASE.format("Running"), "--timeout=90s")
        self.kubectl("delete", f"vmim/{name}", "--timeout=90s")
        target = self.vmi()["status"]["migrationState"]["targetPod"]
        self.kubectl("delete", f"pod/{target}", "--ignore-not-found", "--timeout=90s")

    def cut(self) -> None:
        """Begins to move the machine, and cuts its nodes off from each other meanwhile.

        Tunnels stay: Open vSwitch in userspace takes no note of such a route.
        """
        self.settings("{bandwidthPerMigration: 2Mi, progressTimeout: 20}")
        name = self.begin()
        self.kubectl("wait", f"vmim/{name}", PHASE.format("Running"), "--timeout=90s")
        state = self.vmi()["status"]["migrationState"]
        place = NODES.index(state["sourceNode"])
        peer = f"172.31.0.{11 + place}/32"  # on the network by which nodes reach each other
        self.labs.run(state["targetNode"], "ip", "route", "add", "blackhole", peer)
        try:
            self.kubectl("wait", f"vmim/{name}", PHASE.format("Failed"), "--timeout=90s")
        finally:
            self.labs.run(state["targetNode"], "ip", "route", "del", "blackhole", peer)

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
        self.kubectl("wait", f"vmim/{name}", PHASE.format("Succeeded"), "--timeout=180s")
        state = self.vmi()["status"]["migrationState"]
        return state["sourceNode"], state["targetNode"]


@pytest.fixture(scope="module")
def mover(tmp_path_factory: pytest.TempPathFactory, toolchain: Any) -> Iterator[Mover]:
    """Agents know the pods of other nodes by their PodEndpoints; in the lab of `test_migration`
    they watch the pods themselves."""
    from lab.tests.support import labs as houses

    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        environment.setenv(settings.POD_ENDPOINTS.env, "1")
        lab = houses.running(LAB, 3, tmp_path_factory.mktemp("state"), toolchain)
        house, config = stack.enter_context(lab)
        kubectl = Kubectl(house, config)
        status = house.json("lab", "status", "--name", LAB)
        machine = objects.vmi("mover", *(objects.nic(*each) for each in NICS.items()))
        machine["metadata"]["labels"] = {"app": "mover"}
        machine["spec"]["evictionStrategy"] = "LiveMigrate"
        kubectl.apply(
            objects.nad("moving", "10.97.0.0/24", mtu=1300),
            objects.nad("beside", "10.95.0.0/24", mtu=1300),
            machine,
            *(pod(f"peer-{node}", node, networks=",".join(NICS.values())) for node in NODES),
        )
        kubectl("wait", "vmi/mover", f"--for={CONNECTED}", "--timeout=180s")
        for node in NODES:
            kubectl("wait", f"pod/peer-{node}", "--for=condition=Ready", "--timeout=60s")
        made = Mover(house, kubectl, int(status["pid"]))
        made.where = {node: inside(LAB, node, f"peer-{node}") for node in NODES}
        yield made


def address(mover: Mover, nic: str = "lan") -> str:
    return mover.kubectl.guest_address("mover", nic, PREFIXES[nic])


def test_peers_on_all_nodes_lose_little_and_hear_nothing_twice_afterwards(mover: Mover) -> None:
    """There and back, so that the second finds what the first has left."""
    for _ in range(2):
        with mover.counted() as seen:
            where = mover.move()
            ended = time.monotonic()
            time.sleep(lab_peers.ENOUGH)
        for name, each in seen.items():
            assert each.outage < MOST, (name, where, seen)
            lab_peers.check_goes_on(each, ended, (name, where, seen))


def test_a_migration_that_is_cancelled_or_fails_loses_nothing(mover: Mover) -> None:
    mover.kubectl("create", "namespace", "kubevirt")
    where = mover.vmi()["status"]["nodeName"]
    try:
        mover.settings("{bandwidthPerMigration: 2Mi}")  # the guest has more than that
        for ending in (mover.cancel, mover.fail, mover.cut):
            with mover.watched() as seen:
                ending()
                time.sleep(1.5)
            for each in seen:
                assert not each.lost, (ending, each)
                assert not each.twice, (ending, each)
            assert mover.vmi()["status"]["nodeName"] == where
    finally:
        mover.settings("{}")


def test_a_drained_node_lets_its_machine_go_without_a_gap(mover: Mover) -> None:
    where = mover.vmi()["status"]["nodeName"]
    launchers = "--pod-selector=kubevirt.io=virt-launcher"  # the peers stay
    try:
        with mover.counted() as seen:
            mover.kubectl("drain", where, launchers, "--timeout=300s")
            ended = time.monotonic()
            time.sleep(lab_peers.ENOUGH)
    finally:
        mover.kubectl("uncordon", where)
    assert mover.vmi()["status"]["nodeName"] != where
    for name, each in seen.items():
        assert each.outage < MOST, (name, where, seen)
        lab_peers.check_goes_on(each, ended, (name, where, seen))


def test_a_slow_download_goes_on_where_a_policy_admits_nobody(mover: Mover) -> None:
    """What began before goes on long after; nothing begins, then or meanwhile."""
    mover.guest("nc -ll -p 7000 -e cat >/dev/null 2>&1 </dev/null &")
    lan = address(mover)
    await_true(lambda: knocks(mover, lan), "the control: without a policy it is open")
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
        # Its answer may have come with its first line: that was read into the same buffer.
        assert process.stdout is not None
        return bool(json.loads(process.stdout.read()))


def got(mover: Mover) -> int:
    return int(mover.guest("wc -c </tmp/got").strip() or 0)


def wait_for_more(mover: Mover, before: int) -> None:
    await_true(lambda: got(mover) >= before + 1500, f"more than {before} bytes")
