"""What manager, agent and plugin give as processes is what their parts give as pure calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.path.follow import CHASSIS, NODE, decided, follow
from tests.support.objects import nad, node, pod
from tests.support.patience import PATIENCE
from tests.support.whole import Whole
from weft.api import nodeinfo
from weft.kube import resources
from weft.kube.client import Client
from weft.nic import plan
from weft.ovn import ports, tables
from weft.ovsdb.replica import Replica
from weft_lab.runtime import inotify

pytestmark = pytest.mark.real

NADS = (
    nad("blue", "10.1.0.0/24,fd00:1::/64", mtu=1300, excludeSubnets="10.1.0.0/29"),
    nad("flat", None),
    nad("wide", "10.64.0.0/16/24", topology="layer3"),
)
NETWORKS = [{"name": "blue", "mac": "02:00:00:00:00:10"}, {"name": "flat"}, {"name": "wide"}]


async def test_as_processes_and_as_pure_calls(whole: Whole, api: Client) -> None:
    zone = whole.wire.zone()
    assert (zone.name, zone.chassis) == (NODE, CHASSIS)
    await api.create(resources.NODES, node(NODE))
    for each in NADS:
        await api.create(resources.NADS, each)
    whole.start_agent(zone)
    zone.run("mkdir", "-p", "/run/weft")
    async with asyncio.timeout(PATIENCE):
        await inotify.Folders().wait_socket(zone.root / "run/weft/cni.sock")
    asked = pod("web", NETWORKS, node=NODE)
    made = await api.create(resources.PODS, asked)
    await asyncio.to_thread(whole.make_sandbox, zone, "web")

    announced = node(NODE, nodeinfo.render_zone(CHASSIS, (zone.address,)))
    uid = made["metadata"]["uid"]
    world, _ = decided(announced, *NADS, asked, uids={"web": uid})
    # OVS makes the devices here, so a result names the pod's alone.
    own = {"sandbox": uid.replace("-", ""), "kind": plan.NicKind.INTERNAL}
    async with await Replica.open(zone.nb, tables.NORTHBOUND, tables.NB) as nb:
        for number, network in enumerate(NADS, 1):
            name, interface = network["metadata"]["name"], f"net{number}"
            pure = follow(world, interface=interface, nad=f"default/{name}", **own)
            given = await asyncio.to_thread(whole.call, zone, "ADD", made, interface, network)
            assert given == (0, pure.result)
            found = await nb.wait_for(ports.PORT, pure.port.key, bool, PATIENCE)
            assert found is not None
            assert _as_desired(found[1], pure.port.columns) == pure.port.columns


def _as_desired(there: Any, desired: Any) -> dict[str, Any]:
    """The columns of a row that are desired; of references, whether there is one."""
    shown = {}
    for column, value in desired.items():
        is_reference = column == "dhcpv4_options" and bool(there[column]) == bool(value)
        shown[column] = value if is_reference else there[column]
    return shown
