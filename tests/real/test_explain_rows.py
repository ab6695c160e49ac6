"""What OVN has otherwise than declared is named, by rows and traces of two real zones."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.explaining import PING, Explained, step
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster
from weft.observe.explain.sentence import Outcome

pytestmark = pytest.mark.real
A, B = "default.blue_default_a", "default.blue_default_b"
SWITCH = "blue_ovn_layer2_switch"
SHORT = 0.6  # seconds: what is dropped has no answer


async def test_what_somebody_else_has_done_to_ovn(cluster: Cluster) -> None:
    world = await Explained.build(cluster, zones=2)
    await world.add("a", 11)
    await world.add("b", 12, zone=1)
    assert await asyncio.to_thread(world.guests["a"].pings, "10.1.0.12")
    cluster.end()  # an agent would write it again
    near, far = (each.zone for each in cluster.kept)
    own = await asyncio.to_thread(near.run, "ovn-nbctl", "lsp-get-port-security", A)

    async def until(expected: str, outcome: Outcome) -> None:
        end = time.monotonic() + PATIENCE
        while (found := await world.ask("a", "b", PING, patience=SHORT)).outcome is not outcome or (
            expected not in found.sentence
        ):
            assert time.monotonic() < end, found
        if outcome is Outcome.REACHES:
            assert step(found, "OVN on node2") == "ok: ovn-trace: the packet is output to default/b"

    for zone, harm, mend, told in (
        (
            far,
            ("acl-add", SWITCH, "to-lport", "1000", "ip4.dst == 10.1.0.12", "drop"),
            ("acl-del", SWITCH),
            "OVN on node2 drops it by ACL 'ip4.dst == 10.1.0.12', which is not weft's; remove",
        ),
        (
            far,
            ("lsp-set-enabled", B, "disabled"),
            ("lsp-set-enabled", B, "enabled"),
            "the port of default/b is disabled in OVN on node2",
        ),
        (
            near,
            ("lsp-set-port-security", A, "0a:58:0a:09:00:63"),
            ("lsp-set-port-security", A, *own.splitlines()),
            "OVN lets default/a send from 0a:58:0a:09:00:63, not from ",
        ),
    ):
        await asyncio.to_thread(zone.run, "ovn-nbctl", "--wait=hv", *harm)
        await until(told, Outcome.STOPPED)
        await asyncio.to_thread(zone.run, "ovn-nbctl", "--wait=hv", *mend)
        await until("default/a reaches default/b by ping on blue.", Outcome.REACHES)
