"""Matches what a running pod asks for with what it has: NICs come and go by edits of the pod.

Pure. The key of an attachment, "<nad>" or "<nad>/<n>", stays with its interface for as long as the
pod has it, whatever is added or removed before it in the selection (ADR 0119). A pod's own word,
its network-status, tells which interfaces it has. What is decided by it concerns this pod alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from weft import model, names
from weft.api import podnetworks
from weft.model import ObjectKey

Interfaces = tuple[tuple[str, str], ...]  # (key as network-status numbers it, interface), in order
_Place = tuple[ObjectKey | None, str]  # a NAD and an interface


def keyed(
    attachments: Iterable[model.Attachment],
    held: Mapping[str, model.Allocation],
    interfaces: Interfaces,
) -> tuple[model.Attachment, ...]:
    """Returns the attachments with the keys under which the pod has them, or gets them.

    `held`: the pod's signed allocations by key. One without a recorded interface is that of the
    interface that network-status names, else of the first attachment that is left for it.
    """
    asked = named(attachments, interfaces)
    places = {(each.nad, each.interface) for each in asked}
    fixed = _fixed(held)
    going = {place for place in _named(interfaces) if place not in places and place not in fixed}
    if not (fixed or going):
        return asked  # as nearly always
    taken = {fixed[place] for place in places if place in fixed}
    # A key without a recorded interface may be that of an interface that still has to go.
    taken |= {_first(nad) for nad, _ in going}
    settled, found = set(fixed.values()), []
    for each in asked:
        key = fixed.get((each.nad, each.interface)) or _free(each.nad, taken | settled)
        taken.add(key)
        found.append(each if key == each.key else replace(each, key=key))
    return tuple(found)


def named(
    attachments: Iterable[model.Attachment], interfaces: Interfaces
) -> tuple[model.Attachment, ...]:
    """Returns the attachments with the interfaces that the pod has, or gets, for them.

    An element without a name is called by its place, which changes when another comes or goes: it
    keeps the interface that it has, and a new one gets the first name that is free.
    """
    asked, there = tuple(attachments), _named(interfaces)
    places = {(each.nad, each.interface) for each in asked}
    if places <= set(there):
        return asked  # as nearly always
    lost = (place for place in there if place not in places)
    spare = [place for place in lost if place[1] != names.DEFAULT_INTERFACE]
    used = {interface for _, interface in there}
    found: list[model.Attachment] = []
    for each in asked:
        if (each.nad, each.interface) not in there and each.by_place:
            kept = next((place for place in spare if place[0] == each.nad), None)
            if kept is not None:
                spare.remove(kept)
                each = replace(each, interface=kept[1])
            elif each.interface in used:
                free = (f"net{number}" for number in itertools.count(1))
                each = replace(each, interface=next(name for name in free if name not in used))
        used.add(each.interface)
        found.append(each)
    return tuple(found)


def departed(
    attachments: Iterable[model.Attachment],
    held: Mapping[str, model.Allocation],
    interfaces: Interfaces,
) -> frozenset[str]:
    """Returns the keys of `held` that the pod neither asks for nor has an interface of any more.

    `attachments` have the keys of `keyed`. Without a network-status nothing has departed.
    """
    if not interfaces:
        return frozenset()
    left = held.keys() - {each.key for each in attachments} - {names.DEFAULT_NETWORK}
    if not left:
        return frozenset()
    fixed = {key: place for place, key in _fixed(held).items()}
    there = set(_named(interfaces))
    asked = {(each.nad, each.interface) for each in attachments}
    recorded = set(fixed.values())
    loose = {nad for nad, interface in there - asked if (nad, interface) not in recorded}
    return frozenset(
        key
        for key in left
        if (fixed[key] not in there if key in fixed else podnetworks.nad_of(key) not in loose)
    )


def is_repeated(attachment: model.Attachment) -> bool:
    """Whether the pod has, or had, another attachment of the same NAD."""
    return attachment.nad is not None and attachment.key != _first(attachment.nad)


def _fixed(held: Mapping[str, model.Allocation]) -> dict[_Place, str]:
    """Returns the keys with a recorded interface, by NAD and interface."""
    return {
        (podnetworks.nad_of(key), allocation.interface): key
        for key, allocation in held.items()
        if allocation.interface
    }


def _named(interfaces: Interfaces) -> list[_Place]:
    """Returns NAD and interface of each entry of network-status that has a NAD."""
    return [(podnetworks.nad_of(key), name) for key, name in interfaces if "/" in key]


def _first(nad: ObjectKey | None) -> str:
    return str(nad) if nad is not None else names.DEFAULT_NETWORK


def _free(nad: ObjectKey | None, taken: Collection[str]) -> str:
    """Returns the first key of a NAD that is not taken."""
    first, number = _first(nad), 0
    while (key := f"{first}/{number}" if number else first) in taken:
        number += 1
    return key
