"""Puts a guest behind its pod's address: interfaces, translation and DHCP server.

The pod keeps its interface and address. Beside it stands a bridge that is the guest's router; the
kernel translates between the two, and udhcpd gives the guest its address (ADR 0081).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_interface
from pathlib import Path

from weft import errors
from weft.ovn import dhcpv6
from weft_lab.kubelet import syscalls
from weft_lab.runtime import toolchain
from weft_lab.vm import dhcp6, dhcpd, links, machine, nat

RESOLV_CONF = Path("/etc/resolv.conf")
PAUSE = 1.0  # seconds until a DHCP server that ended is started again
_NET_BIND_SERVICE, _NET_RAW = 10, 13
_SYSCTL = Path("/proc/sys/net")


@dataclass(frozen=True, slots=True)
class Served:
    """What a guest has behind its pod."""

    bridge: str
    mac: str
    mtu: int
    insides: tuple[nat.Inside, ...]


def set_up(nic: machine.Nic, mac: str, tools: toolchain.Toolchain) -> Served:
    """The bridge and tap of a card, and the translation. Raises what keeps it from working."""
    own = links.addresses(nic.pod_interface)
    insides = tuple(_insides(nic, own))
    mtu = links.mtu(nic.pod_interface)
    gateways = [ip_interface(f"{inside.gateway}/{inside.network.prefixlen}") for inside in insides]
    _forward(nic.pod_interface, {inside.family for inside in insides})
    place = nat.Place(nic.pod_interface, nic.bridge, nic.forwards)
    _translate(nat.ruleset(place, insides), tools)
    links.stand_before(nic.bridge, nic.tap, mtu, gateways, plugged=not nic.is_down)
    return Served(nic.bridge, mac, mtu, insides)


def _insides(nic: machine.Nic, own: list[links.Interface]) -> list[nat.Inside]:
    """The guest's networks, of the families that the pod has."""
    found = []
    for network, field in ((nic.inside, "vmNetworkCIDR"), (nic.inside6, "vmIPv6NetworkCIDR")):
        same = [one for one in own if one.version == network.version]
        for one in same:
            if one.network.overlaps(network):
                raise errors.InvalidInput(
                    f"interface {nic.name}",
                    f"networks[{nic.name}].pod.{field}",
                    str(network),
                    f"overlaps {one.network}, the network of the pod's {nic.pod_interface}",
                    hint=f"set {field} to a network that the cluster does not use",
                )
        if same:
            found.append(nat.Inside(network))
    return found


def _forward(interface: str, families: set[str]) -> None:
    """Enable forwarding in the pod; its own interface still accepts router advertisements."""
    # Where the machine has bridged frames go through its packet filter, a network namespace that
    # translates would follow the connections of the pod's other networks.
    for name in ("iptables", "ip6tables", "arptables"):
        with contextlib.suppress(OSError):
            (_SYSCTL / f"bridge/bridge-nf-call-{name}").write_text("0")
    settings = []
    if "ip" in families:
        settings.append(("ipv4/ip_forward", "1"))
    if "ip6" in families:
        accepting = _SYSCTL / f"ipv6/conf/{interface}/accept_ra"
        if accepting.read_text().strip() == "1":  # forwarding would end SLAAC
            settings.append((f"ipv6/conf/{interface}/accept_ra", "2"))
        settings.append(("ipv6/conf/all/forwarding", "1"))
    for path, value in settings:
        try:
            (_SYSCTL / path).write_text(value)
        except OSError as error:
            raise errors.Unavailable(
                f"the pod cannot pass packets on ({error.strerror})", where=f"/proc/sys/net/{path}"
            ) from error


def _translate(ruleset: nat.Json, tools: toolchain.Toolchain) -> None:
    done = subprocess.run(
        [tools.program("nft"), "--json", "--file", "-"],
        input=json.dumps(ruleset),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()
        raise errors.Unavailable(
            f"the pod's addresses cannot be translated ({why[0] if why else 'nft failed'})",
            where="nftables",
            hint="the machine's kernel needs nf_tables with NAT: modprobe nft_chain_nat nft_fib",
        )


@contextlib.asynccontextmanager
async def leases(
    served: Served, hostname: str, place: Path, tools: toolchain.Toolchain
) -> AsyncIterator[None]:
    """DHCP servers for the guest, for as long as the block runs."""
    known = _resolver()
    async with contextlib.AsyncExitStack() as servers:
        for inside in served.insides:
            if isinstance(inside.guest, IPv4Address):
                settings = _write(served, inside, hostname, known, place)
                await servers.enter_async_context(_running(settings, tools))
            else:
                names = tuple(one for one in known.servers if isinstance(one, IPv6Address))
                dhcp_settings = dhcpv6.Settings(names, (*known.search, "")[0])
                servers.enter_context(
                    dhcp6.leases(served.bridge, served.mac, inside.guest, dhcp_settings)
                )
        yield


def _resolver() -> dhcpd.Resolver:
    with contextlib.suppress(OSError):
        return dhcpd.resolver(RESOLV_CONF.read_text())
    return dhcpd.Resolver()


def _write(
    served: Served, inside: nat.Inside, hostname: str, known: dhcpd.Resolver, place: Path
) -> Path:
    """The files of udhcpd."""
    text = dhcpd.settings(inside, served.bridge, served.mac, served.mtu, hostname, known, place)
    (place / "udhcpd.leases").touch()
    settings = place / "udhcpd.conf"
    settings.write_text(text)
    return settings


@contextlib.asynccontextmanager
async def _running(settings: Path, tools: toolchain.Toolchain) -> AsyncIterator[None]:
    task = asyncio.create_task(_serve(settings, tools), name="DHCP server")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _serve(settings: Path, tools: toolchain.Toolchain) -> None:
    while True:
        process = await asyncio.create_subprocess_exec(
            *(tools.program("busybox"), "udhcpd", "-f", str(settings)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_keep_few_rights,
        )
        try:
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        print(f"virt-launcher: the DHCP server ended with status {status}", flush=True)
        await asyncio.sleep(PAUSE)


def _keep_few_rights() -> None:
    """In the server's process: answers requests on one interface, and ends with its launcher."""
    syscalls.set_capabilities((_NET_BIND_SERVICE, _NET_RAW))
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
