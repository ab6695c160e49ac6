"""The Northbound rows of switches, and of their ports that are not pods'.

The shapes alone, each with its owner; which switches there are is the topologies' to say, what is
said of a pod's port `ports`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weft import model, names, rows
from weft.ovn import ports


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


def shared(name: str, network: model.Network) -> dict[str, rows.Atom]:
    """What makes the switches of this name one in all zones: the same name and tunnel key."""
    return {"interconn-ts": name, "requested-tnl-key": str(names.datapath_key(network.id))}


def row(
    name: str,
    owner: Owner,
    config: Mapping[str, rows.Atom],
    subnets: tuple[model.Subnet, ...] = (),
) -> rows.Row:
    """Snooping stays off: the keys of snooped groups are chosen by each zone for itself.

    `subnets` are noted for people alone: OVN gives no address itself.
    """
    said = {"mcast_snoop": "false", **config}
    noted: dict[str, rows.Atom] = {names.SUBNETS: " ".join(map(str, subnets))} if subnets else {}
    return rows.Row(
        ports.SWITCH,
        name,
        {"name": name, "other_config": said, "external_ids": {**owner.ids(), **noted}},
    )


def port(
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
    return port(name, of, owner, type="router", addresses="router", options=said)
