"""Keeps each NetworkQoS of the cluster, and on which networks it is.

Bookkeeping only: `policies` decides which ports are in its groups. NADs, and the labels of their
namespaces, say which networks a selector means; a change of a pod looks at none of them.

An object is only on networks that its namespace has ports of this node on, and only the oldest
objects of a namespace are in force (`Ranking`): else a tenant could have every node look at all
pairs of objects and NADs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from weft import names
from weft.control import index
from weft.model import ObjectKey
from weft.policy import netpolicy
from weft.policy.networkqos import UNMARKED, NadMarks, NetworkQos, Ranking

# By key: the networks that a NetworkQoS was or is on.
Moved = dict[ObjectKey, set[str]]
_Pair = tuple[ObjectKey, str]  # an object, and a network


class QosBindings:
    """All NetworkQoS by key, and those in force. `set_…` return those that are on other networks
    by the change."""

    def __init__(self) -> None:
        self._ranking = Ranking()
        self._valid: dict[ObjectKey, NetworkQos] = {}
        self._declared: dict[ObjectKey, NetworkQos] = {}  # in force
        self._of_namespace: dict[str, set[ObjectKey]] = {}  # in force
        self._ports: dict[str, Counter[str]] = {}  # namespace -> network -> ports of this node
        self._nads: dict[ObjectKey, tuple[str, NadMarks]] = {}  # NAD -> its network, and its marks
        self._homes: dict[str, set[ObjectKey]] = {}  # namespace -> its NADs
        # NADs by network and namespace; those that lead a network by "".
        self._same: dict[tuple[str, str], set[ObjectKey]] = {}
        self._labels: dict[str, Mapping[str, str]] = {}  # of namespaces
        # By key and network: the NADs of that network that it chooses.
        self._chosen: dict[ObjectKey, dict[str, set[ObjectKey]]] = {}
        self._of_selector: dict[tuple[str, netpolicy.PodSelector], set[ObjectKey]] = {}

    def get(self, key: ObjectKey) -> NetworkQos | None:
        """Returns an object that is in force."""
        return self._declared.get(key)

    def networks(self, key: ObjectKey) -> frozenset[str]:
        """Returns the networks that a NetworkQoS is on."""
        return frozenset(self._chosen.get(key, ()))

    def selecting(
        self, network: str, selectors: Iterable[netpolicy.PodSelector]
    ) -> list[NetworkQos]:
        """Returns those on a network that select pods by one of these selectors."""
        return [
            self._declared[key]
            for members in selectors
            for key in self._of_selector.get((network, members), ())
        ]

    def rank(
        self, key: ObjectKey, new: NetworkQos | None
    ) -> list[tuple[ObjectKey, NetworkQos | None]]:
        """Takes in an object (None: it is gone, or not valid); returns what to `put` then."""
        self._valid.pop(key, None)
        if new is not None:
            self._valid[key] = new
        changed = {key, *self._ranking.place(key, new.created if new is not None else None)}
        return [(e, self._valid[e] if self._ranking.has(e) else None) for e in sorted(changed)]

    def put(self, key: ObjectKey, new: NetworkQos | None) -> None:
        """Sets an object that is in force; None: it is not."""
        for network in self._chosen.pop(key, ()):
            self._leave(key, network)
        self._declared.pop(key, None)
        index.discard(self._of_namespace, key.namespace, key)
        if new is not None:
            self._declared[key] = new
            self._of_namespace.setdefault(key.namespace, set()).add(key)
            for network in self._ports.get(key.namespace, ()):
                self._look_at(network, (key,))

    def add_port(self, namespace: str, network: str) -> None:
        """A pod of a namespace has a port more on this node."""
        counts = self._ports.setdefault(namespace, Counter())
        counts[network] += 1
        if counts[network] == 1:
            self._look_at(network, self._of_namespace.get(namespace, ()))

    def remove_port(self, namespace: str, network: str) -> None:
        """It has one less."""
        counts = self._ports[namespace]
        counts[network] -= 1
        if counts[network]:
            return
        del counts[network]
        if not counts:
            del self._ports[namespace]
        for key in self._of_namespace.get(namespace, ()):
            if self._chosen.get(key, {}).pop(network, None):
                self._leave(key, network)

    def set_nad(self, nad: ObjectKey, network: str, marks: NadMarks = UNMARKED) -> Moved:
        """Sets what a NAD declares; network "": nothing."""
        if self._nads.get(nad, ("", marks)) == (network, marks):
            return {}
        pairs = self._concerned((nad,))
        before = self._on(pairs)
        old, _ = self._nads.get(nad, ("", UNMARKED))
        for key, _ in pairs:
            self._release(key, old, nad)
        self._nads.pop(nad, None)
        index.discard(self._homes, nad.namespace, nad)
        for home in (nad.namespace, ""):
            index.discard(self._same, (old, home), nad)
        if network and network != names.DEFAULT_NETWORK:
            self._nads[nad] = (network, marks)
            self._homes.setdefault(nad.namespace, set()).add(nad)
            for home in (nad.namespace, "") if marks.leads else (nad.namespace,):
                self._same.setdefault((network, home), set()).add(nad)
            found = self._concerned((nad,))
            before |= self._on(found)
            self._look(found, nad)
            pairs |= found
        return _moved(before ^ self._on(pairs))

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> Moved:
        """Sets a namespace's labels; None: it is gone."""
        if self._labels.get(name) == labels:
            return {}
        if labels is None:
            del self._labels[name]
        else:
            self._labels[name] = labels
        homes = self._homes.get(name, set())
        pairs = self._concerned(homes)
        before = self._on(pairs)
        for nad in homes:
            found = self._concerned((nad,))
            for key, network in found:
                self._release(key, network, nad)
            self._look(found, nad)
        return _moved(before ^ self._on(pairs))

    def _concerned(self, nads: Iterable[ObjectKey]) -> set[_Pair]:
        """The objects that may choose one of these NADs, each with the NAD's network."""
        found = set()
        for nad in nads:
            network, marks = self._nads.get(nad, ("", UNMARKED))
            homes = self._ports if marks.leads else (nad.namespace,)
            for home in homes:
                if network in self._ports.get(home, ()):
                    found |= {(key, network) for key in self._of_namespace.get(home, ())}
        return found

    def _on(self, pairs: Iterable[_Pair]) -> set[_Pair]:
        return {(key, network) for key, network in pairs if network in self._chosen.get(key, ())}

    def _look_at(self, network: str, keys: Iterable[ObjectKey]) -> None:
        """Chooses among the NADs of a network."""
        for key in keys:
            for home in ("", key.namespace):
                for nad in self._same.get((network, home), ()):
                    self._look({(key, network)}, nad)

    def _look(self, pairs: Iterable[_Pair], nad: ObjectKey) -> None:
        _, marks = self._nads[nad]
        for key, network in pairs:
            declared = self._declared[key]
            if declared.chooses(nad, marks, self._labels.get(nad.namespace)):
                self._chosen.setdefault(key, {}).setdefault(network, set()).add(nad)
                self._of_selector.setdefault((network, declared.selected_pods), set()).add(key)

    def _release(self, key: ObjectKey, network: str, nad: ObjectKey) -> None:
        chosen = self._chosen.get(key, {})
        if network in chosen and index.discard(chosen, network, nad):
            self._leave(key, network)
            if not chosen:
                del self._chosen[key]

    def _leave(self, key: ObjectKey, network: str) -> None:
        index.discard(self._of_selector, (network, self._declared[key].selected_pods), key)


def _moved(pairs: Iterable[_Pair]) -> Moved:
    found: Moved = {}
    for key, network in pairs:
        found.setdefault(key, set()).add(network)
    return found
