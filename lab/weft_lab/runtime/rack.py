"""Plans the VLANs of a lab's physical network: a switch, and a host in each VLAN. Pure.

The switch is an Open vSwitch of its own, named `rack`, so that no node's fate is the VLANs'. Its
uplink to the nodes carries tags, and each host has an access port. A host has a DHCP server
(dnsmasq) and a database (Redis). They are no part of the cluster, and guests reach them: they do
no more than guests may have of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from weft_lab import spec
from weft_lab.runtime import daemons
from weft_lab.service import Service

NAME = "rack"
BRIDGE = "br-rack"
UPLINK = "ul-rack"  # the end of its link that is on the underlay
DATABASE_PORT = 6379
LINK = "eth0"  # of the switch and of each host: the one link that it has to the others
_LEASE = "1h"


def port(vlan: spec.Vlan) -> str:
    """The switch's access port of a VLAN."""
    return f"vlan{vlan.number}"


def services(vlans: Sequence[spec.Vlan]) -> Iterable[Service]:
    """What runs for the VLANs; nothing without one."""
    if vlans:
        yield from daemons.switch(NAME, BRIDGE)
    for vlan in vlans:
        host = vlan.host
        yield Service(f"{host}/dhcp", _dhcp(vlan), node=host)
        yield Service(f"{host}/database", _database(), node=host)


def _dhcp(vlan: spec.Vlan) -> tuple[str, ...]:
    """It leases addresses of both families, and is no router, so it names none."""
    (first, last), (first_6, last_6) = vlan.leases
    return (
        *("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0"),
        *(f"--interface={LINK}", "--except-interface=lo", "--bind-dynamic"),
        *("--dhcp-leasefile=/run/dnsmasq.leases", "--dhcp-authoritative", "--no-ping"),
        *(f"--dhcp-range={first},{last},{_LEASE}", "--dhcp-option=option:router"),
        *(f"--dhcp-range={first_6},{last_6},64,{_LEASE}", "--enable-ra"),
        f"--ra-param={LINK},60,0",
    )


def _database() -> tuple[str, ...]:
    return (
        *("redis-server", "--port", str(DATABASE_PORT), "--protected-mode", "no"),
        *("--save", "", "--appendonly", "no", "--dir", "/run"),
        *("--maxmemory", "16mb", "--maxclients", "100", "--maxmemory-clients", "16mb"),
        *("--client-query-buffer-limit", "1mb", "--proto-max-bulk-len", "1mb"),
        *("--client-output-buffer-limit", "normal 1mb 1mb 1"),
        # Data, and who is connected; no scripts, files or settings.
        *("--user", "default", "on", "nopass", "~*", "-@all", "+@read", "+@write"),
        *("+@connection", "-@dangerous", "+keys", "+client|list"),
    )
