"""NetworkQoS across real OVN zones: the marks in packets that arrive, and how much arrives."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.real.test_bandwidth import LIMITED, RATE, UNLIMITED, limits, measured, tried
from tests.support import frames, packets
from tests.support.allocated import allocated_pod
from tests.support.patience import PATIENCE
from tests.support.qos import BY_CUDN, Object, dscp, labelled, networkqos_of, valid
from tests.support.realised import Cluster, Kept, network
from tests.support.routed import routed, secondary
from tests.support.zones import Guest
from weft import model
from weft.control.zone.objects import Namespace
from weft.model import ObjectKey
from weft.ovn import qos
from weft.policy.netpolicy import Protocol
from weft.policy.networkqos import NadMarks

pytestmark = pytest.mark.real

KEY = ObjectKey("default", "blue")
UDP, TCP = Protocol.UDP, Protocol.TCP
VOICE = labelled(app="voice")


@dataclass
class Scene:
    """Network blue: pods voice and quiet on zone a, far on b, each labelled with its name."""

    cluster: Cluster
    a: Kept
    b: Kept
    ports: dict[str, model.Port] = field(default_factory=dict)
    guests: dict[str, Guest] = field(default_factory=dict)
    _marks: itertools.count[int] = field(default_factory=itertools.count)

    async def add(self, name: str, kept: Kept, number: int) -> None:
        addresses = f"10.1.0.{number}/24", f"fd00:1::{number}/64"
        port = await self.cluster.pod(
            name, kept, "default/blue", number, *addresses, labels={"app": name}
        )
        self.ports[name] = port
        self.guests[name] = await self.cluster.guest(kept, port)
        for address in port.allocation.addresses:
            self.guests[name].take(str(address))

    def address(self, name: str, family: int) -> str:
        return str(self.ports[name].allocation.addresses[0 if family == 4 else 1].ip)

    async def declare(self, name: str, *rules: Object, **spec: Any) -> None:
        given = valid(networkqos_of(name, *rules, **{"podSelector": VOICE, **spec}))
        await self.update(given.key, given)

    async def update(self, key: ObjectKey, given: object) -> None:
        await self.cluster.update(lambda zone: zone.policies.set_qos(key, given))  # type: ignore[arg-type]
        await self.settle()

    async def relabel(self, name: str, **labels: str) -> None:
        port = self.ports[name]
        pod = allocated_pod(port.pod, port.node, {port.key: port.allocation}, labels)
        await self.cluster.update(lambda zone: zone.set_pod(port.pod.key, pod))
        await self.settle()

    async def settle(self) -> None:
        await self.cluster.synced()

    async def mark(
        self,
        source: str,
        to: str,
        family: int = 4,
        protocol: Protocol | None = UDP,
        port: int = 5000,
        *,
        address: str = "",
        by: str = "",
    ) -> int:
        """The mark of a packet when it arrives."""
        ends = packets.Ends(
            self.ports[source].allocation.mac,
            by or self.ports[to].allocation.mac,
            self.address(source, family),
            address or self.address(to, family),
        )
        word = b"<%08d>" % next(self._marks)
        sent = packets.first(ends, protocol, word, port=port)
        return await asyncio.to_thread(self._mark, source, to, sent, word)

    def _mark(self, source: str, to: str, sent: bytes, word: bytes) -> int:
        with frames.capture(self.guests[to].space) as capture:
            frames.send(self.guests[source].space, sent)
            heard = capture.until(frames.with_all(word))
        return dscp(next(frame for frame in heard if word in frame))

    async def marks(self, source: str, to: str, services: Iterable[tuple[Protocol, int]]) -> object:
        return [await self.mark(source, to, protocol=each, port=port) for each, port in services]


async def populated(cluster: Cluster, topology: model.Topology) -> Scene:
    made = Scene(cluster, await cluster.zone(), await cluster.zone())
    await cluster.update(lambda zone: zone.set_namespace("default", Namespace({"team": "red"})))
    subnets = "10.1.0.0/24", "fd00:1::/64"
    await cluster.define("default/blue", network("blue", 1, *subnets, topology=topology))
    homes = {"voice": made.a, "quiet": made.a, "far": made.b}
    for number, (name, home) in enumerate(homes.items(), start=11):
        await made.add(name, home, number)
    for to in ("voice", "quiet"):  # the first packet to a tunnel peer is lost
        assert await asyncio.to_thread(made.guests["far"].pings, made.address(to, 4))
        assert await asyncio.to_thread(made.guests[to].pings, made.address("far", 4))
    return made


@pytest.fixture
async def scene(cluster: Cluster) -> Scene:
    return await populated(cluster, model.Topology.LAYER2)


async def test_on_a_localnet_the_mark_is_on_the_physical_network(cluster: Cluster) -> None:
    scene = await populated(cluster, model.Topology.LOCALNET)
    await scene.declare("calls", {"dscp": 46})
    for family in (4, 6):
        assert await scene.mark("voice", "far", family) == 46
        assert await scene.mark("quiet", "far", family) == 0


@pytest.mark.parametrize("to", ["quiet", "far"])
async def test_what_selected_pods_send_is_marked(scene: Scene, to: str) -> None:
    """In both families, on one node and across; what others send, and answers, are not."""
    assert await scene.mark("voice", to) == 0
    await scene.declare("calls", {"dscp": 46})
    for family in (4, 6):
        assert await scene.mark("voice", to, family) == 46
        assert await scene.mark("voice", to, family, None) == 46
        assert await scene.mark(to, "voice", family) == 0
        assert await scene.mark("quiet", "far", family) == 0
    await scene.update(ObjectKey("default", "calls"), None)
    assert await scene.mark("voice", to) == 0


async def test_the_last_rule_that_matches_counts_and_higher_priority_before(scene: Scene) -> None:
    await scene.declare(
        "calls",
        {"dscp": 8},
        {"dscp": 10, "classifier": {"ports": [{"protocol": "UDP"}]}},
        {"dscp": 12, "classifier": {"ports": [{"protocol": "UDP", "port": 5000}]}},
    )
    services = (UDP, 5000), (UDP, 5001), (TCP, 5000)
    assert await scene.marks("voice", "far", services) == [12, 10, 8]
    await scene.declare(
        "urgent", {"dscp": 46, "classifier": {"ports": [{"port": 5000}]}}, priority=11
    )
    assert await scene.marks("voice", "far", services) == [12, 10, 46]  # TCP where none is named
    await scene.declare("urgent", {"dscp": 40}, priority=9)
    assert await scene.marks("voice", "far", services) == [12, 10, 8]


DESTINATIONS = {
    "pods": {"podSelector": labelled(app="far")},
    "namespaces": {"namespaceSelector": labelled(team="red"), "podSelector": labelled(app="far")},
    "block": {"ipBlock": {"cidr": "10.1.0.0/24", "except": ["10.1.0.8/30"]}},
    "block of IPv6": {"ipBlock": {"cidr": "fd00:1::/64", "except": ["fd00:1::12/128"]}},
}


@pytest.mark.parametrize("which", DESTINATIONS)
async def test_destinations(scene: Scene, which: str) -> None:
    """Pod far (.13) is one, pod quiet (.12) is not."""
    family = 6 if "IPv6" in which else 4
    if which == "block":  # .12 to .15 are excepted but .13, by two ranges
        block = {"cidr": "10.1.0.0/24", "except": ["10.1.0.12/32", "10.1.0.14/31"]}
        await scene.declare("calls", {"dscp": 46, "classifier": {"to": [{"ipBlock": block}]}})
    else:
        await scene.declare("calls", {"dscp": 46, "classifier": {"to": [DESTINATIONS[which]]}})
    assert await scene.mark("voice", "far", family) == 46
    assert await scene.mark("voice", "quiet", family) == 0


async def test_changes_of_labels_are_followed(scene: Scene) -> None:
    """Those of senders, of destinations and of the namespace."""
    to = {"namespaceSelector": labelled(team="red"), "podSelector": labelled(app="far")}
    await scene.declare("calls", {"dscp": 46, "classifier": {"to": [to]}})
    assert await scene.mark("voice", "far") == 46
    await scene.relabel("voice", app="other")
    assert await scene.mark("voice", "far") == 0
    await scene.relabel("quiet", app="voice")
    assert await scene.mark("quiet", "far") == 46
    await scene.relabel("far", app="near")
    assert await scene.mark("quiet", "far") == 0
    await scene.relabel("far", app="far")
    assert await scene.mark("quiet", "far") == 46
    other = Namespace({"team": "blue"})
    await scene.cluster.update(lambda zone: zone.set_namespace("default", other))
    await scene.settle()
    assert await scene.mark("quiet", "far") == 0


async def test_only_pods_of_its_own_namespace(scene: Scene) -> None:
    given = valid(networkqos_of("calls", {"dscp": 46}, namespace="other"))
    await scene.update(given.key, given)
    assert await scene.mark("voice", "far") == 0
    assert not scene.a.nb.rows(qos.QOS)


async def test_only_networks_that_it_selects(scene: Scene) -> None:
    await scene.declare("calls", {"dscp": 46}, networkSelectors=[BY_CUDN])
    assert await scene.mark("voice", "far") == 0
    blue = network("blue", 1, "10.1.0.0/24", "fd00:1::/64")
    marks = NadMarks({}, "ClusterUserDefinedNetwork")
    await scene.cluster.define("default/blue", replace(blue, marks=marks))
    await scene.settle()
    assert await scene.mark("voice", "far") == 46


async def rate(scene: Scene, source: str, to: str, family: int = 4) -> float:
    address = scene.address(to, family)
    assert await asyncio.to_thread(scene.guests[source].pings, address)
    return await asyncio.to_thread(measured, scene.guests[source], scene.guests[to], address)


@pytest.mark.parametrize("to", ["quiet", "far"])
async def test_bandwidth(scene: Scene, to: str) -> None:
    await scene.declare("calls", {"dscp": 46, "bandwidth": {"rate": RATE // 1000}})
    assert await tried(lambda: rate(scene, "voice", to)) == LIMITED
    assert await rate(scene, to, "voice") == UNLIMITED
    assert await tried(lambda: rate(scene, "voice", to, 6)) == LIMITED


async def test_a_nics_own_limit_cannot_be_lifted(scene: Scene) -> None:
    """OVN enforces one row, so the mark is not there either."""
    await scene.declare("calls", {"dscp": 46, "bandwidth": {"rate": 1_000_000}})
    port = scene.ports["voice"]
    limited = replace(port.allocation, nic=limits(egress=RATE))
    pod = allocated_pod(port.pod, port.node, {port.key: limited}, {"app": "voice"})
    await scene.cluster.update(lambda zone: zone.set_pod(port.pod.key, pod))
    await scene.settle()
    assert await tried(lambda: rate(scene, "voice", "far")) == LIMITED
    assert await scene.mark("voice", "far") == 0
    (said,) = filter(None, scene.a.state.policies.take_qos().values())
    assert said[1] == 1


SPOILT: dict[str, Callable[[str], tuple[str, ...]]] = {
    "gone": lambda _: ("clear", "Logical_Switch", "blue_ovn_layer2_switch", "qos_rules"),
    "other mark": lambda row: ("set", "QoS", row, "action:dscp=1"),
    "elsewhere": lambda row: ("set", "QoS", row, "match=0"),
    "without marks": lambda row: ("clear", "QoS", row, "external_ids"),
    "another row": lambda _: (
        *("qos-add", "blue_ovn_layer2_switch", "from-lport", "30000", "ip4", "dscp=1"),
    ),
}


@pytest.mark.parametrize("spoil", SPOILT)
async def test_what_somebody_spoils_is_written_again(scene: Scene, spoil: str) -> None:
    await scene.declare("calls", {"dscp": 46})
    (row,) = scene.a.nb.rows(qos.QOS)
    await asyncio.to_thread(scene.a.zone.run, "ovn-nbctl", *SPOILT[spoil](row))
    key = "qos/Egress/blue/default/calls/0"
    await scene.a.nb.wait_for(qos.QOS, key, is_right, timeout=PATIENCE)
    await scene.a.writer.settled()
    await scene.settle()
    assert await scene.mark("voice", "far") == 46
    assert len(scene.a.nb.rows(qos.QOS)) == 1


def is_right(row: object) -> bool:
    return isinstance(row, dict) and row["action"] == {"dscp": 46} and "inport" in row["match"]


async def test_nothing_is_written_twice_and_all_goes_with_the_pod(scene: Scene) -> None:
    await scene.declare("calls", {"dscp": 46, "classifier": {"to": [DESTINATIONS["pods"]]}})
    before = scene.a.writer.figures.operations
    scene.a.writer.reset()
    await scene.a.writer.settled()
    assert scene.a.writer.figures.operations == before
    assert len(scene.a.nb.rows(qos.QOS)) == 1
    assert not scene.b.nb.rows(qos.QOS)
    await scene.cluster.gone("voice")
    for table in (qos.QOS, "Port_Group", "Address_Set"):
        assert not scene.a.nb.rows(table)


async def test_on_a_routed_network_the_mark_crosses_the_router(cluster: Cluster) -> None:
    net = await routed(
        cluster, secondary("blue", 1, "10.64.0.0/16", "fd00:64::/48"), "default/blue"
    )
    a, b = cluster.kept
    one, two = await net.pod("one", a, 11), await net.pod("two", b, 12)
    to = {"ipBlock": {"cidr": "10.64.0.0/16"}}
    given = valid(networkqos_of("calls", {"dscp": 46, "classifier": {"to": [to]}}))
    await cluster.update(lambda zone: zone.set_namespace("default", Namespace()))
    peer = net.address(b, 12, 4)
    assert await asyncio.to_thread(one.pings, peer)
    await cluster.update(lambda zone: zone.policies.set_qos(given.key, given))
    await a.synced()
    with frames.capture(two.space) as capture:
        assert await asyncio.to_thread(one.pings, peer)
        heard = capture.until(is_echo_request)
    assert next(dscp(each) for each in heard if is_echo_request(each)) == 46


def is_echo_request(frame: bytes) -> bool:
    return frames.icmp(frame)[:1] == b"\x08"
