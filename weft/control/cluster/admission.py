"""Judges a NAD or MultiNetworkPolicy at admission, with the rules and texts of the Events.

Pure. An object that would later get an Event as invalid is refused before it is stored; lesser
mistakes become admission warnings. An object that was already invalid may still be edited if its
refusal stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from weft import model
from weft.api import networkqos, objects, policystatus, userdefined
from weft.api import policy as policies
from weft.control.cluster import nads, settlements, udns
from weft.control.cluster.nads import Nad
from weft.kube import resources
from weft.kube.resources import Resource
from weft.policy import access

Object = Mapping[str, Any]
_LONGEST = 4096  # characters of a refusal, which people read


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to an admission request; `refusal` is empty for what is admitted."""

    refusal: str = ""
    warnings: tuple[str, ...] = ()


def judge_nad(
    new: Object,
    old: Object | None,
    others: Iterable[Nad],
    rules: nads.Rules,
    labels: access.NamespaceLabels,
) -> Verdict:
    """Judges a NAD; `old` is None for a new one.

    `others` are the NADs of the cluster, this one's stored form included; `labels` gives the labels
    of a namespace.
    """
    rule = access.AccessRule(rules.global_namespaces, labels)
    declared = _as_stored(nads.read(new, rules), nads.read(old, rules) if old else None)
    rivals = [each for each in others if each.key != declared.key]
    refusal = _nad_refusal(declared, rivals, rule)
    if old is not None and refusal == _nad_refusal(nads.read(old, rules), rivals, rule):
        refusal = ""
    warnings = [f"{resources.NADS.kind} {declared.key}: {text}" for _, text in declared.warnings]
    if not refusal and (joined := _joined(declared, rivals, rule)):
        warnings.append(joined)
    return Verdict(refusal[:_LONGEST], tuple(warnings))


def judge_policy(new: Object, old: Object | None) -> Verdict:
    """Refuses a policy that is invalid as a whole; warns of parts that are skipped."""
    declared = policies.read(new)
    meta = new["metadata"]
    subject = f"{resources.MULTINETWORKPOLICIES.kind} {meta['namespace']}/{meta['name']}"
    if declared.problems:
        if old is not None and policies.read(old).problems == declared.problems:
            return Verdict()
        return Verdict(f"{subject}: {'; '.join(declared.problems)}"[:_LONGEST])
    skipped = declared.current.skipped[: policystatus.MAX_REPORTED] if declared.current else ()
    return Verdict(
        warnings=tuple(f"{subject}: {policystatus.skipped_text(part)}" for part in skipped)
    )


def judge_udn(new: Object, resource: Resource, rules: nads.Rules) -> Verdict:
    """Warns of a UserDefinedNetwork that will not be served; the API server knows the schema."""
    declared = udns.read(new, resource, rules)
    if not declared.problem:
        return Verdict()
    name = f"{resource.kind} {declared.subject.key}"
    return Verdict(warnings=(f"{name}: {declared.problem}"[:_LONGEST],))


def judge_qos(new: Object) -> Verdict:
    """Warns of a NetworkQoS that will have no effect; the API server knows the schema."""
    subject = objects.subject(networkqos.KIND, new)
    found = (f"{subject}: {each.in_full(named=False)}" for each in networkqos.problems(new))
    return Verdict(warnings=tuple(each[:_LONGEST] for each in found))


def _as_stored(declared: Nad, before: Nad | None) -> Nad:
    """Returns the NAD with weft's stored annotations in place of those that its author sent."""
    return replace(
        declared,
        rendering=before.rendering if before else None,
        annotated_name=before.annotated_name if before else "",
        annotated_id=before.annotated_id if before else "",
        annotated_config=before.annotated_config if before else "",
        annotated_owner=before.annotated_owner if before else None,
        accepted=before.accepted if before else None,
        accepted_config=before.accepted_config if before else "",
    )


def _nad_refusal(nad: Nad, rivals: Iterable[Nad], rule: access.AccessRule) -> str:
    if nad.problem:
        return nads.parse_refusal(nad)
    return _settled(nad, rivals, rule).refused.get(nad.key, "")


def _settled(nad: Nad, rivals: Iterable[Nad], rule: access.AccessRule) -> settlements.Settlement:
    """Returns the settlement of the network that the NAD declares."""
    if nad.spec is None:
        return settlements.Settlement()
    # A NAD that is not stored yet comes after all others, whatever creation time its author sent.
    created = nad.created if nad.annotated_name == nad.spec.name else "~"
    members = [settlements.Declaration(replace(nad, created=created), nad.spec)]
    for each in rivals:
        standing = each.accepted or each.spec
        if standing is not None and standing.name == nad.spec.name:
            members.append(settlements.Declaration(each, standing))
    return settlements.settle(members, rule, network_of=_network_of)


def _network_of(nad: Nad) -> str:
    """Returns the network that a NAD is rendered for, by the controller that it names.

    That may be forged: what is stored is judged again with what there is.
    """
    made = nad.rendering
    if made is None:
        return ""
    namespace = nad.key.namespace if made.kind == resources.UDNS.kind else ""
    return userdefined.network_name(namespace, made.name)


def _joined(nad: Nad, rivals: Iterable[Nad], rule: access.AccessRule) -> str:
    settled = _settled(nad, rivals, rule)
    if settled.spec is None or nad.annotated_owner == settled.lead:
        return ""
    return rule.joined_notice(model.Network(settled.spec, 0, settled.lead), nad.key)
