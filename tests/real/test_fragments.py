"""Datagrams in fragments on networks of a small MTU, beside a policy: do they arrive?"""

from __future__ import annotations

import asyncio

import pytest

from tests.support.addressed import Cluster
from tests.support.objects import nad
from tests.support.patience import PATIENCE
from tests.support.zones import Guest, Zone
from weft.host import unixctl
from weft.kube import resources
from weft.node import fragments

pytestmark = pytest.mark.real

ALL_OF_THE_SUBNETS = {
    "apiVersion": "k8s.cni.cncf.io/v1beta1",
    "kind": "MultiNetworkPolicy",
    "metadata": {
        "name": "all",
        "namespace": "default",
        "annotations": {"k8s.v1.cni.cncf.io/policy-for": "small,small6"},
    },
    "spec": {
        "podSelector": {"matchLabels": {"app": "guarded"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"ipBlock": {"cidr": c}} for c in ("10.60.0.0/24", "fd60::/64")]}],
    },
}


def minimum(zone: Zone) -> str:
    output = zone.run("ovs-appctl", "dpctl/ipf-get-status").splitlines()
    return next(line for line in output if "min v4 frag size" in line).split()[-1]


async def settled(zone: Zone, size: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(minimum, zone) != size:
            pass


def pings(guest: Guest, address: str, count: int = 3) -> bool:
    """Whether datagrams of 2000 bytes are answered."""
    return guest.pings(address, count, 2000)


@pytest.mark.parametrize(
    ("name", "subnet", "mtu"), [("small", "10.60.0.0/24", 576), ("small6", "fd60::/64", 1280)]
)
async def test_fragments_pass_on_the_smallest_networks(
    addressed: Cluster, name: str, subnet: str, mtu: int
) -> None:
    api, (zone, other) = addressed.api, addressed.zones
    await api.create(resources.NADS, nad(name, subnet, mtu=mtu))
    await api.create(resources.MULTINETWORKPOLICIES, ALL_OF_THE_SUBNETS)
    guarded = await addressed.guest("guarded", zone, name, app="guarded")
    guests = [await addressed.guest(f"free{n}", on, name) for n, on in enumerate((zone, other))]
    base = subnet.partition("/")[0].removesuffix("0")
    for number, guest in enumerate((guarded, *guests), 1):
        guest.run("busybox", "ip", "link", "set", "eth0", "mtu", str(mtu))
        guest.take(f"{base}{number}/{subnet.partition('/')[2]}")
    for each in (zone, other):
        await settled(each, str(fragments.SMALLEST))
    for to in (1, 3):  # who is guarded, and one who is not, on another node
        assert await asyncio.to_thread(pings, guests[0], f"{base}{to}")
    if name == "small":  # as it would be else
        await asyncio.to_thread(zone.run, "ovs-appctl", "dpctl/ipf-set-min-frag", "v4", "1200")
        assert not await asyncio.to_thread(pings, guests[0], f"{base}1", 1)


async def test_a_switch_that_is_started_again_is_reported_again(addressed: Cluster) -> None:
    zone = addressed.zones[0]
    await settled(zone, str(fragments.SMALLEST))
    await asyncio.to_thread(zone.stop, "ovs-vswitchd")
    await asyncio.to_thread(zone.start, "ovs-vswitchd")
    await settled(zone, str(fragments.SMALLEST))


async def test_a_command_that_a_daemon_does_not_know_is_told_apart(addressed: Cluster) -> None:
    """A switch of another version is left as it is; one that does not answer is asked again."""
    (known,) = (addressed.zones[0].root / "run/openvswitch").glob("ovsdb-server.*.ctl")
    with pytest.raises(unixctl.Refused, match="not a valid command"):
        await unixctl.call(known, *fragments.commands("netdev")[0])
    assert "ovsdb-server" in await unixctl.call(known, "version")


def test_the_kernels_datapath_is_left_alone() -> None:
    assert fragments.commands("system") == fragments.commands("") == ()
