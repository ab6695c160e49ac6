"""What becomes of the routes of a pod's two interfaces on one network. A program:

python keptroutes.py FILE      writes what it saw to FILE, as JSON

It runs in user, network and mount namespaces of its own. Each scenario has a pod; rows and records
of its interfaces are objects here, namespaces, links and routes are the kernel's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from socket import AF_INET, AF_INET6
from types import SimpleNamespace
from typing import Any

from tests.support.patience import PATIENCE
from weft import model
from weft.host import netlink, netns, routing
from weft.nic import plan, port, record
from weft.node import links, routes

FAMILIES = {"IPv4": (AF_INET, "10.60.0.0/16"), "IPv6": (AF_INET6, "fd60::/48")}
GATEWAYS = {"10.60.0.0/16": "10.60.0.1", "fd60::/48": "fd60::1"}


def nic(interface: str) -> plan.Nic:
    number = int(interface[-1])
    ways = [(ip_network(to), ip_address(by)) for to, by in GATEWAYS.items()]
    return plan.Nic(
        kind=plan.NicKind.VETH,
        device=f"to-{interface}",
        interface=interface,
        mac=f"0a:58:0a:3c:00:0{number}",
        mtu=1400,
        addresses=(ip_interface(f"10.60.0.1{number}/24"), ip_interface(f"fd60::1{number}/64")),
        routes=tuple(model.Route(dest=dest, next_hop=hop) for dest, hop in ways),
        sysctls=tuple(plan.ipv6_sysctls(interface, required=True)),
        peers=tuple({"net1", "net2"} - {interface}),
        ranges=tuple(ip_network(each) for each in GATEWAYS),
    )


NICS = (nic("net1"), nic("net2"))


class Ports:
    """The rows of the interfaces in the switch's database, as a client of it has them."""

    def __init__(self, owner: port.PortOwner) -> None:
        self._rows = {each.device: self._row(each, owner) for each in NICS}
        self._told: list[Callable[..., None]] = []

    @staticmethod
    def _row(each: plan.Nic, owner: port.PortOwner) -> dict[str, Any]:
        columns: Any = port.desired(each, owner)[0].columns
        return {"name": each.device, "external_ids": dict(columns["external_ids"].present)}

    def rows(self, _: str) -> dict[str, Any]:
        return dict(self._rows)

    def get(self, _: str, name: str) -> Any:
        return (name, self._rows[name]) if name in self._rows else None

    def subscribe(self, _: str, told: Callable[..., None]) -> Callable[[], None]:
        self._told.append(told)
        return lambda: self._told.remove(told)

    def remove(self, name: str) -> None:
        old = self._rows.pop(name)
        for told in self._told:
            told("", old, None)


class Pod:
    """Its namespace, and a reconciler that has looked once at its interfaces."""

    def __init__(self, path: Path) -> None:
        self.path, self.loop = path, asyncio.get_running_loop()
        netns.make(self.path)
        ref = model.PodRef(model.ObjectKey("default", "twice"), "uid")
        owner = port.PortOwner(ref, "sandbox", str(self.path), "wide", "default/wide", "wide")
        self.ports = Ports(owner)
        self.busy = False
        self.asked = 0
        known = {each.device: record.Record(each, owner) for each in NICS}
        deps: Any = SimpleNamespace(
            ovs=self.ports, records=known, pods=SimpleNamespace(get=lambda _: None)
        )
        self.reconciler = routes.RouteReconciler(deps, self._is_busy, lambda _: None)

    def _is_busy(self, _: str) -> bool:
        self.asked += 1
        return self.busy

    @contextlib.contextmanager
    def inside(self) -> Iterator[Any]:
        with netns.entered(str(self.path)), netlink.opened("pod") as handle:
            yield handle

    def hops(self) -> dict[str, list[str]]:
        """By which interfaces each family's route to the network leads."""
        with self.inside() as handle:
            return {family: sorted(self._names(handle, *way)) for family, way in FAMILIES.items()}

    def _names(self, handle: Any, family: int, destination: str) -> Iterator[str]:
        network = ip_network(destination)
        for entry in handle.get_routes(family=family, table=routing.MAIN_TABLE):
            if (entry.get_attr("RTA_DST"), entry["dst_len"]) != (
                str(network.network_address),
                network.prefixlen,
            ):
                continue
            several = entry.get_attr("RTA_MULTIPATH") or ()
            for index in (entry.get_attr("RTA_OIF"), *(hop["oif"] for hop in several)):
                if index and entry["type"] == 1:
                    yield handle.get_links(index)[0].get_attr("IFLA_IFNAME")

    def hops_become(self, **wanted: list[str]) -> dict[str, list[str]]:
        """The hops once they are so, or at last."""
        with contextlib.suppress(TimeoutError):
            self.until(lambda: self.hops() == wanted)
        return self.hops()

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.01)

    def looks(self, since: int) -> None:
        """The reconciler has looked at both interfaces once more since it had `asked` so often."""
        self.until(lambda: self.asked >= since + 2 and not self.reconciler._queue)

    def make(self, each: plan.Nic) -> None:
        asyncio.run_coroutine_threadsafe(links.make_veth(each, str(self.path)), self.loop).result()

    def remove(self, each: plan.Nic) -> None:
        self.loop.call_soon_threadsafe(self.ports.remove, each.device)
        netlink.remove(each.device)

    def flap(self, *names: str) -> None:
        with self.inside() as handle:
            for state in ("down", "up"):
                for name in names:
                    handle.link("set", index=netlink.find(handle, name), state=state)


async def play(scenario: Callable[[Pod], Any], folder: Path) -> Any:
    """In a thread of its own, beside the event loop with the reconciler."""
    one = Pod(folder / scenario.__name__)
    for each in NICS:
        await links.make_veth(each, str(one.path))
    task = asyncio.create_task(one.reconciler.run())
    try:
        await asyncio.to_thread(one.looks, 0)
        return await asyncio.to_thread(scenario, one)
    finally:
        task.cancel()
        await asyncio.wait({task})
        for each in NICS:
            await asyncio.to_thread(netlink.remove, each.device)


BOTH = {family: ["net1", "net2"] for family in FAMILIES}
FIRST = {family: ["net1"] for family in FAMILIES}


def replaced(one: Pod) -> Any:
    """The device of net2 is made again, as after the end of a switch."""
    before = one.hops()
    netlink.remove(NICS[1].device)
    one.make(NICS[1])
    return before, one.hops_become(**BOTH)


def unplugged(one: Pod) -> Any:
    """net2 leaves the pod, its row first."""
    one.remove(NICS[1])
    return one.hops_become(**FIRST)


def deleted(one: Pod) -> Any:
    """Somebody deletes net2 in the pod; nothing makes it again."""
    with one.inside():
        netlink.remove("net2")
    return one.hops_become(**FIRST)


def busy(one: Pod) -> Any:
    """A link goes down and up while something works on the interface: a CHECK, or a repair."""
    one.busy, since = True, one.asked
    one.flap("net1", "net2")
    one.looks(since)
    during, one.busy = one.hops(), False
    return during, one.hops_become(**BOTH)


def refused(one: Pod) -> Any:
    """The kernel refuses the route of one family: net1 has no address of it any more."""
    with one.inside() as handle:
        gone = {"index": netlink.find(handle, "net1"), "address": "fd60::11", "prefixlen": 64}
        handle.addr("del", **gone)
        handle.route("del", family=AF_INET6, dst="fd60::/48", table=254)
    one.flap("net1")
    without = one.hops_become(IPv4=["net1", "net2"], IPv6=[])
    with one.inside() as handle:
        handle.addr("add", flags=0x02, **gone)
    return without, one.hops_become(IPv4=["net1", "net2"], IPv6=["net1"])


def own(one: Pod) -> Any:
    """A pod deletes a route of its own; then a link that is not of the network goes down."""
    with one.inside() as handle:
        handle.link("add", ifname="other", kind="veth", peer="another", state="up")
        handle.route("del", family=AF_INET, dst="10.60.0.0/16", table=254, priority=0)
    since = one.asked
    one.flap("other")
    one.looks(since)
    return one.hops()


def vanished(one: Pod) -> Any:
    """A device is replaced between another's look at the routes and what it makes of that."""
    with one.inside() as handle:
        second = netlink.find(handle, "net2")
        for family, destination in FAMILIES.values():
            handle.route("del", family=family, dst=destination, table=254)
            only = {"gateway": GATEWAYS[destination], "oif": netlink.find(handle, "net1")}
            handle.route("add", family=family, dst=destination, table=254, **only)
        routing.apply(Late(handle), second, links.routing_of(NICS[1]))
    return one.hops()


class Late:
    """A socket in whose namespace net1 vanishes as soon as routes are read."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    def get_routes(self, **fields: Any) -> Any:
        found = list(self._handle.get_routes(**fields))
        netlink.remove("net1")
        return found


async def main(folder: Path) -> dict[str, Any]:
    scenarios = (replaced, unplugged, deleted, busy, refused, own, vanished)
    return {each.__name__: await play(each, folder) for each in scenarios}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / "seen.json").write_text(json.dumps(asyncio.run(main(place))))
