"""Keeps the attachments of all pods, and which of them each policy's selectors select.

Finding the ports that a selector selects on a network costs as much as the answer is long.
`policies` uses it for port groups, `addresses` for address sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from weft import model
from weft.control import index
from weft.control.zone.objects import AllocatedPod
from weft.model import ObjectKey
from weft.policy import netpolicy, selectorindex


class SelectedPorts:
    """The attachments of all pods of the cluster, by port key; `pods` is the zone's table."""

    def __init__(self, pods: Mapping[ObjectKey, AllocatedPod]) -> None:
        self.selection = selectorindex.SelectorIndex()
        self._pods = pods
        self._ports: dict[str, model.Port] = {}
        self._of_pod: dict[ObjectKey, dict[str, set[str]]] = {}  # by network

    def get(self, port: str) -> model.Port | None:
        return self._ports.get(port)

    def named(self, port: str) -> netpolicy.NamedPorts:
        """Returns the named container ports of the pod that holds a port."""
        return self._pods[self._ports[port].pod.key].pod.named

    def selectors(self, port: str) -> Set[netpolicy.PodSelector]:
        """Returns the selectors that select the pod of a port; none for a port that is gone."""
        held = self._ports.get(port)
        return self.selection.selectors(held.pod.key) if held is not None else frozenset()

    def chosen(self, network: str, members: netpolicy.PodSelector) -> Iterator[str]:
        """Yields the ports on a network of the pods that a selector selects."""
        for pod in self.selection.pods(members):
            yield from self._of_pod.get(pod, {}).get(network, ())

    def on(self, network: str) -> Iterator[tuple[str, model.Port]]:
        """Yields all ports on a network, with their keys; it looks at those of all networks."""
        return ((key, port) for key, port in self._ports.items() if port.network == network)

    # `set_pod` and `set_namespace` return the ports that policies may select differently now.

    def set_pod(
        self, key: ObjectKey, namespace: str, old: AllocatedPod | None, new: AllocatedPod | None
    ) -> set[str]:
        labels = new.pod.labels if new is not None else None
        is_chosen_by_others = self.selection.set_pod(key, namespace, labels)
        is_same = new is not None and old is not None and new.pod.named == old.pod.named
        return set() if is_same and not is_chosen_by_others else self._of(key)

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> set[str]:
        return {key for pod in self.selection.set_namespace(name, labels) for key in self._of(pod)}

    def add(self, key: str, port: model.Port) -> None:
        self._ports[key] = port
        networks = self._of_pod.setdefault(port.pod.key, {})
        networks.setdefault(port.network, set()).add(key)

    def remove(self, key: str) -> None:
        port = self._ports.pop(key)
        networks = self._of_pod[port.pod.key]
        index.discard(networks, port.network, key)
        if not networks:
            del self._of_pod[port.pod.key]

    def _of(self, pod: ObjectKey) -> set[str]:
        return {key for held in self._of_pod.get(pod, {}).values() for key in held}
