"""Makes a planned interface in the kernel, and removes it.

The question answered here: which requests of `weft.host` does a `Nic` come to? Each function is
one visit to a worker thread and either does all or leaves what `unmake` removes.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from weft import names
from weft.host import linkconfig, netlink, netns, routing, uninterrupted
from weft.nic import plan


async def is_free(namespace: str, interface: str) -> bool:
    """Whether the pod's namespace has no such interface yet."""
    return await netns.run_inside(namespace, netlink.read, interface) is None


async def make_veth(nic: plan.Nic, namespace: str) -> None:
    """The pair, with the pod's end configured."""

    def make(target: int) -> None:
        netlink.remove(nic.device)  # of an agent that ended in the middle of an ADD
        netlink.make_veth(nic.device, nic.interface, target, mtu=nic.mtu, mac=nic.mac)

    await _make_inside(nic, namespace, make)


async def move_internal(nic: plan.Nic, namespace: str) -> None:
    """Move the device that OVS made into the pod and configure it there."""

    def make(target: int) -> None:
        netlink.move(nic.device, target, nic.interface)

    await _make_inside(nic, namespace, make)


async def _make_inside(nic: plan.Nic, namespace: str, make: Callable[[int], None]) -> None:
    def work() -> None:
        with netns.opened(namespace) as target:
            make(target)
        with netns.entered(namespace):
            configure(nic)

    await uninterrupted.in_thread(work)


def configure(nic: plan.Nic) -> None:
    """In the pod's namespace: everything but the device itself."""
    netlink.configure(
        nic.interface,
        mac=nic.mac,
        mtu=nic.mtu,
        addresses=nic.addresses,
        sysctls=[(s.path, s.value, s.optional) for s in nic.sysctls],
    )
    routing.ensure(nic.interface, routing_of(nic))


def give_back(nic: plan.Nic, namespace: str) -> bool:
    """Put a device that OVS made anew into the place of the dead or vanished one in the pod.

    False where there is none to give, or the one in the pod is alive. What the pod had made of a
    dead one is copied; a vanished one is made as it was at first, or goes back into the bridge
    that a virtual machine's launcher had it in (KubeVirt's names).
    """
    if netlink.read(nic.device) is None or netns.identity(namespace) is None:
        return False
    with netns.entered(namespace):
        old = linkconfig.capture(nic.interface)
        if old is not None and old.connected:
            return False
        if old is not None:
            netlink.remove(nic.interface)
    with netns.opened(namespace) as target:
        netlink.move(nic.device, target, nic.interface)
    with netns.entered(namespace):
        if old is not None:
            linkconfig.restore(old)
            if old.up and old.addresses:  # else a virtual machine has it
                routing.ensure(nic.interface, routing_of(nic))
        elif not netlink.join(nic.interface, names.machine_bridge(nic.interface), mtu=nic.mtu):
            configure(nic)
    return True


def is_missed(nic: plan.Nic, namespace: str) -> bool | None:
    """Whether a virtual machine misses the interface; None where the interface is there."""
    with netns.entered(namespace):
        if netlink.read(nic.interface) is not None:
            return None
        return netlink.read(names.machine_bridge(nic.interface)) is not None


def routing_of(nic: plan.Nic) -> routing.Routing:
    return routing.Routing(
        routes=tuple((str(route.dest), str(route.next_hop)) for route in nic.routes),
        sources=nic.addresses,
        peers=nic.peers,
        ranges=tuple(map(str, nic.ranges)),
    )


async def unmake(device: str, interface: str, namespace: str) -> None:
    """Remove both ends of whatever there is; a namespace that is gone took its own along."""

    def work() -> None:
        netlink.remove(device)
        if namespace and os.path.exists(namespace):
            try:
                with netns.entered(namespace):
                    netlink.remove(interface)
            except netns.Gone:
                pass

    await uninterrupted.in_thread(work)


async def read(namespace: str, interface: str) -> netlink.Link | None:
    """The interface as it is in the pod."""
    return await netns.run_inside(namespace, netlink.read, interface)
