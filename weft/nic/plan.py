"""Plans a pod's network interface from its allocation and network.

Pure. Computes the device, addresses, routes and kernel settings of one allocation on one network.
`weft.node.links` makes the device, `port.py` plans its OVS port.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface, ip_network

from weft import errors, model, names

MAX_DEVICE_NAME = 15


class NicKind(StrEnum):
    """How the pod's interface is connected to the bridge.

    INTERNAL is a port that OVS creates and weft moves into the pod: fastest with the userspace
    datapath, but it disappears when vswitchd ends. VETH is a pair that outlives vswitchd.
    """

    INTERNAL = "internal"
    VETH = "veth"


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A setting below /proc/sys in the pod; the kernel may lack an `optional` one."""

    path: str
    value: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Nic:
    """One interface of a pod: `device` on the node, `interface` in the pod; `mtu` in bytes.

    `peers` are the pod's other interfaces on this network: they share its routes, and packets from
    one's address must leave through that one. `ranges` are the network's subnets.
    """

    kind: NicKind
    device: str
    interface: str
    mac: str
    mtu: int
    addresses: tuple[model.Interface, ...] = ()
    routes: tuple[model.Route, ...] = ()
    gateways: tuple[model.Address, ...] = ()
    sysctls: tuple[Sysctl, ...] = ()
    peers: tuple[str, ...] = ()
    ranges: tuple[model.Subnet, ...] = ()


def plan(
    kind: NicKind,
    sandbox: str,
    interface: str,
    spec: model.NetworkSpec,
    allocation: model.Allocation,
    *,
    peers: tuple[str, ...] = (),
) -> Nic:
    """Returns the interface for `allocation`; `peers` are the pod's others on the same network.

    Raises InvalidInput if Linux does not allow the interface's name.
    """
    check_name(interface)
    return Nic(
        kind=kind,
        device=names.host_device(sandbox, interface),
        interface=interface,
        mac=allocation.mac,
        mtu=spec.mtu,
        addresses=allocation.addresses,
        routes=(*default_routes(allocation.gateways), *allocation.routes),
        gateways=allocation.gateways,
        sysctls=(
            *ipv6_sysctls(interface, required=needs_ipv6(allocation.addresses)),
            *(sharing_sysctls(interface) if peers else ()),
        ),
        peers=peers,
        # The pod's default route leads to all of the default network: no unreachable ranges.
        ranges=() if allocation.role == "primary" else spec.subnets,
    )


def check_name(interface: str) -> None:
    """Raises InvalidInput for a device name that Linux does not allow; a runtime may pass any."""
    rule = ""
    if not interface or len(interface) > MAX_DEVICE_NAME:
        rule = f"an interface name has 1 to {MAX_DEVICE_NAME} characters"
    elif interface in (".", "..") or any(c in "/:" or c.isspace() for c in interface):
        rule = "an interface name has no blank, slash or colon and is neither . nor .."
    elif not interface.isprintable():
        rule = "an interface name has printable characters only"
    if rule:
        raise errors.InvalidInput("CNI call", "CNI_IFNAME", interface, rule)


def needs_ipv6(addresses: Iterable[model.Interface]) -> bool:
    return any(isinstance(address, IPv6Interface) for address in addresses)


def default_routes(gateways: Iterable[model.Address]) -> Iterable[model.Route]:
    """Yields a default route through each gateway."""
    for gateway in gateways:
        everything = ip_network("0.0.0.0/0" if gateway.version == 4 else "::/0")
        yield model.Route(dest=everything, next_hop=gateway)


def ipv6_sysctls(interface: str, *, required: bool) -> tuple[Sysctl, ...]:
    """Returns settings for no duplicate address detection and no autoconfiguration.

    The link-local address derives from the MAC (mode 0): OVN's port security allows only that
    one. Addresses stay while the link is down, as IPv4 addresses do.
    """
    conf = f"net/ipv6/conf/{interface}"
    settings = {
        "disable_ipv6": "0",
        "addr_gen_mode": "0",
        "accept_dad": "0",
        "dad_transmits": "0",
        "accept_ra": "0",
        "keep_addr_on_down": "1",
    }
    return tuple(
        Sysctl(f"{conf}/{name}", value, optional=not required) for name, value in settings.items()
    )


def sharing_sysctls(interface: str) -> tuple[Sysctl, ...]:
    """Returns settings with which two interfaces on one network answer ARP each for itself."""
    conf = f"net/ipv4/conf/{interface}"
    return (
        Sysctl(f"{conf}/arp_ignore", "1"),
        Sysctl(f"{conf}/arp_announce", "2"),
        Sysctl(f"{conf}/rp_filter", "2"),
    )


def subnets(nic: Nic) -> tuple[model.Subnet, ...]:
    return tuple(address.network for address in nic.addresses)


def differences(
    nic: Nic,
    *,
    mac: str,
    mtu: int,
    up: bool,
    addresses: Iterable[IPv4Interface | IPv6Interface],
    routes: Collection[str],
) -> list[str]:
    """Returns what a CNI CHECK finds wrong with the interface; empty if it is as planned.

    `routes` are destinations, as "10.1.0.0/16". Addresses and routes that the pod added itself are
    ignored.
    """
    found = []
    if mac.lower() != nic.mac.lower():
        found.append(f"MAC {mac}, allocated {nic.mac}")
    if mtu != nic.mtu:
        found.append(f"MTU {mtu}, the network's is {nic.mtu}")
    if not up:
        found.append("the link is down")
    present = set(addresses)
    found += [f"address {a} is missing" for a in nic.addresses if a not in present]
    found += [f"route {r.dest} is missing" for r in nic.routes if str(r.dest) not in routes]
    return found
