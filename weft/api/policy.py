"""Parses a MultiNetworkPolicy, lists its skipped parts, and keeps the version in force.

    parse      the policy; raises the first problem that makes it invalid as a whole
    problems   all problems that make it invalid as a whole
    read       all of it, as a ParsedPolicy
    in_force   the policy in force: the present version, else the one accepted last
    annotation_to_keep         the text of its annotation ACCEPTED_POLICY; `accepted` reads it
    annotation_with_networks   adds the networks that its NADs declare
    logging    a namespace's ACL logging for its policies

A policy is invalid as a whole if it is unclear whom it isolates: its networks, its pods or its
directions. Rules can only allow, so an invalid rule is skipped and the isolation stays
(`policyrules.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from weft import errors, names
from weft.api import fields, objects, policyrules, selectors
from weft.model import ObjectKey
from weft.policy.netpolicy import SEVERITIES, Direction, Logging, Mode, Policy, Selector, Skipped

KIND = "MultiNetworkPolicy"
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
MAX_PROBLEMS = 10
# All annotations of an object share 256 KiB; this leaves most of it to the user's own.
MAX_ANNOTATION = 100_000


def parse(policy: object) -> Policy:
    """The policy in `policy`; raises the first problem that makes it invalid as a whole."""
    found: list[errors.InvalidInput] = []
    parsed = _read(policy, found)
    if found:
        raise found[0]
    return parsed


def problems(policy: object) -> list[errors.InvalidInput]:
    """What makes `policy` invalid as a whole; `parse().skipped` has the invalid parts.

    A message need not list all.
    """
    found: list[errors.InvalidInput] = []
    _read(policy, found)
    return found[:MAX_PROBLEMS]


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """One policy as read.

    `current` is the present version, None if `problems` make it invalid as a whole; `accepted` is
    then the version in the annotation ACCEPTED_POLICY. `annotation` is the present text of that
    annotation, `annotation_to_keep` the text for `current`. `networks` maps NADs to networks as
    `annotation` has them. Two are equal if they mean the same to a zone: the annotations that the
    cluster manager writes do not count.
    """

    uid: str
    current: Policy | None
    problems: tuple[str, ...] = field(default=(), compare=False)
    accepted: Policy | None = None
    annotation_to_keep: str = field(default="", compare=False)
    annotation: str = field(default="", compare=False)
    networks: tuple[tuple[ObjectKey, str], ...] = ()
    version: str = field(default="", compare=False)  # resourceVersion

    def in_force(self, before: Policy | None = None) -> Policy | None:
        """The policy in force: the present version; if that is invalid as a whole, the one
        `before`, or the one in ACCEPTED_POLICY; None if no version was ever valid."""
        if before is not None and before.uid != self.uid:
            before = None
        policy = self.current or before or self.accepted
        if policy is None:
            return None
        known = {**dict(before.last_networks if before is not None else ()), **dict(self.networks)}
        kept = ((each, known[each]) for each in policy.nads if each in known)
        return replace(policy, last_networks=tuple(kept))


def read(policy: object) -> ParsedPolicy:
    """Parse `policy`, valid or not."""
    found: list[errors.InvalidInput] = []
    current: Policy | None = _read(policy, found)
    text, contents = _annotation_contents(policy)
    networks = contents.get("networks")
    listed = networks.items() if isinstance(networks, Mapping) else ()
    return ParsedPolicy(
        uid=_uid(policy),
        current=None if found else current,
        problems=tuple(error.in_full(named=False) for error in found[:MAX_PROBLEMS]),
        accepted=_accepted(policy, contents) if found else None,
        annotation_to_keep="" if found else annotation_to_keep(policy),
        annotation=text,
        networks=tuple(
            (ObjectKey.parse(each), network) for each, network in listed if isinstance(network, str)
        ),
        version=_metadata(policy, "resourceVersion"),
    )


def in_force(policy: object, before: Policy | None = None) -> Policy | None:
    """The policy in force, from the object: see `ParsedPolicy.in_force`."""
    return read(policy).in_force(before)


def annotation_to_keep(policy: object) -> str:
    """The text of ACCEPTED_POLICY for a valid policy, "" if it is too long to keep."""
    metadata = policy["metadata"]  # type: ignore[index]
    annotations = {
        key: metadata["annotations"][key]
        for key in (names.POLICY_FOR, names.POLICY_MODE)
        if key in metadata["annotations"]
    }
    contents = {"annotations": annotations, "spec": policy["spec"]}  # type: ignore[index]
    text = json.dumps(contents, separators=(",", ":"))
    return text if len(text) <= MAX_ANNOTATION else ""


def annotation_with_networks(text: str, networks: Mapping[ObjectKey, str]) -> str:
    """`text` (of ACCEPTED_POLICY) with the networks that the policy's NADs declare."""
    try:
        contents = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return text
    if not isinstance(contents, dict) or not (networks or "networks" in contents):
        return text
    contents["networks"] = {str(nad): network for nad, network in sorted(networks.items())}
    return json.dumps(contents, separators=(",", ":"))


def _annotation_contents(policy: object) -> tuple[str, Mapping[str, object]]:
    """The text of ACCEPTED_POLICY and its contents; empty if it is unusable."""
    text = ""
    try:
        text = objects.annotation(KIND, policy, names.ACCEPTED_POLICY)
        contents = json.loads(text) if text else {}
    except (errors.InvalidInput, ValueError, RecursionError):
        return text, {}
    return text, contents if isinstance(contents, Mapping) else {}


def accepted(policy: object) -> Policy | None:
    """The version accepted last; None if there was none, or ACCEPTED_POLICY is unusable."""
    return _accepted(policy, _annotation_contents(policy)[1])


def _accepted(policy: object, contents: Mapping[str, object]) -> Policy | None:
    if "spec" not in contents:
        return None
    try:
        namespace, name = objects.key(policy)
        metadata = {
            "namespace": namespace,
            "name": name,
            "uid": _uid(policy),
            "annotations": contents.get("annotations"),
        }
        return parse({"metadata": metadata, "spec": contents["spec"]})
    except errors.InvalidInput:
        return None


def _uid(policy: object) -> str:
    return _metadata(policy, "uid")


def _metadata(policy: object, name: str) -> str:
    metadata = policy.get("metadata") if isinstance(policy, Mapping) else None
    value = metadata.get(name) if isinstance(metadata, Mapping) else None
    return value if isinstance(value, str) else ""


def _read(policy: object, found: list[errors.InvalidInput]) -> Policy:
    namespace, name = objects.key(policy)
    subject = objects.subject(KIND, policy)
    skipped: list[Skipped] = []
    outer = fields.Fields(subject, "", policy if isinstance(policy, Mapping) else {}, found)
    if not outer.has("spec"):
        outer.refuse("spec", None, "is missing")
    spec = outer.nested("spec") or fields.Fields(subject, "spec", {}, [])
    spec.only("podSelector", "policyTypes", "ingress", "egress")
    directions = _directions(spec)
    rules = {
        direction: policyrules.read(spec, direction, namespace, skipped)
        for direction in Direction
        if direction in directions
    }
    skipped.extend(_idle(spec, directions))
    return Policy(
        namespace=namespace,
        name=name,
        uid=_uid(policy),
        nads=_nads(policy, found),
        pods=_pods(spec),
        directions=directions,
        ingress=rules.get(Direction.INGRESS, ()),
        egress=rules.get(Direction.EGRESS, ()),
        mode=_mode(policy, found),
        skipped=tuple(skipped),
    )


def _annotation(policy: object, name: str, found: list[errors.InvalidInput]) -> str:
    try:
        return objects.annotation(KIND, policy, name).strip()
    except errors.InvalidInput as error:
        found.append(error)
        return ""


def _nads(policy: object, found: list[errors.InvalidInput]) -> tuple[ObjectKey, ...]:
    """The NADs in `policy-for`."""
    namespace, subject = objects.key(policy)[0], objects.subject(KIND, policy)
    before = len(found)
    text = _annotation(policy, names.POLICY_FOR, found)
    if not text and len(found) == before:
        rule = "is missing or empty, so the policy guards no network"
        hint = "name NetworkAttachmentDefinitions: [namespace/]name, ..."
        found.append(errors.InvalidInput(subject, names.POLICY_FOR, None, rule, hint=hint))
    keys = []
    for part in map(str.strip, text.split(",") if text else ()):
        where, slash, name = part.rpartition("/")
        if not slash:
            where = namespace
        if _NAMESPACE.fullmatch(where) and _NAME.fullmatch(name):
            keys.append(ObjectKey(where, name))
            continue
        rule = "must be the name of a NetworkAttachmentDefinition: [namespace/]name"
        hint = "" if part else "remove the extra comma"
        found.append(errors.InvalidInput(subject, names.POLICY_FOR, part, rule, hint=hint))
    return tuple(dict.fromkeys(keys))


def _mode(policy: object, found: list[errors.InvalidInput]) -> Mode:
    text = _annotation(policy, names.POLICY_MODE, found)
    if text in ("", *Mode):
        return Mode(text) if text else Mode.ENFORCE
    rule = f"must be one of {', '.join(Mode)}"
    hint = f"write {text.lower()}" if text.lower() in tuple(Mode) else ""
    subject = objects.subject(KIND, policy)
    found.append(errors.InvalidInput(subject, names.POLICY_MODE, text, rule, hint=hint))
    return Mode.ENFORCE


def _pods(spec: fields.Fields) -> Selector:
    if not spec.has("podSelector"):
        hint = "write podSelector: {} to select all pods of the namespace"
        spec.refuse("podSelector", None, "is missing", hint=hint)
    selector = spec.nested("podSelector")
    return selectors.read(selector) if selector else selectors.EVERYTHING


def _directions(spec: fields.Fields) -> frozenset[Direction]:
    """`policyTypes`; by default, as for NetworkPolicy, ingress, and egress if there are rules."""
    listed = tuple(spec.strings("policyTypes"))
    for place, text in listed:
        if text not in tuple(Direction):
            meant = text.capitalize()
            hint = f"write {meant}" if meant in tuple(Direction) else ""
            spec.refuse(place, text, f"must be one of {', '.join(Direction)}", hint=hint)
    if listed:
        return frozenset(Direction(text) for _, text in listed if text in tuple(Direction))
    egress = {Direction.EGRESS} if spec.value("egress") else set()
    return frozenset({Direction.INGRESS, *egress})


def _idle(spec: fields.Fields, directions: frozenset[Direction]) -> list[Skipped]:
    """Rules in a direction that the policy does not isolate."""
    found = []
    for direction in Direction:
        name = policyrules.section(direction)
        if direction not in directions and spec.value(name):
            rule = f"has no effect: policyTypes does not list {direction}"
            hint = f"add {direction} to policyTypes, or remove {name}"
            found.append(Skipped(f"spec.{name}", "", rule, hint))
    return found


def logging(namespace: object) -> Logging:
    """A namespace's ACL logging; an invalid setting logs nothing."""
    return _logging(namespace, [])


def logging_problems(namespace: object) -> list[errors.InvalidInput]:
    """The problems of a namespace's ACL logging setting."""
    found: list[errors.InvalidInput] = []
    _logging(namespace, found)
    return found


def _logging(namespace: object, found: list[errors.InvalidInput]) -> Logging:
    subject = objects.subject("Namespace", namespace)
    try:
        text = objects.annotation("Namespace", namespace, names.ACL_LOGGING).strip()
        raw = fields.decode(subject, names.ACL_LOGGING, text) if text else {}
    except errors.InvalidInput as error:
        found.append(error)
        return Logging()
    if not isinstance(raw, Mapping):
        rule = f"must be a JSON object, not {fields.kind_of(raw)}"
        hint = 'write for example {"allow": "info", "deny": "alert"}'
        found.append(errors.InvalidInput(subject, names.ACL_LOGGING, raw, rule, hint=hint))
        return Logging()
    levels = fields.Fields(subject, names.ACL_LOGGING, raw, found)
    levels.only("allow", "deny")
    return Logging(allow=_severity(levels, "allow"), deny=_severity(levels, "deny"))


def _severity(levels: fields.Fields, name: str) -> str:
    text = levels.text(name)
    if text.lower() in ("", *SEVERITIES):
        return text.lower()
    levels.refuse(name, text, f"must be one of {', '.join(SEVERITIES)}, or empty for none")
    return ""
