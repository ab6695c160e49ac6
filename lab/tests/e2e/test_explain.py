"""Why one cannot reach another: faults are made in a lab, and the sentence names each of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.tests.support import labs
from lab.tests.support.lab_pods import Kubectl, pod
from lab.tests.support.labs import LabHouse
from tests.support.objects import nad, nic, policy, vmi
from tests.support.patience import PATIENCE
from weft_lab import up
from weft_lab.demos import machines
from weft_lab.demos.guestcommands import printed
from weft_lab.runtime import daemons
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.lab
LAB = "explain"
OPTIONS = ("--lab", LAB, "--patience", "0.5")
STATUS = {"reaches": 0, "stopped": 1, "unknown": 2}
CONNECTED = "jsonpath={.status.conditions[?(@.type=='AgentConnected')].status}=True"
LOCALNET = {"topology": "localnet", "physicalNetworkName": "physnet", "vlanID": 20, "mtu": 1400}
OFFICE: dict[str, Any] = {**LOCALNET, "vlanID": 21}
UNDERLAY = daemons.UNDERLAY_BRIDGE
BLUE_MTU = 1300


class Explaining:
    def __init__(self, house: LabHouse, kubeconfig: str) -> None:
        self.house, self.kubeconfig = house, kubeconfig
        self.kubectl = Kubectl(house, kubeconfig)

    def ask(self, *argv: str) -> dict[str, Any]:
        """The explanation; the exit status agrees with it."""
        done = self.house.weft("explain", *argv, *OPTIONS, "-o", "json", check=False)
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == STATUS[found["outcome"]], found
        return found

    def until(self, expected: str, *argv: str) -> dict[str, Any]:
        """The explanation whose sentence has the expected words; nodes follow within seconds."""
        end = time.monotonic() + 3 * PATIENCE  # a question alone takes long on a busy machine
        while not re.search(expected, (found := self.ask(*argv))["sentence"]):
            assert time.monotonic() < end, found
        return found

    @contextlib.contextmanager
    def named(self, sentence: str, *argv: str) -> Iterator[None]:
        """The block undoes a fault that is there already: it is named before that, and what reaches
        afterwards shows that nothing else was wrong."""
        try:
            self.until(
                f"^default/{argv[0]} does not reach default/{argv[1]} by .*{sentence}", *argv
            )
        finally:
            yield
        self.until(f"^default/{argv[0]} reaches default/{argv[1]} by [^,]*$", *argv)

    def on(self, node: str, *argv: str) -> str:
        return self.house.run(node, *argv, lab=LAB).stdout.strip()

    def in_guest(self, line: str) -> str:
        """What a shell in the guest of vm says."""
        place = machines.Machine("default", "vm", "node2", ())
        with up.running(LAB) as peer:
            return printed(asyncio.run(machines.run(peer.pid, place, "sh", "-c", line)))

    def signal(self, service: str, number: str) -> None:
        services = self.house.json("lab", "status", "--name", LAB)["services"]
        pid = next(one["pid"] for one in services if one["name"] == service)
        assert pid, f"{service} does not run"
        self.on("lab", "busybox", "kill", f"-{number}", str(pid))


def labelled(name: str, node: str) -> dict[str, Any]:
    made = pod(name, node, "blue")
    made["metadata"]["labels"] = {"app": name}
    capable = {"capabilities": {"add": ["NET_ADMIN"]}}  # it takes its interface down itself
    made["spec"]["containers"][0]["securityContext"] = capable
    return made


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain) -> Iterator[Explaining]:
    """Pods a and c on the first node, b and the machine vm on the second, all on blue; and d and e
    in VLAN 20 of the physical network."""
    state = tmp_path_factory.mktemp("explain")
    with labs.running(LAB, 2, state, toolchain) as (house, kubeconfig):
        made = Explaining(house, kubeconfig)
        kubectl = made.kubectl
        kubectl.apply(vmi("vm", nic("blue", "blue"), node="node2"))
        kubectl.run_pods(
            nad("blue", "10.9.0.0/24", mtu=BLUE_MTU),
            nad("dmz", "10.7.0.0/24", **LOCALNET),  # type: ignore[arg-type]
            labelled("a", "node1"),
            labelled("b", "node2"),
            labelled("c", "node1"),
            pod("d", "node1", "dmz"),
            pod("e", "node2", "dmz"),
        )
        kubectl("wait", "vmi/vm", f"--for={CONNECTED}", "--timeout=120s")
        made.until("^default/a reaches default/vm by ping on blue[.]$", "a", "vm")
        yield made


def test_every_step_is_seen_where_nothing_is_wrong(lab: Explaining) -> None:
    found = lab.until("^default/a reaches default/b by ping on blue[.]$", "a", "b")
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
    to_https = ("a", "b", "--port", "tcp/443")
    with lab.named("policy default/web isolates .*no rule allows TCP port 443", *to_https):
        remedy = lab.ask(*to_https)["remedy"]
        printed_policy = lab.kubectl("get", "multi-policy", "web", "-o", "yaml").splitlines()
        place = r"spec.ingress\[0\].ports of default/web \(line (\d+): ports:\)"
        number = re.search(place, remedy)
        lab.until("^default/a reaches default/b by TCP port 80", "a", "b", "--port", "tcp/80")
        lab.kubectl("delete", "multi-policy", "web")
    assert number, remedy
    assert printed_policy[int(number[1]) - 1] == "    ports:"


def test_a_plan_says_beforehand_what_packets_show_afterwards(
    lab: Explaining, tmp_path: Path
) -> None:
    """The pairs that a policy is said to cut off are those that do not connect once it counts."""
    file = tmp_path / "shut.json"
    shut = policy("shut", app="b", ingress=[])
    file.write_text(json.dumps(shut))
    plan = ("plan", "-f", str(file), "--lab", LAB, "-o", "json")
    done = lab.house.weft(*plan, check=False)
    assert done.returncode == 1, done.stderr
    ping = {
        (one["source"], one["target"])
        for one in json.loads(done.stdout)["lost"]
        if one["protocol"] == "ICMP"
    }
    assert ping == {(f"default/{name}", "default/b") for name in ("a", "c", "vm")}
    lab.kubectl.apply(shut)
    try:
        lab.until("policy default/shut isolates default/b", "a", "b")
        done = lab.house.weft("matrix", "blue", "--lab", LAB, "-o", "json", check=False)
        found = json.loads(done.stdout)
        names = {one["id"]: f"default/{one['vm'] or one['pod']}" for one in found["members"]}
        cut = {
            (names[one["source"]], names[one["target"]])
            for one in found["pairs"]
            if one["measured"] is False
        }
        assert cut == ping
        assert json.loads(lab.house.weft(*plan, "--delete").stdout)["gained"]
    finally:
        lab.kubectl("delete", "multi-policy", "shut")


def test_another_cluster_is_explained_by_its_objects(
    lab: Explaining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There nothing is sent, and these nodes have no agent in a pod: that is said, not guessed."""
    monkeypatch.setenv("KUBECONFIG", str(shutil.copy(lab.kubeconfig, tmp_path / "kubeconfig")))
    done = lab.house.weft("explain", "a", "b", check=False)
    assert done.returncode == 2
    assert "Nothing that was seen stops ping from default/a to default/b" in done.stdout
    for part in ("no pod of weft's agent", "no packet was sent"):
        assert part in done.stdout
    lab.kubectl.apply(policy("shut", app="b", ingress=[]))
    try:
        done = lab.house.weft("explain", "a", "b", check=False)
        assert done.returncode == 1
        assert "policy default/shut isolates default/b (Ingress)" in done.stdout
    finally:
        lab.kubectl("delete", "multi-policy", "shut")


def test_no_network_in_common_and_a_mistake_in_the_command(lab: Explaining) -> None:
    lab.until("they share no network: default/a is on blue; default/d is on dmz", "a", "d")
    done = lab.house.weft("explain", "a", "nobody", "--lab", LAB, check=False)
    assert done.returncode == 2
    assert "is no pod, virtual machine or address" in done.stderr


def test_a_flow_that_somebody_else_added(lab: Explaining) -> None:
    (mac,) = [one["mac"] for one in lab.kubectl.status("b") if one["interface"] == "net1"]
    flow = f"table=0,priority=50000,icmp,dl_dst={mac}"
    lab.on("node2", "ovs-ofctl", "add-flow", "br-int", f"{flow},actions=drop")
    with lab.named(
        "Open vSwitch on node2 drops what OVN would forward, by the flow .*icmp", "a", "b"
    ):
        lab.on("node2", "ovs-ofctl", "--strict", "del-flows", "br-int", flow)


def test_a_tunnel_that_carries_nothing(lab: Explaining) -> None:
    lab.on("node2", "ovs-ofctl", "add-flow", UNDERLAY, "priority=60000,actions=drop")
    with lab.named("node2 does not answer node1 through the tunnel", "a", "b"):
        lab.on("node2", "ovs-ofctl", "--strict", "del-flows", UNDERLAY, "priority=60000")


def test_an_underlay_that_is_too_narrow(lab: Explaining) -> None:
    larger = f"check_pkt_larger({BLUE_MTU})->NXM_NX_REG0[0]"
    first = "table=0,priority=60000"
    lab.on("node2", "ovs-ofctl", "add-flow", UNDERLAY, "table=1,reg0=0/1,actions=NORMAL")
    lab.on("node2", "ovs-ofctl", "add-flow", UNDERLAY, f"{first},actions={larger},resubmit(,1)")
    with lab.named("packets of 1300 bytes, the network's MTU, are lost; small ones pass", "a", "b"):
        lab.on("node2", "ovs-ofctl", "--strict", "del-flows", UNDERLAY, first)
        lab.on("node2", "ovs-ofctl", "del-flows", UNDERLAY, "table=1")


def test_a_nad_with_the_wrong_vlan(lab: Explaining) -> None:
    lab.kubectl.run_pods(nad("office", "10.7.0.0/24", **OFFICE), pod("f", "node2", "office"))
    where = "on physical network physnet"
    told = f"default/d is in VLAN 20 {where} .dmz., and default/f in VLAN 21 .office.; name one NAD"
    with lab.named(told, "d", "f"):
        lab.kubectl("delete", "pod/f", "net-attach-def/office")
        lab.kubectl.run_pods(pod("f", "node2", "dmz"))


def test_a_vlan_that_the_physical_network_does_not_carry(lab: Explaining) -> None:
    flow = "priority=60000,dl_vlan=20"
    lab.on("node2", "ovs-ofctl", "add-flow", UNDERLAY, f"{flow},actions=drop")
    with lab.named("the physical network physnet does not carry VLAN 20 between them", "d", "e"):
        lab.on("node2", "ovs-ofctl", "--strict", "del-flows", UNDERLAY, flow)


def test_an_interface_that_is_down(lab: Explaining) -> None:
    """In a pod, and that of a machine, whose cable its owner takes out."""
    link = ("busybox", "ip", "link", "set", "dev", "net1")
    lab.on("default/b", *link, "down")
    with lab.named("default/b has its interface down; bring it up in the guest", "a", "b"):
        lab.on("default/b", *link, "up")

    place = "/spec/domain/devices/interfaces/0/state"

    def state(is_up: str) -> None:
        patch = json.dumps([{"op": "add", "path": place, "value": is_up}])
        lab.kubectl("patch", "vmi", "vm", "--type=json", "-p", patch)

    state("down")
    with lab.named("the link of default/vm's interface is down; set state: up at the", "a", "vm"):
        state("up")


def test_a_binding_that_is_lost(lab: Explaining) -> None:
    """The agent would bind it again within a second; it is stopped meanwhile."""
    lab.signal("node1/agent", "STOP")
    lab.on("node1", "ovn-sbctl", "clear", "Port_Binding", "default.blue_default_b", "chassis")
    with lab.named("OVN on node1 has bound the port of default/b to no node", "a", "b"):
        lab.signal("node1/agent", "CONT")


def test_a_guest_that_lets_nothing_in(lab: Explaining) -> None:
    ignore = "echo {} > /proc/sys/net/ipv4/icmp_echo_ignore_all"
    lab.in_guest(ignore.format(1))
    with lab.named("the packet arrives at default/vm's NIC, and the guest does not", "a", "vm"):
        lab.in_guest(ignore.format(0))


def test_a_guest_that_lets_nothing_out(lab: Explaining) -> None:
    (address,) = [one["ips"][0] for one in lab.kubectl.status("a") if one["interface"] == "net1"]
    lab.in_guest(f"ip route add prohibit {address}/32")
    told = "the packet never leaves default/vm: a firewall or route in the guest, or no answer to"
    with lab.named(told, "vm", "a"):
        lab.in_guest(f"ip route del prohibit {address}/32")


def test_a_guest_with_a_wrong_address_or_none(lab: Explaining) -> None:
    own = lab.in_guest("ip -4 -o addr show dev eth0").partition("inet ")[2].split()[0]
    address = own.partition("/")[0]
    change = "ip -4 addr flush dev eth0; ip addr add {} dev eth0"
    lab.in_guest("ip -4 addr flush dev eth0")
    none = f"default/vm has no address: it was given {own}; let it ask by DHCP"
    with lab.named(none, "a", "vm"):
        lab.in_guest(change.format(own))
    lab.in_guest(change.format(f"{address}/32"))
    with lab.named(
        f"default/vm has {address}/32, a subnet without 10.9.0..*wrong prefix", "vm", "a"
    ):
        lab.in_guest(change.format(own))
    lab.in_guest(change.format("10.9.0.99/24"))
    with lab.named(f"default/vm uses 10.9.0.99/24, but was given {own}: .*port secur", "vm", "a"):
        lab.in_guest(change.format(own))
