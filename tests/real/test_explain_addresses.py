"""The address that a guest really uses, asked at its own port: nobody in the guest says it."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from tests.real.test_routed import interrupt
from tests.support.explaining import Explained, step
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster
from tests.support.zones import Guest

pytestmark = pytest.mark.real
SHORT = 0.6  # seconds for replies that are not to come


async def changed(guest: Guest, *lines: str) -> None:
    await asyncio.to_thread(guest.run, "sh", "-ec", "\n".join(f"busybox ip {one}" for one in lines))


async def test_a_guest_without_its_address_is_found_at_its_port(cluster: Cluster) -> None:
    world = await Explained.build(cluster)
    await world.add("a", 11)
    guest = await world.add("b", 12)
    router = await world.add("c", 13)

    async def stopped(expected: str, source: str = "a", *, ipv6: bool = False) -> None:
        """A busy machine may answer late."""
        end = time.monotonic() + PATIENCE
        while True:
            target = "b" if source == "a" else "a"
            found = await world.ask(source, target, ipv6=ipv6, patience=SHORT)
            if re.search(f" does not reach default/. by ping on blue: {expected}", found.sentence):
                return
            assert time.monotonic() < end, found

    async def reaches(*, ipv6: bool = False) -> None:
        found = await world.ask("a", "b", ipv6=ipv6)
        assert found.sentence == "default/a reaches default/b by ping on blue.", found
        for role in ("source", "target"):
            assert step(found, f"{role} address").startswith("ok: "), found

    await reaches()
    await reaches(ipv6=True)

    await changed(guest, "addr flush dev eth0")
    none = "default/b has no address, or is not up: it does not answer {} at its own port; it was "
    await stopped(none.format("ARP") + "given 10.1.0.12/24")
    await stopped(none.format("Neighbour Discovery") + "given fd01::12/64", ipv6=True)
    # In b's name a is answered: b itself asks nobody.
    await stopped(none.format("ARP"), "b")

    await changed(guest, "addr add 10.1.0.99/24 dev eth0")
    other = "default/b uses 10.1.0.99, but was given 10.1.0.12/24: OVN drops .*port security"
    chatter = guest.space.popen("busybox", "ping", "-i", "0.1", "10.1.0.77")
    await stopped(other)
    interrupt(chatter.pid)
    await asyncio.to_thread(chatter.communicate)

    # Its own again, in a subnet without the other end.
    narrow = ("addr flush dev eth0", "addr add 10.1.0.12/32 dev eth0")
    await changed(guest, *narrow)
    await stopped("default/b has 10.1.0.12, and answers no ping .* or no route to 10.1.0.11")
    await changed(guest, "route add 10.1.0.13 dev eth0", "route add default via 10.1.0.13")
    away = f"default/b has 10.1.0.12 in a subnet without 10.1.0.11: it answers to {router.mac}"
    await stopped(away)

    moved = "0a:58:00:00:00:99"
    again = ("addr flush dev eth0", "addr add 10.1.0.12/24 dev eth0")
    link = "link set eth0"
    await changed(guest, *again, f"{link} down", f"{link} address {moved}", f"{link} up")
    await stopped(f"default/b uses the MAC {moved}, but was given {guest.mac}: OVN drops")
    await changed(guest, f"{link} down", f"{link} address {guest.mac}", f"{link} up")
    await reaches()
