"""Keeps a node's switch as weft needs it: its bridge, guard flows and fragment settings."""

from __future__ import annotations

from collections.abc import Iterable

from weft import model, names
from weft.api.pod import Pod
from weft.control import loop
from weft.control.zone import state
from weft.kube import cache
from weft.metrics import Figures
from weft.model import ObjectKey
from weft.node import bridge, fragments, guard
from weft.ovn import advertisement
from weft.ovsdb import replica


class Guards:
    """One task of the agent, which reports changed NADs and written router advertisements to it."""

    def __init__(
        self,
        ovs: replica.Replica,
        nb: replica.Replica,
        chassis: str,
        zone: state.Zone,
        pods: cache.Informer[Pod],
    ) -> None:
        self._zone, self._pods = zone, pods
        self.bridge = bridge.BridgeReconciler(ovs)
        self._fragments = fragments.Fragments(ovs)
        self._flows = guard.Guard(
            *(ovs, nb, chassis),
            spec_of=self._spec_of,
            machine_of=self._machine_of,
            connected=self._fragments.switch_started,
        )

    @property
    def trouble(self) -> str:
        """What of the switch is not as weft needs it; else empty."""
        parts = (self.bridge, self._flows, self._fragments)
        return "; ".join(filter(None, (each.trouble for each in parts)))

    def figures(self) -> Figures:
        return self._flows.figures()

    async def run(self) -> None:
        await loop.together(
            bridge=self.bridge.run(), flows=self._flows.run(), fragments=self._fragments.run()
        )

    def nad_changed(self, *declared: state.DeclaredNetwork | None) -> None:
        """Call with the old and the new state of a changed NAD."""
        for name in {each.network.name for each in declared if each is not None}:
            self._flows.network_changed(name)

    def advertised(self, advertisements: Iterable[advertisement.Advertisement]) -> None:
        """Sets the router advertisements that the zone has written rows for."""
        self._flows.keep_for_routers(map(advertisement.router_address, advertisements))

    def _spec_of(self, network: str) -> model.NetworkSpec | None:
        found = self._zone.network(network)
        return found.spec if found else None

    def _machine_of(self, pod: ObjectKey) -> str:
        """Returns the virtual machine that a pod runs, from KubeVirt's label; "" for none."""
        found = self._pods.get(pod)
        return found.labels.get(names.VM_NAME, "") if found is not None else ""
