"""Finds which node is which chassis, from Open vSwitch's settings and the Southbound's chassis.

Pure. It also sorts nodes by name for every picture, and parses the owner in external_ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from weft import names, rows
from weft.observe.graph import PortPod, Zone
from weft.observe.snapshot import Snapshot, entries, text

# The name that KubeVirt gives the pod of a virtual machine; it ends in five random characters.
_LAUNCHER = re.compile(r"virt-launcher-(.+)-[a-z0-9]{5}")

Natural = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Zones:
    """`listed`: zones that were read, then zones that only neighbours know, each group by name.
    `read`: the former, each with its snapshot. `by_chassis`: names of zones by chassis name."""

    listed: tuple[Zone, ...]
    read: tuple[tuple[Zone, Snapshot], ...]
    by_chassis: Mapping[str, str]

    def at(self, chassis: str) -> str:
        """The name of a chassis' zone; "unknown chassis ..." if no zone knows it any more."""
        return self.by_chassis.get(chassis) or f"unknown chassis {chassis[:8]}"


def find(snapshots: Sequence[Snapshot]) -> Zones:
    """Return the zones, named by their own settings in Open vSwitch.

    Chassis rows of neighbours fill in what a zone's own settings lack.
    """
    remote: dict[str, Zone] = {}
    for snapshot in snapshots:
        for row in snapshot.of("Chassis").values():
            zone = _from_row(snapshot, row)
            remote.setdefault(zone.chassis, zone)
    by_name = {zone.name: zone for zone in remote.values()}
    read = [(_own(snapshot), snapshot) for snapshot in snapshots]
    read = [(_completed(zone, by_name.get(zone.name)), snapshot) for zone, snapshot in read]
    read.sort(key=lambda pair: natural_key(pair[0].name))
    known = {zone.chassis for zone, _ in read} | {zone.name for zone, _ in read}
    others = [zone for id, zone in remote.items() if not {id, zone.name} & known]
    others.sort(key=lambda zone: natural_key(zone.name))
    listed = (*(zone for zone, _ in read), *others)
    return Zones(listed, tuple(read), {z.chassis: z.name for z in (*remote.values(), *listed)})


def _completed(zone: Zone, remote: Zone | None) -> Zone:
    if remote is None or zone.chassis:
        return zone
    return replace(zone, chassis=remote.chassis, addresses=remote.addresses)


def _own(snapshot: Snapshot) -> Zone:
    settings = next(iter(snapshot.of("Open_vSwitch").values()), {})
    external = entries(settings, "external_ids")
    chassis = external.get("system-id", "")
    found = [row for row in snapshot.of("Chassis").values() if _is(row, chassis)]
    name, addresses = external.get("hostname", ""), external.get("ovn-encap-ip", "")
    if found:
        chassis = text(found[0], "name")
        name = name or text(found[0], "hostname")
        addresses = addresses or ",".join(_addresses(snapshot, found[0]))
    return Zone(
        name=snapshot.place or name or "zone",
        chassis=chassis,
        addresses=tuple(part for part in addresses.split(",") if part),
        read=not snapshot.trouble,
        trouble=snapshot.trouble,
    )


def _is(row: rows.Columns, chassis: str) -> bool:
    """Whether a Chassis row is the zone's own: the only one without `is-remote`."""
    if chassis:
        return text(row, "name") == chassis
    return entries(row, "other_config").get("is-remote") != "true"


def _from_row(snapshot: Snapshot, row: rows.Columns) -> Zone:
    chassis = text(row, "name")
    name = text(row, "hostname") or chassis
    return Zone(name, chassis, tuple(_addresses(snapshot, row)), read=False)


def _addresses(snapshot: Snapshot, row: rows.Columns) -> list[str]:
    return [text(encap, "ip") for encap in snapshot.referred("Encap", row, "encaps")]


@lru_cache(maxsize=1 << 16)
def natural_key(name: str) -> Natural:
    """A sort key that puts node2 before node10: runs of digits compare as numbers."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts)


def hosts(names: Iterable[str]) -> dict[str, str]:
    """Short names of nodes, without their domain; full names if short ones would be ambiguous."""
    listed = list(names)
    first = {name: name.partition(".")[0] for name in listed}
    plain = all(part and not part.isdecimal() for part in first.values())
    if plain and len(set(first.values())) == len(set(listed)):
        return first
    return {name: name for name in listed}


def owner(external: Mapping[str, str], port: str) -> PortPod | None:
    """The pod that a row's external_ids name, by weft's keys or by ovn-kubernetes'; None without.

    `port` is the logical port's name, from which ovn-kubernetes' pods get their names.
    """
    kind, namespace, pod = names.owner_parts(external.get(names.OWNER, ""))
    if kind != "Pod":
        namespace = external.get("namespace", "")
        if external.get("pod") != "true" or not namespace:
            return None
        _, prefix, pod = port.partition(f"{namespace}_")
        pod = pod if prefix else port
    machine = _LAUNCHER.fullmatch(pod)
    return PortPod(namespace, pod, machine[1] if machine else "")


def merged(values: Iterable[str]) -> tuple[str, ...]:
    """The values without empty and repeated ones, in the order of first appearance."""
    return tuple(dict.fromkeys(value for value in values if value))
