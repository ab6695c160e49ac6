"""Trunks: NICs that carry VLANs of a physical network as tags, judged by frames on the wire."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from tests.support import frames
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster, network
from tests.support.zones import Guest
from weft import model
from weft.control.zone import state

pytestmark = pytest.mark.real

VLANS = (10, 20, 30)
POD, HOST = "192.168.10.1", "192.168.10.2"


def trunk(vlans: tuple[int, ...] | None) -> state.DeclaredNetwork:
    made = network("wan", 1, mtu=1500, topology=model.Topology.LOCALNET)
    spec = replace(made.network.spec, trunk=vlans)
    return replace(made, network=replace(made.network, spec=spec))


_marks = itertools.count(1)
SILENCE = 3.0  # seconds in which nothing comes


def passed(
    sender: Guest, receiver: Guest, vlan: int | None, heard_as: bytes, within: float
) -> bool:
    """Whether a frame with this tag (None: without one) arrives, as it should look there.

    An untagged frame, or one of a tag that always passes, cannot end the wait: so it is repeated.
    """
    payload = b"<%08d>" % next(_marks)
    frame = frames.udp(sender.mac, receiver.mac, POD, HOST, payload)
    sent = frames.tagged(frame, vlan) if vlan is not None else frame
    with frames.capture(receiver.space) as capture:
        for _ in range(3):
            frames.send(sender.space, sent)
        try:
            heard = capture.until(frames.with_all(payload), timeout=within)
        except AssertionError:
            return False
    assert heard[-1][12 : 12 + len(heard_as)] == heard_as
    return True


async def both_ways(
    pod: Guest, hosts: dict[int, Guest], expected: dict[int, tuple[bool, bool]]
) -> dict[int, tuple[bool, bool]]:
    """For each VLAN, whether it passes from the pod to its host and back; all at the same time."""
    tries = []
    for vlan, host in hosts.items():
        out, back = (PATIENCE if passes else SILENCE for passes in expected[vlan])
        tag = b"\x81\x00" + vlan.to_bytes(2, "big") if vlan else b"\x08\x00"
        tries.append(asyncio.to_thread(passed, pod, host, vlan or None, b"\x08\x00", out))
        tries.append(asyncio.to_thread(passed, host, pod, None, tag, back))
    found = await asyncio.gather(*tries)
    return dict(zip(hosts, zip(found[::2], found[1::2], strict=True), strict=True))


YES, NO = (True, True), (False, False)


async def test_the_vlans_of_a_trunk_pass_both_ways_and_no_others(cluster: Cluster) -> None:
    """The hosts are on the other node: untagged, and on access ports of their VLANs."""
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define("default/wan", trunk((10, 20)))
    pod = await cluster.guest(a, await cluster.pod("router", a, "default/wan", 11))
    hosts = {
        vlan: await asyncio.to_thread(
            b.zone.host, f"host{vlan}", f"02:00:00:00:00:{vlan:02x}", vlan=vlan or None
        )
        for vlan in (0, *VLANS)
    }
    for vlans, expected in (
        ((10, 20), {0: NO, 10: YES, 20: YES, 30: NO}),
        ((), {0: YES, 10: YES, 20: YES, 30: YES}),
        ((0, 30), {0: YES, 10: NO, 20: NO, 30: YES}),
        (None, {0: YES, 10: NO, 20: NO, 30: NO}),
    ):
        await cluster.define("default/wan", trunk(vlans))
        await a.synced()
        assert await both_ways(pod, hosts, expected) == expected, vlans
