"""Renders the DHCP_Options rows with which OVN serves DHCPv4, and finds the DHCPv6 lease of a port.

A network has one row, not one for each port, so a pod's arrival stays one small transaction; only
a NIC with options of its own has a row of its own. OVN takes the address from the port and
everything else from the row. The node agent serves DHCPv6 (ADR 0074); no row enables it, so OVN
never parses a guest's DHCPv6.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address

from weft import dhcpcodes, model, names, ranges, rows
from weft.dhcpcodes import ValueKind

# The server's address lies outside of every subnet that a network can have, and no port gets its
# MAC. OVN answers unicast to it on the port where it arrives; the packet goes nowhere else.
SERVER_IP = names.SERVER_ADDRESS
# The EUI-64 link-local address of names.SERVER_MAC: the source of DHCPv6 replies.
SERVER_LINK_LOCAL = "fe80::858:a9ff:fefe:101"

OPTIONS = "DHCP_Options"
_OF_PORT = "dhcp/v4/"  # no network's row begins so


def options(network: model.Network, routed: tuple[model.Subnet, ...] = ()) -> tuple[rows.Row, ...]:
    """The DHCP_Options row of a network that assigns IPv4 addresses.

    `routed`: this node's subnets of a layer3 network. The row has the IPv4 route to other nodes;
    router advertisements have the IPv6 one.
    """
    if not network.spec.dhcp.enabled:
        return ()
    served = _served(network.spec, routed)
    return tuple(_row(network, subnet) for subnet in served if subnet.version == 4)


def options_ref(
    spec: model.NetworkSpec,
    allocation: model.Allocation,
    routed: tuple[model.Subnet, ...] = (),
    port: str = "",
) -> rows.Value:
    """The `dhcpv4_options` of a local `port`: one reference, or none.

    A port without an address in the served subnet has none: OVN could offer it nothing.
    """
    if _offered(spec, 4, allocation, routed) is None:
        return frozenset()
    if permitted(spec, allocation, 4):
        return frozenset({rows.Ref(OPTIONS, _key_of_port(port))})
    return frozenset({rows.Ref(OPTIONS, names.dhcp_options(spec.name, 4))})


def of_port(
    network: model.Network,
    port: model.Port,
    key: str,
    routed: tuple[model.Subnet, ...] = (),
) -> tuple[rows.Row, ...]:
    """The row of a local port (by its `key`) that has options of its own: those of the network,
    and its own instead."""
    own = permitted(network.spec, port.allocation, 4)
    if not own or _offered(network.spec, 4, port.allocation, routed) is None:
        return ()
    (row,) = options(network, routed)
    ids = {
        names.OWNER: names.pod_owner(port.pod.namespace, port.pod.name),
        names.OWNER_UID: port.pod.uid,
        names.NETWORK: port.network,
        names.ATTACHMENT: port.key,
        names.ROW_ID: _key_of_port(key),
    }
    given = row.columns["options"]
    assert isinstance(given, dict)
    columns = {**row.columns, "options": {**given, **rendered(own)}, "external_ids": ids}
    return (rows.Row(OPTIONS, _key_of_port(key), columns),)


def port_of(row_key: str) -> str:
    """The key of the port that a row is for; "" for a network's row."""
    return row_key.removeprefix(_OF_PORT) if row_key.startswith(_OF_PORT) else ""


def permitted(
    spec: model.NetworkSpec, allocation: model.Allocation, family: int
) -> tuple[model.DhcpOption, ...]:
    """The NIC's own options that the network permits now."""
    return tuple(
        each
        for each in allocation.nic.dhcp
        if each.family == family and each[:2] in spec.permits.dhcp
    )


def rendered(options: Iterable[model.DhcpOption]) -> dict[str, rows.Atom]:
    """DHCPv4 options as northd puts them into an action, by OVN's names."""
    found: dict[str, rows.Atom] = {}
    for each in options:
        if each.family == 4:
            known = dhcpcodes.V4[each.code]
            is_text = known.kind in (ValueKind.TEXT, ValueKind.NAMES)
            text = ",".join(each.values)  # OVN takes a space for a part of the name
            found[known.name] = f'"{text}"' if is_text else _list(list(each.values))
    return found


def lease(
    spec: model.NetworkSpec,
    allocation: model.Allocation,
    routed: tuple[model.Subnet, ...] = (),
) -> IPv6Address | None:
    """The address that DHCPv6 leases to a local port; None for none."""
    offered = _offered(spec, 6, allocation, routed)
    return offered if isinstance(offered, IPv6Address) else None


def served_families(spec: model.NetworkSpec) -> frozenset[int]:
    """The IP families in which only weft may serve DHCP on the network."""
    return frozenset(s.version for s in spec.subnets) if spec.dhcp.enabled else frozenset()


def _key_of_port(key: str) -> str:
    return f"{_OF_PORT}{key}"


def _served(spec: model.NetworkSpec, routed: tuple[model.Subnet, ...]) -> tuple[model.Subnet, ...]:
    """The first subnet of each family: a port can refer to one row of each."""
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
    """The port's first address in the served subnet of the family."""
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
    options = _options(spec)
    if spec.topology is model.Topology.LAYER3:
        options |= _routes(network, str(ranges.router(subnet).ip))
    return rows.Row(
        OPTIONS,
        key,
        {
            "cidr": str(subnet),
            "options": options,
            "external_ids": {
                names.OWNER: names.network_owner(spec.name),
                names.NETWORK: spec.name,
                names.ROW_ID: key,
            },
        },
    )


def _routes(network: model.Network, gateway: str) -> dict[str, rows.Atom]:
    """The route through the node's router: default, or on a secondary network to other nodes."""
    if network.is_default:
        return {"router": gateway}
    parts = [f"{s},{gateway}" for s in network.spec.subnets if s.version == 4]
    # A client that takes classless routes ignores the router option (RFC 3442).
    parts += [f"0.0.0.0/0,{router}" for router in _ipv4(network.spec.dhcp.routers)[:1]]
    return {"classless_static_route": "{" + ", ".join(parts) + "}"}


def _options(spec: model.NetworkSpec) -> dict[str, rows.Atom]:
    options: dict[str, rows.Atom] = {
        "server_id": SERVER_IP,
        "server_mac": names.SERVER_MAC,
        "lease_time": str(spec.dhcp.lease_seconds),
        "mtu": str(spec.mtu),
    }
    if routers := _ipv4(spec.dhcp.routers):
        options["router"] = _list(routers)
    if dns := _ipv4(spec.dhcp.dns):
        options["dns_server"] = _list(dns)
    if spec.dhcp.domain:
        options["domain_name"] = f'"{spec.dhcp.domain}"'
    options |= rendered(spec.dhcp.options)
    return options


def _ipv4(given: tuple[model.Address, ...]) -> list[str]:
    return [str(address) for address in given if address.version == 4]


def _list(values: list[str]) -> str:
    """One or several addresses in OVN's notation."""
    return values[0] if len(values) == 1 else "{" + ", ".join(values) + "}"
