"""Renders the Northbound rows of switches, and of their ports that are not pods'.

The topology modules decide which switches exist; `ports` renders pods' ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weft import model, names, rows, tunnelkeys
from weft.ovn import ports


@dataclass(frozen=True, slots=True)
class RowOwner:
    """What rows belong to: a network, or one node's part of it."""

    network: str
    node: str = ""

    def ids(self, key: str = "") -> dict[str, rows.Atom]:
        """external_ids of a row; `key` is for tables without a name column."""
        owner = names.node_owner(self.node) if self.node else names.network_owner(self.network)
        ids: dict[str, rows.Atom] = {names.OWNER: owner, names.NETWORK: self.network}
        return {**ids, names.ROW_ID: key} if key else ids


def local_datapath(kind: str, network: model.Network) -> dict[str, rows.Atom]:
    """The tunnel key of a datapath that only this zone has (`tunnelkeys.local_datapath_key`)."""
    return {"requested-tnl-key": str(tunnelkeys.local_datapath_key(kind, network.id))}


def local_port(kind: str, towards: str) -> dict[str, rows.Atom]:
    """The tunnel key of a port of such a datapath (`tunnelkeys.local_port_key`)."""
    return {"requested-tnl-key": str(tunnelkeys.local_port_key(kind, towards))}


def interconnected(name: str, network: model.Network) -> dict[str, rows.Atom]:
    """Options that make the switches of this name one in all zones: the same tunnel key."""
    return {"interconn-ts": name, "requested-tnl-key": str(tunnelkeys.datapath_key(network.id))}


def row(
    name: str,
    owner: RowOwner,
    config: Mapping[str, rows.Atom],
    subnets: tuple[model.Subnet, ...] = (),
    dns_records: rows.Value = frozenset(),
) -> rows.Row:
    """A switch without multicast snooping, for which each zone would choose keys of its own.

    `subnets` is for people to read; OVN allocates no addresses from it.
    """
    other_config = {"mcast_snoop": "false", **config}
    extra_ids: dict[str, rows.Atom] = (
        {names.SUBNETS: " ".join(map(str, subnets))} if subnets else {}
    )
    return rows.Row(
        ports.SWITCH,
        name,
        {
            "name": name,
            "other_config": other_config,
            "external_ids": {**owner.ids(), **extra_ids},
            "dns_records": dns_records,
        },
    )


def port(
    name: str,
    of: str,
    owner: RowOwner,
    *,
    type: str,
    addresses: str,
    options: Mapping[str, rows.Atom],
) -> rows.Row:
    """A switch's port that is not a pod's."""
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
    name: str, of: str, owner: RowOwner, peer: str, options: Mapping[str, rows.Atom] | None = None
) -> rows.Row:
    """A switch's port to the router port `peer`."""
    all_options = {"router-port": peer, **(options or {})}
    return port(name, of, owner, type="router", addresses="router", options=all_options)
