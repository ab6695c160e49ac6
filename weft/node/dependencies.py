"""What do the parts of the CNI server need of the process that they run in?

Handed to them as they are; nothing is done here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from weft import model
from weft.kube import cache
from weft.nic import plan, port
from weft.ovsdb import replica


@dataclass(frozen=True, slots=True)
class Settings:
    """`patience`: seconds for all waits of one ADD; runtimes give up after two to four minutes."""

    socket: str = "/run/weft/cni.sock"
    kind: plan.Kind = plan.Kind.INTERNAL
    bridge: str = port.BRIDGE
    patience: float = 110.0


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the CNI server needs of its process.

    `pods` holds this node's pods with uid and annotations; `network_of` answers for a
    "<namespace>/<name>" of a definition, and for "", the cluster's own network: what it is, None
    if there is none that weft serves; InvalidInput says what is wrong with one.
    `ovs` is a replica of `port.TABLES`.
    """

    node: str
    pods: cache.Cache
    network_of: Callable[[str], model.NetworkSpec | None]
    ovs: replica.Replica
    settings: Settings = field(default_factory=Settings)
