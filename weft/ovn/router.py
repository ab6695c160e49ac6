"""Renders the Northbound rows of routers: their ports, routes and NAT.

The topology modules decide which routers exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from weft import model, names, rows
from weft.ovn.switches import RowOwner

ROUTER = "Logical_Router"
ROUTER_PORT = "Logical_Router_Port"
ROUTE = "Logical_Router_Static_Route"
NAT = "NAT"

DISCARD = "discard"
T = TypeVar("T", model.Interface, model.Subnet)


def router(name: str, owner: RowOwner, options: Mapping[str, rows.Atom]) -> rows.Row:
    """A router that learns a neighbour from ARP only if the request was for the router itself."""
    all_options = {"always_learn_from_arp_request": "false", **options}
    return rows.Row(
        ROUTER, name, {"name": name, "options": all_options, "external_ids": owner.ids()}
    )


def router_port(
    name: str,
    of: str,
    owner: RowOwner,
    mac: str,
    networks: Iterable[model.Interface],
    options: Mapping[str, rows.Atom],
) -> rows.Row:
    """A port of router `of`; `networks` are its addresses with prefix lengths."""
    return rows.Row(
        ROUTER_PORT,
        name,
        {
            "name": name,
            "mac": mac,
            "networks": frozenset(str(address) for address in networks),
            "options": options,
            "external_ids": owner.ids(),
        },
        parent=rows.Ref(ROUTER, of),
        parent_column="ports",
    )


def mac(addresses: Iterable[model.Interface]) -> str:
    """The MAC of a router port with these addresses (`names.address_mac`), preferably from IPv4."""
    chosen = min(addresses, key=lambda address: address.version)
    return names.address_mac(chosen.ip)


def route(
    of: str,
    owner: RowOwner,
    key: str,
    dest: model.Subnet | str,
    next_hop: model.Address | str,
    output_port: str = "",
) -> rows.Row:
    """A static route, identified by `key` so that a changed route replaces the old one."""
    return rows.Row(
        ROUTE,
        key,
        {
            "ip_prefix": str(dest),
            "nexthop": str(next_hop),
            "output_port": output_port or frozenset(),
            "external_ids": owner.ids(key),
        },
        parent=rows.Ref(ROUTER, of),
        parent_column="static_routes",
    )


def of_family(found: Iterable[T], version: int) -> T | None:
    """The first of this family: a node has one subnet and one address of each."""
    return next((each for each in found if each.version == version), None)


def snat(
    of: str, owner: RowOwner, key: str, hidden: model.Subnet, address: model.Interface
) -> rows.Row:
    """SNAT of packets from `hidden` that leave through this router, to `address`."""
    return rows.Row(
        NAT,
        key,
        {
            "type": "snat",
            "logical_ip": str(hidden),
            "external_ip": str(address.ip),
            "external_ids": owner.ids(key),
        },
        parent=rows.Ref(ROUTER, of),
        parent_column="nat",
    )
