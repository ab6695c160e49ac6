"""Decides on which nodes affinity, anti-affinity and topology spread let a pod run.

Pure. The rules are those of Kubernetes' "Assigning Pods to Nodes" and "Pod Topology Spread
Constraints"; of constraints, only those with `DoNotSchedule` count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Placed:
    """A pod that runs on a node, and that node's labels."""

    pod: Object
    labels: Mapping[str, str]


def is_concerned(pod: Object) -> bool:
    """Whether a pod has affinity, anti-affinity or spread rules."""
    return any(any(_terms(pod, kind)) for kind in ("podAffinity", "podAntiAffinity"))


def refusals(pod: Object, placed: Iterable[Placed]) -> Refusals:
    """The reasons against each node. Of a `namespaceSelector` only {} (all) has an effect."""
    others = list(placed)
    affine = [_Affinity(pod, term, others) for term in _terms(pod, "podAffinity")]
    apart = {
        domain
        for term in _terms(pod, "podAntiAffinity")
        for other in others
        if _means(term, pod, other.pod) and (domain := _domain(term, other.labels))
    }
    shut = {
        domain
        for other in others
        for term in _terms(other.pod, "podAntiAffinity")
        if _means(term, other.pod, pod) and (domain := _domain(term, other.labels))
    }
    spread = [
        _Spread(pod, each, others)
        for each in pod["spec"].get("topologySpreadConstraints") or ()
        if each.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
    ]
    return Refusals(tuple(affine), frozenset(apart | shut), tuple(spread))


@dataclass(frozen=True, slots=True)
class Refusals:
    """Rules of a pod against the pods that are placed; `why` gives the reason against a node."""

    _affine: tuple[_Affinity, ...]
    _apart: frozenset[tuple[str, str]]
    _spread: tuple[_Spread, ...]

    def why(self, labels: Mapping[str, str], all_nodes: Iterable[Mapping[str, str]]) -> str:
        """In the scheduler's words; empty if it may. `all_nodes` are the labels of all."""
        if any(not each.allows(labels) for each in self._affine):
            return "didn't match pod affinity rules"
        if any(labels.get(key) == value for key, value in self._apart):
            return "didn't match pod anti-affinity rules"
        nodes = list(all_nodes)
        if any(not each.allows(labels, nodes) for each in self._spread):
            return "didn't match pod topology spread constraints"
        return ""


class _Affinity:
    """One term: the pod may run in a topology domain that has a pod which the term selects."""

    def __init__(self, pod: Object, term: Object, others: list[Placed]) -> None:
        self._key = term.get("topologyKey", "")
        found = {
            other.labels.get(self._key)
            for other in others
            if _means(term, pod, other.pod) and self._key in other.labels
        }
        self._values = found
        # The first pod of a group that requires each other may run anywhere.
        self._is_first = not found and _means(term, pod, pod)

    def allows(self, labels: Mapping[str, str]) -> bool:
        if self._key not in labels:
            return False
        return self._is_first or labels[self._key] in self._values


class _Spread:
    """One constraint: no domain has more than `maxSkew` pods above the emptiest."""

    def __init__(self, pod: Object, constraint: Object, others: list[Placed]) -> None:
        self._key = constraint.get("topologyKey", "")
        self._skew: int = constraint.get("maxSkew", 1)
        selector = constraint.get("labelSelector")
        namespace = pod["metadata"]["namespace"]
        self._counts = Counter(
            other.labels[self._key]
            for other in others
            if self._key in other.labels
            and other.pod["metadata"]["namespace"] == namespace
            and _selects(selector, _labels(other.pod))
        )
        self._own = int(_selects(selector, _labels(pod)))

    def allows(self, labels: Mapping[str, str], nodes: list[Mapping[str, str]]) -> bool:
        if self._key not in labels:
            return False
        domains = {each[self._key] for each in nodes if self._key in each}
        least = min((self._counts[domain] for domain in domains), default=0)
        return self._counts[labels[self._key]] + self._own - least <= self._skew


def _terms(pod: Object, kind: str) -> Iterator[Object]:
    affinity = pod["spec"].get("affinity") or {}
    yield from (affinity.get(kind) or {}).get(_REQUIRED) or ()


def _means(term: Object, owner: Object, other: Object) -> bool:
    """Whether a term of `owner` selects the other pod."""
    namespaces = term.get("namespaces") or ()
    everywhere = term.get("namespaceSelector") == {}
    if not everywhere and not namespaces:
        namespaces = (owner["metadata"]["namespace"],)
    is_there = everywhere or other["metadata"]["namespace"] in namespaces
    return is_there and _selects(term.get("labelSelector"), _labels(other))


def _domain(term: Object, labels: Mapping[str, str]) -> tuple[str, str] | None:
    key = term.get("topologyKey", "")
    return (key, labels[key]) if key in labels else None


def _labels(pod: Object) -> Mapping[str, str]:
    return pod["metadata"].get("labels") or {}


def _selects(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels: None selects nothing, {} everything."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(holds(each, labels) for each in selector.get("matchExpressions") or ())


def holds(expression: Object, values: Mapping[str, str]) -> bool:
    """Whether one requirement of a selector holds for labels or fields."""
    value, listed = values.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in listed
        case "NotIn":
            return value not in listed
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False
