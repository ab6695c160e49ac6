"""Works out what an edit of networks and policies does: `weft plan`. Pure.

Two worlds in, one plan out. The rules are those of the cluster manager and of the reference
evaluator: nothing is decided here that they do not decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from weft import errors, model, names
from weft.api import nad, podnetworks, policy
from weft.control.cluster import admission, edits, nads
from weft.kube import resources
from weft.model import ObjectKey
from weft.observe import members
from weft.observe.reach import Member
from weft.observe.reachchanges import PairChange
from weft.plan import affectednetworks, affectedpairs, worlds
from weft.plan.affectednetworks import AddressCount
from weft.plan.worlds import Object, World
from weft.policy import access

_LONGEST = 120  # characters of one value


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of one object. `action`: created, changed, deleted, unchanged or refused.

    `fields` are those that change. `keeps` are pods that keep the old until they are restarted,
    `waits` why the whole edit waits. `problems` are losses, `notices` are not.
    """

    subject: str
    action: str
    fields: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    waits: str = ""
    problems: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What an edit does. `unmapped`: what nodes lack a bridge mapping for; `closed`: on which nodes
    therefore no pod could run, where none does; `unjudged`: what cannot be said."""

    effects: tuple[Effect, ...]
    pairs: tuple[PairChange, ...] = ()
    addresses: tuple[AddressCount, ...] = ()
    unmapped: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()

    @property
    def lost(self) -> tuple[PairChange, ...]:
        return tuple(each for each in self.pairs if not each.allowed)

    @property
    def gained(self) -> tuple[PairChange, ...]:
        return tuple(each for each in self.pairs if each.allowed)

    @property
    def loses(self) -> bool:
        """Whether anything is lost: reach, addresses, or what is refused or has no mapping."""
        return bool(
            self.lost
            or self.unmapped
            or any(each.runs_out for each in self.addresses)
            or any(each.problems for each in self.effects)
        )


def plan(
    before: World,
    given: Sequence[Object],
    rules: nads.Rules,
    *,
    delete: bool = False,
    most_pairs: int | None = None,
) -> Plan:
    """What happens if `given` are applied to `before`, or deleted from it.

    Networks with more than `most_pairs` pairs altogether are not judged.
    """
    effects = []
    spaces = [each for each in given if each["kind"] == resources.NAMESPACES.kind]
    world = before if delete else worlds.with_namespaces(before, spaces)
    passed_over = [*_relabelled(before, spaces, delete=delete)]
    for each in given:
        if each["kind"] not in worlds.PLANNED:
            continue
        effect, world = _one(world, each, rules, delete=delete)
        effects += effect
    pairs, unjudged = affectedpairs.find(before.objects, world.objects, most_pairs)
    networks = affectednetworks.touched(before, world)
    return Plan(
        tuple(effects),
        tuple(pairs),
        tuple(affectednetworks.counts(before, world, networks)),
        tuple(affectednetworks.unmapped(world, networks)),
        (*passed_over, *unjudged, *affectednetworks.unjudged(world, networks), *before.unread),
        tuple(affectednetworks.closed(world, networks)),
    )


def _relabelled(before: World, spaces: Sequence[Object], *, delete: bool) -> Iterator[str]:
    """What follows of Namespaces in the file is not planned, beyond that new ones are there."""
    standing = {each["metadata"]["name"]: each for each in before.objects.namespaces}
    for each in spaces:
        name = each["metadata"]["name"]
        there = standing.get(name)
        if there is None:
            continue
        if delete:
            yield f"Namespace {name}: all that is in it would be deleted with it"
            continue
        after = worlds.merged(each, there)
        old, new = (one["metadata"].get("labels") or {} for one in (there, after))
        if fields := [*_values(old, new, "labels")]:
            what = "policies and networks that select by these labels are judged by the old ones"
            yield f"Namespace {name}: {what}: {', '.join(fields)}"


def _one(
    world: World, given: Object, rules: nads.Rules, *, delete: bool
) -> tuple[list[Effect], World]:
    kind, key = given["kind"], resources.key(given)
    before = world.find(kind, key)
    if delete:
        return _deleted(world, given, before)
    after = worlds.merged(given, before)
    if kind == nad.KIND:
        return _nad(world, after, before, rules)
    if kind == policy.KIND:
        return _policy(world, after, before)
    return _udn(world, after, before, rules)


def _subject(obj: Object) -> str:
    return f"{obj['kind']} {str(resources.key(obj)).lstrip('/')}"


def _nad(
    world: World,
    after: Object,
    before: Object | None,
    rules: nads.Rules,
    *,
    is_rendered: bool = False,
) -> tuple[list[Effect], World]:
    others = [nads.read(each, rules) for each in world.objects.nads]
    verdict = admission.Verdict()
    if not is_rendered:  # the name of a rendered one is its object's, and no one else's
        verdict = admission.judge_nad(after, before, others, rules, world.labels)
    subject = _subject({**after, "kind": nad.KIND})
    if verdict.refusal:
        return [Effect(subject, "refused", problems=(verdict.refusal,))], world
    new = nads.read(after, rules)
    old = nads.read(before, rules) if before is not None else None
    standing = (old.accepted or old.spec) if old is not None else None
    if new.spec is None:
        if before is None or standing is None:
            return [Effect(subject, "not weft's")], worlds.edited(world, after, rules)
        (gone,), whole = _deleted(world, {**after, "kind": nad.KIND}, before)
        return [replace(gone, fields=("it becomes another plugin's",))], whole
    if standing is None:
        whole = worlds.edited(world, worlds.accepted(after, rules, before), rules)
        return [Effect(subject, "created", notices=verdict.warnings)], whole
    fields = tuple(
        f"{key} {nad.value_of(standing, key)} -> {nad.value_of(new.spec, key)}"
        for key in nad.differences(standing, new.spec)
    )
    fields += _access(standing, new.spec)
    using = _using(world, standing.name)
    held = edits.held_back(standing, new.spec) if using else ()
    if held:
        waits = edits.waits(replace(new, accepted=standing), held, _called(using), len(using))
        effect = Effect(subject, "changed", fields, tuple(_called(using)), waits)
        return [effect], world
    whole = worlds.edited(world, worlds.accepted(after, rules, before), rules)
    problems = tuple(_shut_out(using, new, standing, rules, world))
    renew = _renewing(standing, new.spec, using)
    action = "changed" if fields else "unchanged"
    return [Effect(subject, action, fields, renew, "", problems, verdict.warnings)], whole


def _access(old: model.NetworkSpec, new: model.NetworkSpec) -> tuple[str, ...]:
    if old.access == new.access:
        return ()
    return ("who may use it (allowedNamespaces, namespaceSelector)",)


def _renewing(
    old: model.NetworkSpec, new: model.NetworkSpec, using: Sequence[Member]
) -> tuple[str, ...]:
    """Members that have the old values until they start again, or renew their lease."""
    kept = ("excludeSubnets", "reservedSubnets")
    if all(key in kept for key in nad.differences(old, new)):
        return ()
    return tuple(_called(using))


def _shut_out(
    using: Sequence[Member],
    new: nads.Nad,
    old: model.NetworkSpec,
    rules: nads.Rules,
    world: World,
) -> Iterator[str]:
    """Members that run on, and may not use the network when they start again."""
    assert new.spec is not None
    owner = new.annotated_owner or new.key
    rule = access.AccessRule(rules.global_namespaces, world.labels)
    before, after = (model.Network(spec, 0, owner) for spec in (old, new.spec))
    for member in using:
        namespace = member.endpoint.namespace
        if rule.admits(before, namespace) and not rule.admits(after, namespace):
            pod = ObjectKey(namespace, member.name)
            yield rule.pod_refusal(after, new.key, pod).in_full()


def _policy(world: World, after: Object, before: Object | None) -> tuple[list[Effect], World]:
    verdict = admission.judge_policy(after, before)
    subject = _subject(after)
    if verdict.refusal:
        return [Effect(subject, "refused", problems=(verdict.refusal,))], world
    fields = tuple(_differing(before, after)) if before is not None else ()
    action = "created" if before is None else "changed" if fields else "unchanged"
    effect = Effect(subject, action, fields, notices=verdict.warnings)
    return [effect], worlds.edited(world, after, _NO_RULES)


_NO_RULES = nads.Rules()


def _udn(
    world: World, after: Object, before: Object | None, rules: nads.Rules
) -> tuple[list[Effect], World]:
    subject = _subject(after)
    declared = worlds.read_udn(after, rules)
    if declared.problem:
        return [Effect(subject, "refused", problems=(declared.problem,))], world
    problems = tuple(
        f"NetworkAttachmentDefinition {key} is there already, and is not rendered from it"
        for key in worlds.foreign(world, after, rules)
    )
    fields = tuple(_differing(before, after)) if before is not None else ()
    action = "created" if before is None else "changed" if fields else "unchanged"
    effects = []
    made = []
    whole = worlds.with_object(world, after)
    for each in worlds.rendered(whole, after, rules):
        key = resources.key(each)
        there = whole.find(nad.KIND, key)
        owner = after["kind"], resources.key(after)
        if there is not None and not worlds.is_of(there, *owner):
            continue
        inner, whole = _nad(whole, worlds.merged(each, there), there, rules, is_rendered=True)
        if there is None:
            made.append(key.namespace)
        else:
            effects += inner
    whole = _unrendered(whole, after, declared, effects)
    notices = (f"its NAD is made in {', '.join(made)}",) if made else ()
    first = Effect(subject, action, fields, problems=problems, notices=notices)
    return [first, *(each for each in effects if each.action != "unchanged")], whole


def _unrendered(world: World, udn: Object, declared: Any, effects: list[Effect]) -> World:
    """The world without the NADs of namespaces that are no longer chosen."""
    for each in list(world.objects.nads):
        namespace = each["metadata"]["namespace"]
        if not worlds.is_of(each, udn["kind"], resources.key(udn)):
            continue
        if declared.chooses(namespace, world.labels(namespace) or {}):
            continue
        inner, world = _deleted(world, {**each, "kind": nad.KIND}, each)
        effects += inner
    return world


def _deleted(world: World, given: Object, before: Object | None) -> tuple[list[Effect], World]:
    subject = _subject(given)
    if before is None:
        return [Effect(subject, "unchanged", notices=("it is not there",))], world
    if given["kind"] == policy.KIND:
        return [Effect(subject, "deleted")], worlds.without(world, given)
    if given["kind"] != nad.KIND:
        return _deleted_udn(world, given)
    network = (before["metadata"].get("annotations") or {}).get(names.NETWORK_NAME, "")
    using = [
        member for member in _using(world, network) if _by(world, member, resources.key(given))
    ]
    if using:
        read = nads.Nad(resources.key(given), "", "")
        message = edits.in_use(read, _called(using), len(using))
        return [Effect(subject, "deleted", (), tuple(_called(using)), message)], world
    return [Effect(subject, "deleted")], worlds.without(world, given)


def _deleted_udn(world: World, given: Object) -> tuple[list[Effect], World]:
    """It is gone only after its NADs: it waits as long as one of them does."""
    effects: list[Effect] = []
    whole = world
    for each in world.objects.nads:
        if worlds.is_of(each, given["kind"], resources.key(given)):
            inner, whole = _deleted(whole, {**each, "kind": nad.KIND}, each)
            effects += inner
    waits = "; ".join(each.waits for each in effects if each.waits)
    keeps = tuple(one for each in effects for one in each.keeps)
    first = Effect(_subject(given), "deleted", (), keeps, waits)
    listed = [first, *(each for each in effects if not each.waits)]
    return listed, whole if waits else worlds.without(whole, given)


def _by(world: World, member: Member, key: ObjectKey) -> bool:
    """Whether a member's pod names this NAD."""
    for pod in world.objects.pods:
        if str(resources.key(pod)) == member.pod:
            notes = pod["metadata"].get("annotations") or {}
            return key in map(podnetworks.nad_of, podnetworks.keys(notes[names.POD_NETWORKS]))
    return False


def _using(world: World, network: str) -> list[Member]:
    return list(members.on(network, world.objects)) if network else []


def _called(using: Iterable[Member]) -> list[str]:
    return [
        f"{'vm' if each.machine else 'pod'} {each.endpoint.namespace}/{each.name}" for each in using
    ]


def _differing(before: Object, after: Object, path: str = "spec") -> Iterator[str]:
    """The fields of a spec that differ, as paths with both values."""
    yield from _values(before.get("spec"), after.get("spec"), path)
    for name in (names.POLICY_FOR, names.POLICY_MODE):
        old, new = (
            (each["metadata"].get("annotations") or {}).get(name, "") for each in (before, after)
        )
        if old != new:
            yield f"{name} {old or 'none'} -> {new or 'none'}"


def _values(old: Any, new: Any, path: str) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _values(old.get(key), new.get(key), f"{path}.{key}")
        return
    if isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            one, other = (each[index] if index < len(each) else None for each in (old, new))
            yield from _values(one, other, f"{path}[{index}]")
        return
    yield f"{path} {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    return "none" if value is None else errors.as_written(value)[:_LONGEST]
