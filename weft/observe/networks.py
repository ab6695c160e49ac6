"""Groups switches and routers into networks, and finds zones known from ports only.

Pure; the last step of `topology`.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence

from weft import names
from weft.observe.chassis import Natural, merged, natural_key
from weft.observe.graph import DatapathRole, Network, PortKind, Router, Switch, Zone


def listed(switches: Sequence[Switch], routers: Sequence[Router]) -> tuple[Network, ...]:
    """The networks: primary ones first, then by name."""
    labels = {switch.network for switch in switches} | {router.network for router in routers}
    found = [
        _network(
            label,
            [switch for switch in switches if switch.network == label],
            [router for router in routers if router.network == label],
        )
        for label in labels
    ]
    return tuple(sorted(found, key=_order))


def _order(network: Network) -> tuple[bool, bool, Natural]:
    return not network.primary, network.name != names.DEFAULT_NETWORK, natural_key(network.name)


def _network(label: str, switches: Sequence[Switch], routers: Sequence[Router]) -> Network:
    roles = {switch.role for switch in switches} | {router.role for router in routers}
    if DatapathRole.LAYER2 in roles:
        topology, own = "layer2", DatapathRole.LAYER2
    elif DatapathRole.LOCALNET in roles:
        topology, own = "localnet", DatapathRole.LOCALNET
    elif roles & {DatapathRole.CLUSTER, DatapathRole.TRANSIT, DatapathRole.GATEWAY}:
        topology, own = "layer3", DatapathRole.NODE
    else:
        topology, own = "switch", DatapathRole.LONE
    parts = merged(subnet for switch in switches if switch.role is own for subnet in switch.subnets)
    return Network(
        name=label,
        topology=topology,
        primary=label == names.DEFAULT_NETWORK or DatapathRole.GATEWAY in roles,
        subnets=_wholes(parts, routers) if own is DatapathRole.NODE else parts,
        mtu=_usual(port.mtu for switch in switches for port in switch.ports if port.mtu),
    )


def _usual(mtus: Iterable[int]) -> int:
    """The MTU that most ports have, in bytes; the smaller of a tie, 0 if none is known."""
    counted = Counter(mtus)
    return min(counted, key=lambda mtu: (-counted[mtu], mtu), default=0)


def _wholes(parts: Iterable[str], routers: Sequence[Router]) -> tuple[str, ...]:
    """The network's subnets as wholes: the smallest prefix of a route or NAT around each node
    subnet."""
    prefixes = {nat.logical_ip for router in routers for nat in router.nats}
    prefixes |= {route.prefix for router in routers for route in router.routes}
    wholes = [net for text in prefixes if (net := _parsed(text)) and net.prefixlen]
    found: list[str] = []
    for part in parts:
        inner = _parsed(part)
        around = [
            net
            for net in wholes
            if inner and net.version == inner.version and _contains(net, inner) and net != inner
        ]
        if around:
            found.append(str(max(around, key=lambda net: net.prefixlen)))
    return merged(sorted(found, key=lambda text: (":" in text, text)))


def _contains(
    outer: ipaddress.IPv4Network | ipaddress.IPv6Network,
    inner: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> bool:
    return inner.network_address in outer and inner.prefixlen >= outer.prefixlen


def _parsed(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def strays(zones: Iterable[Zone], switches: Iterable[Switch]) -> tuple[Zone, ...]:
    """Zones that pods are bound to but no Chassis row names: mostly nodes that were removed."""
    known = {zone.name for zone in zones}
    shown = (PortKind.POD, PortKind.REMOTE)
    found = {port.zone for switch in switches for port in switch.ports if port.kind in shown}
    return tuple(Zone(name, read=False) for name in sorted(found - known, key=natural_key))
