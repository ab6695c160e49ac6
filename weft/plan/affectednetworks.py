"""Works out what an edit does to networks as a whole: free addresses and bridge mappings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weft import names
from weft.api import nodeinfo
from weft.observe import details, freeaddresses, members
from weft.plan.worlds import World


@dataclass(frozen=True, slots=True)
class AddressCount:
    """Free addresses of a network, in the family that has fewer; None if it has no subnet."""

    network: str
    before: int | None
    after: int | None

    @property
    def runs_out(self) -> bool:
        """Whether the edit leaves no address where one was."""
        return self.after is not None and self.after <= 0 and self.before != self.after


def touched(before: World, after: World) -> dict[str, tuple[Any, Any]]:
    """The networks whose spec differs, with both; None where there is none."""
    old, new = (details.specs(each.objects) for each in (before, after))
    return {
        name: (old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def counts(
    before: World, after: World, networks: Mapping[str, tuple[Any, Any]]
) -> Iterator[AddressCount]:
    for name, (old, new) in networks.items():
        yield AddressCount(
            name,
            freeaddresses.count(before.objects, old) if old else None,
            freeaddresses.count(after.objects, new) if new else None,
        )


def unmapped(world: World, networks: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """What nodes lack: a mapping for the physical network of a network that is new or edited."""
    if world.nodes is None:
        return
    mapped = {
        each["metadata"]["name"]: nodeinfo.physical_networks(
            (each["metadata"].get("annotations") or {}).get(names.NODE_BRIDGE_MAPPINGS, "")
        )
        for each in world.nodes
    }
    for name, (_, new) in networks.items():
        physical = new.physical_network if new is not None else ""
        lacking = sorted(node for node, found in mapped.items() if physical not in found)
        if not physical or not lacking:
            continue
        using = {each.node for each in members.on(name, world.objects)}
        where = f"on {', '.join(lacking)}"
        if len(lacking) == len(mapped):
            where = "on any node"
        if using & set(lacking) or len(lacking) == len(mapped):
            yield (
                f"network {name}: no bridge mapping {where} for physical network {physical}"
                " (ovn-bridge-mappings in Open vSwitch)"
            )


def unjudged(world: World, networks: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """What cannot be said without nodes."""
    for name, (_, new) in networks.items():
        if world.nodes is None and new is not None and new.physical_network:
            physical = new.physical_network
            yield (
                f"network {name}: which nodes have a bridge mapping for physical network "
                f"{physical}: no Node can be read"
            )
