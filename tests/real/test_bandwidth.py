"""The bandwidth of NICs across real OVN zones, judged by how much arrives."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.support import throughput
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster, Kept, network
from tests.support.zones import Guest
from weft import model
from weft.ovn import ports, qos

pytestmark = pytest.mark.real

MEGABIT = 10**6
RATE, OFFERED = 10 * MEGABIT, 25 * MEGABIT
LIMITED = pytest.approx(RATE, rel=0.05)
UNLIMITED = pytest.approx(OFFERED, rel=0.1)


def limits(ingress: int = 0, egress: int = 0) -> model.NicOptions:
    rates = (model.Rate(each) if each else None for each in (ingress, egress))
    return model.NicOptions(model.Bandwidth(*rates))


def measured(sender: Guest, receiver: Guest, to: str, kind: str = "udp") -> float:
    """The bits per second that pass, once what may burst has passed."""
    program = (sys.executable, "-I", throughput.__file__)
    seconds = 4.0 if kind == "udp" else 10.0
    counting = receiver.space.popen(*program, "receive", kind, to, str(OFFERED), str(seconds))
    assert counting.stdout is not None
    assert counting.stdout.readline() == "ready\n"
    command = (*program, "send", kind, to, str(OFFERED), str(2 * PATIENCE))
    sending = sender.space.popen(*command, stdout=subprocess.DEVNULL)
    try:
        return float(counting.communicate(timeout=PATIENCE + seconds)[0])
    finally:
        sending.communicate(timeout=PATIENCE)


async def tried(rate: Callable[[], Awaitable[float]], expected: object = LIMITED) -> float:
    """The rate under a limit, as soon as it is right: a sender that has no turn on a busy machine
    offers too little, or so little that nothing is lost, as if there was no limit."""
    for _ in range(4):
        if (found := await rate()) == expected:
            return found
    return await rate()


class Scene:
    """Network blue: pods one and two on zone a, three on zone b."""

    def __init__(self, cluster: Cluster, a: Kept, b: Kept) -> None:
        self.cluster, self.a, self.b = cluster, a, b
        self.ports: dict[str, model.Port] = {}
        self.guests: dict[str, Guest] = {}

    async def rate(self, sender: str, receiver: str, kind: str = "udp", family: int = 0) -> float:
        to = str(self.ports[receiver].allocation.addresses[family].ip)
        assert await asyncio.to_thread(self.guests[sender].pings, to)
        ends = self.guests[sender], self.guests[receiver]
        return await asyncio.to_thread(measured, *ends, to, kind)

    async def limited(self, sender: str, receiver: str, family: int = 0) -> float:
        return await tried(lambda: self.rate(sender, receiver, family=family))

    async def settle(self) -> None:
        await self.cluster.synced()

    async def limit(self, name: str, nic: model.NicOptions) -> None:
        await self.cluster.options(self.ports[name], nic)
        await self.settle()


@pytest.fixture
async def scene(cluster: Cluster) -> Scene:
    made = Scene(cluster, await cluster.zone(), await cluster.zone())
    await cluster.define("default/blue", network("blue", 1, "10.1.0.0/24", "fd00:1::/64"))
    for number, (name, home) in enumerate(
        {"one": made.a, "two": made.a, "three": made.b}.items(), start=11
    ):
        addresses = f"10.1.0.{number}/24", f"fd00:1::{number}/64"
        port = await cluster.pod(name, home, "default/blue", number, *addresses)
        made.ports[name] = port
    for name, port in made.ports.items():
        made.guests[name] = await cluster.guest(made.b if name == "three" else made.a, port)
        for address in port.allocation.addresses:
            made.guests[name].take(str(address))
    return made


@pytest.mark.parametrize("receiver", ["two", "three"])
async def test_what_a_pod_sends_is_limited(scene: Scene, receiver: str) -> None:
    """To a pod of its own node and to one of another; without a limit all arrives."""
    assert await scene.rate("one", receiver) == UNLIMITED
    await scene.limit("one", limits(egress=RATE))
    assert await scene.limited("one", receiver) == LIMITED
    assert await scene.rate(receiver, "one") == UNLIMITED
    assert await scene.limited("one", receiver, family=1) == LIMITED
    await scene.limit("one", model.NicOptions())
    assert await scene.rate("one", receiver) == UNLIMITED


@pytest.mark.parametrize("sender", ["two", "three"])
async def test_what_a_pod_receives_is_limited(scene: Scene, sender: str) -> None:
    await scene.limit("one", limits(ingress=RATE))
    assert await scene.limited(sender, "one") == LIMITED
    assert await scene.rate("one", sender) == UNLIMITED
    assert await scene.limited(sender, "one", family=1) == LIMITED


async def test_tcp_gets_what_is_allowed_and_no_more(scene: Scene) -> None:
    await scene.limit("one", limits(egress=RATE))
    assert 0.8 * RATE < await scene.rate("one", "three", "tcp") < 1.05 * RATE


async def test_a_networks_own_limit_is_that_of_each_nic_that_has_none(scene: Scene) -> None:
    """An edit of the network counts at once, and NICs do not share it."""
    blue = network("blue", 1, "10.1.0.0/24", "fd00:1::/64")
    spec = replace(blue.network.spec, nic=limits(egress=RATE))
    limited = replace(blue, network=replace(blue.network, spec=spec))
    await scene.limit("two", limits(egress=RATE // 2))
    await scene.cluster.define("default/blue", limited)
    await scene.settle()
    both = await asyncio.gather(scene.limited("one", "three"), scene.limited("three", "two"))
    assert list(both) == [LIMITED, LIMITED]
    half = pytest.approx(RATE / 2, rel=0.05)
    assert await tried(lambda: scene.rate("two", "three"), half) == half
    await scene.cluster.define("default/blue", blue)
    await scene.settle()
    assert await scene.rate("one", "three") == UNLIMITED


SPOILT: dict[str, Callable[[str], tuple[str, ...]]] = {
    "gone": lambda _: ("clear", "Logical_Switch", "blue_ovn_layer2_switch", "qos_rules"),
    "faster": lambda row: ("set", "QoS", row, "bandwidth:rate=1000000"),
    "elsewhere": lambda row: ("set", "QoS", row, "match=0"),
    "without marks": lambda row: ("clear", "QoS", row, "external_ids"),
}


@pytest.mark.parametrize("spoil", SPOILT)
async def test_a_limit_that_somebody_spoils_is_written_again(scene: Scene, spoil: str) -> None:
    await scene.limit("one", limits(egress=RATE))
    zone, key = scene.a.zone, f"qos/egress/{ports.port_key(scene.ports['one'])}"
    found = await asyncio.to_thread(
        zone.run, "ovn-nbctl", "--bare", "--columns=_uuid", "list", qos.QOS
    )
    await asyncio.to_thread(zone.run, "ovn-nbctl", *SPOILT[spoil](found.strip()))
    await scene.a.nb.transact([])  # it is seen, so that what is right after it was written again
    await scene.a.nb.wait_for(qos.QOS, key, is_right, timeout=PATIENCE)
    await scene.settle()
    rows = await asyncio.to_thread(
        zone.run, "ovn-nbctl", "--bare", "--columns=match", "list", qos.QOS
    )
    assert rows.split("\n") == [f'inport == "{ports.port_key(scene.ports["one"])}"', ""]
    assert await scene.limited("one", "two") == LIMITED


def is_right(row: object) -> bool:
    rate = {"rate": RATE // 1000, "burst": RATE // 1000}
    return isinstance(row, dict) and row["bandwidth"] == rate and "inport" in str(row["match"])


async def test_the_rows_go_with_the_pod(scene: Scene) -> None:
    await scene.limit("one", limits(RATE, RATE))
    assert len(scene.a.nb.rows(qos.QOS)) == 2
    assert not scene.b.nb.rows(qos.QOS)
    await scene.cluster.gone("one")
    assert not scene.a.nb.rows(qos.QOS)
