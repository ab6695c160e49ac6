"""Finds which node is which chassis, from Open vSwitch's settings and the Southbound's chassis.

Pure. Also the order of nodes in every picture, and whom an owner in external_ids stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from weft import names, rows
from weft.observe.graph import Owner, Zone
from weft.observe.snapshot import Snapshot, entries, text

# KubeVirt names a machine's pod so; five characters are chance.
_LAUNCHER = re.compile(r"virt-launcher-(.+)-[a-z0-9]{5}")

Natural = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Zones:
    """`listed`: those that were read, then those that only others know; `by_chassis`: names."""

    listed: tuple[Zone, ...]
    read: tuple[tuple[Zone, Snapshot], ...]
    by_chassis: Mapping[str, str]

    def at(self, chassis: str) -> str:
        """The zone of a chassis; one that nobody knows any more gets a name that says so."""
        return self.by_chassis.get(chassis) or f"unknown chassis {chassis[:8]}"


def find(snapshots: Sequence[Snapshot]) -> Zones:
    """Zones by what they say of themselves; what neighbours say fills the gaps."""
    heard: dict[str, Zone] = {}
    for snapshot in snapshots:
        for row in snapshot.of("Chassis").values():
            zone = _heard(snapshot, row)
            heard.setdefault(zone.chassis, zone)
    by_name = {zone.name: zone for zone in heard.values()}
    read = [(_own(snapshot), snapshot) for snapshot in snapshots]
    read = [(_completed(zone, by_name.get(zone.name)), snapshot) for zone, snapshot in read]
    read.sort(key=lambda pair: natural_key(pair[0].name))
    known = {zone.chassis for zone, _ in read} | {zone.name for zone, _ in read}
    others = [zone for id, zone in heard.items() if not {id, zone.name} & known]
    others.sort(key=lambda zone: natural_key(zone.name))
    listed = (*(zone for zone, _ in read), *others)
    return Zones(listed, tuple(read), {z.chassis: z.name for z in (*heard.values(), *listed)})


def _completed(zone: Zone, heard: Zone | None) -> Zone:
    if heard is None or zone.chassis:
        return zone
    return replace(zone, chassis=heard.chassis, addresses=heard.addresses)


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
    """Whether it is the zone's own: the only one that is not marked remote."""
    if chassis:
        return text(row, "name") == chassis
    return entries(row, "other_config").get("is-remote") != "true"


def _heard(snapshot: Snapshot, row: rows.Columns) -> Zone:
    chassis = text(row, "name")
    name = text(row, "hostname") or chassis
    return Zone(name, chassis, tuple(_addresses(snapshot, row)), read=False)


def _addresses(snapshot: Snapshot, row: rows.Columns) -> list[str]:
    return [text(encap, "ip") for encap in snapshot.referred("Encap", row, "encaps")]


def natural_key(name: str) -> Natural:
    """node2 before node10: runs of digits compare as numbers."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts)


def hosts(names: Iterable[str]) -> dict[str, str]:
    """What nodes are called in little room: without their domain, where that tells no two apart."""
    listed = list(names)
    first = {name: name.partition(".")[0] for name in listed}
    plain = all(part and not part.isdecimal() for part in first.values())
    if plain and len(set(first.values())) == len(set(listed)):
        return first
    return {name: name for name in listed}


def owner(external: Mapping[str, str], port: str) -> Owner | None:
    """The pod that external_ids of a port or interface name: in weft's words or ovn-kubernetes'."""
    kind, _, rest = external.get(names.OWNER, "").partition("/")
    namespace, _, pod = rest.partition("/")
    if kind != "Pod":
        namespace = external.get("namespace", "")
        if external.get("pod") != "true" or not namespace:
            return None
        _, found, pod = port.partition(f"{namespace}_")
        pod = pod if found else port
    machine = _LAUNCHER.fullmatch(pod)
    return Owner(namespace, pod, machine[1] if machine else "")


def merged(values: Iterable[str]) -> tuple[str, ...]:
    """Without repetition, in the order of first appearance."""
    return tuple(dict.fromkeys(value for value in values if value))
