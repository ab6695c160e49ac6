"""DHCP options by code, in leases on the wire: of a network, of a NIC, and what nobody gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.test_guest_addresses import lease
from tests.support import frames
from tests.support.addressed import Cluster
from tests.support.objects import machine, nad, pod
from tests.support.patience import PATIENCE
from tests.support.zones import Guest
from weft import dhcpcodes
from weft.kube import resources

pytestmark = pytest.mark.real
DHCP = {
    "options": {
        "42": ["10.8.0.9", "10.8.0.10"],
        "tftp_server": "boot.example",
        "119": ["one.example", "two.example"],
    },
    "options6": {"59": "tftp://[fd00:8::9]/net"},
}
PERMITS = {"dhcpOptions": ["67", "66"], "dhcpOptions6": ["59"]}
ASKED = ("-O", "ntpsrv", "-O", "tftp", "-O", "bootfile", "-O", "hostname", "-O", "search")


@pytest.fixture
async def cluster(addressed: Cluster) -> Cluster:
    subnets = "10.8.0.0/24,fd00:8::/64"
    made = nad("boot", subnets, mtu=1300, dhcp=DHCP, permits=PERMITS)
    await addressed.api.create(resources.NADS, made)
    return addressed


async def given(guest: Guest, folder: Path) -> dict[str, str]:
    return await asyncio.to_thread(lease, guest, folder, "udhcpc", *ASKED)


async def test_a_networks_options_are_in_every_lease(cluster: Cluster, tmp_path: Path) -> None:
    """A machine's name, too; guests of another network get none of it."""
    await cluster.api.create(resources.VMIS, machine("web-1", {}, kind=resources.VMIS))
    guest = await cluster.guest("launcher", cluster.zones[0], "boot", machine="web-1")
    found = await given(guest, tmp_path)
    assert found["ntpsrv"].split() == ["10.8.0.9", "10.8.0.10"]
    assert found["tftp"] == "boot.example"
    assert found["search"].split() == ["one.example", "two.example"]
    assert found["hostname"] == "web-1"
    assert "bootfile" not in found
    other = await given(await cluster.guest("other", cluster.zones[0]), tmp_path)
    assert not {"ntpsrv", "tftp", "bootfile"} & other.keys()


async def test_a_nics_own_options_come_before_the_networks(
    cluster: Cluster, tmp_path: Path
) -> None:
    own = {"dhcpOptions": {"67": "own.0", "66": "mine"}, "dhcpOptions6": {"59": "http://own/"}}
    element = [{"name": "boot", "cni-args": own}]
    guest = await cluster.guest("one", cluster.zones[0], element)
    found = await given(guest, tmp_path)
    assert (found["bootfile"], found["tftp"]) == ("own.0", "mine")
    assert found["ntpsrv"].split() == ["10.8.0.9", "10.8.0.10"]
    plain = await cluster.guest("two", cluster.zones[0], "boot")
    assert (await given(plain, tmp_path))["tftp"] == "boot.example"
    assert await boot_url(guest, tmp_path) == "http://own/"
    assert await boot_url(plain, tmp_path) == "tftp://[fd00:8::9]/net"


async def boot_url(guest: Guest, folder: Path) -> str:
    """The boot file's URL in the reply to a DHCPv6 client."""
    return await asyncio.to_thread(_url, guest, folder)


def _url(guest: Guest, folder: Path) -> str:
    with frames.capture(guest.space) as capture:
        lease(guest, folder, "udhcpc6")
        heard = capture.until(is_reply)
    options = next(frame for frame in heard if is_reply(frame))[66:]
    while options:
        code, length = (int.from_bytes(options[at : at + 2], "big") for at in (0, 2))
        if code == 59:
            return options[4 : 4 + length].decode()
        options = options[4 + length :]
    return ""


def is_reply(frame: bytes) -> bool:
    """A DHCPv6 Reply from a server's port."""
    is_udp = frame[12:14] == b"\x86\xdd" and frame[20] == 17
    return is_udp and frame[54:56] == (547).to_bytes(2, "big") and frame[62] == 7


async def test_what_the_owner_does_not_permit_is_refused(cluster: Cluster) -> None:
    element = [{"name": "boot", "cni-args": {"dhcpOptions": {"252": "http://thief/"}}}]
    await cluster.api.create(resources.PODS, pod("thief", element, node=cluster.zones[0].name))
    message = await event(cluster, "thief")
    assert "dhcpOptions.252: is not an option that network boot permits NICs to set" in message
    assert '"permits": {"dhcpOptions": ["252"]}' in message


async def event(cluster: Cluster, name: str) -> str:
    listing = await cluster.api.list(resources.EVENTS)
    wanted: Callable[[dict[str, object]], bool] = lambda obj: (  # noqa: E731
        obj["involvedObject"]["name"] == name and "dhcpOptions" in str(obj["message"])  # type: ignore[index]
    )
    for each in listing:
        if wanted(each):
            return str(each["message"])
    async with asyncio.timeout(PATIENCE):
        async for _, each in cluster.api.watch(resources.EVENTS, listing.resource_version):
            if wanted(each):
                return str(each["message"])
    raise AssertionError("no Event")


async def test_the_table_of_options_is_ovns(cluster: Cluster) -> None:
    zone = cluster.zones[0]
    command = ("ovn-sbctl", "--bare", "--columns=code,name", "list", "DHCP_Options")
    listed = (await asyncio.to_thread(zone.run, *command)).split("\n\n")
    known = {int(code): name for code, name in (each.split("\n")[:2] for each in listed if each)}
    assert {code: each.name for code, each in dhcpcodes.V4.items()}.items() <= known.items()
