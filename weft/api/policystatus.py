"""Renders the status of a MultiNetworkPolicy: what of it is in force, where, and what is not.

`render` makes the status from `Findings`, with three conditions:

    Accepted         the policy is valid; if not, its last accepted version stays in force
    Bound            its networks exist, and pods that it selects are on them
    SelectorsMatch   every selector in it matches a pod on its networks

Messages contain no numbers that change with each pod; the status' `ports` do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from weft.api import conditions as kubernetes
from weft.api.conditions import FALSE, TRUE, UNKNOWN
from weft.model import ObjectKey
from weft.policy.netpolicy import (
    Direction,
    Mode,
    Operator,
    PodSelector,
    Policy,
    Protocol,
    Requirement,
    Rule,
    Selector,
    Skipped,
)
from weft.reasons import Reason

Condition = kubernetes.Condition[Reason]

ACCEPTED, BOUND, SELECTORS_MATCH = "Accepted", Reason.BOUND, "SelectorsMatch"
MAX_REPORTED = 20  # skipped parts or unmatched selectors that a status lists
_FEW = 5  # items that a message names


@dataclass(frozen=True, slots=True)
class Binding:
    """A network that a policy guards, and how many attachments on it the policy selects."""

    network: str
    nads: tuple[ObjectKey, ...]
    ports: int = 0


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A selector that matches no pod on the policy's networks; with a `port`, no pod that has a
    port of this name."""

    field: str
    selector: PodSelector
    protocol: Protocol | None = None
    port: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the status of a policy is made from.

    `policy` is the version in force, None for none; `problems` are those of the present version.
    `unbound` explains for each NAD without a network why it has none.
    """

    policy: Policy | None
    generation: int = 0
    problems: tuple[str, ...] = ()
    bindings: tuple[Binding, ...] = ()
    unbound: tuple[str, ...] = ()
    unmatched: tuple[Unmatched, ...] = ()


def selectors_of(policy: Policy) -> Iterator[Unmatched]:
    """Every selector and port name of a policy with its field, as `Unmatched` would report it;
    selectors come first."""
    named = []
    yield Unmatched("spec.podSelector", policy.selected_pods)
    for direction in Direction:
        for rule in policy.rules(direction):
            peers = [peer for peer in rule.peers or () if isinstance(peer, PodSelector)]
            where = f"spec.{direction.lower()}[{rule.index}]"
            side = "from" if direction is Direction.INGRESS else "to"
            yield from (Unmatched(f"{where}.{side}", peer) for peer in peers)
            named += list(_named(policy, direction, rule, f"{where}.ports"))
    yield from named


def _named(policy: Policy, direction: Direction, rule: Rule, place: str) -> Iterator[Unmatched]:
    """The port names, each with the selector of the pods that receive the connections."""
    targets = [policy.selected_pods]
    if direction is Direction.EGRESS:
        targets = [peer for peer in rule.peers or () if isinstance(peer, PodSelector)]
        if rule.peers is None:
            targets = [PodSelector()]
    for entry in rule.ports or ():
        if isinstance(entry.port, str):
            for target in targets:
                yield Unmatched(place, target, entry.protocol, entry.port)


def conditions(found: Findings) -> tuple[Condition, Condition, Condition]:
    """The conditions Accepted, Bound and SelectorsMatch."""
    return _accepted(found), _bound(found), _matching(found)


def _accepted(found: Findings) -> Condition:
    if found.problems:
        left = "no part of it is in force"
        if found.policy is not None:
            left = "the version accepted last stays in force"
        return Condition(ACCEPTED, FALSE, Reason.INVALID, f"{'; '.join(found.problems)}: {left}")
    assert found.policy is not None
    skipped, audits = found.policy.skipped, found.policy.mode is Mode.AUDIT
    if skipped:
        listed = _listed((part.field for part in skipped), "and")
        message = f"invalid parts are skipped and allow nothing: {listed}"
        return Condition(ACCEPTED, TRUE, Reason.PARTS_SKIPPED, message)
    if audits:
        message = "the policy is audited: it reports what it would drop, and lets it pass"
        return Condition(ACCEPTED, TRUE, Reason.AUDITED, message)
    return Condition(ACCEPTED, TRUE, Reason.ACCEPTED, "the whole policy can be enforced")


def _bound(found: Findings) -> Condition:
    if found.policy is None:
        return Condition(BOUND, UNKNOWN, Reason.INVALID, "no part of the policy is in force")
    if found.unbound:
        return Condition(BOUND, FALSE, Reason.NETWORK_MISSING, _listed(found.unbound, ";"))
    networks = _listed((binding.network for binding in found.bindings), "or")
    if not any(binding.ports for binding in found.bindings):
        message = f"no pod that podSelector selects is on {networks}"
        return Condition(BOUND, FALSE, Reason.NO_PODS, message)
    return Condition(BOUND, TRUE, Reason.BOUND, f"pods that it selects are on {networks}")


def _matching(found: Findings) -> Condition:
    if found.policy is None or not found.bindings:
        return Condition(SELECTORS_MATCH, UNKNOWN, Reason.NOT_BOUND, "it guards no network")
    if not found.unmatched:
        message = "every selector matches a pod on its networks"
        return Condition(SELECTORS_MATCH, TRUE, Reason.ALL_MATCH, message)
    places = (f"{each.field} ({_description(each)})" for each in found.unmatched)
    message = f"no pod on its networks matches {_listed(places, 'or')}"
    return Condition(SELECTORS_MATCH, FALSE, Reason.NOTHING_MATCHES, message)


def _listed(items: Iterable[str], last: str) -> str:
    """The first items by name, the others as a count."""
    different = list(dict.fromkeys(items))
    shown, more = different[:_FEW], len(different) - _FEW
    if more > 0:
        shown.append(f"{more} more")
    if last == ";":
        return "; ".join(shown)
    head, tail = shown[:-1], shown[-1]
    return f"{', '.join(head)} {last} {tail}" if head else tail


def render(found: Findings, before: object, now: str) -> dict[str, Any]:
    """The whole status; `before` is the present one, `now` a time in RFC 3339.

    Returns `before` if nothing has changed. Empty lists are included, because the status is merged.
    """
    policy = found.policy
    skipped = policy.skipped if policy is not None and not found.problems else ()
    return {
        "observedGeneration": found.generation,
        "mode": str(policy.mode) if policy is not None else "none",
        "ports": sum(binding.ports for binding in found.bindings),
        "networks": [
            {
                "name": binding.network,
                "networkAttachmentDefinitions": list(map(str, binding.nads)),
                "ports": binding.ports,
            }
            for binding in found.bindings
        ],
        "skipped": [_part(part) for part in skipped[:MAX_REPORTED]],
        "unmatched": [
            {"field": each.field, "selects": _description(each)}
            for each in found.unmatched[:MAX_REPORTED]
        ],
        "conditions": kubernetes.rendered(conditions(found), before, found.generation, now),
    }


def _part(part: Skipped) -> dict[str, str]:
    entries = {"field": part.field, "value": part.value, "rule": part.rule, "remedy": part.remedy}
    return {name: text for name, text in entries.items() if text}


def skipped_text(part: Skipped) -> str:
    """A skipped part in one sentence, for an Event."""
    value = f" {part.value}" if part.value else ""
    remedy = f" ({part.remedy})" if part.remedy else ""
    return f"{part.field}{value}: {part.rule}{remedy}"


def _description(each: Unmatched) -> str:
    named = f" that have a {each.protocol} port {each.port}" if each.port else ""
    return selector_text(each.selector) + named


def selector_text(members: PodSelector) -> str:
    """The selected pods, in the notation of kubectl's selectors."""
    pods = f"pods with {written(members.pods)}" if members.pods.requirements else "all pods"
    if members.namespace:
        return f"{pods} in namespace {members.namespace}"
    if members.namespaces.requirements:
        return f"{pods} in namespaces with {written(members.namespaces)}"
    return f"{pods} in all namespaces"


def written(selector: Selector) -> str:
    return ",".join(map(_requirement, selector.requirements))


def _requirement(one: Requirement) -> str:
    values = ", ".join(one.values)
    match one.operator:
        case Operator.IN:
            return f"{one.key}={values}" if len(one.values) == 1 else f"{one.key} in ({values})"
        case Operator.NOT_IN:
            return f"{one.key}!={values}" if len(one.values) == 1 else f"{one.key} notin ({values})"
        case Operator.EXISTS:
            return one.key
        case Operator.DOES_NOT_EXIST:
            return f"!{one.key}"
