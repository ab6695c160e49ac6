"""Finds localnets that share a VLAN of a physical network, where each assigns addresses by itself.

Pure. Both networks are served: on the wire they are one segment, and two pods may get one address,
and with it one MAC.
"""

from __future__ import annotations

from collections.abc import Iterator

from weft import model
from weft.api import notation
from weft.control import index
from weft.reasons import Reason

_Vlan = tuple[str, int | None]  # physical network and VLAN


class Vlans:
    """The localnets on each VLAN of each physical network."""

    def __init__(self) -> None:
        self._specs: dict[str, model.NetworkSpec] = {}
        self._on: dict[_Vlan, set[str]] = {}

    def set(self, name: str, spec: model.NetworkSpec | None) -> None:
        """Sets a network; None: it ended."""
        old = self._specs.pop(name, None)
        if old is not None:
            index.discard(self._on, (old.physical_network, old.vlan_id), name)
        if spec is not None and spec.topology is model.Topology.LOCALNET:
            self._specs[name] = spec
            self._on.setdefault((spec.physical_network, spec.vlan_id), set()).add(name)

    def warnings(self, network: model.Network | None) -> Iterator[tuple[Reason, str]]:
        """Yields a message for each other network on its VLAN whose subnets overlap."""
        name = network.name if network is not None else ""
        own = self._specs.get(name)
        if own is None:
            return
        for other in sorted(self._on[own.physical_network, own.vlan_id] - {name}):
            pairs = ((a, b) for a in own.subnets for b in self._specs[other].subnets)
            if found := next((each for each in pairs if notation.overlap(*each)), None):
                vlan = "untagged traffic" if own.vlan_id is None else f"VLAN {own.vlan_id}"
                yield (
                    Reason.SHARED_VLAN,
                    f"network {name} shares {vlan} of physical network {own.physical_network} with "
                    f"network {other}, and subnets {found[0]} and {found[1]} overlap: two pods may "
                    "get one address and MAC (exclude the other's range in each)",
                )
