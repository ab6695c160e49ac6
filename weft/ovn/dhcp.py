"""What OVN's own DHCP servers say on a network, as DHCP_Options rows.

One row for each family of a network and none for each port, so that a pod's arrival stays one
small transaction. OVN gives the address of the port; the row gives all the rest.
"""

from __future__ import annotations

from weft import model, names, ranges, rows

# The server's identity lies outside of every subnet that a network can have assigned, and its MAC
# is given to nobody; unicast to it is answered by OVN on the asking port and goes nowhere else.
SERVER_IP = "169.254.1.1"
# What OVN derives from names.SERVER_MAC as the source of its DHCPv6 replies (modified EUI-64).
SERVER_LINK_LOCAL = "fe80::858:a9ff:fefe:101"

OPTIONS = "DHCP_Options"


def options(network: model.Network, routed: tuple[model.Subnet, ...] = ()) -> tuple[rows.Row, ...]:
    """One row for each family that the network assigns addresses from.

    `routed`: this node's subnets of a layer-3 network. The way to the other nodes is told here
    for IPv4; for IPv6 the router's advertisement tells it.
    """
    if not network.spec.dhcp.enabled:
        return ()
    return tuple(_row(network, subnet) for subnet in _served(network.spec, routed))


def reference(
    spec: model.NetworkSpec,
    family: int,
    allocation: model.Allocation,
    routed: tuple[model.Subnet, ...] = (),
) -> rows.Value:
    """What a local port's `dhcpv<family>_options` must hold: one reference, or nothing.

    A port without an address inside the served subnet gets none: OVN would have no offer.
    """
    if not spec.dhcp.enabled:
        return frozenset()
    for subnet in _served(spec, routed):
        if subnet.version == family and any(
            address.version == family and address.ip in subnet for address in allocation.addresses
        ):
            return frozenset({_reference(spec, family)})
    return frozenset()


def families(spec: model.NetworkSpec) -> frozenset[int]:
    """The families of which OVN alone says what address a port has, if anybody has to."""
    return frozenset(s.version for s in spec.subnets) if spec.dhcp.enabled else frozenset()


def _served(spec: model.NetworkSpec, routed: tuple[model.Subnet, ...]) -> tuple[model.Subnet, ...]:
    """The first subnet of each family: a port can point at one row of each."""
    first: dict[int, model.Subnet] = {}
    is_routed = spec.topology is model.Topology.LAYER3
    for subnet in routed if is_routed else spec.subnets:
        first.setdefault(subnet.version, subnet)
    return tuple(first.values())


def _reference(spec: model.NetworkSpec, family: int) -> rows.Ref:
    return rows.Ref(OPTIONS, names.dhcp_options(spec.name, family))


def _row(network: model.Network, subnet: model.Subnet) -> rows.Row:
    spec = network.spec
    key = names.dhcp_options(spec.name, subnet.version)
    said = _options_v4(spec) if subnet.version == 4 else _options_v6(spec)
    if spec.topology is model.Topology.LAYER3 and subnet.version == 4:
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
    parts += [f"0.0.0.0/0,{router}" for router in _of_family(network.spec.dhcp.routers, 4)[:1]]
    return {"classless_static_route": "{" + ", ".join(parts) + "}"}


def _options_v4(spec: model.NetworkSpec) -> dict[str, rows.Atom]:
    said: dict[str, rows.Atom] = {
        "server_id": SERVER_IP,
        "server_mac": names.SERVER_MAC,
        "lease_time": str(spec.dhcp.lease_seconds),
        "mtu": str(spec.mtu),
    }
    if routers := _of_family(spec.dhcp.routers, 4):
        said["router"] = _list(routers)
    if dns := _of_family(spec.dhcp.dns, 4):
        said["dns_server"] = _list(dns)
    if spec.dhcp.domain:
        said["domain_name"] = f'"{spec.dhcp.domain}"'
    return said


def _options_v6(spec: model.NetworkSpec) -> dict[str, rows.Atom]:
    """DHCPv6 has no option for MTU, router or prefix: those are the advertiser's."""
    said: dict[str, rows.Atom] = {"server_id": names.SERVER_MAC}
    if dns := _of_family(spec.dhcp.dns, 6):
        said["dns_server"] = _list(dns)
    if spec.dhcp.domain:
        said["domain_search"] = f'"{spec.dhcp.domain}"'
    return said


def _of_family(given: tuple[model.Address, ...], family: int) -> list[str]:
    return [str(address) for address in given if address.version == family]


def _list(values: list[str]) -> str:
    """OVN's own notation for one or several addresses."""
    return values[0] if len(values) == 1 else "{" + ", ".join(values) + "}"
