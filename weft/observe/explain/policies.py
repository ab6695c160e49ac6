"""Says which policies decide at each end, by which rule, and in which line of the policy. Pure.

The reference evaluator decides. Lines are those of `kubectl get multi-policy NAME -o yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from weft.api.objects import key as key_of
from weft.kube import resources
from weft.model import ObjectKey
from weft.observe.explain.evidence import PolicyFinding, PolicyLine
from weft.observe.members import Object
from weft.policy import evaluator, netpolicy

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def judge(
    objects: Iterable[Object],
    in_force: Iterable[netpolicy.Policy],
    networks: Mapping[ObjectKey, str],
    source: netpolicy.Endpoint,
    target: netpolicy.Endpoint,
    connection: netpolicy.Connection,
) -> tuple[PolicyFinding, ...]:
    """What policies say at the source (egress), then at the target (ingress)."""
    policies = tuple(in_force)
    by_key = {key_of(each): each for each in objects}
    verdict = evaluator.explain(policies, networks, source, target, connection)
    found = []
    for judgement in (verdict.egress, verdict.ingress):
        subject = source if judgement.direction is netpolicy.Direction.EGRESS else target
        audited = tuple(
            str(each.key)
            for each in policies
            if each.mode is netpolicy.Mode.AUDIT
            and judgement.direction in each.directions
            and evaluator.selects(each, networks, subject)
        )
        found.append(_finding(judgement, by_key, source, target, connection, audited))
    return tuple(found)


def _finding(
    judgement: evaluator.Judgement,
    objects: Mapping[ObjectKey, Object],
    source: netpolicy.Endpoint,
    target: netpolicy.Endpoint,
    connection: netpolicy.Connection,
    audited: tuple[str, ...],
) -> PolicyFinding:
    direction = judgement.direction
    section = f"spec.{direction.lower()}"
    keys = tuple(str(each.key) for each in judgement.isolating)
    if judgement.allowing:
        policy, rule = judgement.allowing[0]
        line = line_of(objects.get(policy.key), f"{section}[{rule.index}]")
        return PolicyFinding(direction, keys, True, str(policy.key), line, audited=audited)
    if not judgement.isolating:
        return PolicyFinding(direction, audited=audited)
    policy, path, change = _change(judgement, source, target, connection)
    line = line_of(objects.get(policy.key), path)
    return PolicyFinding(
        direction,
        keys,
        passes=False,
        line=line,
        change=f"{change} of {policy.key}",
        audited=audited,
    )


def _change(
    judgement: evaluator.Judgement,
    source: netpolicy.Endpoint,
    target: netpolicy.Endpoint,
    connection: netpolicy.Connection,
) -> tuple[netpolicy.Policy, str, str]:
    """The policy, the place and the change that would allow it, at the rule that comes nearest."""
    direction = judgement.direction
    is_ingress = direction is netpolicy.Direction.INGRESS
    section = f"spec.{direction.lower()}"
    peer = _called(source if is_ingress else target)
    near = [
        (policy, match)
        for policy in judgement.isolating
        for match in evaluator.matches(policy, direction, source, target, connection)
    ]
    for policy, match in near:
        if match.peer and not match.port and connection.protocol is not None:
            path = f"{section}[{match.rule.index}].ports"
            return policy, path, f"add {_port(connection)} to {path}"
    for policy, match in near:
        if match.port and not match.peer:
            path = f"{section}[{match.rule.index}].{'from' if is_ingress else 'to'}"
            return policy, path, f"add {peer} to {path}"
    policy = judgement.isolating[0]
    if connection.protocol is None:
        return policy, section, f"add a rule for {peer} without ports (ICMP has none) to {section}"
    return policy, section, f"add a rule for {peer} and {_port(connection)} to {section}"


def _called(peer: netpolicy.Endpoint) -> str:
    return f"{peer.namespace}/{peer.pod}" if peer.pod else "its address as an ipBlock"


def _port(connection: netpolicy.Connection) -> str:
    return f"{connection.protocol} port {connection.port}"


def line_of(obj: Object | None, path: str) -> PolicyLine:
    """The line of a field in what kubectl prints of a policy; of its parent if it is absent.

    `path` is written as "spec.ingress[0].ports".
    """
    if obj is None:
        return PolicyLine(path)
    text = printed(obj)
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    number = 0
    for name, index in _STEP.findall(path):
        found = _child(node, name, index)
        if found is None:
            break
        number, node = found
    return PolicyLine(path, number + 1, text.splitlines()[number].strip())


def printed(obj: Object) -> str:
    """A policy as `kubectl get -o yaml` prints it."""
    meta = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    kind = resources.MULTINETWORKPOLICIES
    whole = {"apiVersion": kind.api_version, "kind": kind.kind, **obj, "metadata": meta}
    return yaml.dump(
        whole, Dumper=_Printer, width=float("inf"), allow_unicode=True, default_flow_style=False
    )


class _Printer(yaml.SafeDumper):
    """Writes a text of several lines as a block, as kubectl does, and repeats what repeats."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(printer: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return printer.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Printer.add_representer(str, _text)


def _child(node: yaml.Node | None, name: str, index: str) -> tuple[int, yaml.Node] | None:
    """The line of a child, and the child."""
    if name and isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name:
                return key.start_mark.line, value
    if index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
        value = node.value[int(index)]
        return value.start_mark.line, value
    return None
