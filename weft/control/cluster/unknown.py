"""Of which networks may a running pod have what this manager does not know yet?

A pod's annotation that was changed while no manager ran is put back by the agent of its node. Until
then, but not for long, nothing is chosen on its networks: it could be what that pod has.
"""

from __future__ import annotations

from collections.abc import Iterable

from weft import errors

PATIENCE = 15.0  # seconds from a manager's start; an agent that starts with it is there by then


class Unknown:
    """Pods by key, networks by name."""

    def __init__(self) -> None:
        self._networks: dict[str, frozenset[str]] = {}
        self._waiting: set[str] = set()

    def __len__(self) -> int:
        return len(self._networks)

    def add(self, pod: str, networks: Iterable[str]) -> None:
        self._networks[pod] = frozenset(networks)

    def check(self, network: str, pod: str) -> None:
        """NotReady while something on the network is not known; `pod` is woken when it is."""
        found = next((key for key, among in self._networks.items() if network in among), None)
        if found is not None:
            self._waiting.add(pod)
            raise errors.NotReady(
                f"no address is chosen for up to {PATIENCE:g} s, until the cluster manager knows "
                f"again what Pod {found} has",
                where=f"network {network}",
                hint="the agent of that pod's node restores its annotation",
            )

    def end(self, pod: str = "") -> list[str]:
        """A pod is known again, or gone; without one, all of them: who is to try again."""
        if pod:
            if self._networks.pop(pod, None) is None:
                return []
        else:
            self._networks.clear()
        woken, self._waiting = sorted(self._waiting), set()
        return woken
