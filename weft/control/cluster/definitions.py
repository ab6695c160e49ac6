"""Which of a network's definitions count, when several NADs declare one network?

Pure: from what the definitions say and when they were made, never from what was seen before, so
that a restart comes to the same end. The oldest valid definition leads; one that disagrees with
it is refused, and told in which field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weft import errors, model, names
from weft.api import nad


@dataclass(frozen=True, slots=True)
class Definition:
    """One NAD as read. `spec` None without a `problem`: another plugin's, none of weft's."""

    key: str
    uid: str
    created: str
    spec: model.NetworkSpec | None = None
    problem: str = ""
    warning: str = ""
    noted_name: str = ""
    noted_id: str = ""
    version: str = ""
    finalizers: tuple[str, ...] = ()
    is_deleting: bool = False

    @property
    def is_held(self) -> bool:
        """Whether weft's finalizer keeps it."""
        return names.NETWORK_IN_USE in self.finalizers

    @property
    def age(self) -> tuple[bool, str, str, str]:
        """Sorts the oldest first; the same on every machine.

        Creation is known to the second only: of two made at once, the one that was noted as
        accepted stays the older one.
        """
        is_noted = self.spec is not None and self.noted_name == self.spec.name
        return not is_noted, self.created, self.uid, self.key


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of the definitions of one network: their keys, and why for the refused."""

    spec: model.NetworkSpec | None = None
    accepted: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)


def read(obj: Mapping[str, Any], *, default_mtu: int, underlay_mtu: int) -> Definition:
    """A NAD object as a Definition; what is wrong with it becomes its `problem`."""
    meta = obj["metadata"]
    key = f"{meta['namespace']}/{meta['name']}"
    notes = meta.get("annotations") or {}
    spec, problem, warning = None, "", ""
    try:
        spec = nad.parse(obj, default_mtu=default_mtu)
    except errors.InvalidInput:
        found = nad.problems(obj, default_mtu=default_mtu)
        problem = "Failed to parse network config: " + "; ".join(map(_told, found))
    if spec is not None and underlay_mtu:
        try:
            nad.check_underlay(spec, underlay_mtu, where=f"NetworkAttachmentDefinition {key}")
        except errors.InvalidInput as error:
            warning = _told(error)
    return Definition(
        key=key,
        uid=meta.get("uid", ""),
        created=meta.get("creationTimestamp", ""),
        spec=spec,
        problem=problem,
        warning=warning,
        noted_name=notes.get(names.NETWORK_NAME, ""),
        noted_id=notes.get(names.NETWORK_ID, ""),
        version=meta.get("resourceVersion", ""),
        finalizers=tuple(meta.get("finalizers") or ()),
        is_deleting="deletionTimestamp" in meta,
    )


def _told(error: errors.WeftError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def settle(definitions: Iterable[Definition]) -> Settlement:
    """Who leads, who follows and who is refused, of the valid definitions of one network."""
    lead: Definition | None = None
    accepted, refused = set(), {}
    for definition in sorted(definitions, key=lambda each: each.age):
        if definition.spec is None:
            continue
        if lead is None or lead.spec is None:
            lead = definition
        differing = nad.difference(lead.spec, definition.spec) if lead.spec else None
        if differing is None:
            accepted.add(definition.key)
        else:
            refused[definition.key] = _disagreement(lead, definition, differing)
    return Settlement(lead.spec if lead else None, frozenset(accepted), refused)


def _disagreement(lead: Definition, newcomer: Definition, differing: str) -> str:
    assert lead.spec is not None
    assert newcomer.spec is not None
    return (
        f"NetworkAttachmentDefinition {newcomer.key} declares network {lead.spec.name!r} with "
        f"another {differing} than NetworkAttachmentDefinition {lead.key}, which was first "
        f"(make {differing} the same in both, or choose another network name)"
    )


def noted_ids(definitions: Iterable[Definition]) -> dict[str, int]:
    """Network name to the id that its definitions were given earlier; the oldest note counts.

    Of two networks that note one id, the older keeps it; the other is to be given a new one.
    """
    ids: dict[str, int] = {}
    taken: set[int] = set()
    for definition in sorted(definitions, key=lambda each: each.age):
        if definition.spec is None or definition.noted_name != definition.spec.name:
            continue
        if not definition.noted_id.isdecimal():
            continue
        number = int(definition.noted_id)
        is_free = 0 < number < names.MAX_NETWORKS and number not in taken
        if is_free and definition.spec.name not in ids:
            ids[definition.spec.name] = number
            taken.add(number)
    return ids


def wanted_notes(definition: Definition, network: model.Network | None) -> dict[str, str | None]:
    """What to write to a NAD's annotations, None to remove: empty if they are as they should be."""
    want_name, want_id = (network.name, str(network.id)) if network else ("", "")
    if (definition.noted_name, definition.noted_id) == (want_name, want_id):
        return {}
    return {names.NETWORK_NAME: want_name or None, names.NETWORK_ID: want_id or None}


def wanted_finalizers(definition: Definition, *, used: bool) -> list[str] | None:
    """The finalizers as they should be; None if they are, or may not be added to any more."""
    if used == definition.is_held or (used and definition.is_deleting):
        return None
    others = [each for each in definition.finalizers if each != names.NETWORK_IN_USE]
    return [*others, names.NETWORK_IN_USE] if used else others


def in_use(definition: Definition, pods: Sequence[str], more: int) -> str:
    """Why a definition that was deleted is still there."""
    listed = ", ".join(pods) + (f" and {more} more" if more else "")
    return (
        f"NetworkAttachmentDefinition {definition.key}: is being deleted, and stays until the pods "
        f"that use it are gone: {listed}"
    )
