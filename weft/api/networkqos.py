"""Parses a NetworkQoS (k8s.ovn.org/v1alpha1), and renders its status.

An object with any problem has no effect at all: a rule that were left out would give its packets to
the one below it. A zone's condition is `Ready-In-Zone-<node>`, as in ovn-kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from weakref import WeakValueDictionary

from weft import errors, model
from weft.api import conditions as kubernetes
from weft.api import objects, policyrules, selectors
from weft.api.conditions import TRUE
from weft.api.fields import Fields
from weft.policy.netpolicy import EVERYTHING, Peer, PolicyPort, Selector, Skipped
from weft.policy.networkqos import (
    MAX_PRIORITY,
    MAX_RULES,
    MOST,
    NetworkKind,
    NetworkQos,
    NetworkSelector,
    QosRule,
)

KIND = "NetworkQoS"
READY = "Ready-In-Zone-"
APPLIED = "NetworkQoS Destinations applied"
_MAX_DSCP, _MAX_PORT = 63, 65535
_MOST = 2**32 - 1  # kbit/s and kbit that OVN takes
_MAX_PROBLEMS = 10
_MAX_LISTED = 64  # destinations, and ports, of a rule: OVN's flows grow with their product
_LONGEST = 32768  # characters of the sentence

# The field of a selector with what it selects by, by networkSelectionType.
_PARTS = {
    NetworkKind.NADS: "networkAttachmentDefinitionSelector",
    NetworkKind.UDNS: "secondaryUserDefinedNetworkSelector",
    NetworkKind.CUDNS: "clusterUserDefinedNetworkSelector",
}
_NOT_SERVED = ("DefaultNetwork", "PrimaryUserDefinedNetworks")


class QosReason(StrEnum):
    """The reason of a zone's condition."""

    SUCCESS = "Success"


Condition = kubernetes.Condition[QosReason]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ParsedNetworkQos:
    """One NetworkQoS as read; `current` is None if there are `problems`.

    Two are equal if they mean the same to a zone, and say the same of it.
    """

    uid: str
    version: str = field(compare=False)
    generation: int
    current: NetworkQos | None
    problems: tuple[str, ...] = ()
    status: Mapping[str, Any] = field(default_factory=dict)


class Reader:
    """Does what `read` does, and parses no spec twice: each zone's status comes to every agent."""

    def __init__(self, node: str = "") -> None:
        self._node = node
        # By uid and generation, while somebody keeps it.
        self._known: WeakValueDictionary[tuple[str, int], ParsedNetworkQos] = WeakValueDictionary()

    def __call__(self, obj: Mapping[str, Any]) -> ParsedNetworkQos:
        meta = obj["metadata"]
        key = meta.get("uid", ""), meta.get("generation", 0)
        made = read(obj, node=self._node, known=self._known.get(key) if all(key) else None)
        self._known[key] = made
        return made


def read(
    obj: Mapping[str, Any], *, node: str = "", known: ParsedNetworkQos | None = None
) -> ParsedNetworkQos:
    """Parses a NetworkQoS, valid or not; with a `node`, only its zone's condition is kept.

    `known` is the same object with the same spec, read before.
    """
    found: list[errors.InvalidInput] = []
    current = known.current if known is not None else _read(obj, found)
    reported = tuple(each.in_full(named=False) for each in found[:_MAX_PROBLEMS])
    meta, status = obj["metadata"], obj.get("status") or {}
    if node:
        own = of_zone(status, node)
        status = {"conditions": [own]} if own else {}
    return ParsedNetworkQos(
        uid=meta.get("uid", ""),
        version=meta.get("resourceVersion", ""),
        generation=meta.get("generation", 0),
        current=None if found else current,
        problems=known.problems if known is not None else reported,
        status=status,
    )


def problems(obj: Mapping[str, Any]) -> list[errors.InvalidInput]:
    """What makes a NetworkQoS have no effect."""
    found: list[errors.InvalidInput] = []
    _read(obj, found)
    return found[:_MAX_PROBLEMS]


def _read(obj: Mapping[str, Any], found: list[errors.InvalidInput]) -> NetworkQos:
    namespace, name = objects.key(obj)
    outer = Fields(objects.subject(KIND, obj), "", obj, found)
    spec = outer.nested("spec") or Fields(outer.subject, "spec", {}, found)
    spec.only("networkSelectors", "podSelector", "priority", "egress")
    pods = spec.nested("podSelector")
    priority = spec.number("priority")
    if priority is None:
        if not spec.has("priority"):
            spec.refuse("priority", None, "is missing", hint="write a number from 0 to 100")
    elif not 0 <= priority <= MAX_PRIORITY:
        spec.refuse("priority", priority, f"must be from 0 to {MAX_PRIORITY}")
    return NetworkQos(
        namespace=namespace,
        name=name,
        uid=obj["metadata"].get("uid", ""),
        networks=tuple(_networks(spec)),
        pods=selectors.read(pods) if pods is not None else EVERYTHING,
        priority=priority or 0,
        rules=tuple(_rules(spec, namespace)),
        created=obj["metadata"].get("creationTimestamp", ""),
        generation=obj["metadata"].get("generation", 0),
    )


# Networks


def _networks(spec: Fields) -> Iterator[NetworkSelector]:
    if spec.value("networkSelectors") in (None, []):
        rule = "is missing, so it is about the default network alone, which is not weft's"
        hint = "select networks, for example by networkSelectionType: NetworkAttachmentDefinitions"
        spec.refuse("networkSelectors", None, rule, hint=hint)
    for _, part in spec.objects("networkSelectors"):
        part.only("networkSelectionType", *_PARTS.values(), "primaryUserDefinedNetworkSelector")
        text = part.text("networkSelectionType")
        if text in _NOT_SERVED:
            rule = "selects networks that are not weft's, which serves secondary networks"
            part.refuse("networkSelectionType", text, rule, hint=f"use {_listed()}")
        elif text not in tuple(NetworkKind):
            part.refuse("networkSelectionType", text or None, f"must be one of {_listed()}")
        else:
            kind = NetworkKind(text)
            if (chosen := _network(part, kind)) is not None:
                yield chosen


def _listed() -> str:
    return ", ".join(NetworkKind)


def _network(part: Fields, kind: NetworkKind) -> NetworkSelector | None:
    for other, name in _PARTS.items():
        if other is not kind and part.has(name):
            part.refuse(name, None, f"does not go with networkSelectionType {kind}")
    inner = part.nested(_PARTS[kind])
    if inner is None:
        if not part.has(_PARTS[kind]):
            part.refuse(_PARTS[kind], None, f"is missing; networkSelectionType {kind} needs it")
        return None
    needed = ("networkSelector",) if kind is NetworkKind.CUDNS else _BOTH
    inner.only(*needed)
    read = {name: _selector(inner, name) for name in needed}
    return NetworkSelector(kind, read["networkSelector"], read.get("namespaceSelector", EVERYTHING))


_BOTH = ("networkSelector", "namespaceSelector")


def _selector(outer: Fields, name: str) -> Selector:
    inner = outer.nested(name)
    if inner is None:
        if not outer.has(name):
            outer.refuse(name, None, "is missing", hint="write {} to select all")
        return EVERYTHING
    return selectors.read(inner)


# Rules


def _rules(spec: Fields, namespace: str) -> Iterator[QosRule]:
    if not spec.has("egress"):
        spec.refuse("egress", None, "is missing", hint="write a list of rules")
    room = policyrules.Room()
    for index, part in spec.objects("egress"):
        if index == MAX_RULES:
            rule = f"has more than {MAX_RULES} rules"
            spec.refuse("egress", None, rule, hint="write several objects")
            return
        part.only("dscp", "bandwidth", "classifier")
        classifier = part.nested("classifier")
        peers, ports = None, None
        if classifier is not None:
            classifier.only("to", "ports")
            for name in ("to", "ports"):
                listed = classifier.value(name)
                if isinstance(listed, list) and len(listed) > _MAX_LISTED:
                    rule = f"has more than {_MAX_LISTED} entries"
                    classifier.refuse(name, None, rule, hint="write several rules")
                    return
            peers = _peers(classifier, namespace, room)
            ports = tuple(_ports(classifier)) or None
        yield QosRule(index, _dscp(part), _rate(part), peers, ports)


def _dscp(part: Fields) -> int:
    dscp = part.number("dscp")
    if dscp is None:
        if not part.has("dscp"):
            part.refuse("dscp", None, "is missing", hint="write 0 for best effort")
        return 0
    if not 0 <= dscp <= _MAX_DSCP:
        part.refuse("dscp", dscp, f"must be from 0 to {_MAX_DSCP}")
    return dscp


def _rate(part: Fields) -> model.Rate | None:
    fields = part.nested("bandwidth")
    if fields is None:
        return None
    fields.only("rate", "burst")
    rate, burst = fields.number("rate"), fields.number("burst")
    for name, value in (("rate", rate), ("burst", burst)):
        if value is not None and not 1 <= value <= _MOST:
            fields.refuse(name, value, f"must be from 1 to {_MOST}")
    if burst and not rate:
        hint = "set rate, or remove burst"
        fields.refuse("burst", burst, "has no effect without rate", hint=hint)
    return model.Rate(rate * 1000, (burst or 0) * 1000) if rate else None


def _peers(classifier: Fields, namespace: str, room: policyrules.Room) -> tuple[Peer, ...] | None:
    """The peers; one without any selector is everybody, as no peer at all is."""
    listed = classifier.value("to")
    if isinstance(listed, list) and any(each == {} for each in listed):
        return None
    skipped: list[Skipped] = []
    peers = policyrules.peers(classifier, "to", namespace, room, skipped)
    for each in skipped:
        classifier.problems.append(
            errors.InvalidInput(
                classifier.subject, each.field, each.value or None, each.rule, hint=each.remedy
            )
        )
    return peers


def _ports(classifier: Fields) -> Iterator[PolicyPort]:
    for _, part in classifier.objects("ports"):
        part.only("protocol", "port")
        protocol, port = policyrules.protocol(part), part.number("port")
        if port is not None and not 1 <= port <= _MAX_PORT:
            part.refuse("port", port, f"must be from 1 to {_MAX_PORT}")
        if protocol is not None:
            yield PolicyPort(protocol, port)


# Status


def ready(node: str, limited: int = 0) -> Condition:
    """A zone enforces it; `limited` selected NICs have a limit of their own, which counts."""
    message = "NetworkQoS was applied successfully"
    if limited:
        message += (
            f"; it does not count for {limited} NICs with a bandwidth limit of their own on what "
            "they send"
        )
    return Condition(READY + node, TRUE, QosReason.SUCCESS, message)


def of_zone(status: Mapping[str, Any], node: str) -> Mapping[str, Any]:
    """A zone's condition in a status; empty if it has none."""
    found = (each for each in _conditions(status) if each.get("type") == READY + node)
    return next(found, {})


def rendered(
    condition: Condition, before: Mapping[str, Any], generation: int, now: str
) -> dict[str, Any]:
    """A zone's condition as an entry of the status `before`."""
    return kubernetes.rendered([condition], before, generation, now)[0]


def summary(
    parsed: ParsedNetworkQos, nodes: frozenset[str], *, in_force: bool = True
) -> dict[str, Any]:
    """What the cluster manager writes of the status: one sentence, and without the conditions of
    nodes that are gone. Not `in_force`: the namespace has too many."""
    listed = _conditions(parsed.status)
    kept = [e for e in listed if not str(e.get("type")).startswith(READY) or _node(e) in nodes]
    found: dict[str, Any] = {"status": _sentence(parsed, kept, in_force)}
    return found if kept == listed else {**found, "conditions": kept}


def _sentence(parsed: ParsedNetworkQos, conditions: list[Mapping[str, Any]], in_force: bool) -> str:
    if parsed.problems:
        return f"not applied: {'; '.join(parsed.problems)}"[:_LONGEST]
    if not in_force:
        return f"not applied: its namespace has {MOST} older ones, which is the most; delete some"
    zones = [each for each in conditions if str(each.get("type")).startswith(READY)]
    failing = sorted(_node(each) for each in zones if each.get("status") != TRUE)
    if failing:
        return f"not applied on {', '.join(failing[:_MAX_PROBLEMS])}"
    return APPLIED if zones else "no pod that it selects is on a network that it selects"


def _node(condition: Mapping[str, Any]) -> str:
    return str(condition.get("type")).removeprefix(READY)


def _conditions(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = status.get("conditions")
    return [each for each in listed or () if isinstance(each, Mapping)]
