"""Parses NADs for the cluster manager, and decides what is written to each.

Pure. `settlements.py` decides which count when several declare one network, `edits.py` about edits
under running pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from weft import errors, model, names, tunnelkeys
from weft.api import nad as reading
from weft.api import userdefined
from weft.control.cluster.outcome import Subject
from weft.kube import resources
from weft.model import ObjectKey
from weft.policy import access
from weft.reasons import Reason

_RENDERERS = {(each.group, each.kind) for each in (resources.UDNS, resources.CUDNS)}


@dataclass(frozen=True, slots=True)
class Rules:
    """What this cluster requires of a NAD.

    MTUs in bytes; `underlay_mtu` 0: unknown. `reserved`: named subnets that no network may overlap.
    """

    default_mtu: int = 1400
    underlay_mtu: int = 0
    reserved: tuple[tuple[str, model.Subnet], ...] = ()
    global_namespaces: frozenset[str] = access.GLOBAL_NAMESPACES


@dataclass(frozen=True, slots=True)
class Rendering:
    """The UserDefinedNetwork or ClusterUserDefinedNetwork that a NAD names as its controller, and
    the labels and annotations that are carried from it."""

    kind: str
    name: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Nad:
    """A parsed NAD. `spec` is None for another plugin's NAD, or with a `problem`.

    `named` is the network that the text of an invalid NAD names, "" if it names none.
    `config` is its text. `annotated_…` are the annotations written when it was accepted last;
    `accepted` and `accepted_config` are that configuration, parsed and as text: pods that run with
    it keep it, whatever `config` says now.
    """

    key: ObjectKey
    uid: str
    created: str
    spec: model.NetworkSpec | None = None
    problem: str = ""
    named: str = ""
    warnings: tuple[tuple[Reason, str], ...] = ()  # Events, with their messages
    config: str = ""
    annotated_name: str = ""
    annotated_id: str = ""
    annotated_config: str = ""
    annotated_owner: ObjectKey | None = None
    accepted: model.NetworkSpec | None = None
    accepted_config: str = ""
    version: str = ""
    generation: int = 0
    finalizers: tuple[str, ...] = ()
    is_deleting: bool = False
    rendering: Rendering | None = None

    @property
    def subject(self) -> Subject:
        return Subject(resources.NADS, self.key, self.uid)

    @property
    def about(self) -> str:
        """The network that it is about: the accepted or declared one, the one that an invalid text
        names, or one of its own, called like the NAD."""
        spec = self.accepted or self.spec
        return spec.name if spec is not None else self.named or str(self.key)

    @property
    def is_held(self) -> bool:
        """Whether it has weft's finalizer."""
        return names.NETWORK_IN_USE in self.finalizers


def read(obj: Mapping[str, Any], rules: Rules) -> Nad:
    """Parses a NAD object; an error becomes its `problem`."""
    meta = obj["metadata"]
    annotations = meta.get("annotations") or {}
    text = (obj.get("spec") or {}).get("config")
    config = text if isinstance(text, str) else ""
    spec, problem = _spec(obj, rules)
    annotated_name = annotations.get(names.NETWORK_NAME, "")
    annotated_config = annotations.get(names.ACCEPTED_CONFIG, "")
    accepted = spec
    if annotated_config != config or spec is None:
        earlier = {"metadata": meta, "spec": {"config": annotated_config}}
        accepted = _spec(earlier, replace(rules, reserved=()))[0] if annotated_config else None
    is_known = accepted is not None and accepted.name == annotated_name
    return Nad(
        key=resources.key(obj),
        uid=meta.get("uid", ""),
        created=meta.get("creationTimestamp", ""),
        spec=spec,
        problem=problem,
        named=reading.network_name(obj) if problem else "",
        warnings=tuple(_warnings(obj, spec, rules)),
        config=config,
        annotated_name=annotated_name,
        annotated_id=annotations.get(names.NETWORK_ID, ""),
        annotated_config=annotated_config,
        annotated_owner=_owner(annotations),
        accepted=accepted if is_known else None,
        accepted_config=annotated_config if is_known else "",
        version=meta.get("resourceVersion", ""),
        generation=meta.get("generation", 0),
        finalizers=tuple(meta.get("finalizers") or ()),
        is_deleting="deletionTimestamp" in meta,
        rendering=_rendering(meta),
    )


def _rendering(meta: Mapping[str, Any]) -> Rendering | None:
    for owner in meta.get("ownerReferences") or ():
        kind = owner.get("kind", "")
        group = owner.get("apiVersion", "").partition("/")[0]
        if owner.get("controller") and (group, kind) in _RENDERERS:
            labels, notes = meta.get("labels") or {}, meta.get("annotations")
            own = labels, userdefined.carried_annotations(notes)
            return Rendering(kind, owner.get("name", ""), owner.get("uid", ""), *own)
    return None


def _owner(annotations: Mapping[str, Any]) -> ObjectKey | None:
    text = annotations.get(names.NETWORK_OWNER)
    return ObjectKey.parse(text) if text else None


def parse_refusal(nad: Nad) -> str:
    """Returns the message for a NAD with a `problem`."""
    return f"Failed to parse network config: {resources.NADS.kind} {nad.key}: {nad.problem}"


def unaccepted(nad: Nad) -> Nad:
    """Returns the NAD without an accepted configuration."""
    return replace(nad, accepted=None, accepted_config="")


def _spec(obj: Mapping[str, Any], rules: Rules) -> tuple[model.NetworkSpec | None, str]:
    """Returns the network, or None and all that is wrong with it as one text."""
    options: dict[str, Any] = {"default_mtu": rules.default_mtu, "reserved": rules.reserved}
    try:
        spec = reading.parse(obj, **options)
    except errors.InvalidInput:
        return None, "; ".join(
            each.in_full(named=False) for each in reading.problems(obj, **options)
        )
    return spec, ""


def _warnings(
    obj: Mapping[str, Any], spec: model.NetworkSpec | None, rules: Rules
) -> Iterator[tuple[Reason, str]]:
    """Yields warnings about what is valid but probably a mistake."""
    if spec is not None and rules.underlay_mtu:
        try:
            reading.check_underlay(spec, rules.underlay_mtu)
        except errors.InvalidInput as error:
            yield Reason.MTU_TOO_LARGE, error.in_full(named=False)
    slips = reading.ignored_keys(obj)
    if slips:
        yield Reason.IGNORED_KEYS, "; ".join(slips)
    if near := reading.near_miss(obj):
        yield Reason.NOT_SERVED, near


def owners_first(nads: Iterable[Nad]) -> list[Nad]:
    """Sorts NADs as a new manager takes them in: owners first, as in `settlements.settle`."""

    def age(nad: Nad) -> tuple[bool, bool, str, ObjectKey]:
        return nad.annotated_owner != nad.key, not nad.annotated_name, nad.created, nad.key

    return sorted(nads, key=age)


def annotated_ids(nads: Iterable[Nad]) -> dict[str, int]:
    """Returns the id of each network name from the annotations of its NADs; the oldest counts.

    Of two networks with one id, the older keeps it; the other is left out and gets a new one.
    """
    ids: dict[str, int] = {}
    taken: set[int] = set()
    for nad in sorted(
        nads, key=lambda each: (each.annotated_owner != each.key, each.created, each.key)
    ):
        own_names = {each.name for each in (nad.spec, nad.accepted) if each is not None}
        if nad.annotated_name not in own_names or not nad.annotated_id.isdecimal():
            continue
        name, number = nad.annotated_name, int(nad.annotated_id)
        if 0 < number < tunnelkeys.MAX_NETWORKS and number not in taken and name not in ids:
            ids[name] = number
            taken.add(number)
    return ids


def desired_annotations(
    nad: Nad, network: model.Network | None, config: str
) -> dict[str, str | None]:
    """Returns the annotations to write to a NAD, None to remove; empty if they are right.

    `config` is the text of `network`.
    """
    want = {
        names.NETWORK_NAME: network.name if network else "",
        names.NETWORK_ID: str(network.id) if network else "",
        names.NETWORK_OWNER: str(network.owner or "") if network else "",
        names.ACCEPTED_CONFIG: config if network else "",
    }
    have = {
        names.NETWORK_NAME: nad.annotated_name,
        names.NETWORK_ID: nad.annotated_id,
        names.NETWORK_OWNER: str(nad.annotated_owner or ""),
        names.ACCEPTED_CONFIG: nad.annotated_config,
    }
    return {} if have == want else {key: value or None for key, value in want.items()}


def desired_finalizers(nad: Nad, *, used: bool) -> tuple[str, ...] | None:
    """Returns the finalizers to write; None if they are right, or none may be added any more."""
    if used == nad.is_held or (used and nad.is_deleting):
        return None
    others = [each for each in nad.finalizers if each != names.NETWORK_IN_USE]
    return (*others, names.NETWORK_IN_USE) if used else tuple(others)


def alike(before: Nad | None, after: Nad | None) -> bool:
    """Whether the network of a NAD depends on nothing that changed in it."""
    if before is None or after is None:
        return before is after
    return (before.spec, before.problem, before.is_deleting) == (
        after.spec,
        after.problem,
        after.is_deleting,
    )
