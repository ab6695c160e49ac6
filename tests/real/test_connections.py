"""The connections of machines that migrate, between a real switch and the pods of an API."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from operator import attrgetter

import pytest

from tests.support import objects
from tests.support.memory_api import MemoryApi
from tests.support.migrating import Machine, machine
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster, Kept, alongside, network
from tests.support.zones import Guest
from weft import names
from weft.api import connections as connections_api
from weft.api import pod
from weft.kube import cache, resources
from weft.migration import Connection
from weft.model import ObjectKey
from weft.nic import port as nic
from weft.node import connections
from weft.ovn import acl
from weft.ovsdb.replica import Replica
from weft.policy import netpolicy

pytestmark = pytest.mark.real

NAD = "default/blue"
# Sends a datagram to each of many ports of an address, not faster than a busy switch takes them.
MANY = """
import socket, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind(("", 9))
for port in range(1000, 1000 + int(sys.argv[2])):
    sender.sendto(b"x", (sys.argv[1], port))
    if port % 100 == 0:
        time.sleep(0.02)
"""


HEAR = """
import socket, sys
hearing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
hearing.bind(("", int(sys.argv[1])))
hearing.settimeout(float(sys.argv[2]))
print("ready", flush=True)
try:
    print(hearing.recv(9))
except TimeoutError:
    pass
"""
SAY = """
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind(("", int(sys.argv[1])))
sender.sendto(b"x", (sys.argv[2], int(sys.argv[3])))
"""


@dataclass
class Scene:
    """Machine vm, which a policy guards, runs on `a`; its other pod waits on `b`."""

    cluster: Cluster
    api: MemoryApi
    a: Kept
    b: Kept
    vm: Machine
    guest: Guest
    shut: netpolicy.Policy

    def stored(self, name: str, kept: Kept, text: str = "") -> None:
        """The pod as the API has it, with what is said of its machine's connections."""
        made = objects.pod(name, "blue", node=kept.zone.name)
        made["metadata"]["uid"] = self.vm.uid(name)
        if text:
            made["metadata"].setdefault("annotations", {})[names.CONNECTIONS] = text
        self.api.put(resources.PODS, made)

    def text(self, name: str) -> str:
        meta = self.api.of(resources.PODS, f"default/{name}")["metadata"]
        return str((meta.get("annotations") or {}).get(names.CONNECTIONS, ""))

    def admitted(self, kept: Kept) -> str:
        """The matches of all ACLs that admit connections on a node."""
        found = kept.nb.rows(acl.ACL).values()
        return " ".join(str(each["match"]) for each in found if "allow-st" in str(each["action"]))

    @contextlib.asynccontextmanager
    async def agent(self, kept: Kept) -> AsyncIterator[None]:
        """The part of a node's agent that this is about."""
        pods = cache.Informer(self.api, resources.PODS, pod.read, attrgetter("uid", "version"))
        async with (
            await Replica.open(kept.zone.ovs, nic.DATABASE, nic.TABLES) as ovs,
            alongside(pods.run()),
        ):
            await pods.synced()
            part = connections.Connections(self.api, kept.state, ovs, kept.sb, pods)
            kept.on_written = part.check
            async with alongside(part.run(kept.writer.wake)):
                part.check()
                yield


async def until(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def build(cluster: Cluster) -> Scene:
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define(NAD, network("blue", 1, "10.1.0.0/24"))
    port = await cluster.pod("peer", a, NAD, 11, "10.1.0.11/24")
    peer = await cluster.guest(a, port)
    peer.take("10.1.0.11/24")
    vm = machine(cluster, NAD, 20, "10.1.0.20/24")
    await vm.place("vm-1", a)
    guest = await vm.plug("vm-1")
    own = netpolicy.Selector((netpolicy.Requirement("app", netpolicy.Operator.IN, ("vm",)),))
    shut = netpolicy.Policy(
        *("default", "shut", "uid-shut", (ObjectKey.parse(NAD),), own),
        frozenset({netpolicy.Direction.INGRESS}),
    )
    await cluster.update(lambda zone: zone.policies.set_policy(shut.key, shut))
    await a.synced()
    assert await asyncio.to_thread(guest.pings, "10.1.0.11")
    return Scene(cluster, MemoryApi(), a, b, vm, guest, shut)


async def test_a_guest_with_many_connections_keeps_nobody_from_its_own(cluster: Cluster) -> None:
    """Neither itself, whose list is cut, nor a machine that comes to the node meanwhile."""
    scene = await build(cluster)
    scene.stored("vm-1", scene.a)
    many = (sys.executable, "-c", MANY, "10.1.0.11", "20000")
    await asyncio.to_thread(scene.guest.run, *many)
    dump = await asyncio.to_thread(scene.a.zone.run, "ovs-appctl", "dpctl/dump-conntrack")
    own = [line for line in dump.splitlines() if "orig=(src=10.1.0.20" in line]
    sizes = Counter[str]()
    for each in own:
        sizes[each.rpartition("zone=")[2]] += len(each)
    assert min(sizes.values()) > 1 << 20, "the control: more than is read of a switch's answer"

    other = machine(cluster, NAD, 30, "10.1.0.30/24")
    await other.place("other-1", scene.b)
    scene.stored("other-1", scene.b, carried(other, "other-2"))
    await scene.vm.place("vm-2", scene.b, source="vm-1")
    await other.place("other-2", scene.a, source="other-1")
    async with scene.agent(scene.a):
        # The tracker forgets a datagram after 30 s: then the answer would be short.
        await until(lambda: "40000" in scene.admitted(scene.a), 30)
        await until(lambda: scene.text("vm-1"), 30)
    told = json.loads(scene.text("vm-1"))
    assert told["to"] == "uid-vm-2"
    assert len(told["ports"][scene.vm.port]) == 256


async def test_an_error_of_one_machine_keeps_no_other_back(cluster: Cluster) -> None:
    """What cannot be written is written later; what is admitted ends in time meanwhile."""
    scene = await build(cluster)
    scene.stored("vm-1", scene.a)
    other = machine(cluster, NAD, 30, "10.1.0.30/24")
    await other.place("other-1", scene.b)
    scene.stored("other-1", scene.b, carried(other, "other-2"))
    is_broken = True
    scene.api.spoil = lambda verb, *_: "before" if verb == "patch" and is_broken else ""
    await asyncio.to_thread(scene.guest.run, sys.executable, "-c", MANY, "10.1.0.11", "1")
    await scene.vm.place("vm-2", scene.b, source="vm-1")
    await other.place("other-2", scene.a, source="other-1")
    async with scene.agent(scene.a):
        await until(lambda: "40000" in scene.admitted(scene.a))
        await other.place("other-2", scene.a, source="other-1", active=True)
        await until(lambda: not scene.admitted(scene.a))
        assert not scene.text("vm-1"), "the control"
        is_broken = False
        await asyncio.to_thread(scene.guest.run, sys.executable, "-c", MANY, "10.1.0.11", "1")
        await until(lambda: scene.text("vm-1"))


async def test_what_an_agent_wrote_before_it_was_killed_goes(cluster: Cluster) -> None:
    """Where the migration ended meanwhile, and where nothing is tracked any more."""
    scene = await build(cluster)
    scene.stored("vm-1", scene.a, carried(scene.vm, "vm-0"))
    scene.stored("far", scene.b, carried(scene.vm, "vm-0"))
    async with scene.agent(scene.a):
        await until(lambda: not scene.text("vm-1"))
    assert scene.text("far"), "that is another agent's"
    scene.stored("vm-1", scene.a, carried(scene.vm, "vm-2"))
    await scene.vm.place("vm-2", scene.b, source="vm-1")
    async with scene.agent(scene.a):
        await until(lambda: not scene.text("vm-1"))
        scene.stored("vm-1", scene.a, carried(scene.vm, "vm-2"))
        await until(lambda: not scene.text("vm-1"))


async def test_source_and_target_may_call_the_nic_differently(cluster: Cluster) -> None:
    scene = await build(cluster)
    for uid, counts in (("uid-vm-9", False), ("uid-vm-2", True)):
        text = carried(scene.vm, "vm-2").replace("uid-vm-2", uid)
        scene.stored("vm-1", scene.a, text)
        target = replace(scene.vm, nad=f"{NAD}/2")
        await target.place("vm-2", scene.b, source="vm-1")
        async with scene.agent(scene.b):
            if counts:
                await until(lambda: "40000" in scene.admitted(scene.b))
            else:
                await asyncio.sleep(1)
                assert not scene.admitted(scene.b), "that was for another target"


async def test_it_ends_in_time_where_nobody_says_that_the_machine_came(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest has announced itself, and the cluster manager is away."""
    monkeypatch.setattr(connections, "ADMITTED", 2.0)
    scene = await build(cluster)
    scene.stored("vm-1", scene.a, carried(scene.vm, "vm-2"))
    await scene.vm.place("vm-2", scene.b, source="vm-1")
    await scene.vm.plug("vm-2")
    async with scene.agent(scene.b):
        await until(lambda: "40000" in scene.admitted(scene.b))
        await asyncio.sleep(connections.ADMITTED + 2 * connections.PERIOD)
        assert "40000" in scene.admitted(scene.b), "the control: it waits for as long as the gate"
        await scene.vm.announce("vm-2")
        await until(lambda: not scene.admitted(scene.b))


async def test_what_a_policy_forbids_meanwhile_does_not_go_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle connection, of which no packet told Open vSwitch that a policy forbids it now."""
    monkeypatch.setattr(connections, "ADMITTED", 2 * PATIENCE)  # so that it is not over yet
    scene = await build(cluster)
    peer = scene.a.zone.guests["default.blue_default_peer"]
    scene.stored("vm-1", scene.a, carried(scene.vm, "vm-2", "udp"))
    await scene.vm.place("vm-2", scene.b, source="vm-1")
    guest = await scene.vm.plug("vm-2")
    async with scene.agent(scene.b):
        await until(lambda: "40000" in scene.admitted(scene.b))
        await scene.vm.announce("vm-2")
        await scene.vm.stop("vm-1")
        await scene.vm.place("vm-2", scene.b, source="vm-1", active=True)
        for zone in (scene.a, scene.b):
            await zone.synced()
        assert await asyncio.to_thread(arrives, peer, guest, PATIENCE), "the control: it goes on"
        no_egress = replace(scene.shut, directions=frozenset(netpolicy.Direction))
        await cluster.update(lambda zone: zone.policies.set_policy(no_egress.key, no_egress))
        await until(lambda: not scene.admitted(scene.b))
        await scene.b.synced()
        assert not await asyncio.to_thread(arrives, peer, guest)


def arrives(peer: Guest, guest: Guest, within: float = 2.0) -> bool:
    """Whether one of many datagrams comes from the peer's port 80 to the guest's port 40000."""
    hearing = guest.space.popen(sys.executable, "-c", HEAR, "40000", f"{within:g}")
    assert hearing.stdout is not None
    assert hearing.stdout.readline() == "ready\n"
    while hearing.poll() is None:
        peer.run(sys.executable, "-c", SAY, "80", "10.1.0.20", "40000")
    return bool(hearing.communicate()[0])


def carried(of: Machine, target: str, protocol: str = "tcp") -> str:
    """What an agent writes of a connection from a machine's port 40000."""
    ends = of.allocation.addresses[0].ip, 40000, ip_address("10.1.0.11"), 80
    known = {of.port: {Connection(protocol, True, *ends)}}
    return connections_api.render(of.uid(target), known)
