"""Renders the ACLs that let a machine's connections go on after a live migration (ADR 0114).

OVN tracks connections by node. On the node that the machine comes to, an isolated port would drop
what the other end sends on: nobody there has seen the connection begin. For some seconds an ACL
passes just these connections untracked, in the direction that their beginner does not send. The
first packet in the other direction, which the policies judge as they judge a new connection, makes
OVN track it.
"""

from __future__ import annotations

from collections.abc import Iterable

from weft import model, names, rows
from weft.migration import Connection
from weft.ovn import acl, ports

PRIORITY = 1900  # above policies, below the guards of a switch
_KIND = "connections"
_STATELESS = "allow-stateless"
_NO_SYN = "tcp.flags[1] == 0"


def rows_of(
    port: model.Port, home: rows.Ref | None, known: Iterable[Connection]
) -> tuple[rows.Row, ...]:
    """The ACLs for these connections of a port, on its switch `home`."""
    listed = sorted(known, key=str)
    made = []
    for is_outgoing, direction, end in (
        (True, "to-lport", "outport"),
        (False, "from-lport", "inport"),
    ):
        matches = [_match(each) for each in listed if each.is_outgoing is is_outgoing]
        if matches and home is not None:
            own = ports.match(end, ports.port_key(port))
            made.append(_row(port, home, direction, f"{own} && ({' || '.join(matches)})"))
    return tuple(made)


def port_of(row_key: str) -> str:
    """The key of the port that an ACL is for, "" for other ACLs."""
    kind, _, rest = row_key.partition("/")
    return rest.partition("/")[2] if kind == _KIND else ""


def _match(each: Connection) -> str:
    family = f"ip{each.address.version}"
    # In the direction that its beginner does not send.
    source, sport, to, dport = (
        (each.peer, each.peer_port, each.address, each.port)
        if each.is_outgoing
        else (each.address, each.port, each.peer, each.peer_port)
    )
    ends = f"{family}.src == {source} && {family}.dst == {to}"
    numbers = f"{each.protocol}.src == {sport} && {each.protocol}.dst == {dport}"
    flags = f" && {_NO_SYN}" if each.protocol == "tcp" else ""
    return f"({ends} && {numbers}{flags})"


def _row(port: model.Port, home: rows.Ref, direction: str, match: str) -> rows.Row:
    key = names.row_id(_KIND, direction, ports.port_key(port))
    return rows.Row(
        acl.ACL,
        key,
        {
            "direction": direction,
            "priority": PRIORITY,
            "match": match,
            "action": _STATELESS,
            "external_ids": {
                names.OWNER: names.pod_owner(port.pod.namespace, port.pod.name),
                names.OWNER_UID: port.pod.uid,
                names.NETWORK: port.network,
                names.ATTACHMENT: port.key,
                names.ROW_ID: key,
            },
        },
        parent=home,
        parent_column="acls",
    )
