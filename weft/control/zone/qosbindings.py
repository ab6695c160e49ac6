"""Keeps each NetworkQoS of the cluster, and on which networks it is.

Bookkeeping only: `policies` decides which ports are in its groups. NADs, and the labels of their
namespaces, say which networks a selector means; a change of a pod looks at none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from weft import names
from weft.control import index
from weft.model import ObjectKey
from weft.policy import netpolicy
from weft.policy.networkqos import UNMARKED, NadMarks, NetworkQos

# By key: the networks that a NetworkQoS was or is on.
Moved = dict[ObjectKey, frozenset[str]]


class QosBindings:
    """All NetworkQoS by key. `set_…` return those that are on other networks by the change."""

    def __init__(self) -> None:
        self._declared: dict[ObjectKey, NetworkQos] = {}
        self._nads: dict[ObjectKey, tuple[str, NadMarks]] = {}  # NAD -> its network, and its marks
        self._homes: dict[str, set[ObjectKey]] = {}  # namespace -> its NADs
        self._labels: dict[str, Mapping[str, str]] = {}  # of namespaces
        # By key and network: the NADs of that network that it chooses.
        self._chosen: dict[ObjectKey, dict[str, set[ObjectKey]]] = {}
        self._of_selector: dict[tuple[str, netpolicy.PodSelector], set[ObjectKey]] = {}

    def get(self, key: ObjectKey) -> NetworkQos | None:
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

    def set(self, key: ObjectKey, new: NetworkQos | None) -> None:
        """Sets an object; None: it is gone, or not valid."""
        for network in self._chosen.pop(key, ()):
            self._leave(key, network)
        self._declared.pop(key, None)
        if new is not None:
            self._declared[key] = new
            self._look(self._nads, (key,))

    def set_nad(self, nad: ObjectKey, network: str, marks: NadMarks = UNMARKED) -> Moved:
        """Sets what a NAD declares; network "": nothing."""
        if self._nads.get(nad, ("", marks)) == (network, marks):
            return {}
        before = self._before()
        old = self._nads.pop(nad, ("", UNMARKED))[0]
        index.discard(self._homes, nad.namespace, nad)
        for key in self._declared:
            self._release(key, old, nad)
        if network and network != names.DEFAULT_NETWORK:
            self._nads[nad] = (network, marks)
            self._homes.setdefault(nad.namespace, set()).add(nad)
            self._look((nad,), self._declared)
        return self._moved(before)

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> Moved:
        """Sets a namespace's labels; None: it is gone."""
        if self._labels.get(name) == labels:
            return {}
        if labels is None:
            del self._labels[name]
        else:
            self._labels[name] = labels
        homes = self._homes.get(name)
        if not homes or not self._declared:
            return {}
        before = self._before()
        for key in self._declared:
            for nad in homes:
                self._release(key, self._nads[nad][0], nad)
        self._look(homes, self._declared)
        return self._moved(before)

    def _look(self, nads: Iterable[ObjectKey], keys: Iterable[ObjectKey]) -> None:
        """Chooses among NADs that are not chosen."""
        listed = list(nads)
        for key in keys:
            declared = self._declared[key]
            for nad in listed:
                network, marks = self._nads[nad]
                if declared.chooses(nad, marks, self._labels.get(nad.namespace)):
                    self._chosen.setdefault(key, {}).setdefault(network, set()).add(nad)
                    selector = network, declared.selected_pods
                    self._of_selector.setdefault(selector, set()).add(key)

    def _release(self, key: ObjectKey, network: str, nad: ObjectKey) -> None:
        chosen = self._chosen.get(key, {})
        if network in chosen and index.discard(chosen, network, nad):
            self._leave(key, network)
            if not chosen:
                del self._chosen[key]

    def _leave(self, key: ObjectKey, network: str) -> None:
        index.discard(self._of_selector, (network, self._declared[key].selected_pods), key)

    def _before(self) -> Moved:
        return {key: self.networks(key) for key in self._declared}

    def _moved(self, before: Moved) -> Moved:
        return {
            key: earlier | self.networks(key)
            for key, earlier in before.items()
            if earlier != self.networks(key)
        }
