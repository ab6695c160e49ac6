"""A machine with three NICs that moves through a lab, and peers of it on each node and on the wire.

Its first network is of two families and the second is another overlay. The third is a VLAN of the
physical network, in which a host that is no node speaks with it too.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.stream import inside
from lab.tests.support import lab_peers, labs
from lab.tests.support.lab_pods import Kubectl, pod
from tests.support import objects
from tests.support.patience import PATIENCE, await_true
from weft.app import settings
from weft_lab.demos import machines
from weft_lab.demos.guestcommands import printed
from weft_lab.runtime import toolchain as toolchains

LAB = "families"
NODES = ("node1", "node2", "node3")
VLAN = 20
OUTSIDE = f"vlan{VLAN}"  # the host
NICS = {"lan": "moving", "back": "beside", "wire": "rack"}
DEVICES = {"lan": "eth0", "back": "eth1", "wire": "eth2"}
# The machine's addresses, by what they are called here: the NIC of each, and how it begins.
ADDRESSES = {
    "lan": ("lan", "10.97.0."),
    "lan6": ("lan", "fd97::"),
    "back": ("back", "10.95.0."),
    "wire": ("wire", "192.168.20."),
    "wire6": ("wire", "fd00:20::"),
}
WIRE = ("wire", "wire6")
INTERVAL = 0.04  # seconds between two pings
CONNECTED = "jsonpath={.status.conditions[?(@.type=='AgentConnected')].status}=True"
PHASE = "--for=jsonpath={{.status.phase}}={}"


@dataclass(frozen=True)
class Given:
    """What a pod has on a network."""

    mac: str
    v4: str
    v6: str = ""


@dataclass
class Mover:
    """Machine mover, and a peer on each node."""

    labs: labs.LabHouse
    kubectl: Kubectl
    pid: int
    moves: int = 0
    where: dict[str, lab_peers.Place] = field(default_factory=dict)
    _given: dict[str, Any] = field(default_factory=dict)  # by pod

    def vmi(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "vmi", "mover", "-o", "json"))
        return found

    @property
    def node(self) -> str:
        return str(self.vmi()["status"]["nodeName"])

    def guest(self, line: str) -> str:
        place = machines.Machine("default", "mover", self.node, ())
        return printed(asyncio.run(machines.run(self.pid, place, "sh", "-c", line)))

    def addresses(self) -> dict[str, str]:
        """All of ADDRESSES, as soon as its guest reports them."""
        found: dict[str, str] = {}

        def all_are_there() -> bool:
            for each in self.vmi()["status"].get("interfaces", ()):
                for name, (nic, prefix) in ADDRESSES.items():
                    has = each.get("ipAddresses", ()) if nic == each.get("name") else ()
                    for address in has:
                        if address.startswith(prefix):
                            found[name] = address
            return len(found) == len(ADDRESSES)

        await_true(all_are_there, "an address for each NIC and family")
        return {name: found[name] for name in ADDRESSES}

    def macs(self) -> dict[str, str]:
        """By NIC."""
        return {each["name"]: each["mac"] for each in self.vmi()["status"]["interfaces"]}

    def peer(self, node: str, *argv: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """A Python program in the network namespace of a node's peer, or on the host outside; it
        has begun."""
        return lab_peers.program(LAB, self.where[node], *argv)

    def run(self, node: str, *argv: str) -> str:
        """What busybox says in the network namespace of a node's peer, or on the host outside."""
        verb, *place = self.where[node]
        command = ("lab", verb, "--name", LAB, *place, "busybox", *argv)
        return self.labs.weft(*command, check=False).stdout

    def given(self, name: str, network: str = "moving") -> Given:
        """What a pod has on a network, as weft has written it."""
        if name not in self._given:
            notes = self.kubectl.pod(name)["metadata"]["annotations"]
            self._given[name] = json.loads(notes["k8s.ovn.org/pod-networks"])
        found = self._given[name][f"default/{network}"]
        every = [each.partition("/")[0] for each in found["ip_addresses"]]
        return Given(found["mac_address"], *sorted(every, key=lambda each: ":" in each))

    def launcher(self) -> lab_peers.Place:
        """The network namespace of the pod in which the machine runs."""
        state = self.vmi()["status"]
        pods = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        (name,) = (
            each["metadata"]["name"]
            for each in pods
            if each["metadata"]["name"].startswith("virt-launcher-mover-")
            and each["spec"].get("nodeName") == state["nodeName"]
            and each["status"]["phase"] == "Running"
        )
        return inside(LAB, state["nodeName"], name)

    @contextmanager
    def counted(
        self, names: Collection[str] = tuple(ADDRESSES)
    ) -> Iterator[dict[str, lab_peers.Counted]]:
        """Pings from all peers to each of these addresses, and from outside to those on the wire,
        while this is open. Then there are the figures, by peer and by what the address is called.
        """
        addresses = {to: name for name, to in self.addresses().items() if name in names}
        wire = [each for each, name in addresses.items() if name in WIRE]
        wanted = {
            node: (where, wire if node == OUTSIDE else list(addresses))
            for node, where in self.where.items()
            if wire or node != OUTSIDE
        }
        found: dict[str, lab_peers.Counted] = {}
        with lab_peers.counted_each(LAB, wanted, INTERVAL) as seen:
            yield found
        for node, by_address in seen.items():
            found |= {f"{node} {addresses[to]}": each for to, each in by_address.items()}

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

    def settle(self) -> None:
        """Until all reach it on the wire: that its zones follow there when the cluster knows that
        it has moved, and not at a moment of the guest's."""
        addresses = self.addresses()
        for node in self.where:
            self.reach(node, *(addresses[name] for name in WIRE))

    def reach(self, node: str, *addresses: str, then: str = "") -> str:
        """Until a peer, or the host outside, has an answer from each; returns what a command says
        afterwards, in which `$to` is each of them."""
        tries = "until busybox ping -c 1 -W 1 $to >/dev/null; do busybox sleep 0.1; done"
        script = f"for to in {' '.join(addresses)}; do {tries}; {then or ':'}; done; echo reached"
        told = self.run(node, "timeout", f"{PATIENCE:g}", "busybox", "sh", "-c", script)
        assert told.endswith("reached\n"), f"{node} does not reach {addresses}"
        return told

    def is_answered(self, node: str, address: str) -> bool:
        """Whether a ping from a peer, or from outside, is answered."""
        return "1 packets received" in self.run(node, "ping", "-c", "1", "-W", "1", address)


@contextmanager
def running(state: Any, toolchain: toolchains.Toolchain) -> Iterator[Mover]:
    """Agents know the pods of other nodes by their PodEndpoints; in the lab of `test_migration`
    they watch the pods themselves."""
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        environment.setenv(settings.POD_ENDPOINTS.env, "1")
        lab = labs.running(LAB, 3, state, toolchain, vlans=(VLAN,))
        house, config = stack.enter_context(lab)
        kubectl = Kubectl(house, config)
        status = house.json("lab", "status", "--name", LAB)
        machine = objects.vmi("mover", *(objects.nic(*each) for each in NICS.items()))
        machine["metadata"]["labels"] = {"app": "mover"}
        machine["spec"]["evictionStrategy"] = "LiveMigrate"
        networks = ",".join(NICS.values())
        peers = [
            *(pod(f"peer-{node}", node, networks=networks, labels={"on": node}) for node in NODES),
            pod("victim", "node3", networks="moving"),
        ]
        kubectl.apply(
            objects.nad("moving", "10.97.0.0/24,fd97::/64", mtu=1300),
            objects.nad("beside", "10.95.0.0/24", mtu=1300),
            rack(),
            machine,
            *peers,
        )
        kubectl("wait", "vmi/mover", f"--for={CONNECTED}", "--timeout=180s")
        for each in peers:
            name = each["metadata"]["name"]
            kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=90s")
        made = Mover(house, kubectl, int(status["pid"]))
        made.where = {node: inside(LAB, node, f"peer-{node}") for node in NODES}
        made.where[OUTSIDE] = ("exec", OUTSIDE, "--")
        yield made


def rack() -> dict[str, Any]:
    """The network on the wire. Its host, and what that leases, are left out."""
    return objects.nad(
        "rack",
        f"192.168.{VLAN}.0/24,fd00:{VLAN}::/64",
        topology="localnet",
        physicalNetworkName="physnet",
        vlanID=VLAN,
        excludeSubnets=f"192.168.{VLAN}.0/25,fd00:{VLAN}::/120",
        mtu=1500,
    )
