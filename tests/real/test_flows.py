"""Who talks with whom, as the switches of two real zones show it; packets on the wire."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.support import objects, packets
from tests.support.acl_log import acl_log
from tests.support.flowed import nad
from tests.support.policed import NAMESPACE, Policed
from tests.support.realised import Cluster, Kept, network
from weft import names
from weft.api import podnetworks, policy
from weft.control.zone.objects import Namespace
from weft.observe.explain import agentpods
from weft.observe.flows import collect
from weft.observe.flows.collect import Question
from weft.observe.flows.record import Evidence, FlowRecord, Report, Verdict
from weft.observe.members import Objects
from weft.policy import netpolicy

pytestmark = pytest.mark.real

TCP, UDP, SCTP = netpolicy.Protocol
GUARD = objects.policy(
    app="b",
    ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}], "ports": [{"port": 80}]}],
    policyTypes=["Ingress"],
)
MUTE = objects.policy("mute", app="c", egress=[], policyTypes=["Egress"])


@dataclass
class Scene:
    """Networks blue and red with the same addresses. Policies are of blue alone."""

    cluster: Cluster
    zones: dict[str, Kept]
    networks: dict[str, Policed] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)

    async def add(self, name: str, node: str, on: str, number: int) -> None:
        kept, key = self.zones[node], f"{NAMESPACE}/{on}"
        addresses = f"10.1.0.{number}", f"fd01::{number}"
        given = [f"{each}/{64 if ':' in each else 24}" for each in addresses]
        labels = {"app": name}
        port = await self.cluster.pod(name, kept, key, number, *given, labels=labels)
        guest = await self.cluster.guest(kept, port)
        for each in given:
            guest.take(each)
        self.networks[on].add(name, kept, port, guest, *addresses)
        made = objects.pod(name, on, node=kept.zone.name, labels=labels)
        text = podnetworks.render({key: port.allocation})
        made["metadata"]["annotations"][names.POD_NETWORKS] = text
        self.pods.append({**made, "status": {"phase": "Running"}})

    async def enforce(self, *policies: dict[str, Any]) -> None:
        for each in policies:
            parsed = policy.parse({**each, "metadata": {**each["metadata"], "uid": "u"}})
            await self._set(parsed)
            self.policies.append(each)
        await self.cluster.synced()

    async def _set(self, made: netpolicy.Policy) -> None:
        await self.cluster.update(lambda zone: zone.policies.set_policy(made.key, made))

    async def look(self, **asked: Any) -> Report:
        found = self.objects()
        return await collect.report(self.way, found, Question(**asked), 1_796_000_000.0)

    def objects(self) -> Objects:
        return Objects(
            nads=[nad("blue"), nad("red")],
            namespaces=[objects.namespace(NAMESPACE)],
            pods=self.pods,
            policies=self.policies,
        )

    async def way(self, node: str, module: str, data: bytes) -> bytes:
        zone = self.zones[node].zone
        log = "WEFT_ACL_LOG=/run/ovn/ovn-controller.log"
        argv = zone.space.inside("env", log, sys.executable, "-m", module)
        return await agentpods.output(node, argv, data, zone.space.env)


async def build(cluster: Cluster) -> Scene:
    first, second = await cluster.zone(), await cluster.zone()
    for kept in (first, second):
        # A busy machine may be slower than the ten seconds after which a switch forgets.
        idle = ("set", "Open_vSwitch", ".", "other_config:max-idle=120000")
        await asyncio.to_thread(kept.zone.run, "ovs-vsctl", *idle)
    scene = Scene(cluster, {each.zone.name: each for each in (first, second)})
    near, far = scene.zones
    for number, name in enumerate(("blue", "red"), 1):
        declared = network(name, number, "10.1.0.0/24", "fd01::/64")
        await cluster.define(f"{NAMESPACE}/{name}", declared)
        scene.networks[name] = Policed(cluster, declared.network)
    for name, node, on, number in (
        *(("a", near, "blue", 11), ("b", far, "blue", 12), ("c", far, "blue", 13)),
        *(("d", near, "red", 11), ("e", far, "red", 12)),
    ):
        await scene.add(name, node, on, number)
    for each in scene.networks.values():
        await each.warm()
    return scene


def lines(found: Report) -> set[str]:
    """All but pings, which made the switches know each other."""
    return {
        f"{one.network} {one.source} > {one.target} {one.service} {one.verdict}"
        for one in found.flows
        if one.protocol != "ICMP"
    }


def of(found: Report, source: str, target: str, service: str, version: int = 4) -> FlowRecord:
    """The one record of a kind; an address stands for an end that is no pod's."""
    names_ = [each if "." in each else f"{NAMESPACE}/{each}" for each in (source, target)]
    (one,) = (
        each
        for each in found.flows
        if [str(each.source), str(each.target)] == names_
        and each.service == service
        and (":" in each.target.address) == (version == 6)
    )
    return one


def policies(one: FlowRecord) -> list[str]:
    return [f"{one.verdict} by {each}" for each in one.policies]


async def test_who_talks_with_whom_is_seen_with_the_policy_that_decides(cluster: Cluster) -> None:
    scene = await build(cluster)
    blue, red = scene.networks["blue"], scene.networks["red"]
    await scene.enforce(GUARD, MUTE)
    assert await blue.passes("c", "a", (UDP, 53)) == set()
    assert await red.passes("d", "e", (TCP, 80)) == {(TCP, 80)}
    # Last what is tracked: a connection that is reset is forgotten after 30 seconds.
    assert await blue.passes("a", "b", (TCP, 80), (None, 0), version=6) == {(TCP, 80)}
    assert await blue.passes("a", "b", (TCP, 80), (TCP, 81), (UDP, 53)) == {(TCP, 80)}
    found = await scene.look()
    assert found.notices == ()
    # Nothing between b and c, which never spoke, and nothing on red beyond what was sent there.
    # The switch need not look at the port of what is denied on all ports.
    muted = next(one for one in found.flows if str(one.source) == f"{NAMESPACE}/c")
    assert muted.service.partition("/")[0] in ("IP", "UDP")
    datagrams = next(one for one in found.flows if one.protocol == "UDP" and one is not muted)
    assert lines(found) == {
        "blue default/a > default/b TCP/80 allowed",
        "blue default/a > default/b TCP/81 denied",
        f"blue default/a > default/b {datagrams.service} denied",
        f"blue default/c > default/a {muted.service} denied",
        "red default/d > default/e TCP allowed",
    }
    for version in (4, 6):
        allowed = of(found, "a", "b", "TCP/80", version)
        assert policies(allowed) == ["allowed by default/guard spec.ingress[0]"]
        assert (allowed.connections, allowed.is_directed) == (1, True)
    assert policies(of(found, "a", "b", "TCP/81")) == ["denied by default/guard spec.ingress"]
    assert policies(of(found, "a", "b", "ICMP", 6)) == ["denied by default/guard spec.ingress"]
    assert policies(muted) == ["denied by default/mute spec.egress"]
    unguarded = of(found, "d", "e", "TCP")
    assert (unguarded.is_directed, unguarded.policies) == (False, ())
    assert set(unguarded.nodes) == set(scene.zones)

    # Its own node tracks nothing of it, and the other one knows it by its address.
    asked: dict[str, Any] = {"pods": (f"{NAMESPACE}/a",), "networks": ("blue",)}
    own = of(await scene.look(**asked), "a", "b", "TCP/80")
    assert policies(own) == ["allowed by default/guard spec.ingress[0]"]

    asked = {"pods": (f"{NAMESPACE}/c",), "networks": ("blue",), "only_denied": True}
    assert {str(one.source) for one in (await scene.look(**asked)).flows} == {f"{NAMESPACE}/c"}


async def test_replies_on_one_node_and_what_is_made_up(cluster: Cluster) -> None:
    """Two ends on one node; a reply that crosses a policy; a sender that is not itself; and the
    log, which knows every port."""
    scene = await build(cluster)
    blue = scene.networks["blue"]
    await scene.enforce(GUARD)
    logged = Namespace(logging=netpolicy.Logging(deny="alert"))
    await cluster.update(lambda zone: zone.policies.set_namespace(NAMESPACE, logged))
    await scene.enforce()

    assert await blue.passes("a", "c", (UDP, 7)) == {(UDP, 7)}
    forged = replace(blue.ends("a", "c"), source="10.1.0.99")
    heard = await blue.received("a", "c", packets.first(forged, TCP, b"<forged>", port=80))
    assert b"<forged>" not in heard
    assert await blue.passes("c", "b", (UDP, 53)) == set()
    with acl_log(blue.pods["b"].kept.zone) as log:
        await asyncio.to_thread(log.until, "verdict=drop", "udp,", "tp_dst=53")
    assert await blue.answers("b", "c")

    found = await scene.look()
    assert found.notices == ()
    # Port security need not look at the whole address, nor at the target.
    (made_up,) = (one for one in found.flows if "port security" in one.reason)
    assert made_up.verdict is Verdict.DENIED
    assert made_up.source.address in ("", "10.1.0.99")
    assert (made_up.source.pod == "a") != ("10.1.0.99 is behind default/a" in made_up.reason)
    others = [one for one in found.flows if one is not made_up and one.protocol != "ICMP"]
    assert {f"{one.source} > {one.target}" for one in others} == {
        *("default/b > default/c", "default/c > default/b", "default/a > default/c"),
    }
    asked = [one for one in found.flows if str(one.source) == f"{NAMESPACE}/b"]
    assert {(one.verdict, one.target.pod) for one in asked} == {(Verdict.ALLOWED, "c")}
    assert {one.protocol for one in asked} >= {"TCP", "UDP", "ICMP"}
    denied = of(found, "c", "b", "UDP/53")
    assert policies(denied) == ["denied by default/guard spec.ingress"]
    assert Evidence.LOG in denied.evidence
    unguarded = of(found, "a", "c", "UDP/7")
    assert (unguarded.verdict, unguarded.is_directed) == (Verdict.ALLOWED, True)
