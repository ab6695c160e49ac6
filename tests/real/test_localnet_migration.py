"""A machine that migrates to a node is known there on its localnet when it runs there, not before.

The agent, the cluster manager and the CNI plugin are processes; a host on the VLAN hears the wire,
and the physical bridge notes from where it has heard a MAC.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from ipaddress import ip_interface
from typing import Any

import pytest

from tests.support import cluster_world, frames, objects
from tests.support.objects import Object, nad
from tests.support.patience import PATIENCE
from tests.support.realised import alongside
from tests.support.whole import Whole
from tests.support.zones import Guest, Zone
from weft import names
from weft.kube import cache
from weft.kube.client import Client
from weft.kube.resources import NADS, NODES, PODS, VMIMS, VMIS, Resource
from weft.model import ObjectKey
from weft.ovn import announcement
from weft_lab.runtime import inotify

pytestmark = pytest.mark.real

RED = nad(
    "red",
    "192.168.20.0/24,fd00:20::/64",
    topology="localnet",
    physicalNetworkName="physnet",
    vlanID=20,
)
BARE = nad("bare", None, topology="localnet", physicalNetworkName="physnet", vlanID=30)
SOURCE, TARGET, OTHER = "virt-launcher-1", "virt-launcher-2", "other"


async def create(api: Client, kind: Resource, obj: Object) -> Any:
    """Creates an object with its status, and returns it."""
    status = obj.pop("status", None)
    obj["metadata"].pop("uid", None)
    made = await api.create(kind, {**obj, "apiVersion": kind.api_version, "kind": kind.kind})
    if status and kind is not PODS:
        await set_status(api, kind, obj["metadata"]["name"], status)
    return made


async def set_status(api: Client, kind: Resource, name: str, status: Object) -> None:
    await api.patch(kind, name, "default", {"status": status}, subresource="status")


def launcher(name: str, node: str, instance: str, job: str = "") -> Object:
    """A machine's pod; of migration `job`, if there is one."""
    labels = {names.MIGRATION_UID: job} if job else None
    pod = cluster_world.pod(name, "red,bare", labels=labels, nodeName=node)
    owner = {"apiVersion": VMIS.api_version, "kind": VMIS.kind, "name": "db", "uid": instance}
    pod["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    return pod


async def decided(api: Client, name: str, *, active: bool | None = None) -> Object:
    """A pod's allocations; `active`: as soon as its migration is in that state."""

    def is_so(pod: Object) -> bool:
        given = allocations(pod)
        states = {(each.get("migration") or {}).get("active") for each in given.values()}
        return len(given) > 1 and states == {active}

    pods = cache.Cache(api, PODS)
    async with alongside(pods.run()):
        return allocations(await pods.wait_for(ObjectKey("default", name), is_so, PATIENCE))


def allocations(pod: Object) -> Object:
    return dict(json.loads(pod["metadata"].get("annotations", {}).get(names.POD_NETWORKS, "{}")))


async def add(whole: Whole, zone: Zone, pod: Object) -> tuple[bytes, ...]:
    """Both NICs of a pod; returns the frames that announce them."""
    await asyncio.to_thread(whole.make_sandbox, zone, pod["metadata"]["name"])
    announced: tuple[bytes, ...] = ()
    for interface, each in (("net1", RED), ("net2", BARE)):
        status, given = await asyncio.to_thread(whole.call, zone, "ADD", pod, interface, each)
        assert status == 0, given
        addresses = [ip_interface(each["address"]) for each in given.get("ips", ())]
        announced += announcement.frames(given["interfaces"][-1]["mac"], addresses)
    return announced


def macs(given: Object) -> set[tuple[str, str]]:
    """The MACs of both NICs, each with its VLAN."""
    names_of = {"20": "default/red", "30": "default/bare"}
    return {(vlan, given[name]["mac_address"]) for vlan, name in names_of.items()}


def learned(zone: Zone) -> set[tuple[str, str]]:
    """What the physical bridge has heard from, with the VLAN: a switch on the wire learns so."""
    _, *lines = zone.run("ovs-appctl", "fdb/show", "br-phy").splitlines()
    return {(vlan, mac) for _, vlan, mac, _ in map(str.split, lines)}


def asks(host: Guest, given: Object, *, seconds: float) -> bool:
    """Whether one who asks all hosts on the VLAN for a NIC's IPv4 address hears its MAC."""
    address = next(each for each in given["default/red"]["ip_addresses"] if "." in each)
    question = ("arping", "-f", "-I", "eth0", "-w", f"{seconds:g}", address.partition("/")[0])
    told = host.run("busybox", *question, check=False, timeout=seconds + PATIENCE)
    return f"[{given['default/red']['mac_address']}]" in told


async def test_it_is_announced_when_it_runs_there(whole: Whole, api: Client) -> None:
    zone = await asyncio.to_thread(whole.wire.zone)
    for name in (zone.name, "source"):
        await create(api, NODES, cluster_world.node(name))
    for each in (RED, BARE):
        await api.create(NADS, each)
    whole.start_agent(zone)
    await asyncio.to_thread(zone.run, "mkdir", "-p", "/run/weft")
    async with asyncio.timeout(PATIENCE):
        await inotify.Folders().wait_socket(zone.root / "run/weft/cni.sock")
    hosts = [
        await asyncio.to_thread(zone.host, f"host{vlan}", f"02:00:00:00:{vlan}:fd", vlan=vlan)
        for vlan in (20, 30)
    ]
    vmi = objects.machine("db", {"lan": "red", "bare": "bare"}, kind=VMIS)
    vmi["status"] = {"phase": "Running", "nodeName": "source"}
    instance = (await create(api, VMIS, vmi))["metadata"]["uid"]
    await create(api, PODS, launcher(SOURCE, "source", instance))
    await decided(api, SOURCE)
    job = {**objects.named(VMIMS, "move"), "spec": {"vmiName": "db"}}
    uid = (await create(api, VMIMS, {**job, "status": {"phase": "Scheduling"}}))["metadata"]["uid"]
    target = await create(api, PODS, launcher(TARGET, zone.name, instance, uid))
    given = await decided(api, TARGET, active=False)
    other = await create(api, PODS, cluster_world.pod(OTHER, "red,bare", nodeName=zone.name))
    with frames.capture(hosts[0].space) as red, frames.capture(hosts[1].space) as bare:
        of_target = await add(whole, zone, target)
        hosts[0].take("192.168.20.250/24")
        assert not await asyncio.to_thread(partial(asks, hosts[0], given, seconds=2))
        of_other = await add(whole, zone, other)
        assert [len(of_target), len(of_other)] == [3, 3]
        heard = [
            *red.until(frames.with_all(of_other[1])),
            *bare.until(frames.with_all(of_other[2])),
        ]
        assert not any(each in frame for each in of_target for frame in heard), "it is elsewhere"
        others = await decided(api, OTHER)
        assert await asyncio.to_thread(partial(asks, hosts[0], others, seconds=PATIENCE))
        assert learned(zone) & (macs(given) | macs(others)) == macs(others), "it is elsewhere"
        # KubeVirt gives the pod's interface another name, and puts a device in its place.
        for line in ("link set net1 down", "link set net1 name net1-nic"):
            await asyncio.to_thread(inside, zone, "ip", *line.split())
        state = {"migrationUid": uid, "completed": True, "targetPod": TARGET}
        await set_status(api, VMIS, "db", {"nodeName": zone.name, "migrationState": state})
        for wire, mine in ((red, of_target[:2]), (bare, of_target[2:])):
            for announced in mine:
                wire.until(frames.with_all(announced))
    assert learned(zone) >= macs(given)
    # The control: what did not answer before its machine came, and was asked, answers now.
    await asyncio.to_thread(inside, zone, "ip", "link", "set", "net1-nic", "up")
    assert await asyncio.to_thread(partial(asks, hosts[0], given, seconds=PATIENCE))


def inside(zone: Zone, *argv: str) -> None:
    """In the target pod's network namespace."""
    zone.run("nsenter", f"--net=/run/netns/{TARGET}", "busybox", *argv)
