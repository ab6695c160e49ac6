"""Defines the parsed form of a MultiNetworkPolicy, and of the pods that it applies to.

Frozen data; no Kubernetes dicts, no OVN, no I/O. The semantics are NetworkPolicy's: a pod is
isolated in a direction once a policy of that direction selects it; then only connections that a
rule of such a policy allows pass, and their replies.
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
from weft.model import ObjectKey


class Direction(StrEnum):
    """`policyTypes`: connections to the selected pods, or from them."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


class Protocol(StrEnum):
    """`protocol` of a policy port."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class Mode(StrEnum):
    """Annotation `weft/policy-mode`.

    `audit` reports what the policy would drop, and lets it pass. It isolates no pod, and allows
    nothing that an enforced policy drops.
    """

    ENFORCE = "enforce"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class PodSelector:
    """Pods of one network whose labels `pods` matches, in `namespace`, or, if that is empty, in all
    namespaces whose labels `namespaces` matches.

    Equal selectors choose the same pods, whichever policy has them. A policy's own `podSelector` is
    also a PodSelector, of the policy's namespace.
    """

    namespace: str = ""
    namespaces: Selector = EVERYTHING
    pods: Selector = EVERYTHING


@dataclass(frozen=True, slots=True)
class IPBlock:
    """`ipBlock`: the addresses of `subnet` that are in no subnet of `excepts`."""

    subnet: model.Subnet
    excepts: tuple[model.Subnet, ...] = ()


Peer = PodSelector | IPBlock


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """One element of `ports`: all ports of `protocol`, one by number or name, or a range.

    `port` None: all ports. `end` is the last port of a range, 0 if it is no range.
    """

    protocol: Protocol
    port: int | str | None = None
    end: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows connections with any of `peers` on any of `ports`.

    None: the policy has no such field, and every peer (every port and protocol, ICMP too) matches.
    Empty: all elements are skipped, and no peer (no port) matches. `index` is the rule's index in
    the policy; skipped rules do not shift it.
    """

    index: int
    peers: tuple[Peer, ...] | None = None
    ports: tuple[PolicyPort, ...] | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A part of a policy that is invalid and allows nothing.

    `field` is a path as kubectl writes it ("spec.ingress[0].from[1].ipBlock.cidr"), `value` is
    JSON, `rule` is the rule that it breaks, `remedy` what the user can do.
    """

    field: str
    value: str
    rule: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """One MultiNetworkPolicy.

    `nads` are those whose networks it guards; `directions` those in which it isolates the pods that
    it selects. `last_networks` maps NADs to the networks that they declared last.
    """

    namespace: str
    name: str
    uid: str
    nads: tuple[ObjectKey, ...]
    pods: Selector
    directions: frozenset[Direction]
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    mode: Mode = Mode.ENFORCE
    skipped: tuple[Skipped, ...] = ()
    last_networks: tuple[tuple[ObjectKey, str], ...] = ()

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)

    @property
    def selected_pods(self) -> PodSelector:
        """The selector of the policy's own pods."""
        return PodSelector(namespace=self.namespace, pods=self.pods)

    def networks(self, known: Mapping[ObjectKey, str]) -> frozenset[str]:
        """The networks that it guards; `known` maps NADs to networks. A NAD that declares none now
        (it is deleted, say) counts with its last one: other NADs may declare that network, and its
        pods stay isolated."""
        before = dict(self.last_networks)
        found = (known.get(each) or before.get(each) for each in self.nads)
        return frozenset(network for network in found if network)

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        """The rules of one direction, without invalid ones."""
        return self.ingress if direction is Direction.INGRESS else self.egress


# OVN's ACL severities, highest first.
SEVERITIES = ("alert", "warning", "notice", "info", "debug")


@dataclass(frozen=True, slots=True)
class Logging:
    """A namespace's ACL logging for isolated pods: each is one of SEVERITIES, "" for none."""

    allow: str = ""
    deny: str = ""


# A pod's named ports: (protocol, name) -> number.
NamedPorts = Mapping[tuple[Protocol, str], int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One attachment of one pod, as policies see it.

    `pod` is empty for an address that no pod holds: only IP blocks match it.
    """

    namespace: str
    pod: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]
    network: str
    addresses: tuple[model.Address, ...]
    named_ports: NamedPorts


@dataclass(frozen=True, slots=True)
class Connection:
    """The first packet of a connection; `protocol` None is ICMP, which has no port.

    `source` and `target` are the packet's addresses, None if unknown; only IP blocks use them.
    """

    protocol: Protocol | None
    port: int = 0
    source: model.Address | None = None
    target: model.Address | None = None
