"""Defines what the CNI server needs from the process that it runs in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from weft import errors, model
from weft.api.pod import Pod
from weft.api.podsignature import SignedAllocations, SignedAnnotations
from weft.kube import cache
from weft.metrics import Histogram
from weft.model import ObjectKey
from weft.nic import plan, port
from weft.node.records import Records
from weft.ovsdb import replica
from weft.reasons import EventReason


@dataclass(frozen=True, slots=True)
class Settings:
    """`patience`: seconds for all waits of one ADD; runtimes give up after two to four minutes.

    `kind`: how new interfaces are made; those that exist stay as they are.
    """

    socket: str = "/run/weft/cni.sock"
    kind: plan.NicKind = plan.NicKind.INTERNAL
    bridge: str = port.BRIDGE
    patience: float = 110.0

    @property
    def attachments(self) -> Path:
        """The folder of the node's records, beside the socket."""
        return Path(self.socket).with_name("attachments")


def _anything(key: ObjectKey) -> bool:
    """The default of `is_defined`, for processes without NADs."""
    return True


def _silent(pod: model.PodRef, reason: EventReason, message: str) -> None:
    """The default of `warn`: does nothing."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the CNI server needs of its process.

    `pods` are all pods of the cluster. `network_of` returns the network of a NAD, and
    of None the default network; None for one that weft does not serve; raises InvalidInput for a
    NAD that is wrong.
    `decided` returns the signed allocations of a pod, present or last verified; `verified` those
    of two annotations, and raises InvalidInput if they are not signed.
    `refusal` returns why an attachment, by keys of pod and attachment, has no port all the same.
    `is_defined` says whether a NAD of that key exists, whichever plugin serves it.
    `check_use` raises NotReady where a pod may not be attached through a NAD.
    `ovs` is a replica of `port.TABLES`, `records` the node's attachments. `warn` emits a Warning on
    a pod, with reason and message; `cannot_add` returns why no new ADD could succeed now. `calls`
    and `steps` time CNI calls and the steps of an ADD.
    """

    node: str
    pods: cache.Informer[Pod]
    network_of: Callable[[ObjectKey | None], model.NetworkSpec | None]
    decided: Callable[[Pod], SignedAllocations]
    verified: Callable[[model.PodRef, SignedAnnotations], SignedAllocations]
    refusal: Callable[[ObjectKey, str], errors.WeftError | None]
    check_use: Callable[[ObjectKey | None, Pod], None]
    is_defined: Callable[[ObjectKey], bool] = field(default=_anything, kw_only=True)
    ovs: replica.Replica
    records: Records
    settings: Settings = field(default_factory=Settings)
    warn: Callable[[model.PodRef, EventReason, str], None] = _silent
    cannot_add: Callable[[], list[str]] = list
    calls: Histogram = field(default_factory=Histogram)
    steps: Histogram = field(default_factory=Histogram)
