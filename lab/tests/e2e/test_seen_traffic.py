"""Traffic of a lab as a user sees it: packets captured at one NIC, and policies made of flows."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.tests.support import labs
from lab.tests.support.lab_pods import Kubectl, pinging, pod
from lab.tests.support.labs import ROOT, LabHouse
from tests.support import frames, pcapfile
from tests.support.objects import nad, nic, policy, vmi
from tests.support.patience import PATIENCE, await_true
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.lab
LAB = "seen"
ALL_PAIRS = {(one, other) for one in ("a", "b", "vm") for other in ("a", "b", "vm") if one != other}
CONNECTED = "jsonpath={.status.conditions[?(@.type=='AgentConnected')].status}=True"


class Seen:
    def __init__(self, house: LabHouse, kubeconfig: str) -> None:
        self.house, self.kubectl = house, Kubectl(house, kubeconfig)

    def address(self, name: str) -> str:
        """The address that a pod or the machine has on blue."""
        if name != "vm":
            return self.kubectl.address(name, "net1")
        return self.kubectl.guest_address("vm", "blue", "10.9.0.")

    def reached(self, port: str) -> set[tuple[str, str]]:
        """The pairs of a, b and vm of which packets to a TCP port are answered, or refused."""
        found = json.loads(
            self.house.weft(
                *("matrix", "blue", "--port", f"tcp/{port}", "--lab", LAB, "-o", "json"),
                check=False,
            ).stdout
        )
        names = {one["id"]: one["vm"] or one["pod"] for one in found["members"]}
        measured = {
            (names[one["source"]], names[one["target"]])
            for one in found["pairs"]
            if one["measured"]
        }
        return measured & ALL_PAIRS  # c may be gone

    @contextmanager
    def started(self, *argv: str) -> Iterator[subprocess.Popen[str]]:
        """A command of weft that goes on."""
        process = subprocess.Popen(
            [sys.executable, "-m", "weft.cli.main", *argv, "--lab", LAB],
            env={**os.environ, "PYTHONPATH": str(ROOT), "WEFT_DEBUG": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=PATIENCE)

    @contextmanager
    def capturing(self, *argv: str) -> Iterator[subprocess.Popen[str]]:
        """A capture that has begun."""
        with self.started("capture", *argv) as process:
            assert process.stderr is not None
            first = process.stderr.readline()
            assert first.startswith("capturing "), first + process.stderr.read()
            yield process


def labelled(name: str, node: str) -> dict[str, Any]:
    made = pod(name, node, "blue")
    made["metadata"]["labels"] = {"app": name}
    return made


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain) -> Iterator[Seen]:
    """Pods a and c on the first node, b and the machine vm on the second, all on blue."""
    state = tmp_path_factory.mktemp("seen")
    with labs.running(LAB, 2, state, toolchain) as (house, kubeconfig):
        made = Seen(house, kubeconfig)
        made.kubectl.apply(vmi("vm", nic("blue", "blue"), node="node2"))
        made.kubectl.run_pods(
            nad("blue", "10.9.0.0/24"),
            labelled("a", "node1"),
            labelled("b", "node2"),
            labelled("c", "node1"),
        )
        made.kubectl("wait", "vmi/vm", f"--for={CONNECTED}", "--timeout=120s")
        yield made


def echoes(file: pcapfile.File) -> set[tuple[int, str, str]]:
    """The directions, sources and targets of what pings send and get."""
    found = set()
    for each in file.packets:
        assert frames.icmp(each.data), "the filter lets only ICMP pass"
        source, target = each.data[26:30], each.data[30:34]
        found.add((each.direction, ".".join(map(str, source)), ".".join(map(str, target))))
    return found


def test_a_machines_nic_and_nobody_elses(lab: Seen, tmp_path: Path) -> None:
    file = tmp_path / "vm.pcapng"
    a, b, vm = (lab.address(name) for name in ("a", "b", "vm"))
    with lab.capturing("vm/vm", "--nic", "blue", "-w", str(file), "--filter", "icmp") as running:
        lab.house.reach("default/a", b)
        lab.house.reach("default/a", vm)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, said
    assert "0 packets dropped by the kernel" in said
    assert "it ended because the reader has enough" in said
    read = pcapfile.read(file.read_bytes())
    assert echoes(read) == {(pcapfile.INBOUND, a, vm), (pcapfile.OUTBOUND, vm, a)}
    assert read.received == len(read.packets)
    assert file.stat().st_mode & 0o777 == 0o600


def test_packets_as_lines_and_as_a_stream(lab: Seen) -> None:
    a, b = lab.address("a"), lab.address("b")
    narrow = f"icmp and host {a} and host {b}"
    with lab.capturing("a", "--count", "2", "--filter", narrow) as running:
        lab.house.reach("default/b", a)
        printed, said = running.communicate(timeout=PATIENCE)
    request, reply = printed.splitlines()
    assert f"In  IP {b} > {a}: ICMP echo request" in request
    assert f"Out IP {a} > {b}: ICMP echo reply" in reply
    assert "2 packets" in said
    with lab.capturing("a", "-w", "-", "--filter", narrow) as running:
        assert running.stdout is not None
        running.stdout.close()  # nobody reads: it ends, with its process on the node
        running.wait(PATIENCE)


def descendants(pid: int) -> set[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(each) for each in children}.union(*(descendants(int(each)) for each in children))


def test_nothing_is_left_on_the_node_when_the_command_is_killed(lab: Seen) -> None:
    with lab.capturing("a") as running:
        left = [os.pidfd_open(each) for each in descendants(running.pid)]
        assert left
        running.kill()
        for each in left:
            assert select.select([each], [], [], PATIENCE)[0]
            os.close(each)


def test_a_pod_that_ends_ends_its_capture(lab: Seen, tmp_path: Path) -> None:
    file = tmp_path / "c.pcapng"
    with lab.capturing("c", "-w", str(file)) as running:
        lab.kubectl("delete", "pod", "c", "--grace-period=0", "--force", "--wait=false")
        _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, said
    assert "it ended because the NIC is gone" in said
    pcapfile.read(file.read_bytes())


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        (("nobody",), "is no pod or virtual machine"),
        (("a", "--nic", "eth7"), "its NICs: "),
        (("a", "--filter", "port http"), "which is not a number up to 65535"),
        (("a", "--duration", "soon"), "must be a number, with one of these units"),
        (("a", "-o", "json"), "needs --write FILE"),
        (("a", "-w", "/nowhere/file"), "cannot be written"),
    ],
)
def test_mistakes(lab: Seen, argv: tuple[str, ...], what: str) -> None:
    done = lab.house.weft("capture", *argv, "--lab", LAB, check=False)
    assert done.returncode == 1
    assert what in done.stderr + done.stdout


def test_flows_of_one_end_and_what_is_denied_with_the_policy(lab: Seen) -> None:
    """As `weft flows` lists them while they go on, and `weft policy suggest` sees them itself."""
    looking = ("--network", "blue", "--lab", LAB)

    def flows(*argv: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """Those of pings, by their ends."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for one in lab.house.json("flows", *looking, *argv)["flows"]:
            assert "--dropped" not in argv or one["verdict"] == "denied"
            if one["protocol"] == "ICMP":
                found.setdefault((one["source"]["name"], one["target"]["name"]), []).append(one)
        return found

    def is_denied() -> bool:
        found = flows("--pod", "a", "--dropped")
        assert all("a" in ends for ends in found)
        guards = [
            (each["name"], each["direction"])
            for one in found.get(("a", "b"), ())
            for each in one["policies"]
        ]
        return ("a", "vm") not in found and ("shut", "Ingress") in guards

    def is_allowed() -> bool:
        found = flows("--vm", "vm")
        assert all("vm" in ends for ends in found)
        return {one["verdict"] for one in found.get(("a", "vm"), ())} == {"allowed"}

    shut = policy("shut", app="b", policyTypes=["Ingress"], ingress=[])
    with (
        pinging(lab.house, "a", lab.address("b")),
        pinging(lab.house, "a", lab.address("vm")),
    ):
        lab.kubectl.apply(shut)
        try:
            await_true(is_denied, "a flow that the policy denies")
            await_true(is_allowed, "a flow of the machine")
            advice = lab.house.json("policy", "suggest", *looking, "--everything")
        finally:
            lab.kubectl("delete", "multi-policy", "shut")
    assert advice["admitted"]
    assert {one["kind"] for one in advice["policies"]} == {"MultiNetworkPolicy"}


def test_new_flows_are_followed_until_ctrl_c(lab: Seen) -> None:
    """A flow is printed while it goes on, and no other pod's."""
    about = ("--network", "blue", "--pod", "a")
    with lab.started("flows", "--follow", *about, "-o", "json") as running:
        assert running.stdout is not None
        with pinging(lab.house, "a", lab.address("b")):
            for line in running.stdout:
                one = json.loads(line)
                ends = {one[end]["name"] for end in ("source", "target")}
                assert (one["network"], "a" in ends) == ("blue", True)
                if ends == {"a", "b"}:
                    break
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, said
    assert "Traceback" not in said


def flow(source: str, target: str, port: int) -> dict[str, Any]:
    """A flow as weft flows prints it."""
    ends = [
        {"kind": "VirtualMachine" if each == "vm" else "Pod", "namespace": "default", "name": each}
        for each in (source, target)
    ]
    return {
        "network": "blue",
        "source": ends[0],
        "target": ends[1],
        "protocol": "TCP",
        "port": port,
        "verdict": "allowed",
        "connections": 1,
    }


def test_a_suggested_policy_admits_what_was_seen_and_denies_the_rest(
    lab: Seen, tmp_path: Path
) -> None:
    """Packets show it, of all pairs of a, b and vm, by the port that was seen and by another."""
    file = tmp_path / "flows.json"
    file.write_text(json.dumps({"flows": [flow("a", "b", 8080), flow("vm", "b", 8080)]}))
    argv = ("policy", "suggest", "--network", "blue", "--from-flows", str(file), "--lab", LAB)
    done = lab.house.weft(*argv)
    assert "2 flows" in done.stderr
    plan = lab.house.weft("plan", "-f", "-", "--lab", LAB, check=False, stdin=done.stdout)
    assert "These lose reach" in plan.stdout, plan.stderr
    assert lab.reached("8080") == ALL_PAIRS
    lab.kubectl("apply", "-f", "-", stdin=done.stdout)
    try:
        await_true(lambda: lab.reached("8080") == {("a", "b"), ("vm", "b")}, "only what was seen")
        assert lab.reached("8081") == set()
    finally:
        lab.kubectl("delete", "-f", "-", stdin=done.stdout)
    await_true(lambda: lab.reached("8080") == ALL_PAIRS, "all is open again")
