"""Guests that send what nobody should: every daemon of the node lives on, and others are served.

`make fuzz` sends far more than the tests do: $WEFT_FUZZ_FRAMES frames, from seed $WEFT_FUZZ_SEED.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from tests.real.test_guest_addresses import lease, received_prefix
from tests.support import frames, fuzzing
from tests.support.addressed import Cluster
from tests.support.patience import PATIENCE
from tests.support.zones import Guest, Wire, Zone
from weft import names
from weft.kube import cache, resources
from weft.model import ObjectKey
from weft.ovn import vulnerabilities

pytestmark = pytest.mark.real

FRAMES = int(os.environ.get("WEFT_FUZZ_FRAMES", "3000"))
SEED = int(os.environ.get("WEFT_FUZZ_SEED", "1"))
DAEMONS = ("ovn/ovn-controller", "ovn/ovn-northd", "ovn/nb", "ovn/sb")
SWITCH = ("openvswitch/ovs-vswitchd", "openvswitch/ovsdb-server")
KINDS = (1, 3, 4, 5, 6, 8, 9, 11)  # of all messages that a client sends
_LIVES = "import os,sys; print(os.path.exists(f'/proc/{sys.argv[1]}/exe') and 'yes' or 'no')"


def daemons(zone: Zone) -> dict[str, str]:
    """The process of each."""
    files = [f"/run/{name}.pid" for name in (*DAEMONS, *SWITCH)]
    return dict(zip(files, zone.run("cat", *files).split(), strict=True))


def alive(zone: Zone, process: str) -> bool:
    """Not even a zombie has an executable."""
    return zone.run(sys.executable, "-I", "-c", _LIVES, process).strip() == "yes"


def overflowing(mac: str, kind: int) -> bytes:
    """DHCPv6 whose client identifier says that it has 65,535 bytes."""
    who = fuzzing.Who(bytes.fromhex(mac.replace(":", "")), None, None)  # type: ignore[arg-type]
    client = b"\0\1\0\x0a\0\3\0\1" + who.mac
    association = b"\0\3\0\x0c\0\0\0\1" + bytes(8)
    body = bytes((kind, 1, 2, 3)) + client + association + b"\0\1\xff\xff" + b"A" * 60
    udp = struct.pack("!HHH", 546, 547, 8 + len(body)) + b"\0\0" + body
    ends = who.link_local.packed + IPv6Address("ff02::1:2").packed
    total = frames.checksum(ends + struct.pack("!II", len(udp), 17) + udp)
    udp = udp[:6] + total.to_bytes(2, "big") + udp[8:]
    head = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + ends
    return b"\x33\x33\0\1\0\2" + who.mac + b"\x86\xdd" + head + udp


async def unharmed(cluster: Cluster, zone: Zone, before: dict[str, str]) -> None:
    """The same processes run, and none of them complained about itself."""
    assert daemons(zone) == before
    assert all(alive(zone, process) for process in before.values())
    assert not [p for p in cluster.whole.processes if p.poll() is not None]
    agent_log = cluster.whole.log(zone.name)
    assert "Traceback" not in agent_log
    for name in ("ovn/ovn-controller", "ovn/ovn-northd", "openvswitch/ovs-vswitchd"):
        log = (zone.root / f"run/{name}.log").read_text()
        assert "|EMER|" not in log, name
        assert "assertion" not in log, name


async def served(guest: Guest, folder: Path, ipv4: str, ipv6: str) -> None:
    await received_prefix(guest)
    given = await asyncio.to_thread(lease, guest, folder, "udhcpc")
    assert given["ip"] == ipv4
    # Who asked too much is unheard for a while.
    given = await asyncio.to_thread(lease, guest, folder, "udhcpc6")
    assert IPv6Address(given["ipv6"]) == IPv6Address(ipv6)


async def test_a_client_identifier_without_end_harms_nobody(
    addressed: Cluster, tmp_path: Path
) -> None:
    """Some versions of ovn-controller die of it within a few packets, if they serve DHCPv6."""
    zone = addressed.zones[0]
    evil, honest = [await addressed.guest(name, zone) for name in ("evil", "honest")]
    await received_prefix(honest)
    before = daemons(zone)
    for kind in KINDS:
        await asyncio.to_thread(frames.send, evil.space, *[overflowing(evil.mac, kind)] * 50)
    await served(honest, tmp_path, "10.1.0.2", "fd00:1::2")
    await served(evil, tmp_path, "10.1.0.1", "fd00:1::1")
    await unharmed(addressed, zone, before)


async def test_no_ovn_is_given_dhcpv6_to_read_for_long(addressed: Cluster) -> None:
    """Neither by weft, nor by whoever else writes to a port of weft's."""
    zone = addressed.zones[0]
    guest = await addressed.guest("one", zone)
    await received_prefix(guest)
    wait = ("ovn-nbctl", "--timeout=60", "wait-until", "Logical_Switch_Port", guest.port)
    create = ("--id=@d", "create", "DHCP_Options", r"cidr=fd00\:1\:\:/64", "--")
    serve = (*create, "set", "Logical_Switch_Port", guest.port, "dhcpv6_options=@d")
    await asyncio.to_thread(zone.run, "ovn-nbctl", "--", *serve)
    await asyncio.to_thread(zone.run, *wait, "dhcpv6_options=[]")
    await asyncio.to_thread(zone.run, "ovn-nbctl", "--wait=sb", "sync")
    flows = await asyncio.to_thread(zone.run, "ovn-sbctl", "lflow-list")
    assert "put_dhcp_opts" in flows
    assert "put_dhcpv6_opts" not in flows


def fuzz(guest: Guest, ipv4: str, ipv6: str, seed: int) -> None:
    """Sends what one seed makes; returns when OVN has read all of it."""
    script = fuzzing.__file__
    arguments = ("eth0", guest.mac, ipv4, ipv6, str(seed), str(FRAMES))
    guest.run(sys.executable, "-I", script, *arguments, timeout=60 + FRAMES / 20)


@pytest.mark.parametrize(
    "whole",
    [("--allow-primary", "--cluster-subnets", "10.128.0.0/14/23,fd00:10:128::/48/64")],
    indirect=True,
)
async def test_malformed_frames_of_every_protocol_harm_nobody(
    addressed: Cluster, tmp_path: Path
) -> None:
    """On a flat network, and behind a router, which answers still more kinds of frames; another
    guest is served meanwhile, and after it."""
    zone = addressed.zones[0]
    flat = await addressed.guest("flat", zone)
    routed = await addressed.guest("routed", zone, "")
    honest = await addressed.guest("honest", zone)
    await received_prefix(honest)
    await received_prefix(routed, "::/0")
    given = await asyncio.to_thread(lease, routed, tmp_path, "udhcpc6")
    own = await asyncio.to_thread(lease, routed, tmp_path, "udhcpc")
    before = daemons(zone)
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(fuzz, flat, "10.1.0.1", "fd00:1::1", SEED))
        group.create_task(asyncio.to_thread(fuzz, routed, own["ip"], given["ipv6"], SEED + 1))
        group.create_task(served(honest, tmp_path, "10.1.0.2", "fd00:1::2"))
    await served(honest, tmp_path, "10.1.0.2", "fd00:1::2")
    await unharmed(addressed, zone, before)


def dying(who: fuzzing.Who, router: bytes, mark: bytes, claimed: int = 0) -> bytes:
    """A datagram that the router answers with an error, as its hops are used up; `claimed`: how
    long its IP header says that it is."""
    body = struct.pack("!HHHH", 9, 33434, 8 + len(mark), 0) + mark
    head = struct.pack("!BBHHHBBH", 0x45, 0, claimed or 20 + len(body), 0, 0, 1, 17, 0)
    head += who.ipv4.packed + bytes((198, 51, 100, 9))
    head = head[:10] + frames.checksum(head).to_bytes(2, "big") + head[12:]
    return router + who.mac + b"\x08\x00" + head + body


@pytest.mark.parametrize(
    "whole", [("--allow-primary", "--cluster-subnets", "10.128.0.0/14/23")], indirect=True
)
async def test_a_packet_shorter_than_it_says_is_answered_by_no_router(
    addressed: Cluster, tmp_path: Path
) -> None:
    """OVS in user space drops it, so that no ovn-controller sends memory back (CVE-2026-5265)."""
    zone = addressed.zones[0]
    guest = await addressed.guest("routed", zone, "")
    given = await asyncio.to_thread(lease, guest, tmp_path, "udhcpc")
    who = fuzzing.Who(
        bytes.fromhex(guest.mac.replace(":", "")), IPv4Address(given["ip"]), IPv6Address(0)
    )
    router = bytes.fromhex(names.address_mac(IPv4Address(given["router"])).replace(":", ""))
    with frames.capture(guest.space) as capture:
        for claimed, mark in ((508, b"<lies>"), (0, b"<true>")):
            await asyncio.to_thread(frames.send, guest.space, dying(who, router, mark, claimed))
        received = capture.until(lambda f: frames.icmp(f)[:1] == b"\x0b" and b"<true>" in f)
    assert not [f for f in received if frames.icmp(f)[:1] == b"\x0b" and b"<lies>" in f]


async def test_a_node_says_which_faults_its_ovn_has(addressed: Cluster) -> None:
    zone = addressed.zones[0]
    version = zone.run("ovn-controller", "--version").split()[1]
    expected = vulnerabilities.report(version, in_userspace=True)
    assert expected.exposure is not vulnerabilities.Exposure.EXPLOITABLE
    known = cache.Cache(addressed.api, resources.NODES)

    def reported(node: Any) -> bool:
        found = (node or {}).get("status", {}).get("conditions", ())
        return any(
            (one["type"], one["reason"]) == (names.OVN_CONDITION, expected.exposure.value)
            and one["message"] == expected.message
            for one in found
        )

    following = asyncio.create_task(known.run())
    try:
        await known.wait_for(ObjectKey("", zone.name), reported, PATIENCE)
    finally:
        following.cancel()


async def test_ovns_own_dhcpv6_is_what_dies(wire: Wire) -> None:
    """The same frames where OVN serves DHCPv6, as weft never lets it: what the tests above rule
    out is a real danger, on the versions that are known for it."""
    zone = wire.zone()
    mac = "0a:58:00:00:00:01"
    zone.run(
        *("ovn-nbctl", "ls-add", "sw", "--", "lsp-add", "sw", "victim", "--"),
        *("lsp-set-addresses", "victim", f"{mac} fd00::1", "--", "--id=@d", "create"),
        *("DHCP_Options", r"cidr=fd00\:\:/64", f'options:server_id="{names.SERVER_MAC}"', "--"),
        *("set", "Logical_Switch_Port", "victim", "dhcpv6_options=@d"),
    )
    guest = zone.guest("victim", mac)
    zone.run("ovs-vsctl", "wait-until", "Interface", "g0", "external_ids:ovn-installed=true")
    zone.synced()
    process = daemons(zone)["/run/ovn/ovn-controller.pid"]
    await asyncio.to_thread(frames.send, guest.space, *[overflowing(mac, 1)] * 200)
    report = vulnerabilities.report(zone.run("ovn-controller", "--version").split()[1])
    gone = await asyncio.to_thread(zone.run, sys.executable, "-I", "-c", _ENDS, process)
    assert (gone.strip() == "ended") is ("CVE-2026-5367" in report.message)


# Waits for the end of a process, so long as one that reads packets would take at most.
_ENDS = """
import os, select, sys
process = os.pidfd_open(int(sys.argv[1]))
print("ended" if select.select([process], [], [], 10)[0] else "lives")
"""
