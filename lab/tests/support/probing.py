"""Asks a running lab which connections pass, and puts policies into force there.

`Prober` is the outer half of inside/prober.py. `Declared` makes a lab's objects what a step says,
and ends each step with a seal: a last change to a policy, to a pod's labels and to a namespace's
that opens one connection on each node. When that passes, everything before it is in force, for
changes of one kind are seen in order; so what is measured then is final, not on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from lab.tests.support import orders
from tests.support import policysets, policyworld
from tests.support.policysets import Step
from weft import model, names
from weft.kube import client, resources
from weft.model import ObjectKey
from weft.policy import netpolicy

Object = dict[str, Any]
SEAL = policyworld.SEAL
FIRST_SEALED_PORT = 10000


@dataclass(frozen=True, slots=True)
class Plug:
    """An interface of a pod ("namespace/name"); `segment` is what its broadcasts reach."""

    pod: str
    network: str
    interface: str
    mac: str
    addresses: tuple[model.Address, ...]
    segment: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One connection between two plugs, told by their places; `to_mac` is the next hop's."""

    source: int
    target: int
    to_mac: str
    connection: netpolicy.Connection


@dataclass(frozen=True, slots=True)
class Round:
    """Which asks arrived, and whose answers arrived. `stray` arrived somewhere else."""

    arrived: frozenset[int]
    answered: frozenset[int]
    stray: tuple[int, ...]
    late: tuple[tuple[int, int], ...]
    seconds: float


class Prober:
    def __init__(self, order: orders.Orders) -> None:
        self.order = order
        self._round = 1000

    def open(self, plugs: Iterable[Plug]) -> None:
        requests = [
            {
                "pod": plug.pod,
                "interface": plug.interface,
                "mac": plug.mac,
                "address": str(next(each for each in plug.addresses if each.version == 4)),
                "segment": plug.segment,
            }
            for plug in plugs
        ]
        self.order("open", plugs=requests)

    def plan(self, asks: Iterable[Ask]) -> None:
        probes = [
            [
                ask.source,
                ask.target,
                ask.to_mac,
                str(ask.connection.source),
                str(ask.connection.target),
                ask.connection.protocol or "ICMP",
                ask.connection.port,
            ]
            for ask in asks
        ]
        self.order("plan", probes=probes)

    def round(self, asks: Sequence[int] | None = None) -> Round:
        """Ask for those of the plan, or for all. No connection is met twice by a tracker."""
        self._round = self._round % 60000 + 1
        result = self.order("round", number=self._round, probes=asks)
        return Round(
            frozenset(result["arrived"]),
            frozenset(result["answered"]),
            tuple(index for _, index in result["stray"]),
            tuple((when, index) for when, index in result["late"]),
            result["seconds"],
        )


def plugs(world: policyworld.World) -> list[Plug]:
    """Every interface of the world, and those of the sealed pods at the end."""
    return [
        Plug(
            pod.key,
            network,
            interface,
            world.nics[pod.key, network].mac,
            world.nics[pod.key, network].addresses,
            f"{network}/{pod.node}" if network == policyworld.ROUTED else network,
        )
        for pod in (*world.pods, *policyworld.SEALED)
        for network, interface in policyworld.INTERFACES.items()
        if (pod.key, network) in world.nics
    ]


def asks(
    world: policyworld.World, plugs: Sequence[Plug], asked: Sequence[netpolicy.Connection]
) -> Iterator[Ask]:
    """Every ordered pair of the world on every network, over both families."""
    known = {pod.key for pod in world.pods}
    for source, one in enumerate(plugs):
        for target, other in enumerate(plugs):
            if (
                source == target
                or one.network != other.network
                or not {one.pod, other.pod} <= known
            ):
                continue
            router = world.nics[one.pod, one.network].router_mac
            to_mac = other.mac if one.segment == other.segment else router
            for sent, to in zip(one.addresses, other.addresses, strict=True):
                for each in asked:
                    connection = replace(each, source=sent, target=to)
                    yield Ask(source, target, to_mac, connection)


def seals(plugs: Sequence[Plug], count: int) -> Iterator[Ask]:
    """What the first `count` seals open: two connections each, to a pod of each node."""
    one, other = range(len(plugs) - 2, len(plugs))
    for number in range(1, count + 1):
        for source, target in ((one, other), (other, one)):
            ends = plugs[source].addresses[0], plugs[target].addresses[0]
            port = FIRST_SEALED_PORT + number
            connection = netpolicy.Connection(netpolicy.Protocol.TCP, port, *ends)
            yield Ask(source, target, plugs[target].mac, connection)


@dataclass
class Declared:
    """What a lab has of policies and labels; objects of the world are there already."""

    api: client.Client
    step: Step
    rng: Random
    seals: int = 0
    written: dict[ObjectKey, Object] = field(default_factory=dict)

    async def become(self, step: Step) -> int:
        """Change what differs, then seal it; the number of the seal, from 1."""
        before = {policy.key: policy for policy in self.step.policies}
        after = {policy.key: policy for policy in step.policies}
        await self._relabel(step.world)
        for key in before.keys() - after.keys():
            namespace, name = key
            await self.api.delete(resources.MULTINETWORKPOLICIES, name, namespace)
            del self.written[key]
        for key, policy in after.items():
            if before.get(key) != policy:
                self.written[key] = policysets.write(policy, self.rng)
                await self._put(self.written[key], key in before)
        self.step = step
        return await self._seal()

    async def _relabel(self, world: policyworld.World) -> None:
        old = self.step.world
        for name, labels in world.namespaces.items():
            if old.namespaces[name] != labels:
                await self._patch(resources.NAMESPACES, name, "", labels)
        for pod, was in zip(world.pods, old.pods, strict=True):
            if was.labels != pod.labels:
                await self._patch(resources.PODS, pod.name, pod.namespace, pod.labels)

    async def _patch(
        self, res: resources.Resource, name: str, namespace: str, labels: policyworld.Labels
    ) -> None:
        body = [{"op": "add", "path": "/metadata/labels", "value": dict(labels)}]
        await self.api.patch(res, name, namespace, body, type="json")

    async def _put(self, policy: Object, is_there: bool) -> None:
        res, meta = resources.MULTINETWORKPOLICIES, policy["metadata"]
        if not is_there:
            await self.api.create(res, policy)
            return
        notes = {names.POLICY_MODE: "enforce", **meta["annotations"]}
        body = [{"op": "replace", "path": "/spec", "value": policy["spec"]}] + [
            {"op": "add", "path": f"/metadata/annotations/{key.replace('/', '~1')}", "value": note}
            for key, note in notes.items()
        ]
        await self.api.patch(res, meta["name"], meta["namespace"], body, type="json")

    async def _seal(self) -> int:
        self.seals += 1
        labels = {SEAL: str(self.seals)}
        await self._put(seal(self.seals), self.seals > 1)
        await self._patch(resources.NAMESPACES, SEAL, "", labels)
        for pod in policyworld.SEALED:
            await self._patch(resources.PODS, pod.name, pod.namespace, labels)
        return self.seals


def seal(number: int) -> Object:
    """Opens one port to the sealed pods, while pods and namespace have the seal's label."""
    selector = {"matchLabels": {SEAL: str(number)}}
    return {
        "apiVersion": resources.MULTINETWORKPOLICIES.api_version,
        "kind": resources.MULTINETWORKPOLICIES.kind,
        "metadata": {
            "name": SEAL,
            "namespace": SEAL,
            "annotations": {names.POLICY_FOR: "red/flat"},
        },
        "spec": {
            "podSelector": {},
            "ingress": [
                {
                    "from": [{"namespaceSelector": selector, "podSelector": selector}],
                    "ports": [{"port": FIRST_SEALED_PORT + number}],
                }
            ],
        },
    }
