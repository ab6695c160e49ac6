"""What is kept of what a port says, and for how long it is heard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address

from tests.support.patience import PATIENCE
from weft.observe.explain import asking, onnodeask
from weft.observe.explain.neighbourframes import FrameContent, FrameKind

OWN = IPv4Address("10.9.0.2")


@dataclass
class Flooded:
    """A port at which there is always a frame: one for the guest, then one of the guest."""

    handed: list[bytes] = field(default_factory=list)
    heard: int = 0

    async def hand(self, frame: bytes) -> None:
        self.handed.append(frame)

    async def frame(self) -> bytes:
        self.heard += 1
        return b"" if self.heard % 2 else b"of the guest"


async def test_a_flood_does_not_prolong_the_patience() -> None:
    port, seen = Flooded(), set[bytes]()

    def is_it(frame: bytes) -> bool:
        seen.add(frame)
        return False

    async with asyncio.timeout(PATIENCE):
        assert not await onnodeask.tried(port, b"who", is_it, 0.02)
    assert port.handed == [b"who"] * onnodeask.TRIES
    assert seen == {b"of the guest"}, "what the guest receives says nothing of it"
    assert await onnodeask.tried(port, b"who", lambda frame: True, PATIENCE)


def test_a_guest_that_speaks_of_many_addresses_is_kept_in_part() -> None:
    heard = onnodeask.Heard()
    for number in range(5000):
        sender = IPv4Address(number + 1)
        mac = number.to_bytes(6, "big").hex(":")
        heard.take(FrameContent(FrameKind.SEEKS, mac, sender, IPv4Address(number)), OWN)
        heard.take(FrameContent(FrameKind.HOLDS, mac, OWN, OWN), OWN)
    kept = heard.answered, heard.senders, heard.sought
    assert {len(each) for each in kept} == {1000}
    assert len(heard.rendered()["senders"]) == asking.MOST


def test_who_asks_for_an_address_of_the_other_family_may_have_this_one() -> None:
    heard = onnodeask.Heard()
    heard.take(FrameContent(FrameKind.DHCP, "0a:58:0a:09:00:02", None, ip_address("::")), OWN)
    assert not heard.by_dhcp
    heard.take(FrameContent(FrameKind.DHCP, "0a:58:0a:09:00:02", None, ip_address("0.0.0.0")), OWN)
    assert heard.by_dhcp
