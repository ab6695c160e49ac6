"""Reads from Open vSwitch's settings which bridge of a node leads to which physical network.

Pure. `ovn-bridge-mappings` is ovn-controller(8)'s; the node's administrator writes it.
"""

from __future__ import annotations

from collections.abc import Mapping

from weft import rows

KEY = "ovn-bridge-mappings"


def setting(ids: Mapping[str, rows.Atom], key: str) -> str:
    """Returns the value of a key as ovn-controller(8) reads it: "<key>-<system-id>" comes first."""
    return str(ids.get(f"{key}-{ids.get('system-id', '')}", ids.get(key, "")))


def parse(ids: Mapping[str, rows.Atom]) -> dict[str, str]:
    """Returns the bridge of each physical network; what is no "<network>:<bridge>" is left out."""
    found = {}
    for each in setting(ids, KEY).split(","):
        network, colon, bridge = (part.strip() for part in each.partition(":"))
        if network and colon and bridge:
            found[network] = bridge
    return found
