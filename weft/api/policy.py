"""Parses a MultiNetworkPolicy, lists what of it is skipped, and notes what is in force.

    parse      the policy, or the problem that breaks it as a whole
    problems   all that break it as a whole
    read       all of it, as a Declaration
    standing   the policy that is in force: what it says, else what it said when it last could
    note       what it says as its annotation ACCEPTED_POLICY keeps it, and `accepted` back; which
               networks its definitions stand for is added by `noted_with`
    logging    what a namespace wants logged of the policies in it

Broken as a whole is what leaves open whom a policy isolates: its networks, its pods, its
directions. Its rules can only allow, so a broken one is skipped and isolation stands
(`policyrules.py`). Whether its networks exist is not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from weft import errors, names
from weft.api import fields, objects, policyrules, selectors
from weft.policy.netpolicy import SEVERITIES, Direction, Logging, Mode, Policy, Selector, Skipped

KIND = "MultiNetworkPolicy"
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
MOST_PROBLEMS = 10
# All annotations of an object share 256 KiB; users' own come first.
MOST_NOTED = 100_000


def parse(policy: object) -> Policy:
    """What `policy` says; raises the first problem that breaks it as a whole."""
    found: list[errors.InvalidInput] = []
    parsed = _read(policy, found)
    if found:
        raise found[0]
    return parsed


def problems(policy: object) -> list[errors.InvalidInput]:
    """What breaks `policy` as a whole; what breaks a part of it stands in `parse().skipped`.

    A message need not tell more than the first few.
    """
    found: list[errors.InvalidInput] = []
    _read(policy, found)
    return found[:MOST_PROBLEMS]


@dataclass(frozen=True, slots=True)
class Declaration:
    """One policy as read.

    `said` is None where `problems` break it as a whole; then `accepted` is what was noted of it.
    `note` is what is to be noted of `said`, `noted` the text that stands there, and `networks` are
    what that says of definitions and their networks. Two are equal that mean the same to a zone,
    whatever status and notes the cluster manager wrote since.
    """

    uid: str
    said: Policy | None
    problems: tuple[str, ...] = field(default=(), compare=False)
    accepted: Policy | None = None
    note: str = field(default="", compare=False)
    noted: str = field(default="", compare=False)
    networks: tuple[tuple[str, str], ...] = ()
    version: str = field(default="", compare=False)  # resourceVersion

    def standing(self, before: Policy | None = None) -> Policy | None:
        """The policy that is in force: what this says; where it is broken as a whole, what it said
        `before`, or what was noted of it; None if it never said anything."""
        if before is not None and before.uid != self.uid:
            before = None
        said = self.said or before or self.accepted
        if said is None:
            return None
        known = {**dict(before.remembered if before is not None else ()), **dict(self.networks)}
        kept = ((each, known[each]) for each in said.definitions if each in known)
        return replace(said, remembered=tuple(kept))


def read(policy: object) -> Declaration:
    """What `policy` declares, well or badly."""
    found: list[errors.InvalidInput] = []
    said: Policy | None = _read(policy, found)
    text, noted = _noted(policy)
    networks = noted.get("networks")
    listed = networks.items() if isinstance(networks, Mapping) else ()
    return Declaration(
        uid=_uid(policy),
        said=None if found else said,
        problems=tuple(error.in_full(named=False) for error in found[:MOST_PROBLEMS]),
        accepted=_accepted(policy, noted) if found else None,
        note="" if found else note(policy),
        noted=text,
        networks=tuple((each, network) for each, network in listed if isinstance(network, str)),
        version=_metadata(policy, "resourceVersion"),
    )


def standing(policy: object, before: Policy | None = None) -> Policy | None:
    """The policy that is in force, of the object itself: see `Declaration.standing`."""
    return read(policy).standing(before)


def note(policy: object) -> str:
    """The text of ACCEPTED_POLICY for a policy that `parse` takes, "" if it is too long to keep."""
    metadata = policy["metadata"]  # type: ignore[index]
    said = {
        key: metadata["annotations"][key]
        for key in (names.POLICY_FOR, names.POLICY_MODE)
        if key in metadata["annotations"]
    }
    noted = {"annotations": said, "spec": policy["spec"]}  # type: ignore[index]
    text = json.dumps(noted, separators=(",", ":"))
    return text if len(text) <= MOST_NOTED else ""


def noted_with(text: str, networks: Mapping[str, str]) -> str:
    """A note that also keeps which networks the definitions stand for."""
    try:
        noted = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return text
    if not isinstance(noted, dict) or not (networks or "networks" in noted):
        return text
    noted["networks"] = dict(sorted(networks.items()))
    return json.dumps(noted, separators=(",", ":"))


def _noted(policy: object) -> tuple[str, Mapping[str, object]]:
    """What ACCEPTED_POLICY keeps, as text and as read; nothing if that is unusable."""
    text = ""
    try:
        text = objects.annotation(KIND, policy, names.ACCEPTED_POLICY)
        noted = json.loads(text) if text else {}
    except (errors.InvalidInput, ValueError, RecursionError):
        return text, {}
    return text, noted if isinstance(noted, Mapping) else {}


def accepted(policy: object) -> Policy | None:
    """The policy as it was accepted last; None if it never was, or what was noted is unusable."""
    return _accepted(policy, _noted(policy)[1])


def _accepted(policy: object, noted: Mapping[str, object]) -> Policy | None:
    if "spec" not in noted:
        return None
    try:
        namespace, name = objects.key(policy)
        metadata = {
            "namespace": namespace,
            "name": name,
            "uid": _uid(policy),
            "annotations": noted.get("annotations"),
        }
        return parse({"metadata": metadata, "spec": noted["spec"]})
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
        definitions=_definitions(policy, found),
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


def _definitions(policy: object, found: list[errors.InvalidInput]) -> tuple[str, ...]:
    """The definitions of `policy-for`, each as "<namespace>/<name>"."""
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
            keys.append(f"{where}/{name}")
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
    """`policyTypes`; without it as NetworkPolicy has it: ingress, and egress if it has rules."""
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
    """Rules of directions that the policy does not guard."""
    found = []
    for direction in Direction:
        name = policyrules.section(direction)
        if direction not in directions and spec.value(name):
            rule = f"has no effect: policyTypes does not list {direction}"
            hint = f"add {direction} to policyTypes, or remove {name}"
            found.append(Skipped(f"spec.{name}", "", rule, hint))
    return found


def logging(namespace: object) -> Logging:
    """What is logged of the policies in a namespace; what is wrong there logs nothing."""
    return _logging(namespace, [])


def logging_problems(namespace: object) -> list[errors.InvalidInput]:
    """What is wrong with what a namespace wants logged."""
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
