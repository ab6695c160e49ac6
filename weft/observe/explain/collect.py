"""Collects evidence from the Kubernetes API, from nodes, and by packets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from weft import errors
from weft.kube import resources
from weft.kube.client import Client
from weft.observe import objects
from weft.observe.explain import asking, hops, naming, question, zone
from weft.observe.explain.evidence import (
    DropCount,
    Evidence,
    NetworkFacts,
    NodeFacts,
    PortAnswer,
    Probe,
    Unseen,
    UsedAddresses,
)
from weft.observe.members import Object
from weft.observe.reach import ProbeResult

_LONGEST_WARNING = 300


class Explorer(Protocol):
    """Looks at nodes and into pods, and sends packets. What it cannot see is Unseen."""

    async def look(self, node: str, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """What `onnode` answers there. Raises WeftError."""

    def may_ask(self, role: str, evidence: Evidence) -> bool:
        """Whether an end may be asked at its port for its address, and need be."""

    async def ask(self, node: str, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """What `onnodeask` answers there. Raises WeftError."""

    async def used(self, evidence: Evidence) -> Mapping[str, UsedAddresses | Unseen]:
        """The addresses on the interfaces of the ends, by role."""

    async def probe(self, evidence: Evidence, patience: float) -> Probe | Unseen:
        """What comes of packets from source to target. `patience`: seconds for each reply."""


async def read(api: Client, asked: question.Question) -> naming.Found:
    """List the objects that the user may list: in the namespaces of the question, if not in all.
    What is absent for lack of rights counts as not seen."""
    namespaces = question.namespaces(asked)

    async def read_services() -> list[Object] | None:
        if not any(map(naming.is_address, (asked.source, asked.target))):
            return None
        return await _allowed(api, resources.SERVICES, namespaces)

    (found, partial), nodes, machines, events, services = await asyncio.gather(
        objects.read_allowed(api, namespaces),
        _allowed(api, resources.NODES),
        _allowed(api, resources.VMS, namespaces),
        _allowed(api, resources.EVENTS, namespaces),
        read_services(),
    )
    warnings = None if events is None else dict(_warnings(events))
    return naming.Found(found, nodes, machines, warnings, partial, services or ())


async def _allowed(
    api: Client, kind: resources.Resource, namespaces: Sequence[str] = ()
) -> list[Object] | None:
    found, seen = await objects.list_allowed(api, kind, namespaces)
    return None if seen == frozenset() else list(found)


def _warnings(events: list[Object]) -> list[tuple[str, str]]:
    """The message of the last warning about each pod; later ones come later."""
    found = []
    for event in sorted(events, key=lambda one: str(one.get("lastTimestamp") or "")):
        about = event.get("involvedObject") or {}
        if event.get("type") == "Warning" and about.get("kind") == "Pod":
            key = f"{about.get('namespace')}/{about.get('name')}"
            text = str(event.get("message") or "")[:_LONGEST_WARNING]
            found.append((key, errors.printable(text)))
    return found


async def explored(
    evidence: Evidence, found: naming.Found, explorer: Explorer, patience: float, *, ipv6: bool
) -> Evidence:
    """The evidence with what nodes say and what came of packets."""
    network = evidence.network
    attached = [each for each in (evidence.source, evidence.target) if each.member]
    if not isinstance(network, NetworkFacts) or not attached:
        return evidence
    evidence = question.learned(evidence, await explorer.used(evidence))
    evidence = question.judged(evidence, found, ipv6=ipv6)
    nodes = list(dict.fromkeys(end.node for end in attached))
    asked = hops.crossings(evidence, nodes)
    orders = {node: each.order for node, each in asked.items()}
    answers = dict(zip(nodes, await _each(explorer, nodes, orders), strict=True))
    facts: dict[str, NodeFacts | Unseen] = {
        node: each if isinstance(each, Unseen) else zone.facts(each, asked[node].ports)
        for node, each in answers.items()
    }
    asked_ends = await _asked(evidence, explorer, patience)
    probe = await explorer.probe(evidence, patience)
    evidence = replace(evidence, nodes=facts, asked=asked_ends, probe=probe)
    if isinstance(probe, Unseen) or probe.result is not ProbeResult.SILENT:
        return evidence
    return replace(evidence, drops=await _drops(explorer, answers, facts))


async def _asked(
    evidence: Evidence, explorer: Explorer, patience: float
) -> dict[str, PortAnswer | Unseen]:
    """What the ends do that are asked for their addresses, both at once."""
    orders = {
        role: order
        for role in (asking.SOURCE, asking.TARGET)
        if explorer.may_ask(role, evidence)
        and (order := asking.order(role, evidence, patience)) is not None
    }
    nodes = {asking.SOURCE: evidence.source.node, asking.TARGET: evidence.target.node}

    async def one(role: str) -> PortAnswer | Unseen:
        try:
            answer = await explorer.ask(nodes[role], orders[role])
        except errors.WeftError as error:
            return Unseen(error.what)
        return asking.read(answer, orders[role])

    return dict(zip(orders, await asyncio.gather(*map(one, orders)), strict=True))


async def _each(
    explorer: Explorer, nodes: list[str], orders: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any] | Unseen]:
    async def one(node: str) -> Mapping[str, Any] | Unseen:
        try:
            return await explorer.look(node, orders[node])
        except errors.WeftError as error:
            return Unseen(error.what)

    return list(await asyncio.gather(*map(one, nodes)))


async def _drops(
    explorer: Explorer,
    answers: Mapping[str, Mapping[str, Any] | Unseen],
    facts: Mapping[str, NodeFacts | Unseen],
) -> dict[str, tuple[DropCount, ...]]:
    """What each node's switch has dropped since its answer."""
    before = {
        node: each["drops"]
        for node, each in answers.items()
        if not isinstance(each, Unseen) and isinstance(each.get("drops"), list)
    }
    orders = {node: {"ports": [], "before": drops} for node, drops in before.items()}
    after = await _each(explorer, list(before), orders)
    found = {}
    for node, each in zip(before, after, strict=True):
        zoned = facts[node]
        if not isinstance(each, Unseen) and isinstance(zoned, NodeFacts):
            found[node] = zone.drops(each, zoned.keys)
    return found
