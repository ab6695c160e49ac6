"""Says that an allocation moves from one pod of a virtual machine to another one.

Both pods exist, and have the same addresses, MAC and tunnel key: while the machine migrates live,
or while the pod of a lost node is still there beside its successor. The cluster manager decides
which two, and signs it in the allocation of the second (ADR 0117).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple


class Migration(NamedTuple):
    """What the second pod's allocation says: `source` is the first pod, in the same namespace.

    `source_uid`: its incarnation. `is_active`: the machine runs in the second pod; until then in
    the source.
    """

    source: str
    source_uid: str
    is_active: bool = False


class Move(NamedTuple):
    """What a zone knows of a port that two pods have: the machine runs on node `source`, and its
    other pod, of uid `target_uid`, waits on node `target`."""

    source: str
    target: str
    target_uid: str


class Connection(NamedTuple):
    """A connection of a machine's NIC, which goes on where the machine comes to (ADR 0114).

    `protocol`: tcp or udp. `is_outgoing`: the machine began it. `address` and `port` are the
    machine's.
    """

    protocol: str
    is_outgoing: bool
    address: IPv4Address | IPv6Address
    port: int
    peer: IPv4Address | IPv6Address
    peer_port: int
