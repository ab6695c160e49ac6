"""Plugs and unplugs the interfaces of a running pod whose selection was edited.

In the lab it takes the place of Multus' dynamic networks controller: it compares the selection with
the record of what was made, calls the plugins, and writes network-status after each of them. A
kubelet that is killed in between finds the rest in the record.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft import errors, model
from weft.api import plugged, selection, status
from weft_lab.multus import attach, delegate, plugin, routes
from weft_lab.reasons import Reason

log = logging.getLogger(__name__)

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class InterfaceChanges:
    """Entries of the record to remove, and attachments to make, in order."""

    removed: tuple[Object, ...]
    added: tuple[model.Attachment, ...]

    def __bool__(self) -> bool:
        return bool(self.removed or self.added)


def requested(pod: Object, entries: list[Object], *, primary: bool) -> tuple[model.Attachment, ...]:
    """What the pod asks for beside its first interface, under the names that it has or gets.

    Raises InvalidInput if that cannot be read.
    """
    asked = selection.parse(pod, primary=primary)
    there = tuple((str(each["name"]), str(each["interface"])) for each in entries)
    later = (each for each in asked if each.interface != attach.FIRST)
    return plugged.named(later, there)


def interface_changes(
    asked: tuple[model.Attachment, ...], entries: list[Object]
) -> InterfaceChanges:
    """What to undo and to make. An entry that is `unfinished` is undone, and made again."""
    places = {(str(each.nad), each.interface) for each in asked}
    later = [each for each in entries if each["interface"] != attach.FIRST]
    kept = {
        place
        for each in later
        if (place := (each["name"], each["interface"])) in places and not each.get("unfinished")
    }
    return InterfaceChanges(
        tuple(each for each in later if (each["name"], each["interface"]) not in kept),
        tuple(each for each in asked if (str(each.nad), each.interface) not in kept),
    )


def is_due(multus: attach.Multus, pod: Object, record: Path) -> bool:
    """Whether the pod's interfaces, or its network-status, are others than they should be."""
    entries = attach.read(record)
    try:
        asked = requested(pod, entries, primary=multus.primary is None)
    except errors.InvalidInput:
        return False  # it keeps what it has; the cluster manager tells why
    return bool(interface_changes(asked, entries)) or _shown(pod) != _made(entries)


async def reconcile(
    multus: attach.Multus, pod: Object, sandbox: plugin.Sandbox, record: Path
) -> None:
    """Removes what the pod does not ask for any more, then makes what is new.

    A failure of one interface leaves the others; the first is raised at the end.
    """
    failures: list[errors.WeftError] = []
    asked = requested(pod, attach.read(record), primary=multus.primary is None)
    to_do = interface_changes(asked, attach.read(record))
    leading = next((each for each in asked if each.default_route), None)
    for entry in to_do.removed:
        try:
            await attach.unmake(multus, entry, sandbox)
        except errors.WeftError as error:
            _report(multus, pod, Reason.FAILED_REMOVING_INTERFACE, entry["interface"], error)
            failures.append(error)
            continue
        attach.write(record, [each for each in attach.read(record) if each != entry])
        what = f"removed interface {entry['interface']} from network {entry['name']}"
        multus.recorder.emit(pod, Reason.REMOVED_INTERFACE, what)
        await attach.write_status(multus, pod, sandbox, attach.read(record), leading)
    for attachment in to_do.added:
        if any(each["interface"] == attachment.interface for each in attach.read(record)):
            continue  # what has that name could not be removed
        try:
            await _plug(multus, pod, attachment, sandbox, record)
        except errors.WeftError as error:
            _report(multus, pod, Reason.FAILED_ADDING_INTERFACE, attachment.interface, error)
            failures.append(error)
            continue
        await attach.write_status(multus, pod, sandbox, attach.read(record), leading)
    if not to_do:  # a kubelet was killed before it wrote it, or somebody changed it
        await attach.write_status(multus, pod, sandbox, attach.read(record), leading)
    if failures:
        raise failures[0]


async def _plug(
    multus: attach.Multus,
    pod: Object,
    attachment: model.Attachment,
    sandbox: plugin.Sandbox,
    record: Path,
) -> None:
    before = attach.read(record)
    chain = attach.chain_of(multus, pod, attachment)
    unfinished = {**delegate.to_record(chain, {}), "unfinished": True}
    attach.write(record, [*before, unfinished])
    try:
        result = await attach.add_chain(multus, chain, sandbox)
    except errors.WeftError:
        await attach.unmake(multus, unfinished, sandbox)
        attach.write(record, before)
        raise
    if attachment.default_route:
        await routes.move_default(sandbox.netns, attachment.interface, attachment.default_route)
    attach.write(record, [*before, delegate.to_record(chain, result)])
    attach.report_added(multus, pod, chain.interface, result, chain.name)


def _report(
    multus: attach.Multus, pod: Object, reason: Reason, interface: str, error: errors.WeftError
) -> None:
    multus.recorder.emit(pod, reason, f"interface {interface}: {error.in_full()}")


def _made(entries: list[Object]) -> list[tuple[str, str]]:
    return [(each["name"], each["interface"]) for each in entries if not each.get("unfinished")]


def _shown(pod: Object) -> list[tuple[str, str]]:
    try:
        return [(each.name, each.interface) for each in status.parse(pod)]
    except errors.InvalidInput:
        return []
