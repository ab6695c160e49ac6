"""Makes a planned interface in the kernel, and removes it.

Each async function runs in one worker thread. If it fails, `unmake` removes what it left.
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
    """Makes the veth pair and configures the pod's end."""

    def make(target: int) -> None:
        netlink.remove(nic.device)  # left by an agent that ended during an ADD
        netlink.make_veth(nic.device, nic.interface, target, mtu=nic.mtu, mac=nic.mac)

    await _make_inside(nic, namespace, make)


async def move_internal(nic: plan.Nic, namespace: str) -> None:
    """Moves the device that OVS made into the pod and configures it there."""

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
    """Configures MAC, MTU, addresses, sysctls and routes; call it in the pod's namespace."""
    netlink.configure(
        nic.interface,
        mac=nic.mac,
        mtu=nic.mtu,
        addresses=nic.addresses,
        sysctls=[(s.path, s.value, s.optional) for s in nic.sysctls],
    )
    routing.ensure(nic.interface, routing_of(nic))


def give_back(nic: plan.Nic, namespace: str) -> bool:
    """Puts a device that OVS made again in place of the dead or vanished one in the pod.

    Returns False if there is no such device, or the pod's is alive. The settings of a dead device
    are copied. For a vanished one, the device is configured as planned, or joins the bridge of the
    pod's virtual machine (KubeVirt's names).
    """
    if netlink.read(nic.device) is None or netns.identity(namespace) is None:
        return False
    with routing.turn(namespace):
        return _replace(nic, namespace)


def _replace(nic: plan.Nic, namespace: str) -> bool:
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
            if old.up and old.addresses:  # otherwise a virtual machine uses it
                routing.ensure(nic.interface, routing_of(nic))
        elif not netlink.join(nic.interface, names.machine_bridge(nic.interface), mtu=nic.mtu):
            configure(nic)
    return True


def is_missed(nic: plan.Nic, namespace: str) -> bool | None:
    """Whether a virtual machine lacks the interface; None if the interface exists."""
    with netns.entered(namespace):
        if netlink.read(nic.interface) is not None:
            return None
        return netlink.read(names.machine_bridge(nic.interface)) is not None


def routing_of(nic: plan.Nic) -> routing.Routing:
    """Returns the routes and rules of an interface in its pod."""
    return routing.Routing(
        routes=tuple((str(route.dest), str(route.next_hop)) for route in nic.routes),
        sources=nic.addresses,
        peers=nic.peers,
        ranges=tuple(map(str, nic.ranges)),
    )


async def unmake(device: str, interface: str, namespace: str) -> None:
    """Removes both ends of the interface, as far as they exist."""

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
    """Returns the interface as it is in the pod; None if it does not exist."""
    return await netns.run_inside(namespace, netlink.read, interface)
