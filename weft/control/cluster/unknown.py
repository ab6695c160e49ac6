"""Records on which networks a running pod may hold an address that this manager does not know yet.

If a pod's annotation was changed while no manager ran, the agent of its node restores it. Until
then, for PATIENCE at most, no address is chosen on its networks: that pod may hold it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from weft import errors
from weft.model import ObjectKey

PATIENCE = 15.0  # seconds from a manager's start, enough for an agent that starts with it


class Unknown:
    """Pods by key, networks by name."""

    def __init__(self) -> None:
        self._networks: dict[ObjectKey, frozenset[str]] = {}
        self._waiting: set[ObjectKey] = set()

    def __len__(self) -> int:
        return len(self._networks)

    def add(self, pod: ObjectKey, networks: Iterable[str]) -> None:
        """Has these networks wait for a pod."""
        self._networks[pod] = frozenset(networks)

    def check(self, network: str, pod: ObjectKey) -> None:
        """Raises NotReady while an address on the network is unknown; `end` then returns `pod`."""
        found = next((key for key, among in self._networks.items() if network in among), None)
        if found is not None:
            self._waiting.add(pod)
            raise errors.NotReady(
                f"no address is chosen for up to {PATIENCE:g} s, until the cluster manager knows "
                f"again what Pod {found} has",
                where=f"network {network}",
                hint="the agent of that pod's node restores its annotation",
            )

    def end(self, pod: ObjectKey | None = None) -> list[ObjectKey]:
        """A pod is known again or gone (all pods if none is named); returns the pods to retry."""
        if pod is not None:
            if self._networks.pop(pod, None) is None:
                return []
        else:
            self._networks.clear()
        woken, self._waiting = sorted(self._waiting), set()
        return woken
