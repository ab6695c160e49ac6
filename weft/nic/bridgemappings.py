"""Reads from Open vSwitch's settings which bridge of a node leads to which physical network.

Pure. `ovn-bridge-mappings` is ovn-controller(8)'s; the node's administrator writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

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


def narrowest(
    bridge: rows.Columns,
    ports: Mapping[str, rows.Columns],
    interfaces: Mapping[str, rows.Columns],
) -> tuple[int, str]:
    """Returns the smallest MTU of a bridge's interfaces, and which has it; (0, "") if none has one.

    `ports` and `interfaces` are all of the switch, by UUID. Pods' packets do not pass the bridge's
    own interface, and patch ports have no MTU.
    """
    found = (
        interfaces.get(interface, {})
        for uuid in _set(bridge["ports"])
        for interface in _set(ports.get(uuid, {}).get("interfaces", frozenset()))
    )
    sized = (
        (each["mtu"], str(each["name"]))
        for each in found
        if each and each["name"] != bridge["name"] and isinstance(each["mtu"], int)
    )
    return min(sized, default=(0, ""))


def _set(value: rows.Value) -> Set[str]:
    return frozenset(map(str, value)) if isinstance(value, Set) else frozenset()
