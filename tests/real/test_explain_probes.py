"""What a probe in a pod's name proves across two zones: datagrams, and packets of full size."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.explaining import PING, Explained, step
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster
from tests.support.zones import Guest
from weft.observe.explain.sentence import Explanation, Outcome
from weft.policy import netpolicy

pytestmark = pytest.mark.real
MTU, SHORT = 1300, 0.6
LISTEN = """
import select, socket, sys
said, mute = (socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2))
said.bind(("::", 7))
mute.bind(("::", 8))
print("ready", flush=True)
while sys.stdin not in (ready := select.select([said, sys.stdin], [], [])[0]):
    data, sender = said.recvfrom(100)
    said.sendto(data, sender)
"""


@contextmanager
def listening(guest: Guest) -> Iterator[None]:
    """A program that answers on port 7, and one that does not on port 8; both families."""
    running = guest.space.popen(sys.executable, "-u", "-I", "-c", LISTEN)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    try:
        yield
    finally:
        running.communicate("", PATIENCE)


def udp(port: int) -> netpolicy.Connection:
    return netpolicy.Connection(netpolicy.Protocol.UDP, port)


async def test_datagrams_and_packets_of_full_size(cluster: Cluster) -> None:
    world = await Explained.build(cluster, zones=2, mtu=MTU)
    await world.add("a", 11)
    target = await world.add("b", 12, zone=1)
    assert await asyncio.to_thread(world.guests["a"].pings, "10.1.0.12")

    async def until(connection: netpolicy.Connection, outcome: Outcome, said: str) -> Explanation:
        """Where an answer is expected, a busy machine gets time for it: silence is a cause, too."""
        end = time.monotonic() + PATIENCE
        while True:
            found = await world.ask("a", "b", connection, patience=SHORT)
            seen = " ".join((found.sentence, *(each.seen for each in found.steps)))
            if found.outcome is outcome and said in seen:
                return found
            assert time.monotonic() < end, found

    with listening(target):
        for number, came in ((7, "a datagram"), (9, "ICMP's port unreachable")):
            for ipv6 in (False, True):
                found = await world.ask("a", "b", udp(number), ipv6=ipv6)
                assert found.outcome is Outcome.REACHES, found
                assert f"{came} came back" in step(found, "probe")
                assert step(found, "MTU") == f"ok: packets of {MTU} bytes pass"
        mute = await until(udp(8), Outcome.UNKNOWN, "UDP port 8 ")
        assert step(mute, "probe").startswith("not seen: UDP port 8 "), mute

    # The wire between the nodes takes what is small, and not what a tunnel makes of the MTU.
    zone = cluster.kept[1].zone
    first = "table=0,priority=60000"
    larger = f"check_pkt_larger({MTU})->NXM_NX_REG0[0]"
    for flow in ("table=1,reg0=0/1,actions=NORMAL", f"{first},actions={larger},resubmit(,1)"):
        await asyncio.to_thread(zone.run, "ovs-ofctl", "add-flow", "br-phy", flow)
    lost = f"packets of {MTU} bytes, the network's MTU, are lost; small ones pass; raise the MTU"
    found = await until(PING, Outcome.STOPPED, lost)
    assert found.sentence.startswith(
        f"default/a does not reach default/b by large packets on blue: {lost}"
    )
    await asyncio.to_thread(zone.run, "ovs-ofctl", "--strict", "del-flows", "br-phy", first)
    await until(PING, Outcome.REACHES, f"packets of {MTU} bytes pass")
