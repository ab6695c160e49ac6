"""What policies drop is counted, packet by packet, and what they let pass is not."""

from __future__ import annotations

import asyncio

import pytest

from tests.real.test_policy_zone import Scene, allow, build
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster
from weft.metrics import Metric
from weft.node.policydrops import PolicyDrops
from weft.policy import netpolicy

pytestmark = pytest.mark.real

MANY = [(netpolicy.Protocol.UDP, port) for port in range(1000, 1020)]
TO_PODS = ("flat", "default", "ingress")


def drops(scene: Scene) -> PolicyDrops:
    a = scene.a
    return PolicyDrops(a.nb, a.sb, f"unix:{a.zone.root}/run/openvswitch/db.sock")


async def counted(found: PolicyDrops) -> dict[tuple[str, ...], float]:
    await found.measure()
    series = found.figures()[Metric.POLICY_DROPS]
    assert isinstance(series, dict)
    return series


async def reaches(found: PolicyDrops, number: float) -> None:
    """Returns when so many are counted: the switch adds up its datapath's counters in turns."""
    async with asyncio.timeout(PATIENCE):
        while (await counted(found)).get(TO_PODS, 0) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_each_packet_that_no_policy_allows_counts(cluster: Cluster) -> None:
    scene = await build(cluster)
    found = drops(scene)
    assert await counted(found) == {}
    assert await scene.pods.passes("two", "one", *MANY) == set(MANY)
    assert await counted(found) == {}
    await scene.put("x", allow("x", "one", "three"))
    assert await scene.pods.passes("two", "one", *MANY) == set()
    await reaches(found, len(MANY))
    assert await counted(found) == {TO_PODS: len(MANY)}
    assert await scene.pods.passes("three", "one", *MANY) == set(MANY)
    assert await scene.pods.passes("two", "one", MANY[0]) == set()
    await reaches(found, len(MANY) + 1)
    assert await counted(found) == {TO_PODS: len(MANY) + 1}, "what passes does not count"

    # The rule's edit keeps the number, and the end of the policy, too.
    await scene.put("x", allow("x", "one", "two", "three"))
    assert await scene.pods.passes("two", "one", *MANY) == set(MANY)
    await scene.put("x", None)
    assert (await counted(found))[TO_PODS] == len(MANY) + 1
    await scene.put("x", allow("x", "one"))
    assert await scene.pods.passes("two", "one", MANY[0]) == set()
    await reaches(found, len(MANY) + 2)

    # An agent that starts anew begins at zero, as its other counters do.
    anew = drops(scene)
    assert await counted(anew) == {TO_PODS: 0}
    assert await scene.pods.passes("two", "one", *MANY) == set()
    await reaches(anew, len(MANY))
    assert await counted(anew) == {TO_PODS: len(MANY)}


async def test_a_switch_that_does_not_answer_delays_nobody(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    scene = await build(cluster)
    await scene.put("x", allow("x", "one"))
    a = scene.a
    found = PolicyDrops(a.nb, a.sb, "unix:/nowhere/db.sock")
    assert await counted(found) == {}
    assert await counted(found) == {}
    warnings = [each for each in caplog.messages if "not counted for now" in each]
    assert len(warnings) == 1
    assert "/nowhere/br-int.mgmt" in warnings[0]
