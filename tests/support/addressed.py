"""Two nodes with agents, and guests that are given nothing but a NIC and its MAC."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.support.objects import nad, node, pod
from tests.support.patience import PATIENCE
from tests.support.whole import Whole
from tests.support.zones import Guest, Zone
from weft import model
from weft.api import podnetworks
from weft.kube import cache, resources
from weft.kube.client import Client
from weft.model import ObjectKey
from weft.ovn import ports

SUBNETS = ("10.1.0.0/24", "fd00:1::/64")


@dataclass
class Cluster:
    whole: Whole
    api: Client
    pods: cache.Cache
    zones: tuple[Zone, ...]

    async def guest(
        self, name: str, zone: Zone, network: object = "blue", *, machine: str = "", **labels: str
    ) -> Guest:
        """A pod's NIC without any of the pod's own addresses: what a VM's guest has.

        `network` "" is the cluster's own; `machine` whose pod it is, as KubeVirt makes it.
        """
        requested = pod(name, network, node=zone.name, labels=labels)
        if machine:
            from weft_lab.vm import launcherpod

            of = await self.api.get(resources.VMIS, machine, "default")
            requested["metadata"]["ownerReferences"] = [launcherpod.owner(of)]
        made = await self.api.create(resources.PODS, requested)
        found = await self.pods.wait_for(
            ObjectKey("default", name),
            lambda obj: bool(podnetworks.parse(obj, primary=True)),
            PATIENCE,
        )
        ((key, allocation),) = podnetworks.parse(found, primary=not network).items()
        ref = model.PodRef(ObjectKey("default", name), made["metadata"]["uid"])
        port = ports.of_attachment(key, ref, allocation)
        guest = await asyncio.to_thread(
            zone.guest, port, allocation.mac, version=made["metadata"]["uid"]
        )
        await asyncio.to_thread(
            zone.run,
            *("ovs-vsctl", f"--timeout={PATIENCE:g}", "wait-until", "Interface"),
            *(f"g{len(zone.guests) - 1}", "external_ids:ovn-installed=true"),
        )
        return guest


@pytest.fixture
async def addressed(whole: Whole, api: Client) -> AsyncIterator[Cluster]:
    zones = (whole.wire.zone(), whole.wire.zone())
    for zone in zones:
        await api.create(resources.NODES, node(zone.name))
        whole.start_agent(zone)
    await api.create(resources.NADS, nad("blue", ",".join(SUBNETS), mtu=1300))
    pods = cache.Cache(api, resources.PODS)
    following = asyncio.create_task(pods.run())
    try:
        yield Cluster(whole, api, pods, zones)
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
