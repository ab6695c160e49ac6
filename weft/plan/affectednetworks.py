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
    """What nodes lack: a mapping for the physical network of a network that is new or edited, and
    has pods there or no node at all."""
    for name, physical, lacking, is_needed in _lacking(world, networks):
        if is_needed:
            yield (
                f"network {name}: no bridge mapping on {lacking} for physical network {physical}"
                " (ovn-bridge-mappings in Open vSwitch)"
            )


def closed(world: World, networks: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """The nodes that lack such a mapping, where no pod of the network runs: none could."""
    for name, physical, lacking, is_needed in _lacking(world, networks):
        if not is_needed:
            yield (
                f"network {name}: no pod of it can run on {lacking}, without a bridge mapping for "
                f"physical network {physical}"
            )


def _lacking(
    world: World, networks: Mapping[str, tuple[Any, Any]]
) -> Iterator[tuple[str, str, str, bool]]:
    """Each network with its physical network, the nodes that lack a mapping for it, and whether one
    of them needs it or all nodes lack it."""
    mapped = {
        each["metadata"]["name"]: nodeinfo.physical_networks(
            (each["metadata"].get("annotations") or {}).get(names.NODE_BRIDGE_MAPPINGS, "")
        )
        for each in world.nodes or ()
    }
    for name, (_, new) in networks.items():
        physical = new.physical_network if new is not None else ""
        lacking = sorted(node for node, found in mapped.items() if physical not in found)
        if not physical or not lacking:
            continue
        using = {each.node for each in members.on(name, world.objects)}
        if len(lacking) == len(mapped):
            yield name, physical, "any node", True
            continue
        for is_needed, nodes in ((True, using & set(lacking)), (False, set(lacking) - using)):
            if nodes:
                yield name, physical, ", ".join(sorted(nodes)), is_needed


def unjudged(world: World, networks: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """What cannot be said without nodes."""
    for name, (_, new) in networks.items():
        if world.nodes is None and new is not None and new.physical_network:
            physical = new.physical_network
            yield (
                f"network {name}: which nodes have a bridge mapping for physical network "
                f"{physical}: no Node can be read"
            )
