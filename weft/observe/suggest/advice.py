"""Makes a suggestion of flows and objects, proves it, and says what it leaves open. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weft import errors
from weft.model import ObjectKey
from weft.observe import members as networkmembers
from weft.observe.flows.judge import Judge
from weft.observe.flows.record import FlowRecord
from weft.observe.members import Objects
from weft.observe.reach import Member
from weft.observe.suggest import groups, manifest, proof, suggestion
from weft.observe.suggest import seen as flows
from weft.observe.suggest.groups import Group
from weft.observe.suggest.seen import Seen
from weft.observe.suggest.suggestion import Request, Suggestion
from weft.policy.netpolicy import Direction

COMMAND, FOR = "weft policy suggest", "--for"
MAX_SHOWN = 20
_PAIR = re.compile(r"([A-Za-z0-9./_-]{1,317})=([A-Za-z0-9._-]{0,63})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Question:
    """`whom`: a pod, vm/NAME or labels as app=web in `namespace`; "": all that were seen.

    `namespaces` limit those; `everything`: see `suggestion.Request`.
    """

    network: str
    whom: str = ""
    namespace: str = "default"
    namespaces: tuple[str, ...] = ()
    directions: tuple[Direction, ...] = (Direction.INGRESS, Direction.EGRESS)
    everything: bool = False
    audit: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """`suggestions` admit all of `admitted`. `unsayable`: what no rule with ports can say.

    `audit`: the policies drop nothing yet, because it was asked for, or because of flows whose port
    is not known.
    """

    suggestions: tuple[Suggestion, ...]
    manifests: tuple[Mapping[str, Any], ...]
    admitted: tuple[Seen, ...]
    unsayable: tuple[Seen, ...]
    left_out: Mapping[str, int]
    scope: proof.Scope
    undirected: int = 0
    audit: bool = False

    @property
    def text(self) -> str:
        return manifest.text(self.suggestions, audit=self.audit)


def advise(question: Question, records: Sequence[FlowRecord], objects: Objects) -> Advice:
    """The advice. Raise InvalidInput for a question that names nothing, NotReady if no flow was
    seen."""
    known = networkmembers.networks(objects)
    network = network_of(question, objects)
    listed = networkmembers.on(network, objects)
    by_member = groups.grouped(listed)
    read = flows.read(network, records, listed, Judge(objects))
    chosen = _groups(question, read.seen, listed, by_member)
    if not chosen:
        counts = "; ".join(f"{count} {why}" for why, count in sorted(read.left_out.items()))
        what = "no allowed flow was seen" + (f": {counts}" if counts else "")
        hint = "let traffic flow for a while, or name whom to guard with --for"
        raise errors.NotReady(what, where=f"network {network}", hint=hint)
    mine = [each for each in read.seen if _is_about(each, chosen, question.directions)]
    request = Request(chosen, question.directions, question.everything)
    nads = [nad for nad, name in known.items() if name == network]
    made = suggestion.suggest(request, mine, by_member, nads)
    policies = proof.parsed([manifest.manifest(each) for each in made])
    admitted = tuple(each for each in mine if each.is_sayable or question.everything)
    if missed := proof.missed(policies, known, network, admitted):
        raise errors.WeftError(
            f"the policies would not admit {len(missed)} of the flows that were seen",
            where=COMMAND,
            hint="this is a bug in weft: report it with the flows",
        )
    unsayable = tuple(each for each in mine if not (each.is_sayable or question.everything))
    audit = question.audit or any(each.is_unlooked for each in unsayable)
    return Advice(
        made,
        tuple(manifest.manifest(each, audit=audit) for each in made),
        admitted,
        unsayable,
        read.left_out,
        proof.scope(policies, known, listed, admitted),
        undirected=sum(not each.record.is_directed for each in admitted),
        audit=audit,
    )


def network_of(question: Question, objects: Objects) -> str:
    """The network that the question names. Raise InvalidInput."""
    return networkmembers.choose(
        question.network,
        question.namespace,
        networkmembers.networks(objects),
        command=COMMAND,
        field="--network",
    )


def _is_about(each: Seen, chosen: Collection[Group], directions: Collection[Direction]) -> bool:
    """Whether one of the policies has to admit it."""
    ends = {Direction.INGRESS: each.target, Direction.EGRESS: each.source}
    return any(
        member is not None and direction in directions and any(one.has(member) for one in chosen)
        for direction, member in ends.items()
    )


def _groups(
    question: Question,
    seen: Sequence[Seen],
    listed: Sequence[Member],
    by_member: Mapping[str, Group],
) -> tuple[Group, ...]:
    """The groups to guard."""
    if not question.whom:
        return suggestion.selected(seen, by_member, question.namespaces)
    if "=" in question.whom:
        found = Group(question.namespace, _labels(question.whom), "selected")
        if not any(found.has(each) for each in listed):
            rule = f"selects no pod of namespace {question.namespace} on the network"
            raise errors.InvalidInput(COMMAND, FOR, question.whom, rule)
        return (found,)
    kind, slash, rest = question.whom.partition("/")
    name = rest if slash and kind in ("pod", "vm") else question.whom
    key = ObjectKey.parse(name) if "/" in name else ObjectKey(question.namespace, name)
    for member in listed:
        end = member.endpoint
        names = {"pod": [end.pod], "vm": [member.machine]}.get(kind, [end.pod, member.machine])
        if end.namespace == key.namespace and key.name and key.name in names:
            return (by_member[member.id],)
    rule = "is no pod or virtual machine on the network, and no label as app=web"
    raise errors.InvalidInput(COMMAND, FOR, question.whom, rule)


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    found = {}
    for part in text.split(","):
        pair = _PAIR.fullmatch(part.strip())
        if pair is None:
            rule = "must be labels as app=web,tier=front"
            raise errors.InvalidInput(COMMAND, FOR, text, rule)
        found[pair[1]] = pair[2]
    return tuple(sorted(found.items()))


def notices(advice: Advice) -> Iterator[str]:
    """What the policies leave open, a sentence each; for people, after the policies."""
    count = len(advice.suggestions)
    yield f"{count} {'policies' if count > 1 else 'policy'}; {manifest.seen(advice.admitted)}"
    yield from _unsayable(advice)
    wide = [_pair(each) for each in advice.admitted if not each.is_sayable]
    if wide:
        yield f"--everything opens more than was seen between: {_some(wide)}."
    for why, number in sorted(advice.left_out.items()):
        yield f"Left out: {number} flows {why}."
    if advice.undirected:
        yield f"Of {advice.undirected} flows it is not known who asked whom: look at them."
    scope = advice.scope
    if scope.unseen:
        yield f"Isolated, and nothing was seen of them: {_some(scope.unseen)}."
    if scope.besides is None:
        yield "What they admit besides was not judged: there are too many pairs."
    elif scope.besides:
        shown = list(map(str, scope.besides))
        yield f"Admitted, though not seen, because labels group pods: {_some(shown)}."
    elif not wide:
        yield "Of the services that were seen they admit nothing else."


def _unsayable(advice: Advice) -> Iterator[str]:
    unknown = sum(each.is_unlooked for each in advice.unsayable)
    if unknown:
        yield (
            f"{unknown} flows have no port: where no policy guards an end, the switch looks at"
            " none. So these policies are in audit mode, which drops nothing: apply them, and look"
            " again."
        )
    elif advice.audit:
        yield "The policies are in audit mode: they drop nothing, and report what they would."
    summed = [each for each in advice.unsayable if each.is_summed]
    if summed:
        shown = [f"{_pair(each)} ({each.record.more or 'many'} ports)" for each in summed]
        yield (
            f"Many ports were asked for, as by a scan: {_some(shown)}. They are not admitted,"
            " but for those that have a rule: look at these rules."
        )
    counted = Counter(
        each.what for each in advice.unsayable if not (each.is_unlooked or each.is_summed)
    )
    for protocol, number in sorted(counted.items()):
        what = f"IP protocol {protocol}" if protocol.isdigit() else protocol
        yield (
            f"{number} flows of {what} are not admitted: a MultiNetworkPolicy cannot say {what}."
            " --everything admits all between their ends."
        )


def _pair(each: Seen) -> str:
    """Its ends and protocol; a file of flows may hold any name, so those of members alone."""
    source, target = (
        member.id if member is not None else str(address)
        for member, address in zip((each.source, each.target), each.addresses, strict=True)
    )
    return f"{source} > {target} {each.what or 'IP'}"


def _some(listed: Sequence[str]) -> str:
    more = len(listed) - MAX_SHOWN
    return ", ".join(listed[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")
