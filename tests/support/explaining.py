"""`weft explain` over real zones: the programs of its way run in each, as `kubectl exec` would."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Any

from tests.support import objects
from tests.support.realised import Cluster, Kept, network
from tests.support.zones import Guest
from weft import model, names
from weft.api import nodeinfo, podnetworks
from weft.host import process
from weft.observe.explain import agentpods, collect, ends, question, sentence
from weft.observe.explain.question import Question
from weft.observe.explain.sentence import Explanation
from weft.observe.members import Objects
from weft.policy import netpolicy

PATIENCE = 10.0  # seconds for each reply: a busy machine is late
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
    pods: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    async def build(cls, cluster: Cluster, zones: int = 1, mtu: int = 1300) -> Explained:
        for _ in range(zones):
            await cluster.zone()
        subnets = "10.1.0.0/24", "fd01::/64"
        await cluster.define("default/blue", network("blue", 1, *subnets, mtu=mtu))
        return cls(cluster, accepted(objects.nad("blue", ",".join(subnets), mtu=mtu)))

    async def add(self, name: str, number: int, zone: int = 0) -> Guest:
        """A pod with addresses of both families that it has taken."""
        kept, key = self.cluster.kept[zone], "default/blue"
        given = f"10.1.0.{number}/24", f"fd01::{number}/64"
        port = await self.cluster.pod(name, kept, key, number, *given)
        guest = await self.cluster.guest(kept, port)
        for each in given:
            guest.take(each)
        await self.plug(name, kept, port, guest)
        return guest

    async def plug(self, name: str, kept: Kept, port: model.Port, guest: Guest) -> None:
        """A pod that is there already, as the agent and the cluster manager write of it."""
        await asyncio.to_thread(_own, kept, guest, name, port.key)
        made = objects.pod(name, "blue", node=kept.zone.name)
        text = podnetworks.render({port.key: port.allocation})
        made["metadata"]["annotations"][names.POD_NETWORKS] = text
        self.pods.append({**made, "status": {"phase": "Running"}})
        self.guests[name] = guest

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
        found = ends.Found(self.objects(), [declared(each) for each in self.cluster.kept])
        evidence = question.answered(Question(source, target, connection, ipv6=ipv6), found)
        seen = await collect.explored(evidence, found, InZones(zones), patience, ipv6=ipv6)
        return sentence.explain(seen)

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
    notes = {names.NODE_CHASSIS_ID: kept.zone.chassis, **transit}
    made = objects.node(kept.zone.name, notes)
    return {**made, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def _own(kept: Kept, guest: Guest, name: str, key: str) -> None:
    """What weft's agent writes of a pod's port."""
    device = next(
        f"g{number}" for number, each in enumerate(kept.zone.guests.values()) if each is guest
    )
    own = {
        names.OWNER: names.pod_owner("default", name),
        names.ATTACHMENT: key,
        names.SANDBOX: f"sandbox-{name}",
        names.POD_INTERFACE: "eth0",
        names.NETNS: f"/proc/{kept.zone._inner(guest.space)}/ns/net",
    }
    pairs = [f'external_ids:"{name}"="{value}"' for name, value in own.items()]
    kept.zone.run("ovs-vsctl", "set", "Interface", device, *pairs)


def step(found: Explanation, name: str) -> str:
    """The verdict of a step, and what was seen."""
    mine = [each for each in found.steps if each.name == name]
    assert len(mine) == 1, found.steps
    (one,) = mine
    return f"{one.verdict}: {one.seen}"
