"""What do Northbound rows say of a router, its links to switches, and where it sends packets?

The shapes alone, each with its owner; which routers there are is the topologies' to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from weft import model, names, rows
from weft.ovn import ports

ROUTER = "Logical_Router"
ROUTER_PORT = "Logical_Router_Port"
ROUTE = "Logical_Router_Static_Route"
NAT = "NAT"
ACL = "ACL"

DISCARD = "discard"
T = TypeVar("T", model.Interface, model.Subnet)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom rows stand for: a network, or one node's part in it."""

    network: str
    node: str = ""

    def ids(self, key: str = "") -> dict[str, rows.Atom]:
        """external_ids of a row; `key` where its table has no name."""
        owner = names.node_owner(self.node) if self.node else names.network_owner(self.network)
        ids: dict[str, rows.Atom] = {names.OWNER: owner, names.NETWORK: self.network}
        return {**ids, names.ROW_ID: key} if key else ids


def keyed(kind: str, network: model.Network) -> dict[str, rows.Atom]:
    """The key of a datapath that this zone alone has (`names.local_datapath_key`)."""
    return {"requested-tnl-key": str(names.local_datapath_key(kind, network.id))}


def numbered(kind: str, towards: str) -> dict[str, rows.Atom]:
    """The key of a port of such a datapath (`names.local_port_key`)."""
    return {"requested-tnl-key": str(names.local_port_key(kind, towards))}


def switch(name: str, owner: Owner, other_config: Mapping[str, rows.Atom]) -> rows.Row:
    return rows.Row(
        ports.SWITCH,
        name,
        {"name": name, "other_config": other_config, "external_ids": owner.ids()},
    )


def router(name: str, owner: Owner, options: Mapping[str, rows.Atom]) -> rows.Row:
    """A router that learns a neighbour from an ARP request only if it was asked itself."""
    said = {"always_learn_from_arp_request": "false", **options}
    return rows.Row(ROUTER, name, {"name": name, "options": said, "external_ids": owner.ids()})


def router_port(
    name: str,
    of: str,
    owner: Owner,
    mac: str,
    networks: Iterable[model.Interface],
    options: Mapping[str, rows.Atom],
) -> rows.Row:
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


def switch_port(
    name: str,
    of: str,
    owner: Owner,
    *,
    type: str,
    addresses: str,
    options: Mapping[str, rows.Atom],
) -> rows.Row:
    """A switch's port to anything but a pod."""
    return rows.Row(
        ports.PORT,
        name,
        {
            "name": name,
            "type": type,
            "addresses": frozenset({addresses}),
            "port_security": frozenset(),
            "options": options,
            "external_ids": owner.ids(),
        },
        parent=rows.Ref(ports.SWITCH, of),
        parent_column="ports",
    )


def to_router(
    name: str, of: str, owner: Owner, peer: str, options: Mapping[str, rows.Atom] | None = None
) -> rows.Row:
    """A switch's end of a link whose other end is the router port `peer`."""
    said = {"router-port": peer, **(options or {})}
    return switch_port(name, of, owner, type="router", addresses="router", options=said)


def mac(addresses: Iterable[model.Interface]) -> str:
    """The MAC of a router port with these addresses: by the rule, from IPv4 if there is any."""
    chosen = min(addresses, key=lambda address: address.version)
    return names.address_mac(str(chosen.ip))


def route(
    of: str,
    owner: Owner,
    key: str,
    dest: model.Subnet | str,
    next_hop: model.Address | str,
    output_port: str = "",
) -> rows.Row:
    """Known by `key` and not by what it says, so that a changed route never has a twin."""
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
    of: str, owner: Owner, key: str, hidden: model.Subnet, address: model.Interface
) -> rows.Row:
    """What leaves by this router from `hidden` does so from `address`."""
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


def drop(of: str, owner: Owner, key: str, priority: int, match: str) -> rows.Row:
    """What a switch does not take in."""
    return rows.Row(
        ACL,
        key,
        {
            "direction": "from-lport",
            "priority": priority,
            "match": match,
            "action": "drop",
            "external_ids": owner.ids(key),
        },
        parent=rows.Ref(ports.SWITCH, of),
        parent_column="acls",
    )
