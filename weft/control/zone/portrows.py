"""Plans the rows of one pod's port in a zone: the port itself, and the limits beside it.

Pure. The topology decides which port the pod has here. Rows beside it exist for pods of this node
alone. One that stands in for the machine where it runs still is among them while it waits here.
"""

from __future__ import annotations

from collections.abc import Iterable

from weft import model, rows
from weft.control.zone import standins, topologies
from weft.ovn import acl, connections, dhcp, ports, qos


def of_port(
    network: model.Network, port: model.Port, here: topologies.Here
) -> tuple[rows.Row, ...]:
    """Returns all rows of a port; the port's own is the last: it refers to others, and its groups
    follow it."""
    topology = topologies.KNOWN[network.spec.topology]
    row = topology.of_pod(network, port, here)
    if row is None:
        return ()
    if port.node != here.node:
        return (row,)
    own = here.nodes.get(here.node)
    routed = own.subnets_of(network.name) if own is not None else ()
    leased = dhcp.of_port(network, port, row.key, routed)
    known = connections.rows_of(port, row.parent, here.admitted.get(row.key, ()))
    beside = (*leased, *qos.of_port(network.spec, port, row.parent), *known)
    move, is_flooded = port.move, here.remote_ports is ports.RemotePorts.PLAIN
    if move is None or move.target != here.node or not topology.has_remote_pods or not is_flooded:
        return (*beside, row)  # ports of type `remote` get a copy each, and none for their node
    assert row.parent is not None
    key = here.stand_ins.key_of(network.name, row.key, port.allocation.tunnel_id)
    return (*beside, ports.stand_in(row.parent, port, here.chassis_of(move.source), key), row)


def port_of(table: str, row_key: str) -> str:
    """Returns the key of the port that a row of this table and key is for; "" for none."""
    if table == ports.PORT:
        return ports.port_of_stand_in(row_key)
    if table == dhcp.OPTIONS:
        return dhcp.port_of(row_key)
    if table == acl.ACL:
        return connections.port_of(row_key)
    return qos.port_of(row_key) if table == qos.QOS else ""


class RowsBeside:
    """The rows beside ports as they were desired last. A key that a port's stand-in had is free
    again when that is gone."""

    def __init__(self, stand_ins: standins.StandIns) -> None:
        self._stand_ins = stand_ins
        self._keys: dict[str, frozenset[rows.RowKey]] = {}  # by port key

    def note(self, port_key: str, made: Iterable[rows.Row]) -> list[rows.RowKey]:
        """Takes in all rows of a port; returns the keys of those that it has no more."""
        own = (ports.PORT, port_key)
        keys = frozenset(each for row in made if (each := (row.table, row.key)) != own)
        before = self._keys.pop(port_key, frozenset())
        if keys:
            self._keys[port_key] = keys
        if not any(table == ports.PORT for table, _ in keys):
            self._stand_ins.release(port_key)
        return sorted(before - keys)

    def has(self, table: str, key: str) -> bool:
        return (table, key) in self._keys.get(port_of(table, key), ())
