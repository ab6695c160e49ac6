"""The DHCP_Options rows by which OVN serves DHCPv4 on a network, and the lease that follows.

One row for a network and none for each port, so that a pod's arrival stays one small transaction.
OVN gives the address of the port; the row gives all the rest. DHCPv6 is the node agent's
(ADR 0074): no row of OVN's stands for it, so that OVN never reads a guest's DHCPv6.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from weft import model, names, ranges, rows

# The server's identity lies outside of every subnet that a network can have assigned, and its MAC
# is given to nobody; unicast to it is answered by OVN on the asking port and goes nowhere else.
SERVER_IP = names.SERVER_ADDRESS
# What follows from names.SERVER_MAC (modified EUI-64): where DHCPv6 replies come from.
SERVER_LINK_LOCAL = "fe80::858:a9ff:fefe:101"

OPTIONS = "DHCP_Options"


def options(network: model.Network, routed: tuple[model.Subnet, ...] = ()) -> tuple[rows.Row, ...]:
    """The row of a network that assigns IPv4 addresses.

    `routed`: this node's subnets of a layer-3 network. The way to the other nodes is told here
    for IPv4; for IPv6 the router's advertisement tells it.
    """
    if not network.spec.dhcp.enabled:
        return ()
    served = _served(network.spec, routed)
    return tuple(_row(network, subnet) for subnet in served if subnet.version == 4)


def reference(
    spec: model.NetworkSpec,
    allocation: model.Allocation,
    routed: tuple[model.Subnet, ...] = (),
) -> rows.Value:
    """What a local port's `dhcpv4_options` must hold: one reference, or nothing.

    A port without an address inside the served subnet gets none: OVN would have no offer.
    """
    if _offered(spec, 4, allocation, routed) is None:
        return frozenset()
    return frozenset({rows.Ref(OPTIONS, names.dhcp_options(spec.name, 4))})


def lease(
    spec: model.NetworkSpec,
    allocation: model.Allocation,
    routed: tuple[model.Subnet, ...] = (),
) -> IPv6Address | None:
    """What a local port is to be given by DHCPv6."""
    offered = _offered(spec, 6, allocation, routed)
    return offered if isinstance(offered, IPv6Address) else None


def families(spec: model.NetworkSpec) -> frozenset[int]:
    """The families of which weft alone says what address a port has, if anybody has to."""
    return frozenset(s.version for s in spec.subnets) if spec.dhcp.enabled else frozenset()


def _served(spec: model.NetworkSpec, routed: tuple[model.Subnet, ...]) -> tuple[model.Subnet, ...]:
    """The first subnet of each family: a port can point at one row of each."""
    first: dict[int, model.Subnet] = {}
    is_routed = spec.topology is model.Topology.LAYER3
    for subnet in routed if is_routed else spec.subnets:
        first.setdefault(subnet.version, subnet)
    return tuple(first.values())


def _offered(
    spec: model.NetworkSpec,
    family: int,
    allocation: model.Allocation,
    routed: tuple[model.Subnet, ...],
) -> model.Address | None:
    """The first address of the port that lies in the family's served subnet."""
    if not spec.dhcp.enabled:
        return None
    for subnet in _served(spec, routed):
        for address in allocation.addresses:
            if subnet.version == family == address.version and address.ip in subnet:
                return address.ip
    return None


def _row(network: model.Network, subnet: model.Subnet) -> rows.Row:
    spec = network.spec
    key = names.dhcp_options(spec.name, subnet.version)
    said = _options(spec)
    if spec.topology is model.Topology.LAYER3:
        said |= _way(network, str(ranges.router(subnet).ip))
    return rows.Row(
        OPTIONS,
        key,
        {
            "cidr": str(subnet),
            "options": said,
            "external_ids": {
                names.OWNER: names.network_owner(spec.name),
                names.NETWORK: spec.name,
                names.ROW_ID: key,
            },
        },
    )


def _way(network: model.Network, gateway: str) -> dict[str, rows.Atom]:
    """Through the node's router: everywhere, or on a secondary network to the other nodes."""
    if network.is_default:
        return {"router": gateway}
    parts = [f"{s},{gateway}" for s in network.spec.subnets if s.version == 4]
    # Who takes these takes no router beside them (RFC 3442).
    parts += [f"0.0.0.0/0,{router}" for router in _ipv4(network.spec.dhcp.routers)[:1]]
    return {"classless_static_route": "{" + ", ".join(parts) + "}"}


def _options(spec: model.NetworkSpec) -> dict[str, rows.Atom]:
    said: dict[str, rows.Atom] = {
        "server_id": SERVER_IP,
        "server_mac": names.SERVER_MAC,
        "lease_time": str(spec.dhcp.lease_seconds),
        "mtu": str(spec.mtu),
    }
    if routers := _ipv4(spec.dhcp.routers):
        said["router"] = _list(routers)
    if dns := _ipv4(spec.dhcp.dns):
        said["dns_server"] = _list(dns)
    if spec.dhcp.domain:
        said["domain_name"] = f'"{spec.dhcp.domain}"'
    return said


def _ipv4(given: tuple[model.Address, ...]) -> list[str]:
    return [str(address) for address in given if address.version == 4]


def _list(values: list[str]) -> str:
    """OVN's own notation for one or several addresses."""
    return values[0] if len(values) == 1 else "{" + ", ".join(values) + "}"
