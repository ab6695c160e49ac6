"""Gives the address of a node's interface to the bridge that a userspace switch puts it into.

The kernel must not have the address on the interface any more: it would answer for it, too. A file
remembers what it was, because a bridge loses it with the switch, and gives it back in the end.
"""

from __future__ import annotations

from dataclasses import asdict
from ipaddress import ip_interface
from pathlib import Path

import orjson

from weft import errors
from weft.host import files, linkconfig, netlink
from weft.nic import switchsettings


def remembered(interface: str, file: Path) -> linkconfig.Device:
    """The interface as it was before any switch took it. Raises Unavailable if nobody knows."""
    found = linkconfig.capture(interface)
    if found is None:
        raise errors.Unavailable(
            "is not on this node", where=f"interface {interface}", hint="set --tunnel-interface"
        )
    if found.addresses:
        files.replace(file, orjson.dumps(asdict(found)))
        return found
    kept = stored(file)
    if kept is None:
        raise errors.Unavailable(
            "has no address, and no file tells the one that it had",
            where=f"interface {interface}",
            hint="give the interface the address at which tunnels to this node end",
        )
    return kept


def stored(file: Path) -> linkconfig.Device | None:
    """The interface that the file tells of; None if there is no such file."""
    try:
        told = orjson.loads(file.read_bytes())
        routes = tuple(linkconfig.Route(**each) for each in told.pop("routes"))
        told["addresses"] = tuple(map(tuple, told["addresses"]))
        told["settings"] = tuple(map(tuple, told["settings"]))
        return linkconfig.Device(**{**told, "routes": routes})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def address(device: linkconfig.Device) -> str:
    """The address at which tunnels end: the first one."""
    _, text, _ = device.addresses[0]
    return str(ip_interface(text).ip)


def hand_over(device: linkconfig.Device) -> bool:
    """Have the bridge carry what the interface carried; False while the switch has not made it."""
    bridge = switchsettings.UNDERLAY_BRIDGE
    if netlink.read(bridge) is None:
        return False
    linkconfig.strip(device.name)
    linkconfig.restore(linkconfig.renamed(device, bridge))
    return True
