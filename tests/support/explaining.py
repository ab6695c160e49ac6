"""`weft explain` over real zones: the programs of its way run in each, as `kubectl exec` would."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from tests.support import objects
from tests.support.patience import PATIENCE as ONCE
from tests.support.realised import Cluster, Kept, network
from tests.support.zones import Guest
from weft import model, names
from weft.api import nodeinfo, podnetworks
from weft.host import process
from weft.observe.explain import agentpods, collect, naming, question, sentence
from weft.observe.explain.question import Question
from weft.observe.explain.sentence import Explanation, Outcome
from weft.observe.members import Objects
from weft.policy import netpolicy

PATIENCE = 10.0  # seconds for each reply: a busy machine is late
LONG = 3 * ONCE  # one question alone takes a minute where nothing is answered
MAPPINGS = "Open_vSwitch", ".", "external_ids:ovn-bridge-mappings"
SHORT = 0.6  # seconds for replies that are not to come
PING = netpolicy.Connection(None)


class InZones(agentpods.AgentPods):
    """Agents' pods whose programs run in the zones of a test."""

    def __init__(self, zones: dict[str, Kept]) -> None:
        super().__init__([], (), "", "weft-system", probes=True)
        self._zones = zones

    def command(self, node: str, module: str) -> process.Command:
        space = self._zones[node].zone.space
        return process.Command(tuple(space.inside(sys.executable, "-m", module)), space.env)


@dataclass
class Explained:
    """A network named blue, its pods, and what is declared of them."""

    cluster: Cluster
    nad: dict[str, Any]
    guests: dict[str, Guest] = field(default_factory=dict)
    ports: dict[str, model.Port] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    async def build(
        cls,
        cluster: Cluster,
        zones: int = 1,
        mtu: int = 1300,
        topology: model.Topology = model.Topology.LAYER2,
    ) -> Explained:
        for _ in range(zones):
            await cluster.zone()
        subnets = "10.1.0.0/24", "fd01::/64"
        declared = network("blue", 1, *subnets, mtu=mtu, topology=topology)
        await cluster.define("default/blue", declared)
        wire = {"physicalNetworkName": "physnet"} if topology is model.Topology.LOCALNET else {}
        own = objects.nad("blue", ",".join(subnets), mtu=mtu, topology=str(topology), **wire)
        return cls(cluster, accepted(own))

    async def add(self, name: str, number: int, zone: int = 0) -> Guest:
        """A pod with addresses of both families that it has taken."""
        return await self.wire(await self.declare(name, number, zone))

    async def declare(self, name: str, number: int, zone: int = 0) -> model.Port:
        """A pod as everybody knows it before its NIC is there."""
        given = f"10.1.0.{number}/24", f"fd01::{number}/64"
        port = await self.cluster.pod(name, self.cluster.kept[zone], "default/blue", number, *given)
        self._appear(port)
        return port

    async def wire(self, port: model.Port) -> Guest:
        """The NIC of a pod, bound in each zone, and what its agent writes of it."""
        guest = await self.cluster.guest(self._home(port), port)
        await self._own(port, guest)
        return guest

    async def replug(self, name: str) -> None:
        """The pod's port, which was taken out of the switch, as the pod had it."""
        guest, port = self.guests[name], self.ports[name]
        await asyncio.to_thread(self._home(port).zone.replug, guest)
        await self._own(port, guest)

    async def plug(self, port: model.Port, guest: Guest) -> None:
        """A pod that is there already, as the agent and the cluster manager write of it."""
        self._appear(port)
        self.guests[port.pod.key.name] = guest
        await asyncio.to_thread(_own, self._home(port), guest, port)

    async def _own(self, port: model.Port, guest: Guest) -> None:
        for each in port.allocation.addresses:
            await asyncio.to_thread(guest.take, str(each))
        await asyncio.to_thread(_own, self._home(port), guest, port)
        self.guests[port.pod.key.name] = guest

    def _appear(self, port: model.Port) -> None:
        made = objects.pod(port.pod.key.name, "blue", node=port.node)
        text = podnetworks.render({port.key: port.allocation})
        made["metadata"]["annotations"][names.POD_NETWORKS] = text
        self.pods.append({**made, "status": {"phase": "Running"}})
        self.ports[port.pod.key.name] = port

    def _home(self, port: model.Port) -> Kept:
        return next(each for each in self.cluster.kept if each.zone.name == port.node)

    async def ask(
        self,
        source: str,
        target: str,
        connection: netpolicy.Connection = PING,
        *,
        ipv6: bool = False,
        patience: float = PATIENCE,
    ) -> Explanation:
        """With packets, as `--probe` sends them."""
        zones = {each.zone.name: each for each in self.cluster.kept}
        nodes = [await asyncio.to_thread(declared, each) for each in self.cluster.kept]
        found = naming.Found(self.objects(), nodes)
        evidence = question.answered(Question(source, target, connection, ipv6=ipv6), found)
        seen = await collect.explored(evidence, found, InZones(zones), patience, ipv6=ipv6)
        return sentence.explain(seen)

    async def stopped(self, source: str, target: str, expected: str) -> Explanation:
        """The explanation that this stops a ping, with the exit status that goes with it. A node
        follows a moment later."""
        begins = f"default/{source} does not reach default/{target} by ping on blue: {expected}"
        end = time.monotonic() + LONG
        while True:
            found = await self.ask(source, target, patience=SHORT)
            if found.outcome is Outcome.STOPPED and found.sentence.startswith(begins):
                return found
            assert time.monotonic() < end, found

    async def reaches(self, source: str, target: str) -> Explanation:
        """The explanation that a ping is answered, and that nothing was seen that is wrong."""
        whole = f"default/{source} reaches default/{target} by ping on blue."
        end = time.monotonic() + LONG
        while True:
            found = await self.ask(source, target)
            if found.outcome is Outcome.REACHES and found.sentence == whole:
                return found
            assert time.monotonic() < end, found

    def objects(self) -> Objects:
        return Objects(
            nads=[self.nad],
            namespaces=[objects.namespace("default")],
            pods=self.pods,
            policies=self.policies,
        )


def accepted(nad: dict[str, Any]) -> dict[str, Any]:
    """The NAD of blue as the cluster manager leaves it."""
    nad["metadata"]["annotations"] = {names.NETWORK_NAME: "blue"}
    return nad


def declared(kept: Kept) -> dict[str, Any]:
    """The Node of a zone, as its agent keeps it."""
    transit = nodeinfo.render_transit(kept.info.transit)
    mapped = kept.zone.run("ovs-vsctl", "--if-exists", "get", *MAPPINGS).strip().strip('"')
    bridges = dict(each.split(":") for each in mapped.split(",") if each)
    notes = {
        **nodeinfo.render_zone(kept.zone.chassis, (kept.zone.address,)),
        **transit,
        **{key: text for key, text in nodeinfo.render_mappings(bridges).items() if text},
    }
    made = objects.node(kept.zone.name, notes)
    return {**made, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def _own(kept: Kept, guest: Guest, port: model.Port) -> None:
    """What weft's agent writes of a pod's port."""
    name = port.pod.key.name
    own = {
        names.OWNER: names.pod_owner("default", name),
        names.ATTACHMENT: port.key,
        names.SANDBOX: f"sandbox-{name}",
        names.POD_INTERFACE: "eth0",
        names.NETNS: f"/proc/{kept.zone._inner(guest.space)}/ns/net",
    }
    pairs = [f'external_ids:"{name}"="{value}"' for name, value in own.items()]
    kept.zone.run("ovs-vsctl", "set", "Interface", kept.zone.device(guest), *pairs)


def step(found: Explanation, name: str) -> str:
    """The verdict of a step, and what was seen."""
    mine = [each for each in found.steps if each.name == name]
    assert len(mine) == 1, found.steps
    (one,) = mine
    return f"{one.verdict}: {one.seen}"
