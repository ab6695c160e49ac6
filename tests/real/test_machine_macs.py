"""A machine that starts anew on a network without subnets is heard at once, by packets.

Its pod is another one, on another node even, and its address is one that weft does not know.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.addressed import Cluster
from tests.support.objects import nad
from tests.support.zones import Guest, Zone
from weft.kube import resources

pytestmark = pytest.mark.real

MACHINE, PEER = "192.0.2.130", "192.0.2.131"


def instance(name: str) -> dict[str, Any]:
    kind = resources.VMIS
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"domain": {"devices": {}}},
    }


async def start(cluster: Cluster, pod: str, machine: str, zone: Zone, reader: Zone) -> Guest:
    """A machine in this pod, which `reader` knows; it takes its address by itself."""
    guest = await cluster.guest(pod, zone, "plain", machine=machine)
    wait = ("ovn-nbctl", "--timeout=60", "wait-until", "Logical_Switch_Port", guest.port)
    await asyncio.to_thread(reader.run, *wait, f"name={json.dumps(guest.port)}")
    await asyncio.to_thread(reader.synced)
    await asyncio.to_thread(guest.take, f"{MACHINE}/24")
    return guest


def hears_at_once(peer: Guest, patience: int = 60) -> bool:
    """Whether one packet is answered: it goes to the MAC that the peer knows."""
    ping = ("busybox", "ping", "-c", "1", "-W", str(patience), MACHINE)
    return " 1 packets received" in peer.run(*ping, check=False)


async def test_neighbours_of_a_machine_that_starts_anew_need_not_learn_it(
    addressed: Cluster,
) -> None:
    here, there = addressed.zones
    await addressed.api.create(resources.NADS, nad("plain", None))
    for name in ("db", "another"):
        await addressed.api.create(resources.VMIS, instance(name))
    peer = await addressed.guest("peer", here, "plain")
    await asyncio.to_thread(peer.take, f"{PEER}/24")
    first = await start(addressed, "launcher-a", "db", there, here)
    assert await asyncio.to_thread(peer.pings, MACHINE)
    for pod, machine, zone in (("launcher-b", "db", here), ("launcher-c", "db", there)):
        before = "launcher-a" if pod == "launcher-b" else "launcher-b"
        await asyncio.to_thread(first.run, "busybox", "ip", "link", "set", "eth0", "down")
        await addressed.api.delete(resources.PODS, before, "default", grace=0)
        again = await start(addressed, pod, machine, zone, here)
        assert again.mac == first.mac
        assert await asyncio.to_thread(hears_at_once, peer)
        first = again
    # What other MACs come to: the same address on another machine is not heard.
    await asyncio.to_thread(first.run, "busybox", "ip", "link", "set", "eth0", "down")
    await addressed.api.delete(resources.PODS, "launcher-c", "default", grace=0)
    other = await start(addressed, "launcher-d", "another", there, here)
    assert other.mac != first.mac
    assert not await asyncio.to_thread(hears_at_once, peer, 2)
