"""Moves the addresses of a node's interface to the bridge that a userspace switch puts it into.

The interface must lose them, or the kernel would answer there, too. A file stores them: the bridge
loses them with the switch, and the interface gets them back when weft is removed.
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
    """Returns the interface as it was before any switch took it, and stores that in `file`.

    Raises Unavailable if it does not exist, or has no address and no file.
    """
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
    """Returns the interface stored in the file; None if the file is missing or invalid."""
    try:
        document = orjson.loads(file.read_bytes())
        routes = tuple(linkconfig.Route(**each) for each in document.pop("routes"))
        document["addresses"] = tuple(map(tuple, document["addresses"]))
        document["settings"] = tuple(map(tuple, document["settings"]))
        return linkconfig.Device(**{**document, "routes": routes})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def address(device: linkconfig.Device) -> str:
    """Returns the tunnel endpoint: the device's first address."""
    _, text, _ = device.addresses[0]
    return str(ip_interface(text).ip)


def hand_over(device: linkconfig.Device) -> int:
    """Moves addresses and routes to the bridge, sets it up, and returns its index.

    Returns 0 while the switch has not made the bridge.
    """
    bridge = switchsettings.UNDERLAY_BRIDGE
    found = netlink.read(bridge)
    if found is None:
        return 0
    linkconfig.strip(device.name)
    linkconfig.restore(linkconfig.renamed(device, bridge))
    return found.index
