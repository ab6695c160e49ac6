"""Names what the CNI server needs of the process that it runs in.

Handed to them as they are; nothing is done here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weft import errors, model
from weft.api.podsignature import SignedAllocations
from weft.kube import cache
from weft.nic import plan, port
from weft.node.records import Records
from weft.ovsdb import replica
from weft.reasons import EventReason


@dataclass(frozen=True, slots=True)
class Settings:
    """`patience`: seconds for all waits of one ADD; runtimes give up after two to four minutes."""

    socket: str = "/run/weft/cni.sock"
    kind: plan.Kind = plan.Kind.INTERNAL
    bridge: str = port.BRIDGE
    patience: float = 110.0

    @property
    def attachments(self) -> Path:
        """The folder of the node's records, beside the socket."""
        return Path(self.socket).with_name("attachments")


def _anything(key: str) -> bool:
    """For who follows no definitions."""
    return True


def _silent(pod: model.PodRef, reason: EventReason, message: str) -> None:
    """For who has nobody to tell."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the CNI server needs of its process.

    `pods` holds this node's pods with uid and annotations; `network_of` answers for a
    "<namespace>/<name>" of a definition, and for "", the cluster's own network: what it is, None
    if there is none that weft serves; InvalidInput says what is wrong with one.
    `decided` is what the cluster manager decided for one of the pods, as far as it is proved,
    and `proved` what its annotations prove right now, else InvalidInput;
    `refusal` says why an attachment, by keys of pod and attachment, has no port here all the same.
    `is_defined` says whether there is a definition of that key, whoever serves it.
    `check_use` raises NotReady where a pod may not be attached through a definition.
    `ovs` is a replica of `port.TABLES`, `records` the node's attachments. `tell` makes a warning of
    what happened to a pod; `cannot_add` says why no new attachment could come to its end now.
    """

    node: str
    pods: cache.Cache
    network_of: Callable[[str], model.NetworkSpec | None]
    decided: Callable[[dict[str, Any]], SignedAllocations]
    proved: Callable[[dict[str, Any]], SignedAllocations]
    refusal: Callable[[str, str], errors.WeftError | None]
    check_use: Callable[[str, dict[str, Any]], None]
    is_defined: Callable[[str], bool] = field(default=_anything, kw_only=True)
    ovs: replica.Replica
    records: Records
    settings: Settings = field(default_factory=Settings)
    tell: Callable[[model.PodRef, EventReason, str], None] = _silent
    cannot_add: Callable[[], list[str]] = list
