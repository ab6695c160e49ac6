"""Keeps which MACs are on a physical network, over all localnets that lead there.

Networks on one VLAN of it are one layer-2 segment: a MAC that is on two of them has no one place.
What two hold already stays theirs; it is not given to a third.
"""

from __future__ import annotations

from weft import model

# The VLANs of a network, 0 for untagged packets; None: all.
Vlans = frozenset[int] | None
_UNTAGGED = 0


def vlans(spec: model.NetworkSpec) -> Vlans:
    """The VLANs that a localnet's NICs are on."""
    if spec.trunk is None:
        return frozenset({spec.vlan_id or _UNTAGGED})
    return frozenset(spec.trunk) or None


class SegmentMacs:
    """The MACs on one physical network, with the networks and labels of their holders.

    `networks` are those that lead there.
    """

    def __init__(self) -> None:
        self.networks: set[str] = set()
        self._holders: dict[str, dict[str, tuple[Vlans, str]]] = {}  # by MAC and network

    def add(self, spec: model.NetworkSpec, mac: str, label: str) -> None:
        self._holders.setdefault(mac, {})[spec.name] = vlans(spec), label

    def remove(self, network: str, mac: str) -> None:
        holders = self._holders.get(mac, {})
        if holders.pop(network, None) is not None and not holders:
            del self._holders[mac]

    def owner(self, spec: model.NetworkSpec, mac: str) -> str:
        """Who has a MAC on another network of the same segment, "" for nobody."""
        own, others = vlans(spec), self._holders.get(mac, {})
        found = (
            f"{label} on network {network}, which is on the same VLAN"
            for network, (tags, label) in sorted(others.items())
            if network != spec.name and _meet(own, tags)
        )
        return next(found, "")


def _meet(one: Vlans, other: Vlans) -> bool:
    return one is None or other is None or bool(one & other)
