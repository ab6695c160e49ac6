"""Writes suggestions as MultiNetworkPolicies: objects, and YAML with comments on what was seen.

Pure. Comments hold numbers and times only: who was seen stands in the selectors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from weft import names
from weft.kube import resources
from weft.observe.suggest.seen import Seen
from weft.observe.suggest.suggestion import Peer, Ports, Rule, Suggestion
from weft.policy.netpolicy import Direction, Mode

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)
_PEERS = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def manifest(each: Suggestion, *, audit: bool = False) -> dict[str, Any]:
    """The object; one in audit mode drops nothing."""
    kind = resources.MULTINETWORKPOLICIES
    annotations = {names.POLICY_FOR: str(each.nad)}
    if audit:
        annotations[names.POLICY_MODE] = str(Mode.AUDIT)
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": each.name,
            "namespace": each.group.namespace,
            "annotations": annotations,
        },
        "spec": {
            "podSelector": _selector(each.group.labels),
            "policyTypes": [str(direction) for direction in each.directions],
            **{
                direction.lower(): [_rule(rule, direction) for rule in each.rules(direction)]
                for direction in each.directions
            },
        },
    }


def _selector(labels: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found = dict(labels)
    return {"matchLabels": found} if found else {}


def _rule(rule: Rule, direction: Direction) -> dict[str, Any]:
    found: dict[str, Any] = {_PEERS[direction]: [_peer(each) for each in rule.peers]}
    if rule.ports is not None:
        found["ports"] = [_port(each) for each in rule.ports]
    return found


def _peer(peer: Peer) -> dict[str, Any]:
    if peer.group is None:
        return {"ipBlock": {"cidr": str(peer.subnet)}}
    pods = {"podSelector": _selector(peer.group.labels)}
    if peer.namespace_labels is None:
        return pods
    return {"namespaceSelector": _selector(peer.namespace_labels), **pods}


def _port(each: Ports) -> dict[str, Any]:
    protocol, span = each
    found: dict[str, Any] = {"protocol": str(protocol)}
    if span is not None:
        found["port"] = span[0]
        if span[1] != span[0]:
            found["endPort"] = span[1]
    return found


def text(suggestions: Sequence[Suggestion], *, audit: bool = False) -> str:
    """All of them as one file of YAML."""
    return "---\n".join(_document(each, audit) for each in suggestions)


def _document(each: Suggestion, audit: bool) -> str:
    whole = manifest(each, audit=audit)
    spec: Mapping[str, Any] = whole["spec"]
    head = {"podSelector": spec["podSelector"], "policyTypes": spec["policyTypes"]}
    lines = [_dumped({**whole, "spec": head})]
    for direction in each.directions:
        rules = each.rules(direction)
        key = direction.lower()
        if not rules:
            lines.append(f"  # nothing was seen\n  {key}: []\n")
            continue
        lines.append(f"  {key}:\n")
        for rule, written in zip(rules, spec[key], strict=True):
            lines.append(f"  # {seen(rule.seen)}\n")
            if rule.ports is None:
                lines.append("  # ports cannot say ICMP and the like: this admits everything\n")
            lines.append(_indented(_dumped([written])))
    return "".join(lines)


def seen(listed: Sequence[Seen]) -> str:
    """How often something was seen, and when."""
    connections = [each.record.connections for each in listed if each.record.connections]
    count = f"{len(listed)} flow{'s' if len(listed) != 1 else ''}"
    if connections:
        total = sum(connections)
        count += f", {total} connection{'s' if total != 1 else ''}"
    times = [
        time
        for each in listed
        for time in (each.record.first_seen, each.record.last_seen)
        if _TIME.fullmatch(time)
    ]
    return f"seen: {count}" + (f", {min(times)} to {max(times)}" if times else "")


def _dumped(data: Any) -> str:
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=False))


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())
