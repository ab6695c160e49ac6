"""Shows one virtual machine: its NICs, conditions and Events; starts, stops, restarts and
migrates it.

Actions go to KubeVirt's API of subresources, as virtctl's do, with the viewer's rights.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from weft import errors
from weft.api.machine import OBJECT_NAME
from weft.console import eventlist
from weft.console.eventlist import Event
from weft.console.page import Access, Action, NoSuchObject, Outcome, Page, Question, Read, Reading
from weft.console.pages import machines
from weft.kube import resources
from weft.model import ObjectKey
from weft.observe.machines import Machine

MOST_EVENTS = 50
GROUP = "subresources.kubevirt.io"
VERSION = "v1"
_DONE = {
    "start": "It starts.",
    "stop": "It shuts down.",
    "restart": "It shuts down, and starts again.",
    "migrate": "It moves to another node.",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """`migrations`: how its latest moves went, the latest first."""

    machine: Machine
    migrations: tuple[Migration, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Migration:
    """A VirtualMachineInstanceMigration. `since`: its creation (RFC 3339)."""

    name: str
    phase: str
    source: str
    target: str
    since: str
    reason: str


def view(reading: Reading, asked: Question) -> Shown:
    """The machine of namespace and name in the path; raises NoSuchObject."""
    found = find(reading, asked)
    moves = tuple(_migrations(reading, found.key))
    return Shown(found, moves, tuple(_events(reading, found)))


def find(reading: Reading, asked: Question) -> Machine:
    """The machine that the path names; raises NoSuchObject."""
    key = key_of(asked)
    found = next(iter(machines.of(reading, key)), None)
    if found is None:
        lacks = (reading.lack(each.kind) for each in machines.READS[:2])
        why = next(filter(None, lacks), "there is no such virtual machine")
        raise NoSuchObject(why, where=f"VirtualMachine {key}")
    return found


def key_of(asked: Question) -> ObjectKey:
    """The machine of the path; raises InvalidInput, since it becomes a part of another path."""
    for field in ("namespace", "name"):
        if not OBJECT_NAME.fullmatch(asked.path[field]):
            raise errors.InvalidInput("address", field, asked.path[field], "is no object's name")
    return ObjectKey(asked.path["namespace"], asked.path["name"])


def subresource(plural: str, key: ObjectKey, verb: str) -> str:
    """The path of a subresource in the API of KubeVirt."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{key.namespace}/{plural}/{key.name}/{verb}"


def _migrations(reading: Reading, key: ObjectKey) -> Iterator[Migration]:
    found = [
        each
        for each in reading.of(resources.VMIMS)
        if each["metadata"]["namespace"] == key.namespace
        and (each.get("spec") or {}).get("vmiName") == key.name
    ]
    found.sort(key=lambda each: str(each["metadata"].get("creationTimestamp")), reverse=True)
    for each in found:
        status = each.get("status") or {}
        state = status.get("migrationState") or {}
        yield Migration(
            name=str(each["metadata"]["name"]),
            phase=str(status.get("phase") or "Pending"),
            source=str(state.get("sourceNode") or ""),
            target=str(state.get("targetNode") or ""),
            since=str(each["metadata"].get("creationTimestamp") or ""),
            reason=str(state.get("failureReason") or ""),
        )


def _events(reading: Reading, machine: Machine) -> Iterator[Event]:
    about = {
        (resources.VMS.kind, machine.key.namespace, machine.key.name),
        (resources.VMIS.kind, machine.key.namespace, machine.key.name),
        (resources.PODS.kind, machine.key.namespace, machine.pod),
    }
    latest = eventlist.latest(reading.of(resources.EVENTS))
    yield from itertools.islice((one for one in latest if one.about in about), MOST_EVENTS)


async def _put(verb: str, access: Access, asked: Question, form: Mapping[str, str]) -> Outcome:
    key = key_of(asked)
    path = subresource(resources.VMS.plural, key, verb)
    await access.client.command("PUT", path, where=f"VirtualMachine {key}")
    return Outcome(_DONE[verb])


ACTIONS: Mapping[str, Action] = {verb: functools.partial(_put, verb) for verb in _DONE}
PAGE = Page(
    name="machine",
    path="/machines/{namespace}/{name}",
    heading="{namespace}/{name}",
    under="machines",
    reads=(*machines.READS, Read(resources.VMIMS, is_aside=True), Read(resources.EVENTS)),
    view=view,
    actions=ACTIONS,
)
