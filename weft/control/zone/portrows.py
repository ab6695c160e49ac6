"""Plans the rows of one pod's port in a zone: the port itself, and the limits beside it.

Pure. The topology decides which port the pod has here. Rows beside it exist for pods of this node
alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from weft import model, rows
from weft.control.zone import topologies
from weft.ovn import acl, connections, dhcp, ports, qos


def of_port(
    network: model.Network, port: model.Port, here: topologies.Here
) -> tuple[rows.Row, ...]:
    """Returns all rows of a port; the port's own is the last: it refers to others, and its groups
    follow it."""
    row = topologies.KNOWN[network.spec.topology].of_pod(network, port, here)
    if row is None:
        return ()
    if port.node != here.node:
        return (row,)
    own = here.nodes.get(here.node)
    routed = own.subnets_of(network.name) if own is not None else ()
    leased = dhcp.of_port(network, port, row.key, routed)
    known = connections.rows_of(port, row.parent, here.admitted.get(row.key, ()))
    return (*leased, *qos.of_port(network.spec, port, row.parent), *known, row)


def port_of(table: str, row_key: str) -> str:
    """Returns the key of the port that a row of this table and key is for; "" for none."""
    if table == ports.PORT:
        return row_key
    if table == dhcp.OPTIONS:
        return dhcp.port_of(row_key)
    if table == acl.ACL:
        return connections.port_of(row_key)
    return qos.port_of(row_key) if table == qos.QOS else ""


class RowsBeside:
    """The rows beside ports as they were desired last."""

    def __init__(self) -> None:
        self._keys: dict[str, frozenset[rows.RowKey]] = {}  # by port key

    def note(self, port_key: str, made: Iterable[rows.Row]) -> list[rows.RowKey]:
        """Takes in all rows of a port; returns the keys of those that it has no more."""
        keys = frozenset((row.table, row.key) for row in made if row.table != ports.PORT)
        before = self._keys.pop(port_key, frozenset())
        if keys:
            self._keys[port_key] = keys
        return sorted(before - keys)

    def has(self, table: str, key: str) -> bool:
        return (table, key) in self._keys.get(port_of(table, key), ())
