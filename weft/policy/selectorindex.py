"""Keeps which pods each selector chooses, while pods, namespaces and selectors change.

The result is kept, not recomputed: a pod's change costs in proportion to its labels and matching
selectors, however many pods and selectors exist.

A namespace that is unknown (yet) matches no selector of namespace labels, not even one that
requires a label to be absent. It matches once its labels are known.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from weft.model import ObjectKey
from weft.policy import netpolicy

# The requirement under which a selector is indexed: ("in", "app", "web"), ("key", "app", ""),
# ("name", "default", ""), or ANY if it has no requirement that can be looked up.
IndexKey = tuple[str, str, str]
ANY: IndexKey = ("", "", "")
NO_PODS: frozenset[ObjectKey] = frozenset()


@dataclass(frozen=True, slots=True)
class _Pod:
    namespace: str
    labels: Mapping[str, str]


class SelectorIndex:
    """Pods by key, matched with PodSelectors."""

    def __init__(self) -> None:
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._pods: dict[ObjectKey, _Pod] = {}
        self._pods_in: dict[str, set[ObjectKey]] = {}  # namespace -> pod keys
        self._uses: dict[netpolicy.PodSelector, int] = {}  # how often each was added
        # The index: mark of the namespace -> mark of the pod -> selectors.
        self._index: dict[IndexKey, dict[IndexKey, set[netpolicy.PodSelector]]] = {}
        self._marks: dict[
            netpolicy.PodSelector, tuple[tuple[IndexKey, ...], tuple[IndexKey, ...]]
        ] = {}
        self._chosen: dict[netpolicy.PodSelector, set[ObjectKey]] = {}
        self._choosing: dict[ObjectKey, set[netpolicy.PodSelector]] = {}

    def __len__(self) -> int:
        return len(self._uses)

    def pods(self, members: netpolicy.PodSelector) -> Set[ObjectKey]:
        """The keys of the pods that a selector chooses, a live view; empty if it was not added."""
        return self._chosen.get(members, NO_PODS)

    def selectors(self, pod: ObjectKey) -> Set[netpolicy.PodSelector]:
        """The selectors that choose a pod, a live view."""
        return self._choosing.get(pod, frozenset())

    # Changes.

    def set_pod(self, key: ObjectKey, namespace: str, labels: Mapping[str, str] | None) -> bool:
        """Store a pod; `labels` None: it is gone. Returns whether its selectors changed."""
        if labels is None:
            if self._pods.pop(key, None) is None:
                return False
            self._pods_in[namespace].discard(key)
            if not self._pods_in[namespace]:
                del self._pods_in[namespace]
        else:
            self._pods[key] = _Pod(namespace, labels)
            self._pods_in.setdefault(namespace, set()).add(key)
        return self._update(key)

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> set[ObjectKey]:
        """Store a namespace; `labels` None: it is gone. Returns pods whose selectors changed."""
        if self._namespaces.get(name) == labels:
            return set()
        if labels is None:
            del self._namespaces[name]
        else:
            self._namespaces[name] = labels
        return {key for key in self._pods_in.get(name, ()) if self._update(key)}

    def add(self, members: netpolicy.PodSelector) -> None:
        """Keep a selector's pods up to date, until `remove` was called as often as `add`."""
        self._uses[members] = self._uses.get(members, 0) + 1
        if self._uses[members] > 1:
            return
        self._add_to_index(members)
        chosen = {key for key in self._possible(members) if self._matches(members, key)}
        if chosen:
            self._chosen[members] = chosen
        for key in chosen:
            self._choosing.setdefault(key, set()).add(members)

    def remove(self, members: netpolicy.PodSelector) -> None:
        """Undo one `add`."""
        self._uses[members] -= 1
        if self._uses[members]:
            return
        del self._uses[members]
        outer, inner = self._marks.pop(members)
        for mark, within in itertools.product(outer, inner):
            place = self._index[mark]
            place[within].discard(members)
            if not place[within]:
                del place[within]
            if not place:
                del self._index[mark]
        for key in self._chosen.pop(members, ()):
            self._unlink(key, members)

    def _update(self, key: ObjectKey) -> bool:
        """Update the selectors that choose one pod; whether anything changed."""
        before = self._choosing.get(key, set())
        after = set(self._matching(key)) if key in self._pods else set()
        for members in after - before:
            self._chosen.setdefault(members, set()).add(key)
        for members in before - after:
            self._chosen[members].discard(key)
            if not self._chosen[members]:
                del self._chosen[members]
        if after:
            self._choosing[key] = after
        else:
            self._choosing.pop(key, None)
        return before != after

    def _unlink(self, key: ObjectKey, members: netpolicy.PodSelector) -> None:
        self._choosing[key].discard(members)
        if not self._choosing[key]:
            del self._choosing[key]

    def _matching(self, key: ObjectKey) -> Iterator[netpolicy.PodSelector]:
        pod = self._pods[key]
        within = [ANY, *_label_marks(pod.labels)]
        labels = self._namespaces.get(pod.namespace, {})
        for mark in (ANY, ("name", pod.namespace, ""), *_label_marks(labels)):
            inner = self._index.get(mark)
            for members in _indexed(inner, within) if inner else ():
                if self._matches(members, key):
                    yield members

    def _matches(self, members: netpolicy.PodSelector, key: ObjectKey) -> bool:
        pod = self._pods[key]
        if not members.pods.matches(pod.labels):
            return False
        if members.namespace:
            return members.namespace == pod.namespace
        labels = self._namespaces.get(pod.namespace)
        if labels is None:
            return members.namespaces == netpolicy.EVERYTHING
        return members.namespaces.matches(labels)

    def _possible(self, members: netpolicy.PodSelector) -> Iterable[ObjectKey]:
        """The pods of the namespaces that a selector names or selects."""
        if members.namespace:
            return self._pods_in.get(members.namespace, ())
        if members.namespaces == netpolicy.EVERYTHING:
            return self._pods
        named = (n for n, labels in self._namespaces.items() if members.namespaces.matches(labels))
        return [key for name in named for key in self._pods_in.get(name, ())]

    def _add_to_index(self, members: netpolicy.PodSelector) -> None:
        """Index a selector under the marks with the fewest other selectors."""
        if members.namespace:
            outer: tuple[IndexKey, ...] = (("name", members.namespace, ""),)
        else:
            outer = min(
                _marks(members.namespaces),
                key=lambda marks: sum(len(self._index.get(mark, ())) for mark in marks),
            )
        there = [self._index.get(mark, {}) for mark in outer]
        inner = min(
            _marks(members.pods),
            key=lambda marks: sum(len(place.get(mark, ())) for place in there for mark in marks),
        )
        for mark, within in itertools.product(outer, inner):
            self._index.setdefault(mark, {}).setdefault(within, set()).add(members)
        self._marks[members] = (outer, inner)


def _marks(selector: netpolicy.Selector) -> list[tuple[IndexKey, ...]]:
    """The ways to index a selector: each is the set of marks of one of its requirements."""
    ways: list[tuple[IndexKey, ...]] = []
    for required in selector.requirements:
        if required.operator is netpolicy.Operator.IN:
            ways.append(tuple(("in", required.key, value) for value in set(required.values)))
        elif required.operator is netpolicy.Operator.EXISTS:
            ways.append((("key", required.key, ""),))
    return ways or [(ANY,)]


def _label_marks(labels: Mapping[str, str]) -> Iterator[IndexKey]:
    """The marks under which a requirement for some of these labels may be indexed."""
    for key, value in labels.items():
        yield "in", key, value
        yield "key", key, ""


def _indexed(
    places: Mapping[IndexKey, set[netpolicy.PodSelector]], marks: Iterable[IndexKey]
) -> Iterator[netpolicy.PodSelector]:
    for mark in marks:
        yield from places.get(mark, ())
