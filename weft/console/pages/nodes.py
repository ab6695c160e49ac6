"""Lists the nodes: readiness, tunnels, known faults of OVN, endpoints, members of networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weft import errors, names
from weft.api import nodeinfo
from weft.console.page import Page, Question, Read, Reading
from weft.kube import resources
from weft.observe.chassis import natural_key
from weft.observe.checks import Verdict
from weft.ovn.vulnerabilities import Exposure


@dataclass(frozen=True, slots=True)
class State:
    """A condition of a node in words; `why` is the condition's message, unless it is well."""

    verdict: Verdict
    text: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A node. `members` is None if the viewer may not list networks."""

    name: str
    ready: State
    tunnels: State
    ovn: State
    endpoints: tuple[str, ...]
    version: str
    kubelet: str
    members: int | None


@dataclass(frozen=True, slots=True)
class Nodes:
    rows: tuple[Row, ...]


def view(reading: Reading, asked: Question) -> Nodes:
    """The nodes, by name."""
    counted: Counter[str] = Counter()
    for network in reading.of(resources.NETWORKS):
        for node in (network.get("status") or {}).get("nodes") or ():
            counted[str(node.get("name"))] += int(node.get("members", 0))
    is_counted = reading.knows(resources.NETWORKS)
    rows = (
        _row(each, counted[each["metadata"]["name"]] if is_counted else None)
        for each in reading.of(resources.NODES)
    )
    return Nodes(tuple(sorted(rows, key=lambda one: natural_key(one.name))))


def _row(node: Mapping[str, Any], members: int | None) -> Row:
    meta, status = node["metadata"], node.get("status") or {}
    conditions = {str(each.get("type")): each for each in status.get("conditions") or ()}
    try:
        endpoints = tuple(map(str, nodeinfo.parse(node).encap_ips))
    except errors.InvalidInput:
        endpoints = ()
    return Row(
        name=str(meta["name"]),
        ready=_ready(conditions.get("Ready", {})),
        tunnels=_tunnels(conditions.get(names.TUNNELS_CONDITION, {})),
        ovn=_ovn(conditions.get(names.OVN_CONDITION, {})),
        endpoints=endpoints,
        version=str((meta.get("annotations") or {}).get(names.VERSION) or ""),
        kubelet=str((status.get("nodeInfo") or {}).get("kubeletVersion") or ""),
        members=members,
    )


def _ready(condition: Mapping[str, Any]) -> State:
    if condition.get("status") == "True":
        return State(Verdict.OK, "ready")
    return State(Verdict.FAIL, "not ready", _message(condition))


def _tunnels(condition: Mapping[str, Any]) -> State:
    match condition.get("status"):
        case "True":
            return State(Verdict.OK, "all answer")
        case "False":
            return State(Verdict.FAIL, "broken", _message(condition))
    return State(Verdict.WARN, "not known", _message(condition))


def _ovn(condition: Mapping[str, Any]) -> State:
    if condition.get("status") == "True" and condition.get("reason") != Exposure.NOT_EXPLOITABLE:
        return State(Verdict.WARN, "known faults", _message(condition))
    if not condition or condition.get("status") == "Unknown":
        return State(Verdict.WARN, "not known", _message(condition))
    return State(Verdict.OK, "no fault that guests can exploit")


def _message(condition: Mapping[str, Any]) -> str:
    return str(condition.get("message") or "")


PAGE = Page(
    name="nodes",
    path="/nodes",
    title="Nodes",
    reads=(Read(resources.NODES), Read(resources.NETWORKS, is_aside=True)),
    view=view,
)
