"""Holds what the state of the cluster manager is told before it begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from weft.api.pod import Pod
from weft.api.podsignature import TrustedKeys
from weft.control.cluster.machines import LiveMigration, Machine
from weft.control.cluster.nads import Nad
from weft.control.cluster.objects import IpamClaim, Namespace, NetworkObject, Node, Policy
from weft.control.cluster.outcome import Ref
from weft.control.cluster.udns import Udn
from weft.model import ObjectKey

K = TypeVar("K")
T = TypeVar("T")


@dataclass(slots=True)
class Early:
    """What was set before `begin`."""

    keys: TrustedKeys = field(default_factory=TrustedKeys)
    has_endpoints: bool = False
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    udns: dict[Ref, Udn] = field(default_factory=dict)
    nads: dict[ObjectKey, Nad] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    claims: dict[ObjectKey, IpamClaim] = field(default_factory=dict)
    machines: dict[Ref, Machine | LiveMigration] = field(default_factory=dict)
    pods: dict[ObjectKey, Pod] = field(default_factory=dict)
    policies: dict[ObjectKey, Policy] = field(default_factory=dict)
    statuses: dict[str, NetworkObject] = field(default_factory=dict)


def put(table: dict[K, T], key: K, new: T | None) -> None:
    """Sets an object in a table; None: it is gone."""
    if new is None:
        table.pop(key, None)
    else:
        table[key] = new
