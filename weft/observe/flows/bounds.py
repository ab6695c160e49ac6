"""Keeps what a node says of flows within bounds, whatever guests send. Pure.

A guest that scans ports, or floods another from made-up addresses, makes as many entries as it
likes. Those that are alike but for the port, or for the source, are summed up in one, which says
how many they are, so that they do not crowd out what others do.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from weft.observe.flows.sighting import MOST, Side, Sighting

PORTS = 50  # of one target, asked by one source
SOURCES = 100  # of one service


def bounded(found: Iterable[Sighting], most: int = MOST) -> tuple[tuple[Sighting, ...], int]:
    """At most `most` sightings, and how many were left off. Of what is summed up, none is."""
    listed = _summed(list(found), _but_port, PORTS, _without_port)
    listed = _summed(listed, _but_source, SOURCES, _without_source)
    if len(listed) <= most:
        return tuple(listed), 0
    listed.sort(key=_rank)
    return tuple(listed[:most]), len(listed) - most


def _summed(
    found: Sequence[Sighting],
    alike: Callable[[Sighting], Hashable],
    most: int,
    blank: Callable[[Sighting], Sighting],
) -> list[Sighting]:
    groups: dict[Hashable, list[Sighting]] = {}
    for each in found:
        groups.setdefault(alike(each), []).append(each)
    made: list[Sighting] = []
    for group in groups.values():
        if len(group) <= most:
            made += group
            continue
        group.sort(key=_rank)
        made += group[:most]
        made.append(_sum(blank(group[most]), group[most:]))
    return made


def _but_port(each: Sighting) -> Hashable:
    return _kind(each), each.source, each.target


def _but_source(each: Sighting) -> Hashable:
    return _kind(each), each.target, each.port, bool(each.source.port)


def _kind(each: Sighting) -> Hashable:
    dropped = each.direction, each.stage
    return each.evidence, each.network, each.at, each.passes, each.protocol, *dropped


def _without_port(each: Sighting) -> Sighting:
    return replace(each, port=None)


def _without_source(each: Sighting) -> Sighting:
    return replace(each, source=Side())


def _rank(each: Sighting) -> tuple[object, ...]:
    """What is kept first: between ports that are known, and most used."""
    strangers = (not each.source.port) + (not each.target.port)
    return strangers, -(each.connections or 0), -(each.packets or 0), -each.last


def _sum(like: Sighting, group: Sequence[Sighting]) -> Sighting:
    times = [each.first for each in group if each.first]
    return replace(
        like,
        connections=_total(each.connections for each in group),
        packets=_total(each.packets for each in group),
        bytes=_total(each.bytes for each in group),
        first=min(times, default=0.0),
        last=max(each.last for each in group),
        is_answered=any(each.is_answered for each in group),
        more=sum(each.more or 1 for each in group),
    )


def _total(counts: Iterable[int | None]) -> int | None:
    known = [each for each in counts if each is not None]
    return sum(known) if known else None
