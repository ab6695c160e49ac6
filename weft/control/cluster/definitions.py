"""Which of a network's definitions count, when several NADs declare one network?

Pure: from what the definitions say and when they were made, never from what was seen before, so
that a restart comes to the same end. The oldest valid definition leads; one that disagrees with
it is refused, and told in which field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from weft import errors, model, names
from weft.api import nad

SERVED = (model.Topology.LAYER2, model.Topology.LAYER3)


@dataclass(frozen=True, slots=True)
class Rules:
    """What this cluster asks of a definition; `underlay_mtu` 0: nobody knows."""

    default_mtu: int = 1400
    underlay_mtu: int = 0
    reserved: tuple[tuple[str, model.Subnet], ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """One NAD as read. `spec` None without a `problem`: another plugin's, none of weft's.

    `config` is its text. `noted_…` is what was written to it when it was accepted last, and
    `accepted` what that text says: pods that run with it keep it, whatever `config` says now.
    """

    key: str
    uid: str
    created: str
    spec: model.NetworkSpec | None = None
    problem: str = ""
    warnings: tuple[tuple[str, str], ...] = ()  # reason and message of Events
    config: str = ""
    noted_name: str = ""
    noted_id: str = ""
    noted_config: str = ""
    accepted: model.NetworkSpec | None = None
    version: str = ""
    finalizers: tuple[str, ...] = ()
    is_deleting: bool = False

    @property
    def is_held(self) -> bool:
        """Whether weft's finalizer keeps it."""
        return names.NETWORK_IN_USE in self.finalizers


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of the definitions of one network: their keys, and why for the refused."""

    spec: model.NetworkSpec | None = None
    accepted: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)


def read(obj: Mapping[str, Any], rules: Rules) -> Definition:
    """A NAD object as a Definition; what is wrong with it becomes its `problem`."""
    meta = obj["metadata"]
    key = f"{meta['namespace']}/{meta['name']}"
    notes = meta.get("annotations") or {}
    text = (obj.get("spec") or {}).get("config")
    config = text if isinstance(text, str) else ""
    spec, problem = _spec(obj, rules)
    noted_name = notes.get(names.NETWORK_NAME, "")
    noted_config = notes.get(names.ACCEPTED_CONFIG, "")
    accepted = spec
    if noted_config != config or spec is None:
        earlier = {"metadata": meta, "spec": {"config": noted_config}}
        accepted = _spec(earlier, replace(rules, reserved=()))[0] if noted_config else None
    return Definition(
        key=key,
        uid=meta.get("uid", ""),
        created=meta.get("creationTimestamp", ""),
        spec=spec,
        problem=problem,
        warnings=tuple(_warnings(obj, spec, rules)),
        config=config,
        noted_name=noted_name,
        noted_id=notes.get(names.NETWORK_ID, ""),
        noted_config=noted_config,
        accepted=accepted if accepted and accepted.name == noted_name else None,
        version=meta.get("resourceVersion", ""),
        finalizers=tuple(meta.get("finalizers") or ()),
        is_deleting="deletionTimestamp" in meta,
    )


def _spec(obj: Mapping[str, Any], rules: Rules) -> tuple[model.NetworkSpec | None, str]:
    """The network, or all that is wrong with it in one text."""
    options: dict[str, Any] = {"default_mtu": rules.default_mtu, "reserved": rules.reserved}
    try:
        spec = nad.parse(obj, **options)
    except errors.InvalidInput:
        return None, "; ".join(each.in_full(named=False) for each in nad.problems(obj, **options))
    if spec is not None and spec.topology not in SERVED:
        rule = f"is not served yet: weft attaches pods to {' and '.join(SERVED)} networks"
        problem = errors.InvalidInput("", "spec.config.topology", str(spec.topology), rule)
        return None, problem.in_full()
    return spec, ""


def _warnings(
    obj: Mapping[str, Any], spec: model.NetworkSpec | None, rules: Rules
) -> Iterator[tuple[str, str]]:
    """What is not wrong, but hardly what was meant."""
    if spec is not None and rules.underlay_mtu:
        try:
            nad.check_underlay(spec, rules.underlay_mtu)
        except errors.InvalidInput as error:
            yield "MTUTooLarge", error.in_full(named=False)
    slips = nad.ignored_keys(obj)
    if slips:
        yield "IgnoredKeys", "; ".join(slips)
    if near := nad.near_miss(obj):
        yield "NotServed", near


def settle(definitions: Iterable[Definition], before: frozenset[str] = frozenset()) -> Settlement:
    """Who leads, who follows and who is refused, of the valid definitions of one network.

    The oldest leads. Creation is known to the second only: of two made at once the one that is
    noted as accepted stays the older one, and `before` are those whose note is on its way.
    """
    valid = [definition for definition in definitions if definition.spec is not None]
    lead: Definition | None = None
    accepted, refused = set(), {}
    for definition in sorted(
        valid, key=lambda each: (*_age(each), each.key not in before, each.key)
    ):
        lead = lead or definition
        assert lead.spec is not None
        assert definition.spec is not None
        differing = nad.difference(lead.spec, definition.spec)
        if differing is None:
            accepted.add(definition.key)
        else:
            refused[definition.key] = _disagreement(lead, definition, differing)
    return Settlement(lead.spec if lead else None, frozenset(accepted), refused)


def _age(definition: Definition) -> tuple[bool, str]:
    """Sorts the oldest first; the same on every machine."""
    is_noted = definition.spec is not None and definition.noted_name == definition.spec.name
    return not is_noted, definition.created


def _disagreement(lead: Definition, newcomer: Definition, differing: str) -> str:
    assert lead.spec is not None
    assert newcomer.spec is not None
    theirs, own = (nad.declared(each, differing) for each in (lead.spec, newcomer.spec))
    return (
        f"NetworkAttachmentDefinition {newcomer.key} declares network "
        f"{errors.as_written(lead.spec.name)} with {differing} {own}, but "
        f"NetworkAttachmentDefinition {lead.key}, which was first, with {theirs} "
        f"(make {differing} the same in both, or choose another network name)"
    )


def noted_ids(definitions: Iterable[Definition]) -> dict[str, int]:
    """Network name to the id that its definitions were given earlier; the oldest note counts.

    Of two networks that note one id, the older keeps it; the other is to be given a new one.
    """
    ids: dict[str, int] = {}
    taken: set[int] = set()
    for definition in sorted(definitions, key=lambda each: (*_age(each), each.key)):
        told = {each.name for each in (definition.spec, definition.accepted) if each is not None}
        if definition.noted_name not in told or not definition.noted_id.isdecimal():
            continue
        name, number = definition.noted_name, int(definition.noted_id)
        if 0 < number < names.MAX_NETWORKS and number not in taken and name not in ids:
            ids[name] = number
            taken.add(number)
    return ids


def wanted_notes(
    definition: Definition, network: model.Network | None, config: str
) -> dict[str, str | None]:
    """What to write to a NAD's annotations, None to remove: empty if they are as they should be.

    `config` is the text that stands for `network`.
    """
    want = (network.name, str(network.id), config) if network else ("", "", "")
    if (definition.noted_name, definition.noted_id, definition.noted_config) == want:
        return {}
    keys = (names.NETWORK_NAME, names.NETWORK_ID, names.ACCEPTED_CONFIG)
    return {key: value or None for key, value in zip(keys, want, strict=True)}


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
