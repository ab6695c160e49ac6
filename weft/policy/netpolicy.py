"""The parsed form of a MultiNetworkPolicy, and of the pods that it is about.

Frozen data and what it means by itself; no Kubernetes dicts, no OVN, no I/O. The meaning is
NetworkPolicy's own: a pod is isolated in a direction once a policy of that direction selects it,
then only what some rule of some such policy allows may pass, and replies always.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from weft import model
from weft.labels import EVERYTHING as EVERYTHING
from weft.labels import Operator as Operator
from weft.labels import Requirement as Requirement
from weft.labels import Selector as Selector


class Direction(StrEnum):
    """`policyTypes`: of connections to the selected pods, or from them."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


class Protocol(StrEnum):
    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class Mode(StrEnum):
    """Annotation `weft/policy-mode`.

    `audit` lets pass, and reports, what the policy would have dropped. It isolates nobody, and
    allows nothing that an enforced policy drops.
    """

    ENFORCE = "enforce"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class PodSelector:
    """Pods of one network: those of `namespace`, or where that is empty of all namespaces whose
    labels `namespaces` matches, whose own labels `pods` matches.

    Equal ones are the same pods, whichever policy says so; a policy's own `podSelector` is
    Members of its namespace too.
    """

    namespace: str = ""
    namespaces: Selector = EVERYTHING
    pods: Selector = EVERYTHING


@dataclass(frozen=True, slots=True)
class IPBlock:
    """`ipBlock`: the addresses of `subnet` that are in none of `excepts`."""

    subnet: model.Subnet
    excepts: tuple[model.Subnet, ...] = ()


Peer = PodSelector | IPBlock


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """One element of `ports`: of `protocol` every port, one by number or name, or a range.

    `port` None: every port. `end` is the last port of a range that a number begins; 0: none.
    """

    protocol: Protocol
    port: int | str | None = None
    end: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows connections with any of `peers` on any of `ports`.

    None means that the policy names no peer (port): anybody (every port of every protocol, ICMP
    too). An empty tuple means that all that were named are skipped: nobody (none).
    `index` is the rule's place in the policy, which skipped rules do not shift.
    """

    index: int
    peers: tuple[Peer, ...] | None = None
    ports: tuple[PolicyPort, ...] | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A part of a policy that cannot mean anything: it allows nothing.

    `field` as kubectl writes it ("spec.ingress[0].from[1].ipBlock.cidr"), `value` as JSON; `rule`
    is what it breaks, `remedy` what to do about it.
    """

    field: str
    value: str
    rule: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """One MultiNetworkPolicy.

    `definitions` are the NADs ("<namespace>/<name>") whose networks it guards; `directions` those
    in which it isolates the pods that it selects. `remembered` is which networks some definitions
    stood for when that was last known.
    """

    namespace: str
    name: str
    uid: str
    definitions: tuple[str, ...]
    pods: Selector
    directions: frozenset[Direction]
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    mode: Mode = Mode.ENFORCE
    skipped: tuple[Skipped, ...] = ()
    remembered: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def subjects(self) -> PodSelector:
        """The pods that it selects."""
        return PodSelector(namespace=self.namespace, pods=self.pods)

    def networks(self, known: Mapping[str, str]) -> frozenset[str]:
        """Those that it guards. A definition that stands for none now, as it is gone, say, stands
        for what it did: a network may have others, whose pods are as closed as before."""
        before = dict(self.remembered)
        found = (known.get(each) or before.get(each) for each in self.definitions)
        return frozenset(network for network in found if network)

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        return self.ingress if direction is Direction.INGRESS else self.egress


# OVN's, from the gravest on.
SEVERITIES = ("alert", "warning", "notice", "info", "debug")


@dataclass(frozen=True, slots=True)
class Logging:
    """What a namespace wants logged of its isolated pods: one of SEVERITIES each, "" for none."""

    allow: str = ""
    deny: str = ""


# A pod's named ports: (protocol, name) -> number.
NamedPorts = Mapping[tuple[Protocol, str], int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One attachment of one pod to one network, as policies see it."""

    namespace: str
    pod: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]
    network: str
    addresses: tuple[model.Address, ...]
    named_ports: NamedPorts


@dataclass(frozen=True, slots=True)
class Connection:
    """The first packet of a connection: `protocol` None stands for ICMP, which has no port.

    `source` and `target` are the addresses that it carries, None where none is known; only
    blocks ask.
    """

    protocol: Protocol | None
    port: int = 0
    source: model.Address | None = None
    target: model.Address | None = None
