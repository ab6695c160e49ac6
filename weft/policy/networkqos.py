"""Defines the parsed form of a NetworkQoS: which packets it marks and limits, and of which pods.

Frozen data; no Kubernetes dicts, no OVN, no I/O. Of the rules that match a packet one counts: of
the object with the highest priority the last in its list.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from weft import model
from weft.labels import EVERYTHING, Selector
from weft.model import ObjectKey
from weft.policy.netpolicy import Peer, PodSelector, PolicyPort

NAME_LABEL = "kubernetes.io/metadata.name"
MAX_RULES, MAX_PRIORITY = 20, 100
MOST = 64  # of a namespace that are in force


class NetworkKind(StrEnum):
    """`networkSelectionType`, as far as weft serves such networks."""

    NADS = "NetworkAttachmentDefinitions"
    UDNS = "SecondaryUserDefinedNetworks"
    CUDNS = "ClusterUserDefinedNetworks"


# The kind of the controller that NADs of a kind of network have; "": any, or none.
CONTROLLERS = {
    NetworkKind.NADS: "",
    NetworkKind.UDNS: "UserDefinedNetwork",
    NetworkKind.CUDNS: "ClusterUserDefinedNetwork",
}


@dataclass(frozen=True, slots=True)
class NadMarks:
    """What NADs are selected by: their labels, and the kind that renders them ("": by hand).

    `leads`: the NAD says what its network is. Others are any tenant's that the network is open to.
    """

    labels: Mapping[str, str]
    controller: str = ""
    leads: bool = False


UNMARKED = NadMarks({})


@dataclass(frozen=True, slots=True)
class NetworkSelector:
    """Networks by their NADs: of namespaces with these labels, with these labels of their own."""

    kind: NetworkKind
    networks: Selector = EVERYTHING
    namespaces: Selector = EVERYTHING

    def chooses(self, nad: ObjectKey, marks: NadMarks, namespace: Mapping[str, str] | None) -> bool:
        """Whether a NAD is selected; `namespace` has the labels of its namespace, None: unknown."""
        controller = CONTROLLERS[self.kind]
        if controller and marks.controller != controller:
            return False
        if self.kind is not NetworkKind.CUDNS:
            if namespace is None:
                return False
            if not self.namespaces.matches({**namespace, NAME_LABEL: nad.namespace}):
                return False
        return self.networks.matches(marks.labels)


@dataclass(frozen=True, slots=True)
class QosRule:
    """What happens to packets to any of `peers` on any of `ports`; None: to all.

    `dscp` is the mark, `rate` a limit that the selected pods of a node share.
    """

    index: int
    dscp: int
    rate: model.Rate | None = None
    peers: tuple[Peer, ...] | None = None
    ports: tuple[PolicyPort, ...] | None = None


@dataclass(frozen=True, slots=True)
class NetworkQos:
    """One valid NetworkQoS. It selects pods of its own namespace alone."""

    namespace: str
    name: str
    uid: str
    networks: tuple[NetworkSelector, ...]
    pods: Selector
    priority: int
    rules: tuple[QosRule, ...]
    created: str = ""
    generation: int = 0

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)

    @property
    def selected_pods(self) -> PodSelector:
        return PodSelector(namespace=self.namespace, pods=self.pods)

    def chooses(self, nad: ObjectKey, marks: NadMarks, namespace: Mapping[str, str] | None) -> bool:
        """Whether it is about the network of a NAD: the leading one, or one of its namespace."""
        counts = marks.leads or nad.namespace == self.namespace
        return counts and any(each.chooses(nad, marks, namespace) for each in self.networks)


class Ranking:
    """Which objects of each namespace are in force: the `MOST` oldest."""

    def __init__(self) -> None:
        self._ages: dict[str, list[tuple[str, ObjectKey]]] = {}  # by namespace, sorted
        self._created: dict[ObjectKey, str] = {}

    def place(self, key: ObjectKey, created: str | None) -> set[ObjectKey]:
        """Sets when an object was created (None: it is gone); returns those that are in force now
        and were not, or the other way round."""
        ages = self._ages.setdefault(key.namespace, [])
        before = {each for _, each in ages[:MOST]}
        if (old := self._created.pop(key, None)) is not None:
            del ages[bisect.bisect_left(ages, (old, key))]
        if created is not None:
            self._created[key] = created
            bisect.insort(ages, (created, key))
        if not ages:
            del self._ages[key.namespace]
        return before ^ {each for _, each in ages[:MOST]}

    def has(self, key: ObjectKey) -> bool:
        """Whether an object is in force."""
        created = self._created.get(key)
        return created is not None and (created, key) <= self._ages[key.namespace][:MOST][-1]
