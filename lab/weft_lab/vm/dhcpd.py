"""Makes the settings of busybox's udhcpd, which serves the guest behind a pod. Pure.

As KubeVirt has it: one address for one MAC, the pod as the router, the pod's own name servers and
search domains, the MTU of the pod's interface, and the machine's name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weft_lab.vm import nat, schema

LEASE_SECONDS = 999 * 86400  # KubeVirt's
SERVERS = 3  # that a resolver asks
ROOM = 200  # bytes of search domains: an option has 255


@dataclass(frozen=True, slots=True)
class Resolver:
    """What a resolv.conf says."""

    servers: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...] = ()
    search: tuple[str, ...] = ()


def resolver(text: str) -> Resolver:
    """What cannot be read of it is left out."""
    servers, search = [], []
    for line in text.splitlines():
        key, *words = line.split() or [""]
        if key == "nameserver" and words:
            try:
                servers.append(ipaddress.ip_address(words[0]))
            except ValueError:
                continue
        if key == "search":
            search = [word for word in words if schema.fits(word, schema.SUBDOMAIN)]
    return Resolver(tuple(servers), tuple(search))


def settings(
    inside: nat.Inside, bridge: str, mac: str, mtu: int, hostname: str, known: Resolver, place: Path
) -> str:
    """udhcpd.conf(5); `place` is the folder of its files. Every word of it was checked before."""
    lines = [
        f"interface {bridge}",
        f"start {inside.guest}",
        f"end {inside.guest}",
        "max_leases 1",
        f"static_lease {mac} {inside.guest}",
        f"lease_file {place}/udhcpd.leases",
        f"pidfile {place}/udhcpd.pid",
        "auto_time 0",
        f"option subnet {inside.network.netmask}",
        f"option router {inside.gateway}",
        f"option lease {LEASE_SECONDS}",
        f"option mtu {mtu}",
    ]
    if schema.fits(hostname, schema.LABEL):
        lines.append(f"option hostname {hostname}")
    servers = [str(server) for server in known.servers if server.version == 4][:SERVERS]
    if servers:
        lines.append(f"option dns {' '.join(servers)}")
    search = _fitting(known.search)
    if search:
        lines += [f"option domain {search[0]}", f"option search {' '.join(search)}"]
    return "".join(f"{line}\n" for line in lines)


def _fitting(domains: Sequence[str]) -> list[str]:
    """As many of the first as one option holds."""
    chosen: list[str] = []
    for domain in domains:
        if sum(len(each) + 2 for each in (*chosen, domain)) > ROOM:
            break
        chosen.append(domain)
    return chosen
